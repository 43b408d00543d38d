# The janitor: holds one fleet for as long as its standard input stays open, and removes every trace of it afterwards,
# however the test ended. $1: name of the fleet, $2: its folder, $3: script of the first process inside.
unshare --net --mount --pid --fork --kill-child sh -c "$3"
find /sys/fs/cgroup -depth -type d -path "*/$1-*" -exec rmdir {} + 2>/dev/null
rm -rf "$2"

# The janitor: holds one fleet for as long as its standard input stays open, and removes every trace of it afterwards,
# however the test ended. $1: name of the fleet, $2: its folder, $3: script of the first process inside.
unshare --net --mount --pid --fork --kill-child sh -c "$3"
# The last processes to leave a control group are those that waited outside for the ones that were just ended.
tries=100
while [ -n "$(find /sys/fs/cgroup -type d -path "*/$1-*" -print -quit)" ] && [ "$tries" -gt 0 ]; do
  find /sys/fs/cgroup -depth -type d -path "*/$1-*" -exec rmdir {} + 2>/dev/null || sleep 0.05
  tries=$((tries - 1))
done
rm -rf "$2"

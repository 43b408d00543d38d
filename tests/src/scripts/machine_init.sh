# First process of a machine: own processes, mounts, /run and control groups. It reaps orphans, as an init does,
# and its death is the power cut: every process of the machine ends with it.
set -e
read -r host_pid rest </proc/self/stat
groups=$(stat -fc %T /sys/fs/cgroup)
mount -t proc proc /proc
mount -t tmpfs run /run
mount -t sysfs sysfs /sys
if [ "$groups" = cgroup2fs ]; then
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
else
  mount -t tmpfs cgroup /sys/fs/cgroup
  while IFS=: read -r id controllers path; do
    name=${controllers#name=}
    mkdir "/sys/fs/cgroup/${name:-unified}"
    case "$controllers" in
      "") mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified ;;
      name=*) mount -t cgroup -o "none,$controllers" cgroup "/sys/fs/cgroup/$name" ;;
      *) mount -t cgroup -o "$controllers" cgroup "/sys/fs/cgroup/$name" ;;
    esac
  done </proc/self/cgroup
fi
[ ! -d /var/lib/cni ] || mount -t tmpfs cni /var/lib/cni
echo "$host_pid"
sleep infinity </dev/null >/dev/null 2>&1

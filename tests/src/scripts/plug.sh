# Gives a machine its network namespace, new as after every boot, and a cable to the switch. $1: name, $2: address with
# prefix length, or nothing for a machine that has only its loopback.
set -e
ip link del "$1" 2>/dev/null || true
ip netns del "$1" 2>/dev/null || true
ip netns add "$1"
ip -n "$1" link set lo up
[ -n "$2" ] || exit 0
ip link add "$1" type veth peer name eth0 netns "$1"
ip link set "$1" master switch up
ip -n "$1" addr add "$2" dev eth0
ip -n "$1" link set eth0 up

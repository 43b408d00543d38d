#!/bin/sh
# Entry point of every stand-in image: answers HTTP with its environment, on the port that the real image would use.
# $1: a shell expression for the port.
trap 'exit 0' TERM INT
port=$(eval "$1")
[ -n "$port" ] || { echo "no port from: $1" >&2; exit 64; }
echo "listening on $port"
httpd -f -p "$port" -h /www &
wait $!

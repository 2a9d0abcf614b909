#!/bin/bash
# Second process of the lab: runs the command that was asked for, leaves its exit code, and turns the machine off.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
mkdir -p /run/lock
mount -t cgroup2 none /sys/fs/cgroup
ip link set lo up
setsid bash /lab/command < /dev/null > /dev/hvc0 2>&1
echo $? > /lab/exit-code
sync
echo o > /proc/sysrq-trigger
sleep 60

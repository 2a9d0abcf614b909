#!/bin/busybox sh
# First process of the lab: loads what the root filesystem needs, and goes on in this machine's own files, read-only under a tmpfs.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
while read -r module; do insmod "/modules/$module"; done < /order
mount -t virtiofs -o ro root /lower || poweroff -f
mount -t tmpfs -o size=80% tmpfs /upper
mkdir /upper/files /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work overlay /root
mkdir -p /root/lab /root/run /root/tmp /root/lib/modules
mount -t virtiofs lab /root/lab || poweroff -f
for folder in proc sys dev; do mount --move "/$folder" "/root/$folder"; done
mkdir -p /root/dev/pts /root/dev/shm
mount -t devpts devpts /root/dev/pts
for folder in run tmp dev/shm; do mount -t tmpfs tmpfs "/root/$folder"; done
mount --bind "/root$(cat /root/lab/kernel-folder)/lib/modules" /root/lib/modules
exec switch_root /root /lab/guest-init.sh

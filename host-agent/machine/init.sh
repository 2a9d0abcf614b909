#!/bin/busybox sh
# First process of a throw-away machine: loads what its root filesystem needs, and makes the reader its first process there.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
while read -r module; do insmod "/modules/$module"; done < /order
until [ -b /dev/vda ]; do sleep 0.02; done
mount -t ext4 -o ro /dev/vda /root
for folder in proc sys dev; do mount --move "/$folder" "/root/$folder"; done
for folder in guest run tmp; do mount -t tmpfs -o mode=0700 "$folder" "/root/$folder"; done
export PATH=/usr/sbin:/usr/bin HOME=/ LC_ALL=C UV_THREADPOOL_SIZE=16
exec /bin/switch_root /root /usr/bin/node --max-old-space-size=256 /app/machine.js

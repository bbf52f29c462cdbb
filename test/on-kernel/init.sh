#!/bin/busybox sh
# The first process of the machine: puts a layer in memory over the host's files and runs guest.sh.
# Nothing is written to the host.
set -e
b=/bin/busybox
$b mkdir -p /proc /sys /dev /host /memory /root
$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
$b mount -t devtmpfs dev /dev
# The modules' names begin with their loading order.
for module in /modules/*; do $b insmod "$module"; done
$b mount -t 9p -o trans=virtio,version=9p2000.L,ro,msize=512000,cache=loose host /host
$b mount -t tmpfs memory /memory
$b mkdir /memory/upper /memory/work
$b mount -t overlay -o lowerdir=/host,upperdir=/memory/upper,workdir=/memory/work overlay /root
$b cp /job.sh /guest.sh /root/
for each in proc sys dev; do $b mount --move /$each /root/$each; done
exec $b switch_root /root /bin/sh /guest.sh

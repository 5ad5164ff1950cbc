#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0 OR MIT
#
# PID 1 of L1, the lab's Linux. All before "READY" is in the snapshot; the rest happens once per
# run. Ports of the virtio console: hvc0 the terminal, 1 standard output, 2 standard error,
# 3 standard input, 4 the control port, over which session.py sends the job and gets the result.

/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in $(cat /modules/order); do
    insmod "/modules/$module" || echo "lab: cannot load $module"
done
mkdir -p /dev/pts /dev/shm /host /upper /new
mount -t devpts -o mode=620,ptmxmode=666 pts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t debugfs debug /sys/kernel/debug
mount -t tracefs trace /sys/kernel/tracing
mount -t cgroup2 cgroup /sys/fs/cgroup
mkdir /sys/fs/cgroup/job /dev/shm/.lab
mount -t tmpfs -o size=90% upper /upper
mkdir /upper/data /upper/work
ln -s /proc/self/fd /dev/fd
ln -s /proc/self/fd/0 /dev/stdin
ln -s /proc/self/fd/1 /dev/stdout
ln -s /proc/self/fd/2 /dev/stderr
mkfifo /in /out /err
ip link set lo up
hostname lab
port() {
    echo /dev/vport*p"$1"
}
exec 3<>"$(port 4)"
dmesg -n 4
echo "READY" >&3
read -r size <&3

# The job: shell variables, see session.py.
head -c "$size" <&3 >/job
. /job
fail() {
    echo "FAIL $*" >&3
    sleep 1000
}
if [ "$epoch" != 0 ]; then
    date -s "@$epoch" >/dev/null
fi
if [ "$pulse" != 0 ]; then
    while :; do
        echo "." >&3
        sleep "$pulse"
    done &
fi

# The host's files, with all that is written kept apart. 9p is mounted only now, for QEMU saves no
# state of a mounted one.
options=trans=virtio,version=9p2000.L,msize=512000
mount -t 9p -o "ro,cache=loose,$options" root /host || fail "cannot mount the host's files"
mount -t overlay -o lowerdir=/host,upperdir=/upper/data,workdir=/upper/work overlay /new ||
    fail "cannot mount the overlay on the host's files"
for mount in proc sys dev; do
    mount -o rbind "/$mount" "/new/$mount" || fail "cannot mount /$mount"
done
mkdir -p /new/lib/modules
mount -o bind "/new$modules" /new/lib/modules || fail "cannot mount $modules on /lib/modules"
if [ -n "$rw" ]; then
    mkdir -p "/new$rw"
    mount -t 9p -o "cache=mmap,$options" rw "/new$rw" || fail "cannot mount $rw for writing"
fi
sh=/bin/sh
if [ "$host" != "$(uname -m)" ]; then
    # The host's own programs do not run here: give the job busybox, and foreign libraries if there are any.
    sh=/.lab/bin/sh
    mkdir -p /new/.lab/bin
    cp /bin/busybox /new/.lab/bin/
    chroot /new /.lab/bin/busybox --install -s /.lab/bin
    if [ ! -e "/new$ld_so" ]; then
        mkdir -p "/new${ld_so%/*}"
        ln -s "$foreign$ld_so" "/new$ld_so"
    fi
fi

# run INPUT OUTPUT ERRORS [setsid's option]: the job, in a session and a control group of its own, by
# which what it leaves running can be told from what is ours.
printf '%s' "$job" >/dev/shm/.lab/job
run() {
    (
        echo 0 >/sys/fs/cgroup/job/cgroup.procs
        exec 3>&- 4>&-
        exec setsid $4 chroot /new "$sh" /dev/shm/.lab/job
    ) <"$1" >"$2" 2>"$3"
}
relays=
if [ "$input" = terminal ]; then
    exec 4<>/dev/hvc0 # kept open, for the last one to close it forgets its size
    stty rows "$rows" cols "$columns" <&4
    if [ "$errors" = apart ]; then
        cat /err >"$(port 2)" &
        relays=$!
        errors=/err
    else
        errors=/dev/hvc0
    fi
    run /dev/hvc0 /dev/hvc0 "$errors" -c
    status=$?
    exec 4>&-
else
    # Through pipes, as a program expects them: it may open /dev/stdout, which a port allows only once.
    cat /out >"$(port 1)" &
    relays=$!
    cat /err >"$(port 2)" &
    relays="$relays $!"
    if [ "$input" = stream ]; then
        cat "$(port 3)" >/in &
        input=/in
    else
        input=/dev/null
    fi
    run "$input" /out /err
    status=$?
fi
echo 1 >/sys/fs/cgroup/job/cgroup.kill
if [ -n "$relays" ]; then
    wait $relays
fi
if [ -n "$rw" ]; then
    umount "/new$rw" || sync
fi
echo "EXIT $status" >&3
sleep 1000

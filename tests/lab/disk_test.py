#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""disk_test.py KVMXX [TEST]: Debian's cloud kernel with its root on ext4 on a virtio disk, and on NVMe without an initial RAM disk,
on the real kvm-amd, in the lab. What it has synced is there when the program is killed at once, and when the guest switches itself off: the journal is replayed,
the file system is clean, and the files have the sums that the guest said. 77 where the lab cannot run or there is no
kernel."""

import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
import linux_guest  # noqa: E402

MODULES = ("virtio/virtio_ring", "virtio/virtio", "virtio/virtio_mmio", "virtio/virtio_pci_legacy_dev",
           "virtio/virtio_pci_modern_dev", "virtio/virtio_pci", "block/virtio_blk")

# Finds the disk, and goes on from there.
INITRD = r"""#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
exec </dev/console >/dev/console 2>&1
for module in @MODULES@; do insmod /modules/$module.ko; done
while ! [ -b /dev/vda ]; do sleep 0.1; done
mount -t ext4 /dev/vda /disk
umount /dev
exec switch_root /disk /sbin/init
"""

# The disk's own: writes, syncs, says the sums of what is synced, and does what the command line's last word is.
INIT = r"""#!/bin/busybox sh
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
exec </dev/console >/dev/console 2>&1
echo "guest: root is $(mount | grep ' on / ' | head -1), serial $(cat $(ls /sys/block/vda/serial /sys/block/nvme0n1/device/serial 2>/dev/null))"
for i in 1 2 3 4 5 6 7 8; do
    dd if=/dev/urandom of=/data/$i bs=61440 count=$i 2>/dev/null
done
sync
sha256sum /data/* | while read -r sum name; do echo "guest: synced $sum $name"; done
echo "guest: ready"
case $(cat /proc/cmdline) in
*poweroff) poweroff -f ;;
esac
while :; do
    dd if=/dev/urandom of=/more bs=65536 count=16 2>/dev/null
    sync
    rm /more
done
"""

# In the lab: the machine's output, then what the host finds on the disk.
INSIDE = r"""
kvmxx=$1 kernel=$2 image=$3 initrd=$4
machine() { # NAME WORD OPTION...: WORD is what the guest is to do
    echo "=== $1"
    cp --sparse=always "$image" /dev/shm/disk.img
    "$kvmxx" run --kernel "$kernel" ${initrd:+--initrd "$initrd"} --memory 256M --timeout 100 "${@:3}" \
        --cmdline "console=ttyS0 quiet loglevel=0 panic=-1 root=/dev/nvme0n1 rw $2" </dev/null >/dev/shm/output 2>&1 &
    if [ "$2" = kill ]; then
        for try in $(seq 1000); do
            sleep 0.2
            grep -q 'guest: ready' /dev/shm/output && break
            kill -0 $! || break
        done
        sleep 1
        kill -KILL $!
    fi
    wait $!
    echo "status $?"
    cat /dev/shm/output
    e2fsck -p /dev/shm/disk.img
    e2fsck -fn /dev/shm/disk.img >/dev/shm/fsck 2>&1 && echo "host: clean" || cat /dev/shm/fsck
    for i in 1 2 3 4 5 6 7 8; do
        sum=$(debugfs -R "cat /data/$i" /dev/shm/disk.img 2>/dev/null | sha256sum)
        echo "host: found ${sum%% *} /data/$i"
    done
    echo "=== end"
}
disk=path=/dev/shm/disk.img,serial=LAB-1
"""
MACHINES = r"""
machine poweroff poweroff --disk "$disk@DISK@" @MACHINE@
machine killed kill --disk "$disk@DISK@,queues=2" --cpus 2 @MACHINE@
machine threads kill --disk "$disk@DISK@,queues=4,engine=threads" --cpus 4 @MACHINE@
"""
MMIO = MACHINES.replace("@DISK@", "").replace("@MACHINE@", "--virtio-transport mmio")
PCI = MACHINES.replace("@DISK@", "").replace("@MACHINE@", "--virtio-transport pci")
NVME = MACHINES.replace("@DISK@", ",bus=nvme").replace("@MACHINE@", "")


def make_image(made):
    """An ext4 image with busybox and the program that INIT is."""
    root, image = os.path.join(made, "root"), os.path.join(made, "disk.img")
    for name in ("bin", "dev", "proc", "sys", "sbin", "data"):
        os.makedirs(os.path.join(root, name))
    shutil.copy(linux_guest.busybox(), os.path.join(root, "bin"))
    for name in ("sh", "mount", "cat", "ls", "grep", "head", "dd", "sync", "sha256sum", "poweroff", "rm"):
        os.symlink("busybox", os.path.join(root, "bin", name))
    with open(os.path.join(root, "sbin/init"), "w") as file:
        file.write(INIT)
    os.chmod(os.path.join(root, "sbin/init"), 0o755)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", root, image, "32M"], check=True)
    return image


@functools.cache
def outcome(machines):
    """{machine: output} of one run of the lab."""
    init = INITRD.replace("@MODULES@", " ".join(map(os.path.basename, MODULES)))
    with tempfile.TemporaryDirectory() as made:
        initrd = os.path.join(made, "initrd")
        if machines == NVME:
            initrd = ""
        else:
            linux_guest.write_initrd(initrd, ("disk",), {"init": init}, MODULES)
        printed = linux_guest.run_in_lab("bash", "-c", INSIDE + machines, "inside", KVMXX, linux_guest.kernel(),
                                         make_image(made), initrd, timeout=500)
    return dict(re.findall(r"^=== (\w+)\n(.*?)^=== end", printed, re.S | re.M))


class Disks(unittest.TestCase):
    MACHINES = ""

    def check(self, machine, status):
        self.assertIn(machine, outcome(self.MACHINES))
        output = outcome(self.MACHINES)[machine]
        self.assertIn(f"status {status}\n", output)
        self.assertRegex(output, "guest: root is /dev/\\w+ on / type ext4 .*serial LAB-1")
        self.assertIn("host: clean", output)
        synced = re.findall(r"guest: synced (\w{64}) (/data/\d)", output)
        self.assertEqual(len(synced), 8)
        self.assertEqual(synced, re.findall(r"host: found (\w{64}) (/data/\d)", output))

    def test_a_guest_that_switches_itself_off_loses_nothing(self):
        self.check("poweroff", 0)

    def test_a_program_that_is_killed_loses_nothing_that_was_synced(self):
        self.check("killed", 137)

    def test_nor_by_threads_with_4_cpus(self):
        self.check("threads", 137)


class MmioDisks(Disks):
    MACHINES = MMIO


class PciDisks(Disks):
    MACHINES = PCI


class NvmeDisks(Disks):
    MACHINES = NVME


del Disks  # whose tests are these three's


if __name__ == "__main__":
    KVMXX = os.path.realpath(sys.argv.pop(1))
    linux_guest.main("mke2fs", "e2fsck", "debugfs")

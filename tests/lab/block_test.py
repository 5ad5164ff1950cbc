#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""block_test.py KVMXX: Debian's cloud kernel with two disks on the real kvm-amd, in the lab. The file system of one's image is
full: the guest gets I/O errors, and goes on when the host has made room. The other is a block device, a loop one of blocks of
4096 bytes, with discard; one that is mounted is refused. 77 where the lab cannot run or there is no kernel."""

import functools
import os
import re
import sys
import unittest

sys.dont_write_bytecode = True
import linux_guest  # noqa: E402

MODULES = ("virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_blk")

INIT = r"""
while ! [ -b /dev/vdb ]; do sleep 0.1; done
dd if=/dev/urandom of=/tmp/data bs=1M count=4 2>/dev/null
written=0
write_to() { # MIB: as far as the disk takes it
    while [ $written -lt $1 ]; do
        dd if=/tmp/data of=/dev/vda bs=1M count=1 skip=$((written % 4)) seek=$written oflag=direct 2>/tmp/error || return
        written=$((written + 1))
    done
}
write_to 32
echo "guest: stopped at $written MiB: $(tr '\n' ' ' </tmp/error)"
read -r go
write_to 12
dd if=/dev/null of=/dev/vda conv=fsync,notrunc 2>/dev/null && echo "guest: synced $written MiB"
echo "guest: image $(cat /tmp/data /tmp/data /tmp/data | sha256sum)"

echo "guest: blocks of $(cat /sys/block/vdb/queue/logical_block_size), $(($(cat /sys/block/vdb/size) / 2)) KiB"
dd if=/tmp/data of=/dev/vdb bs=1M oflag=direct 2>/dev/null
blkdiscard -o 2097152 -l 2097152 /dev/vdb && echo "guest: discarded"
dd if=/dev/null of=/dev/vdb conv=fsync,notrunc 2>/dev/null
echo "guest: device $(head -c 2097152 /tmp/data | sha256sum)"
poweroff -f
"""

# In the lab. The guest's console is a FIFO: it waits there until there is room on the full file system.
INSIDE = r"""
kvmxx=$1 kernel=$2 initrd=$3
machine() { # DISK...
    "$kvmxx" run --kernel "$kernel" --initrd "$initrd" --memory 256M --timeout 200 --virtio-transport pci \
        "${@/#/--disk=path=}" --cmdline "console=ttyS0 quiet loglevel=0 panic=-1"
}
cd /dev/shm
modprobe -a loop ext4
mkdir small mounted
mount -t tmpfs -o size=16M tmpfs small
truncate -s 32M small/image
head -c 8M /dev/zero >small/ballast
truncate -s 8M device other
loop=$(losetup -f --show --sector-size 4096 device)
mke2fs -q -t ext4 other
other=$(losetup -f --show other)
mount $other mounted &&
    echo "host: refused: $(machine $other </dev/null 2>&1)"

mkfifo console
exec 3<>console
machine small/image $loop <console >output 2>&1 &
for try in $(seq 1000); do
    grep -q 'guest: stopped' output && break
    kill -0 $! || break
    sleep 0.2
done
rm small/ballast
echo go >&3
wait $!
echo "host: status $?"
cat output
losetup -d $loop
echo "host: image $(head -c 12M small/image | sha256sum)"
echo "host: device $(head -c 2M device | sha256sum)"
echo "host: the device has $(($(stat -c '%b * %B' device) / 1024)) KiB"
"""


@functools.cache
def outcome():
    """What one run of the lab printed."""
    return linux_guest.run_guest(("bash", "-c", INSIDE, "inside", KVMXX), INIT, MODULES)


class HostDisks(unittest.TestCase):
    def sums(self, what):
        found = re.findall(rf"^(guest|host): {what} ([0-9a-f]{{64}})", outcome(), re.M)
        self.assertEqual(sorted(who for who, _ in found), ["guest", "host"])
        return [each for _, each in found]

    def test_a_full_file_system_is_an_io_error_until_there_is_room(self):
        self.assertRegex(outcome(), r"guest: stopped at [5-8] MiB: .*(I/O|Input/output) error")
        told = re.findall(r"^kvmxx: .*No space left on device.*$", outcome(), re.M)
        self.assertEqual(len(told), 1, told)
        self.assertIn("small/image", told[0])
        self.assertIn("guest: synced 12 MiB", outcome())
        one, other = self.sums("image")
        self.assertEqual(one, other)
        self.assertIn("host: status 0", outcome())

    def test_a_block_device_has_its_blocks_and_discards(self):
        self.assertIn("guest: blocks of 4096, 8192 KiB", outcome())
        one, other = self.sums("device")
        self.assertEqual(one, other)
        self.assertIn("guest: discarded", outcome())
        self.assertIn("host: the device has 2048 KiB", outcome())

    def test_a_block_device_that_is_mounted_is_refused(self):
        self.assertRegex(outcome(), r"(?m)^host: refused: kvmxx: .*/dev/loop1: is mounted or in use: Device or resource busy$")


if __name__ == "__main__":
    KVMXX = os.path.realpath(sys.argv.pop(1))
    linux_guest.main("mke2fs", "losetup")

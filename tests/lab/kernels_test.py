#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""kernels_test.py KVMXX: Debian's kernels by every way that they can start, on the real kvm-amd, in the lab: the cloud
kernel as a bzImage that the host unpacks or the guest, as a vmlinux, by PVH; memtest86+ of 64 and of 32 bits; tboot by
Multiboot. 77 where the lab cannot run or there is nothing to boot."""

import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools"))
sys.dont_write_bytecode = True
from labkit.image import vmlinux  # noqa: E402

SKIPPED = 77

# In the lab: the lines of each Linux that its own program prints, and how it ended; other kernels' lines or screens,
# without the terminal's sequences.
INSIDE = r"""
kvmxx=$1 kernel=$2 vmlinux=$3 initrd=$4 memtest=$5 tboot=$6
export KVMXX_CACHE=/dev/shm/cache
linux() { # NAME CPUS KERNEL OPTION...
    echo "=== $1"
    "$kvmxx" run --memory 256M --timeout 120 --initrd "$initrd" --cmdline "console=ttyS0 quiet panic=-1" \
        --cpus "$2" "${@:3}" </dev/null 2>&1 | grep -a 'kvmxx guest: Linux'
    echo "status ${PIPESTATUS[0]}"
    echo "==="
}
screen() { # ends the machine when it has come
    echo "=== $1"
    "$kvmxx" run --memory 64M --timeout 120 "${@:2}" </dev/null 2>&1 | head -c 2500 | sed 's/\x1b\[[0-9;?]*[a-zA-Z]/ /g' | tr -s ' '
    echo; echo "==="
}
linux unpacked 1 "$kernel"
stat -c '%n %w %Y' /dev/shm/cache/unpacked/*.unpacked >/tmp/first
linux cached 2 "$kernel"
echo "=== kept"
stat -c '%n %w %Y' /dev/shm/cache/unpacked/*.unpacked | cmp - /tmp/first && echo "the same file"
echo "==="
linux itself 4 "$kernel" --unpack guest
for cpus in 1 2 4; do
    linux "vmlinux-$cpus" $cpus "$vmlinux"
    linux "pvh-$cpus" $cpus "$kernel" --protocol pvh
done
linux pvh-vmlinux 1 "$vmlinux" --protocol pvh
linux linux32 1 "$kernel" --protocol linux32
screen memtest64 "${memtest}x64.bin" --cmdline console=ttyS0,115200
screen memtest32 "${memtest}ia32.bin" --cmdline console=ttyS0,115200
echo "=== tboot"
"$kvmxx" run --memory 256M --timeout 120 "$tboot" --cmdline logging=serial </dev/null 2>&1 | grep -a -m12 TBOOT
echo "==="
echo "=== files"
ls /dev/shm/cache/unpacked
echo "==="
"""


def fetch(kind):
    return subprocess.run([os.path.join(ROOT, "tools/fetch-kernel"), kind], stdout=subprocess.PIPE, text=True,
                          check=True).stdout.strip()


@functools.cache
def outcome():
    """{machine: output} of one run of the lab."""
    kernel, memtest, tboot = fetch("cloud-amd64"), fetch("memtest86+"), fetch("tboot")
    with tempfile.TemporaryDirectory() as made:
        initrd, unpacked = os.path.join(made, "initrd"), os.path.join(made, "vmlinux")
        subprocess.run([os.path.join(ROOT, "tools/make-initrd"), initrd], check=True)
        with open(unpacked, "wb") as file:
            file.write(vmlinux(kernel))
        lab = subprocess.run([os.path.join(ROOT, "tools/lab"), "--mem", "1536", "--timeout", "500", "--", "bash", "-c",
                              INSIDE, "inside", KVMXX, kernel, unpacked, initrd, memtest.removesuffix("x64.bin"), tboot],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace")
    print(lab.stdout)
    return dict(re.findall(r"^=== (\S+)\n(.*?)^===$", lab.stdout, re.S | re.M))


class Kernels(unittest.TestCase):
    def check(self, machine, word):
        self.assertIn(machine, outcome())
        self.assertIn(word, outcome()[machine])

    def test_linux_starts_by_every_protocol_and_sees_its_cpus(self):
        for machine, cpus in (("unpacked", 1), ("cached", 2), ("itself", 4), ("vmlinux-1", 1), ("vmlinux-2", 2),
                              ("vmlinux-4", 4), ("pvh-1", 1), ("pvh-2", 2), ("pvh-4", 4), ("pvh-vmlinux", 1),
                              ("linux32", 1)):
            with self.subTest(machine):
                self.check(machine, "kvmxx guest: Linux")
                self.check(machine, f", {cpus} CPU{'s' if cpus > 1 else ''},")
                self.check(machine, "\nstatus 0\n")

    def test_unpacked_kernels_are_kept(self):
        self.assertEqual(outcome()["files"].count(".unpacked"), 2)  # the kernel's and tboot's
        self.assertEqual(outcome()["files"].count(".part"), 0)

    def test_a_second_boot_unpacks_nothing(self):
        self.check("kept", "the same file")

    def test_memtest_shows_its_screen(self):
        for machine in "memtest64", "memtest32":
            with self.subTest(machine):
                self.check(machine, "Memtest86+ v")

    def test_tboot_shows_its_banner_and_its_command_line(self):
        self.check("tboot", "TBOOT: " + "*" * 23 + " TBOOT " + "*" * 23)
        self.check("tboot", "tboot.gz logging=serial")


if __name__ == "__main__":
    KVMXX = os.path.realpath(sys.argv.pop(1))
    try:
        if not shutil.which("qemu-system-x86_64"):
            raise OSError("no qemu-system-x86_64")
        for each in "cloud-amd64", "memtest86+", "tboot":
            fetch(each)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"needs QEMU and Debian's packages: {error}")
        sys.exit(SKIPPED)
    unittest.main(verbosity=2)

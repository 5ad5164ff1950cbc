#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""debian_test.py KVMXX: the Debian of examples/debian comes to a login with a network on the real kvm-amd, in the lab;
ssh reaches it through a forwarded port; SIGTERM switches it off by its power button. 77 unless KVMXX_DEBIAN is set: a
directory, where the guest is made if there is none."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
import linux_guest  # noqa: E402

# In the lab, whose clock may be fast.
INSIDE = r"""
kvmxx=$1 dir=$2
mkfifo /dev/shm/keys
exec 3<>/dev/shm/keys
"$kvmxx" run --kernel "$dir/vmlinuz" --memory 512M --timeout 3000 --grace 1000 \
    --disk "path=$dir/root.img,bus=nvme" --net user,forward=tcp:2222:22 --rng \
    --cmdline "$(cat "$dir/cmdline") quiet systemd.default_timeout_start_sec=2000" <&3 \
    > >(tee /dev/shm/console) 2>&1 &
await() { # TEXT
    while kill -0 %1 2>/dev/null && ! grep -aq "$1" /dev/shm/console; do sleep 0.5; done
}
ip link set lo up
await 'login:'
echo root >&3
await '#'
echo 'echo "guest: $(ip -br -4 addr show scope global), $(systemctl is-system-running --wait)"' >&3
await 'guest: e'
exec 4<>/dev/tcp/127.0.0.1/2222
echo "ssh says: $(timeout 1000 head -c 8 <&4)"
kill -TERM %1
wait %1
echo "status $?"
"""


class Debian(unittest.TestCase):
    def test_it_comes_to_a_login_with_a_network_and_goes_by_its_button(self):
        kept = os.path.abspath(os.environ["KVMXX_DEBIAN"])
        if not os.path.exists(kept):
            subprocess.run([os.path.join(linux_guest.ROOT, "examples/debian/make-image"), kept], check=True)
        with tempfile.TemporaryDirectory() as made:
            for name in os.listdir(kept):
                subprocess.run(["cp", "--sparse=always", os.path.join(kept, name), made], check=True)
            printed = linux_guest.run_in_lab("bash", "-c", INSIDE, "inside", KVMXX, made, timeout=530,
                                             options=("--rw", made))
            check = subprocess.run(["e2fsck", "-fn", os.path.join(made, "root.img")], stdout=subprocess.PIPE, text=True)
        self.assertRegex(printed, r"log in as root, without a password. 10\.0\.2\.15")
        self.assertRegex(printed, r"guest: e\w+ +UP +10\.0\.2\.15/24 .*, running")
        self.assertIn("ssh says: SSH-2.0-", printed)
        self.assertIn("status 7\n", printed)
        self.assertEqual(check.returncode, 0, check.stdout)


if __name__ == "__main__":
    if not os.environ.get("KVMXX_DEBIAN"):
        print("takes 5 minutes: set KVMXX_DEBIAN to a directory for the guest")
        sys.exit(linux_guest.SKIPPED)
    KVMXX = os.path.abspath(sys.argv.pop(1))
    linux_guest.main("debootstrap", "mke2fs")

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""balloon_test.py KVMXX: Debian's cloud kernel with virtio by PCI on the real kvm-amd, in the lab: a balloon that takes
memory and gives it back before the guest must kill, and a terminal as hvc0, whose size the guest sees. 77 where the lab
cannot run or there is no kernel."""

import functools
import os
import re
import sys
import unittest

sys.dont_write_bytecode = True
import linux_guest  # noqa: E402

MODULES = ("virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_console")
MIB = 1 << 20
BALLOON = 128 * MIB

# The guest's only program. The host answers "go" on hvc0 when it has seen what it wants.
INIT = r"""
exec </dev/hvc0 >/dev/hvc0 2>&1
fill() {
    dd if=/dev/zero of=/tmp/much bs=1M count=200 2>/dev/null
}
await_size() {
    for try in $(seq 200); do
        [ "$(stty size 2>/dev/null)" = "$1" ] && echo "guest: terminal $1" && return
        sleep 0.2
    done
}
await_size "40 100"
await_size "50 120"
fill
rm /tmp/much
echo "guest: touched"
read -r go
insmod /modules/virtio_balloon.ko
read -r go
echo "guest: heard $go"
fill
echo "guest: wrote $(wc -c </tmp/much) bytes, $(sed -n 's/^oom_kill //p' /proc/vmstat) killed"
read -r go
poweroff -f
"""

# In the lab. The program's terminal is a pseudo-terminal of ours.
INSIDE = r"""
import fcntl, json, os, pty, re, struct, subprocess, sys, termios, time
kvmxx, kernel, initrd, balloon = sys.argv[1:]
os.chdir("/dev/shm")
def rss():
    text = open("/proc/%d/status" % run.pid).read()
    return int(re.search(r"RssAnon:\s+(\d+)", text).group(1)) << 10
def resize(rows, columns):
    fcntl.ioctl(controller, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
def statistics(wanted):
    for _ in range(600):
        time.sleep(0.2)
        if run.poll() is not None:
            break
        if os.path.exists("stats"):
            all = json.load(open("stats"))["virtio"]["balloon"]
            if wanted(all):
                return {name: s["value"] for name, s in all.items()}
    return {}
def tell(word, values):
    print("host:", word, rss(), " ".join("%s=%d" % each for each in values.items()), flush=True)
    os.write(controller, b"go\n")
controller, terminal = pty.openpty()
resize(40, 100)
run = subprocess.Popen([kvmxx, "run", "--kernel", kernel, "--initrd", initrd, "--memory", "320M", "--timeout", "280",
    "--cmdline", "console=ttyS0 quiet loglevel=4 panic=-1", "--virtio-transport", "pci", "--console", "stdio",
    "--balloon", "size=%s,stats=1,deflate-on-oom" % balloon, "--stats-file", "stats"], stdin=terminal, stdout=terminal,
    stderr=terminal)
os.close(terminal)
def lines():
    rest = b""
    while True:
        try:
            rest += os.read(controller, 4096)
        except OSError:  # nobody has the terminal any more
            return
        *whole, rest = rest.split(b"\n")
        for line in whole:
            yield line.decode(errors="replace").strip()
for line in lines():
    print(line, flush=True)
    if "guest: terminal 40" in line:
        resize(50, 120)
    if "guest: touched" in line:
        tell("touched", {})
        full = lambda all: all["actual-bytes"]["value"] == int(balloon) and "guest-free-memory" in all
        tell("inflated", statistics(full))
    if "guest: wrote" in line:
        tell("deflated", statistics(lambda all: all["actual-bytes"]["value"] < int(balloon)))
print("host: status", run.wait(), flush=True)
"""


@functools.cache
def outcome():
    """What one run of the lab printed."""
    return linux_guest.run_guest(("/usr/bin/python3", "-c", INSIDE, KVMXX), INIT, MODULES, str(BALLOON),
                                 later=["virtio_balloon"])


class Balloon(unittest.TestCase):
    def told(self, word):
        """What the host had of the guest's memory, in bytes, and the balloon's statistics."""
        found = re.search(rf"^host: {word} (\d+) ?(.*)$", outcome(), re.M)
        self.assertTrue(found)
        return int(found[1]), {name: int(value) for name, value in re.findall(r"(\S+)=(\d+)", found[2])}

    def test_the_host_has_the_memory_that_the_balloon_took(self):
        before, _ = self.told("touched")
        after, balloon = self.told("inflated")
        self.assertEqual(balloon["target-bytes"], BALLOON)
        self.assertEqual(balloon["actual-bytes"], BALLOON)
        self.assertGreaterEqual(balloon["given-back-bytes"], BALLOON)
        self.assertEqual(balloon["reported-bytes"], 0)
        self.assertLess(after, before - BALLOON * 3 // 4)

    def test_the_guest_tells_of_its_memory(self):
        _, balloon = self.told("inflated")
        self.assertGreater(balloon["guest-total-memory"], 200 * MIB)
        self.assertLess(balloon["guest-free-memory"], 320 * MIB - BALLOON)

    def test_the_guest_takes_pages_back_before_it_kills(self):
        self.assertIn(f"guest: wrote {200 * MIB} bytes, 0 killed", outcome())
        _, balloon = self.told("deflated")
        self.assertLess(balloon["actual-bytes"], BALLOON)
        self.assertIn("host: status 0", outcome())

    def test_a_terminal_is_hvc0_and_its_size_is_seen(self):
        self.assertIn("guest: terminal 40 100", outcome())
        self.assertIn("guest: terminal 50 120", outcome())
        self.assertIn("guest: heard go", outcome())


if __name__ == "__main__":
    KVMXX = os.path.realpath(sys.argv.pop(1))
    linux_guest.main()

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""virtio_test.py KVMXX GUEST: Debian's cloud kernel with virtio's small devices on the real kvm-amd, in the lab: entropy,
hvc0 and a named port both ways, memory that goes back to the host by free page reporting, an echo over
vsock in both directions. GUEST is virtio_guest.c, static. 77 where the lab cannot run or there is no kernel."""

import functools
import os
import sys
import unittest

sys.dont_write_bytecode = True
import linux_guest  # noqa: E402

MODULES = ("virtio_ring", "virtio", "virtio_mmio", "virtio-rng", "virtio_console", "virtio_balloon", "vsock",
           "vmw_vsock_virtio_transport_common", "vmw_vsock_virtio_transport")

# The guest's only program.
INIT = r"""
echo "guest: entropy from $(cat /sys/class/misc/hw_random/rng_current)," \
    "$(dd if=/dev/hwrng bs=32 count=4 2>/dev/null | wc -c) bytes"
for port in /sys/class/virtio-ports/*; do
    [ "$(cat $port/name)" = org.example.agent ] && agent=/dev/${port##*/}
done
echo "guest: hvc0 speaks" >/dev/hvc0
exec 3<>$agent
echo "guest: the agent speaks" >&3
read -r line <&3
echo "guest: the agent heard $line"
read -r line </dev/hvc0
echo "guest: hvc0 heard $line"
virtio_guest 2 1234 "over vsock" 
echo
virtio_guest listen 22 &
echo "guest: touches memory"
dd if=/dev/zero of=/tmp/much bs=1M count=96 2>/dev/null
echo "guest: full"
sleep 6
rm /tmp/much
echo "guest: empty"
while read -r line; do [ "$line" = end ] && break; done <&3
wait
poweroff -f
"""

# In the lab. The agent's socket is held open by a program that writes and reads in turn.
INSIDE = r"""
import os, re, socket, subprocess, sys, threading, time
kvmxx, kernel, initrd = sys.argv[1:]
os.chdir("/dev/shm")
def rss(pid):
    text = open("/proc/%d/status" % pid).read()
    return int(re.search(r"VmRSS:\s+(\d+)", text).group(1)) // 1024
def dial(path, line=None):
    for _ in range(600):
        try:
            s = socket.socket(socket.AF_UNIX)
            s.connect(path)
            if line is None:
                return s
            s.sendall(line)
            if s.recv(64).startswith(b"OK "):
                return s
        except OSError:
            pass
        s.close()
        time.sleep(0.2)
    raise SystemExit("nobody at " + path)
listener = socket.socket(socket.AF_UNIX)
listener.bind("vs_1234")
listener.listen(1)
def echo():
    peer, _ = listener.accept()
    while data := peer.recv(4096):
        peer.sendall(data.upper())
    peer.close()
threading.Thread(target=echo, daemon=True).start()
run = subprocess.Popen([kvmxx, "run", "--kernel", kernel, "--initrd", initrd, "--memory", "320M", "--timeout", "280",
    "--cmdline", "console=ttyS0 quiet loglevel=4 panic=-1", "--console", "socket=hvc", "--console",
    "name=org.example.agent,socket=agent", "--rng", "--balloon", "size=0,stats=1,deflate-on-oom,reporting", "--vsock",
    "cid=3,path=vs"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
hvc, agent = dial("hvc"), dial("agent")
def hear(who, s):
    data = b""
    while b"\n" not in data:
        more = s.recv(4096)
        if not more:
            break
        data += more
    print(who, data.decode(errors="replace").strip(), flush=True)
threading.Thread(target=hear, args=("host: hvc0 said", hvc), daemon=True).start()
def agent_talk():
    hear("host: the agent said", agent)
    agent.sendall(b"hello agent\n")
    time.sleep(1)
    hvc.sendall(b"hello console\n")
threading.Thread(target=agent_talk, daemon=True).start()
for line in run.stdout:
    line = line.decode(errors="replace").rstrip()
    print(line, flush=True)
    if "guest: listens" in line:
        def talk():
            s = dial("vs", b"CONNECT 22\n")
            s.sendall(b"are you there")
            s.shutdown(socket.SHUT_WR)
            data = b""
            while more := s.recv(4096):
                data += more
            print("host: the guest echoed", data.decode(), flush=True)
        threading.Thread(target=talk).start()
    if "guest: full" in line:
        time.sleep(1)
        print("host: full", rss(run.pid), flush=True)
    if "guest: empty" in line:
        time.sleep(20)
        print("host: empty", rss(run.pid), flush=True)
        agent.sendall(b"end\n")
print("host: status", run.wait(), flush=True)
"""


@functools.cache
def outcome():
    """What one run of the lab printed."""
    return linux_guest.run_guest(("/usr/bin/python3", "-c", INSIDE, KVMXX), INIT, MODULES,
                                 programs={"bin/virtio_guest": linux_guest.read(GUEST)}, options=("--mem", "1536"))


class SmallDevices(unittest.TestCase):
    def check(self, *words):
        for word in words:
            self.assertIn(word, outcome())

    def number(self, before):
        return int(outcome().split(before, 1)[1].split()[0])

    def test_entropy(self):
        self.check("guest: entropy from virtio_rng.0, 128 bytes")

    def test_console_ports_both_ways(self):
        self.check("host: hvc0 said guest: hvc0 speaks", "guest: hvc0 heard hello console",
                   "host: the agent said guest: the agent speaks", "guest: the agent heard hello agent")

    def test_vsock_both_ways(self):
        self.check("OVER VSOCK", "host: the guest echoed are you there")

    def test_free_pages_go_back_to_the_host(self):
        self.assertLess(self.number("host: empty"), self.number("host: full") - 64)

    def test_it_ends(self):
        self.check("host: status 0")


if __name__ == "__main__":
    GUEST = os.path.realpath(sys.argv.pop(2))
    KVMXX = os.path.realpath(sys.argv.pop(1))
    linux_guest.main()

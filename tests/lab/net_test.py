#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""net_test.py KVMXX: Debian's cloud kernel with a network card, on the real kvm-amd, in the lab. Over the user network
it gets an address, fetches a file by HTTP and by TFTP, and gives it back by a forwarded port, by PCI; over a tap interface
with two queues it pings, also after the interface was taken away and came back, by MMIO. 77 where the lab cannot run or
there is no kernel."""

import functools
import os
import re
import sys
import unittest

sys.dont_write_bytecode = True
import linux_guest  # noqa: E402

MODULES = ("virtio_ring", "virtio", "virtio_mmio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci",
           "net/core/failover", "net_failover", "virtio_net")

INIT = r"""
ip link set lo up
ip link set eth0 up
echo "guest: mac $(cat /sys/class/net/eth0/address) mtu $(cat /sys/class/net/eth0/mtu) queues" $(ls /sys/class/net/eth0/queues) \
    "of $(basename $(dirname $(realpath /sys/class/net/eth0/device)))"
case $(cat /proc/cmdline) in
*user)
    udhcpc -i eth0 -s /dhcp -q -n -t 10 -T 2 >/dev/null 2>&1
    echo "guest: address $(ip -o -4 addr show dev eth0 | tr -s ' ' | cut -d ' ' -f 4)"
    cd /tmp
    wget -q -O down http://10.0.2.2:8000/file
    echo "guest: http $(sha256sum <down)"
    tftp -g -r small -l small 10.0.2.2
    echo "guest: tftp $(sha256sum <small)"
    httpd -p 80 -h /tmp
    echo "guest: ready"
    echo "guest: was told $(nc -l -p 99)" ;;
*tap)
    ip addr add 10.9.0.2/24 dev eth0
    ping -c 3 -W 10 10.9.0.1 | grep received
    echo "guest: ready"
    until [ "$(cat /sys/class/net/eth0/carrier)" = 0 ]; do sleep 0.2; done
    echo "guest: carrier lost"
    until [ "$(cat /sys/class/net/eth0/carrier)" = 1 ]; do sleep 0.2; done
    sleep 1
    ping -c 3 -W 10 10.9.0.1 | sed -n 's/.*transmitted,/guest: after it,/p' ;;
esac
poweroff -f
"""
DHCP = """#!/bin/busybox sh
[ "$1" = bound ] || exit 0
ip addr add $ip/$mask dev $interface
ip route add default via $router
"""

# In the lab: each machine's output, then how it ended.
INSIDE = r"""
kvmxx=$1 kernel=$2 initrd=$3
machine() { # NET WORD OPTION...: WORD is what the guest is to do
    "$kvmxx" run --kernel "$kernel" --initrd "$initrd" --memory 256M --timeout 150 --net "$1" "${@:3}" \
        --cmdline "console=ttyS0 quiet loglevel=0 panic=-1 $2" </dev/null >/tmp/$2 2>&1
    echo "=== status $?" >>/tmp/$2
}
await() {
    for try in $(seq 600); do
        grep -q "$2" /tmp/$1 && return
        sleep 0.2
    done
    echo "host: no '$2'"
}
ip link set lo up
mkdir /tmp/www
head -c 3000000 /dev/urandom >/tmp/www/file
head -c 20000 /dev/urandom >/tmp/www/small
python3 -m http.server 8000 --bind 127.0.0.1 -d /tmp/www >/dev/null 2>&1 &
machine user,forward=tcp:8080:80,forward=tcp:9099:99,tftp=/tmp/www user --virtio-transport pci &
await user 'guest: ready'
python3 -c 'import urllib.request as u; open("/tmp/back", "wb").write(u.urlopen("http://127.0.0.1:8080/down").read())'
python3 -c 'import socket; socket.create_connection(("127.0.0.1", 9099)).sendall(b"goodbye\n")'
await user '=== status'
echo "=== user"
echo "host: file $(sha256sum </tmp/www/file)"
echo "host: small $(sha256sum </tmp/www/small)"
echo "host: back $(sha256sum </tmp/back)"
cat /tmp/user

modprobe tun
make_tap() {
    ip tuntap add tap0 mode tap multi_queue
    ip addr add 10.9.0.1/24 dev tap0
    ip link set tap0 up
}
make_tap
machine tap=tap0,mac=02:00:00:00:00:07,mtu=1400,queues=2 tap --cpus 2 --virtio-transport mmio &
await tap 'guest: ready'
ip link delete tap0
await tap 'guest: carrier lost'
make_tap
await tap '=== status'
echo "=== tap"
cat /tmp/tap
"""


@functools.cache
def outcome():
    """{machine: (status, output)} of one run of the lab."""
    printed = linux_guest.run_guest(("bash", "-c", INSIDE, "inside", KVMXX), INIT, MODULES,
                                    programs={"dhcp": DHCP})
    found = re.findall(r"^=== (\w+)\n(.*?)^=== status (\d+)$", printed, re.S | re.M)
    return {name: (int(status), output) for name, output, status in found}



class Net(unittest.TestCase):
    def output(self, machine):
        self.assertIn(machine, outcome())
        status, output = outcome()[machine]
        self.assertEqual(status, 0, output)
        return output

    def sum_of(self, output, what):
        found = re.search(rf"^{what} ([0-9a-f]{{64}})", output, re.M)
        self.assertTrue(found, output)
        return found[1]

    def test_the_user_network_gives_an_address_by_pci(self):
        self.assertRegex(self.output("user"), r"guest: mac \S+ mtu 1500 queues rx-0 tx-0 of 0000:")
        self.assertIn("guest: address 10.0.2.15/24", self.output("user"))

    def test_files_go_both_ways_over_the_user_network(self):
        output = self.output("user")
        sent = self.sum_of(output, "host: file")
        self.assertEqual(self.sum_of(output, "guest: http"), sent)
        self.assertEqual(self.sum_of(output, "host: back"), sent)
        self.assertEqual(self.sum_of(output, "guest: tftp"), self.sum_of(output, "host: small"))
        self.assertIn("guest: was told goodbye", output)

    def test_a_tap_interface_pings_and_comes_back(self):
        output = self.output("tap")
        self.assertIn("guest: mac 02:00:00:00:00:07 mtu 1400 queues rx-0 rx-1 tx-0 tx-1 of ", output)
        self.assertIn("3 packets transmitted, 3 packets received", output)
        self.assertIn("tap tap0: the interface is gone", output)
        self.assertIn("guest: carrier lost", output)
        self.assertIn("tap tap0: the interface is up", output)
        self.assertIn("guest: after it, 3 packets received", output)


if __name__ == "__main__":
    KVMXX = os.path.realpath(sys.argv.pop(1))
    linux_guest.main("ip")

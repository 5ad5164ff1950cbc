#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""linux_test.py KVMXX: Debian's cloud kernel on the real kvm-amd, in the lab. It sees each of 1, 2 and 4 CPUs, and
powers off, reboots, panics and is switched off by the button, each with its own message and status. 77 where the lab
cannot run or there is no kernel."""

import functools
import os
import re
import sys
import unittest

sys.dont_write_bytecode = True
import linux_guest  # noqa: E402

MODULES = ("drivers/acpi/button", "drivers/input/evdev", "drivers/misc/pvpanic/pvpanic",
           "drivers/misc/pvpanic/pvpanic-mmio")

# The guest's only program: what it does is the command line's last word.
INIT = r"""
echo "guest: $(nproc) CPUs, $(grep -c ^processor /proc/cpuinfo) listed"
grep -q ACPI:Ged /proc/interrupts && echo "guest: has an event device"
case $(cat /proc/cmdline) in
*poweroff) poweroff -f ;;
*reboot) reboot -f ;;
*panic) echo c >/proc/sysrq-trigger ;;
*button)
    echo "guest: ready"
    hexdump -n 24 /dev/input/event0 >/dev/null
    echo "guest: the button was pressed"
    poweroff -f ;;
esac
"""

# In the lab: each machine's output, then how it ended.
INSIDE = r"""
kvmxx=$1 kernel=$2 initrd=$3
machine() {
    echo "=== $1"
    "$kvmxx" run --kernel "$kernel" --initrd "$initrd" --memory 256M --cpus "$2" --timeout 100 --grace 60 $4 \
        --cmdline "console=ttyS0 quiet loglevel=0 panic=-1 $3" </dev/null 2>&1 &
    wait $!
    echo "=== status $?"
}
# The recording of such a machine, replayed.
again() {
    echo "=== $1_again"
    "$kvmxx" replay -v "/tmp/$1.trace" 2>&1
    echo "=== status $?"
}
machine one 1 poweroff "--trace /tmp/one.trace"
again one
machine two 2 panic
machine four 4 reboot "--trace /tmp/four.trace"
again four
machine button 2 button >/tmp/button &
for try in $(seq 500); do
    sleep 0.2
    if grep -q 'guest: ready' /tmp/button; then
        sleep 0.5
        pkill -TERM -x kvmxx
        break
    fi
done
wait
cat /tmp/button
"""


@functools.cache
def outcome():
    """{machine: (status, output)} of one run of the lab."""
    printed = linux_guest.run_guest(("bash", "-c", INSIDE, "inside", KVMXX), INIT, MODULES)
    found = re.findall(r"^=== (\w+)\n(.*?)^=== status (\d+)$", printed, re.S | re.M)
    return {name: (int(status), output) for name, output, status in found}



class Linux(unittest.TestCase):
    def check(self, machine, status, *words):
        self.assertIn(machine, outcome())
        got, output = outcome()[machine]
        self.assertEqual(got, status, output)
        for word in words:
            self.assertIn(word, output)

    def test_one_cpu_powers_off(self):
        self.check("one", 0, "guest: 1 CPUs, 1 listed", "guest: has an event device")

    def test_recorded_boots_replay_without_kvm(self):
        self.check("one_again", 0, "guest: 1 CPUs, 1 listed", "exits and")
        self.check("four_again", 0, "guest: 4 CPUs, 4 listed", "exits and")

    def test_two_cpus_panic(self):
        self.check("two", 6, "guest: 2 CPUs, 2 listed", "kvmxx: the guest's kernel panicked")

    def test_four_cpus_reboot(self):
        self.check("four", 5, "guest: 4 CPUs, 4 listed", "kvmxx: the guest asked for a reset")

    def test_sigterm_presses_the_button(self):
        self.check("button", 7, "guest: the button was pressed", "kvmxx: the guest switched itself off, as it was asked")


if __name__ == "__main__":
    KVMXX = os.path.realpath(sys.argv.pop(1))
    linux_guest.main()

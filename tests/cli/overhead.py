#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""kvmxx run takes little memory beside its guest's: at most 1 MiB of its own. Says also how much is resident with the
pages of files, which all processes share."""

import re
import subprocess
import sys

sys.dont_write_bytecode = True
import program  # noqa: E402
from program import needs_kvm  # noqa: E402

# Says R on the serial port, and reads it for ever.
READY = bytes.fromhex("baf803 b052 ee ec ebfd")
GUEST_KIB = 64 << 10
MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ \S+")


def mappings(pid):
    """What /proc/PID/smaps says: names, sizes and uses, in KiB."""
    found = []
    with open(f"/proc/{pid}/smaps") as file:
        for line in file:
            if head := MAPPING.match(line):
                found.append({})
            else:
                name, value = line.split(":", 1)
                if value.endswith(" kB\n"):
                    found[-1][name] = int(value.split()[0])
    return found


@needs_kvm
class Overhead(program.ProgramTest):
    def test_a_machine_takes_little_memory_beside_the_guests(self):
        machine = subprocess.Popen([program.PROGRAM, "run", self.file("guest", READY), "--flat16", "0x1000",
                                    "--memory", f"{GUEST_KIB}K"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.addCleanup(machine.stdout.close)
        self.addCleanup(machine.wait)
        self.addCleanup(machine.kill)
        self.assertEqual(machine.stdout.read(1), b"R")
        all_of_it = mappings(machine.pid)
        beside = [part for part in all_of_it if part["Size"] != GUEST_KIB]
        self.assertEqual(len(all_of_it) - len(beside), 1, "the guest's memory is one mapping")
        if sum(part["Size"] for part in beside) > 1 << 30:
            self.skipTest("a sanitizer's memory is not the program's")
        own = sum(part["Anonymous"] for part in beside)
        resident = sum(part["Rss"] for part in beside)
        print(f"resident beside the guest's memory: {resident} KiB, {own} of them its own", file=sys.stderr)
        self.assertLessEqual(own, 1 << 10)


if __name__ == "__main__":
    program.main()

# SPDX-License-Identifier: Apache-2.0 OR MIT
"""What the tests of the program share: running it, tiny guests, files that are no good.

A test is `NAME.py PROGRAM [unittest's arguments]`; status 77 if every test in it was skipped."""

import os
import subprocess
import sys
import tempfile
import unittest

PROGRAM = None

# Guests: machine code, as bytes.
PRINT_AND_RESET = bytes.fromhex("baf803 b048 ee b069 ee b00a ee b0fe e664 f4")  # "Hi\n"; 0xfe to port 0x64; hlt
POWER_OFF = bytes.fromhex("ba0c06 b034 ee f4")  # S5 to the sleep control register
FIXED_POWER_OFF = bytes.fromhex("ba0406 b80134 ef f4")  # the same to PM1
PANIC = bytes.fromhex("ba0505 b001 ee faf4")
TEST_EXIT = bytes.fromhex("b005 e6f4 f4")  # 5 to isa-debug-exit
# Prints 10 bytes of fw_cfg's first file, and resets.
READ_FW_CFG = bytes.fromhex("ba1005 b82000 ef b90a00 ba1105 ec baf803 ee e2f6 b0fe e664 f4")
# Enables the power button, says R, and switches the machine off when it is pressed.
OBEDIENT = bytes.fromhex("ba0f06 b001 ee baf803 b052 ee ba0e06 ec 84c0 74fb ba0c06 b034 ee f4")
DEAF = bytes.fromhex("ba0f06 b001 ee baf803 b052 ee ebfe")  # enables it, says R, and goes on
HALT = bytes.fromhex("fa f4")
SPIN = bytes.fromhex("ebfe")
# Echoes the serial port's input, polling, to `q`, and then resets.
ECHO = bytes.fromhex("bafd03 ec a801 74fb b2f8 ec ee 3c71 75f0 b0fe e664 f4")
# 64-bit: lidt of an empty table, ud2.
TRIPLE_FAULT = bytes.fromhex("0f011d02000000 0f0b") + bytes(10)
# Reads port 0x1234 twice, writes it once; reads MSR 0x1234 (64-bit, so a #GP without an IDT); never ends well.
ODD_PORTS = bytes.fromhex("ba3412 ec ec ee b0fe e664 f4")


HALTED = "kvmxx: the guest halted for good: all its CPUs wait with interrupts off\n"  # and status 0
OFF = "kvmxx: the guest switched itself off\n"  # and status 0
RESET = "kvmxx: the guest asked for a reset\n"  # and status 5


class Ended:
    """What a run of the program came to."""

    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err


class ProgramTest(unittest.TestCase):
    """A test in an empty directory of its own, self.dir."""

    def setUp(self):
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.dir = made.name

    def file(self, name, content=b"", size=None):
        """Makes a file, filled up with a hole to `size`, and returns its path."""
        path = os.path.join(self.dir, name)
        with open(path, "wb") as file:
            file.write(content)
            if size is not None:
                file.truncate(size)
        return path

    def kvmxx(self, *args, stdin=b"", timeout=60, command=None):
        """Runs the program to its end."""
        done = subprocess.run([*(command or [PROGRAM]), *args], input=stdin, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=timeout, cwd=self.dir)
        return Ended(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    def assert_refused(self, status, names, *args, **more):
        """The program ends with `status`, prints nothing, and one line on stderr that has all of `names`."""
        before = sorted(os.listdir(self.dir))
        ended = self.kvmxx(*args, **more)
        self.assertEqual(ended.status, status, ended.err)
        self.assertEqual(ended.out, "")
        self.assertTrue(ended.err.startswith("kvmxx: "), ended.err)
        self.assertEqual(ended.err.count("\n"), 1, ended.err)
        self.assertTrue(ended.err.endswith("\n"))
        for name in names:
            self.assertIn(name, ended.err)
        self.assertEqual(sorted(os.listdir(self.dir)), before, "files were left behind")
        return ended


def needs_kvm(test):
    """Skips where the program could not use /dev/kvm."""
    why = None
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR))
    except OSError as error:
        why = f"needs /dev/kvm: {error.strerror}"
    return unittest.skipIf(why, why)(test)


def main():
    global PROGRAM
    if len(sys.argv) < 2:
        sys.exit(f"usage: {sys.argv[0]} PROGRAM [ARGUMENT...]")
    # The test's own module has imported this one by name: set it there, not in __main__.
    sys.modules["program"].PROGRAM = os.path.realpath(sys.argv.pop(1))
    run = unittest.main(module="__main__", exit=False, verbosity=2).result
    if run.testsRun and len(run.skipped) == run.testsRun:
        print(run.skipped[0][1])
        sys.exit(77)
    sys.exit(not run.wasSuccessful())

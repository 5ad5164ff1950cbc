#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""kvmxx run on a terminal: raw meanwhile, as before afterwards, and Ctrl-A."""

import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time

sys.dont_write_bytecode = True
import program  # noqa: E402
from program import needs_kvm  # noqa: E402


@needs_kvm
class Terminal(program.ProgramTest):
    def start(self, code, *args, flat=("--flat16", "0x1000")):
        self.controller, self.terminal = pty.openpty()
        self.addCleanup(os.close, self.controller)
        self.addCleanup(os.close, self.terminal)
        self.before = termios.tcgetattr(self.terminal)
        process = subprocess.Popen(
            [program.PROGRAM, "run", self.file("guest", code), *flat, *args],
            stdin=self.terminal, stdout=self.terminal, stderr=self.terminal, start_new_session=True)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.seen = b""
        return process

    def read_until(self, text, seconds=20):
        end = time.monotonic() + seconds
        while text not in self.seen:
            ready, _, _ = select.select([self.controller], [], [], max(0, end - time.monotonic()))
            self.assertTrue(ready, f"{text} did not come; {self.seen} did")
            self.seen += os.read(self.controller, 4096)

    def type(self, text):
        os.write(self.controller, text)

    def is_raw(self):
        return not termios.tcgetattr(self.terminal)[3] & (termios.ICANON | termios.ECHO | termios.ISIG)

    def wait_for_raw(self):
        for _ in range(1000):
            if self.is_raw():
                return
            time.sleep(0.01)
        self.fail("the terminal is not in raw mode")

    def assert_ended(self, process, status):
        self.assertEqual(process.wait(timeout=30), status, self.seen)
        self.assertEqual(termios.tcgetattr(self.terminal), self.before, "the terminal is not as before")

    def test_guest_gets_each_key_and_the_terminal_is_as_before_afterwards(self):
        process = self.start(program.ECHO)
        self.wait_for_raw()
        self.type(b"a\x03\x1a")
        self.read_until(b"a\x03\x1a")
        self.type(b"q")
        self.assert_ended(process, 5)

    def test_ctrl_a_x_ends_the_machine(self):
        process = self.start(program.ECHO)
        self.wait_for_raw()
        self.type(b"ab")
        self.read_until(b"ab")
        self.type(b"\x01x")
        self.assert_ended(process, 4)

    def test_ctrl_a_x_ends_a_machine_that_reads_nothing(self):
        process = self.start(program.SPIN)
        self.wait_for_raw()
        self.type(b"x" * 3000)
        time.sleep(0.2)
        self.type(b"y" * 3000)
        time.sleep(0.2)
        self.type(b"\x01x")
        self.assert_ended(process, 4)

    def test_ctrl_a_twice_sends_it_and_h_helps(self):
        process = self.start(program.ECHO)
        self.wait_for_raw()
        self.type(b"<\x01\x01>")
        self.read_until(b"<\x01>")
        self.type(b"\x01h")
        self.read_until(b"Ctrl-A x ends the machine")
        self.type(b"\x01")
        time.sleep(0.1)
        self.type(b"zq")  # an unknown command is nothing; then the guest's own end
        self.assert_ended(process, 5)

    def test_signals_give_the_terminal_back(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            with self.subTest(number.name):
                process = self.start(program.SPIN)
                self.wait_for_raw()
                process.send_signal(number)
                self.assert_ended(process, -number)

    def test_faults_of_the_program_give_the_terminal_back(self):
        for number in (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE):
            with self.subTest(number.name):
                process = self.start(program.SPIN)
                self.wait_for_raw()
                process.send_signal(number)
                self.assert_ended(process, -number)

    def test_errors_give_the_terminal_back(self):
        process = self.start(program.TRIPLE_FAULT, "--memory", "8M", flat=("--flat64", "0x200000"))
        self.read_until(b"triple fault")
        self.assert_ended(process, 3)
        process = self.start(program.SPIN, "--timeout", "0.5")
        self.assert_ended(process, 124)
        process = self.start(program.SPIN, "--memory", "0")
        self.assert_ended(process, 2)


if __name__ == "__main__":
    program.main()

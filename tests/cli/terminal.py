#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""kvmxx run on a terminal: raw meanwhile, as before afterwards, and Ctrl-A."""

import fcntl
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
    def open(self):
        self.controller, self.terminal = pty.openpty()
        self.addCleanup(os.close, self.controller)
        self.addCleanup(os.close, self.terminal)
        self.before = termios.tcgetattr(self.terminal)
        self.seen = b""

    def start(self, code, *args, flat=("--flat16", "0x1000"), **more):
        self.open()
        process = subprocess.Popen(
            [program.PROGRAM, "run", self.file("guest", code), *flat, *args],
            stdin=self.terminal, stdout=self.terminal, stderr=self.terminal, start_new_session=True,
            **more)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
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

    def test_whatever_ends_the_program_gives_the_terminal_back(self):
        faults = signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGTRAP, signal.SIGSYS
        others = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF, signal.SIGXCPU,
                  signal.SIGIO, signal.SIGPWR, signal.SIGRTMIN, signal.SIGRTMAX)
        for number in faults + others:
            with self.subTest(number.name):
                process = self.start(program.ECHO)
                self.wait_for_raw()
                self.type(b"a")
                self.read_until(b"a")  # all threads run: a thread sanitizer cannot be sent faults before
                process.send_signal(number)
                self.assert_ended(process, -number)

    def test_an_alarm_that_the_kernel_sends_does_so_too(self):
        process = self.start(program.SPIN, preexec_fn=lambda: signal.setitimer(signal.ITIMER_REAL, 2))
        self.assert_ended(process, -signal.SIGALRM)

    def test_signals_of_closed_pipes_and_full_files_are_errors_where_they_happen(self):
        process = self.start(program.ECHO)
        self.wait_for_raw()
        process.send_signal(signal.SIGPIPE)
        process.send_signal(signal.SIGXFSZ)
        self.type(b"aq")
        self.assert_ended(process, 5)

    def test_a_job_in_the_background_runs_on_and_leaves_the_terminal_alone(self):
        self.open()
        self.type(b"input of the foreground job's\n")
        shell = subprocess.Popen(
            ["sh", "-c", 'set -m; "$@" & wait $!; echo "status $?"', "sh", program.PROGRAM, "run",
             self.file("guest", program.SPIN), "--flat16", "0x1000", "--timeout", "1"],
            stdin=self.terminal, stdout=self.terminal, stderr=self.terminal, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.addCleanup(shell.wait)
        self.addCleanup(shell.kill)
        self.read_until(b"status 124")
        self.assert_ended(shell, 0)

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

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""kvmxx runs guests: what they print, how they end, what is left of them."""

import os
import re
import resource
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import program  # noqa: E402
from program import needs_kvm  # noqa: E402


@needs_kvm
class Guests(program.ProgramTest):
    def flat16(self, code, *args, **more):
        return self.kvmxx("run", self.file("guest", code), "--flat16", "0x1000", "--memory", "2M", *args, **more)

    def test_hello_prints_each_exit_with_what_it_carries(self):
        start = time.monotonic()
        ended = self.kvmxx("hello")
        self.assertEqual((ended.status, ended.err), (0, ""))
        self.assertEqual([line.split()[0] for line in ended.out.splitlines()], ["IO", "IO", "MMIO", "MMIO", "IO", "HLT"])
        self.assertIn("out to port 0x3f8: 0x35 '5'", ended.out)
        self.assertIn("write to 0x8000: 0x21 '!'", ended.out)
        self.assertIn("read from 0x8000, answered: 0x21 '!'", ended.out)
        self.assertLess(time.monotonic() - start, 10)

    def test_guest_prints_on_the_serial_port_and_resets_by_the_keyboard_controller(self):
        ended = self.flat16(program.PRINT_AND_RESET)
        self.assertEqual((ended.status, ended.out, ended.err), (5, "Hi\n", program.RESET))

    def test_guest_in_every_corner_of_low_memory_runs(self):
        for address in ("0x600", "0x7c00", "0xfff0", "0x10000", "0x8fffe"):
            with self.subTest(address):
                ended = self.kvmxx("run", self.file("guest", program.PRINT_AND_RESET), "--flat16", address)
                self.assertEqual((ended.status, ended.out, ended.err), (5, "Hi\n", program.RESET))

    def test_image_may_be_an_option_or_an_argument(self):
        guest = self.file("guest", program.PRINT_AND_RESET)
        for args in (["--kernel", guest], [guest], ["--kernel=" + guest]):
            self.assertEqual(self.kvmxx("run", *args, "--flat16", "0x1000").out, "Hi\n")

    def test_guest_echoes_standard_input_all_of_it(self):
        text = b"The quick brown fox jumps over the lazy dog. " * 20 + b"q"
        text = text.replace(b"quick", b"fast")
        ended = self.flat16(program.ECHO, stdin=text)
        self.assertEqual((ended.status, ended.out, ended.err), (5, text.decode(), program.RESET))

    def test_end_of_standard_input_does_not_end_the_guest(self):
        ended = self.flat16(program.ECHO, "--timeout", "1", stdin=b"abc")
        self.assertEqual((ended.status, ended.out), (124, "abc"))

    def test_guest_that_halts_with_interrupts_off_has_ended(self):
        ended = self.flat16(program.HALT, "-v", "--timeout", "30")
        self.assertEqual(ended.status, 0, ended.err)
        self.assertIn(program.HALTED, ended.err)

    def test_each_end_has_its_own_message_and_status(self):
        for code, status, message, *args in ((program.POWER_OFF, 0, program.OFF),
                                             (program.FIXED_POWER_OFF, 0, program.OFF, "--acpi", "fixed"),
                                             (program.PRINT_AND_RESET, 5, program.RESET),
                                             (program.HALT, 0, program.HALTED),
                                             (program.PANIC, 6, "kvmxx: the guest's kernel panicked\n"),
                                             (program.TEST_EXIT, 11, "", "--test-devices")):
            with self.subTest(code.hex()):
                ended = self.flat16(code, *args)
                self.assertEqual((ended.status, ended.err), (status, message))

    def test_devices_that_are_left_out_are_not_there(self):
        ended = self.flat16(program.PANIC, "-v", "--without", "pvpanic", "--without", "rtc")
        self.assertEqual(ended.status, 0, ended.err)
        self.assertIn("no device at port 0x505: 0 reads, 1 writes\n", ended.err)

    def test_guest_reads_a_file_by_fw_cfg(self):
        ended = self.flat16(program.READ_FW_CFG, "--fw-cfg", "opt/test=" + self.file("opt", b"0123456789"))
        self.assertEqual((ended.status, ended.out), (5, "0123456789"), ended.err)

    def test_timeout_stops_a_guest_that_does_nothing(self):
        start = time.monotonic()
        ended = self.flat16(program.SPIN, "--timeout", "0.5")
        self.assertEqual((ended.status, ended.out), (124, ""))
        self.assertEqual(ended.err, "kvmxx: --timeout: stopped after 0.5 s\n")
        self.assertGreaterEqual(time.monotonic() - start, 0.5)

    def test_triple_fault_gives_the_registers_and_status_3(self):
        ended = self.kvmxx("run", self.file("guest", program.TRIPLE_FAULT), "--flat64", "0x200000", "--memory", "8M")
        self.assertEqual((ended.status, ended.out), (3, ""), ended.err)
        self.assertTrue(ended.err.startswith("kvmxx: vCPU 0: triple fault\n"), ended.err)
        for register in ("rip", "rax", "r15", "cr0", "cr3", "efer", "cs ", "idt base"):
            self.assertRegex(ended.err, rf"(?m)(^| ){register}")

    def test_verbose_counts_exits_and_ports_without_a_device(self):
        ended = self.flat16(program.ODD_PORTS, "-v")
        self.assertEqual(ended.status, 5, ended.err)
        self.assertIn(program.RESET, ended.err)
        self.assertIn("no device at port 0x1234: 2 reads, 1 writes\n", ended.err)
        self.assertRegex(ended.err, r"(?m)^kvmxx: exit IO: 4$")

    def test_verbose_says_what_happens_as_it_happens(self):
        ended = self.flat16(program.ODD_PORTS, "-v")
        lines = ended.err.splitlines()
        self.assertEqual(lines[:2], ["kvmxx: machine: running", "kvmxx: machine: no device at port 0x1234: read"], ended.err)
        self.assertRegex(ended.err, r"(?m)^kvmxx: machine: ended after \d+\.\d{3} s: the guest asked for a reset$")
        self.assertNotIn("machine: create", ended.err)
        self.assertRegex(self.flat16(program.ODD_PORTS, "-vv").err, r"(?m)^kvmxx: machine: create after \d+\.\d{3} ms$")

    def test_log_file_has_the_time_and_leaves_standard_error_alone(self):
        log = os.path.join(self.dir, "log")
        for times in (1, 2):
            ended = self.flat16(program.ODD_PORTS, "--log", log)
            self.assertEqual((ended.status, ended.err), (5, program.RESET))
            with open(log, encoding="utf-8") as file:
                lines = file.read().splitlines()
            self.assertEqual(len([line for line in lines if line.endswith("info machine: running")]), times)
        for line in lines:
            self.assertRegex(line, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d \d+ info machine: ")

    def test_log_that_cannot_be_written_is_named(self):
        ended = self.flat16(program.PRINT_AND_RESET, "--log", "/nonexistent/log")
        self.assertEqual((ended.status, ended.err), (1, "kvmxx: --log: /nonexistent/log: No such file or directory\n"))
        full = self.flat16(program.PRINT_AND_RESET, "--log", "/dev/full")
        self.assertEqual(full.status, 5)
        self.assertEqual(full.err.splitlines()[0], "kvmxx: --log: /dev/full: No space left on device: lines are lost")
        self.assertEqual(full.err.count("lines are lost"), 1)

    def test_more_cpus_wait_and_end_with_the_first(self):
        ended = self.flat16(program.PRINT_AND_RESET, "--cpus", "3")
        self.assertEqual((ended.status, ended.out, ended.err), (5, "Hi\n", program.RESET))

    def test_machine_with_memory_above_the_hole_below_4_gib_runs(self):
        ended = self.kvmxx("run", self.file("guest", program.PRINT_AND_RESET), "--flat16", "0x1000", "--memory", "5G")
        if "more than the host has" in ended.err:
            self.skipTest("the host has less than 5 GiB")
        self.assertEqual((ended.status, ended.out), (5, "Hi\n"), ended.err)

    def test_output_to_a_closed_pipe_is_an_error(self):
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run([program.PROGRAM, "run", self.file("guest", program.PRINT_AND_RESET), "--flat16", "0x1000"],
                              stdin=subprocess.DEVNULL, stdout=write, stderr=subprocess.PIPE, timeout=60)
        os.close(write)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr, b"kvmxx: console output: Broken pipe\n")

    def test_closed_standard_descriptors_do_no_harm(self):
        guest = self.file("guest", program.PRINT_AND_RESET)
        for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
            with self.subTest(closed):
                ended = self.kvmxx("-c", f'exec "$@" {closed}', "sh", program.PROGRAM, "run", guest, "--flat16", "0x1000",
                                   command=["sh"])
                self.assertEqual(ended.status, 5, ended.err)
                self.assertEqual(ended.out, "" if ">&-" in closed.replace("2>&-", "") else "Hi\n")


@needs_kvm
class Processes(program.ProgramTest):
    def start(self, code, *args, **more):
        process = subprocess.Popen([program.PROGRAM, "run", self.file("guest", code), "--flat16", "0x1000", *args],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
        self.addCleanup(process.stdin.close)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def wait_for_threads(self, process):
        for _ in range(500):
            names = []
            for task in os.listdir(f"/proc/{process.pid}/task"):
                with open(f"/proc/{process.pid}/task/{task}/comm") as comm:
                    names.append(comm.read().strip())
            if "vcpu 0" in names:
                return names
            time.sleep(0.01)
        return self.fail("no vCPU's thread has come up")

    def test_a_vcpu_s_thread_has_its_name(self):
        process = self.start(program.SPIN)
        self.assertIn("vcpu 0", self.wait_for_threads(process))

    def test_a_machine_may_have_as_many_descriptors_as_the_host_lets_it(self):
        hard = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 4000)
        process = self.start(program.SPIN, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard)))
        self.wait_for_threads(process)
        self.assertEqual(resource.prlimit(process.pid, resource.RLIMIT_NOFILE), (hard, hard))

    def test_signals_end_the_machine_and_the_program_dies_of_them(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            with self.subTest(number.name):
                process = self.start(program.SPIN)
                self.wait_for_threads(process)
                process.send_signal(number)
                self.assertEqual(process.wait(timeout=30), -number)

    def test_a_signal_presses_the_power_button_of_a_guest_that_listens(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(number.name):
                process = self.start(program.OBEDIENT)
                self.assertEqual(process.stdout.read(1), b"R")
                process.send_signal(number)
                self.assertEqual(process.wait(timeout=30), 7)
                self.assertEqual(process.stderr.read(), b"kvmxx: the guest switched itself off, as it was asked to\n")

    def test_a_guest_that_does_not_heed_the_button_is_stopped_after_the_grace(self):
        process = self.start(program.DEAF, "--grace", "0.3")
        self.assertEqual(process.stdout.read(1), b"R")
        start = time.monotonic()
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(timeout=30), -signal.SIGTERM)
        self.assertGreaterEqual(time.monotonic() - start, 0.3)

    def test_a_second_signal_and_sigquit_do_not_wait(self):
        for first, second in ((signal.SIGTERM, signal.SIGINT), (signal.SIGQUIT, None)):
            with self.subTest(first.name):
                process = self.start(program.DEAF, "--grace", "1000")
                self.assertEqual(process.stdout.read(1), b"R")
                process.send_signal(first)
                if second:
                    time.sleep(0.2)
                    process.send_signal(second)
                self.assertEqual(process.wait(timeout=30), -(second or first))

    def test_a_reader_that_stops_reading_holds_up_the_guest_and_not_the_end(self):
        flood = bytes.fromhex("baf803 b02e ee ebfd")  # "." for ever
        process = self.start(flood)
        self.assertEqual(process.stdout.read(1000), b"." * 1000)
        time.sleep(0.5)  # the pipe is full now
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(timeout=30), -signal.SIGTERM)
        self.assertTrue(re.fullmatch(rb"\.*", process.stdout.read()))


if __name__ == "__main__":
    program.main()

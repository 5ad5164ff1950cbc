#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Tests of tools/lab itself; needs what `tools/deps lab` installs. Runs alone: tools/tests/lab_test.py [-v] [NAME...]"""

import glob
import os
import pty
import select
import shutil
import signal
import subprocess
import tempfile
import termios
import time
import unittest
import uuid

LAB = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "lab")
MARK = f"KVMXX_LAB_TEST={uuid.uuid4()}"  # all that we start has this in its environment
ENVIRONMENT = dict([*os.environ.items(), MARK.split("=")])


def lab(*arguments, **keywords):
    """Run the lab to its end."""
    return subprocess.run([LAB, *arguments], capture_output=True, env=ENVIRONMENT, timeout=200, **keywords)


def heed_signals():
    """In a job that a shell put into the background, or under nohup, some are ignored, and so by children."""
    for number in signal.SIGINT, signal.SIGHUP, signal.SIGTERM:
        signal.signal(number, signal.SIG_DFL)


def start(*arguments, **keywords):
    """Start it, and wait until CMD says "up"."""
    process = subprocess.Popen([LAB, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT,
                               preexec_fn=heed_signals, **keywords)
    assert process.stdout.readline() == b"up\n", process.communicate()
    return process


def emulators():
    """The process ids of the QEMUs of ours."""
    found = []
    for path in glob.glob("/proc/[0-9]*"):
        try:
            with open(f"{path}/environ", "rb") as environ, open(f"{path}/comm") as comm:
                if comm.read().startswith("qemu-system") and MARK.encode() in environ.read():
                    found.append(int(os.path.basename(path)))
        except OSError:
            pass
    return found


class Lab(unittest.TestCase):
    def assert_nothing_is_left(self):
        """A killed QEMU is gone at once, or nearly so."""
        deadline = time.monotonic() + 5
        while emulators() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(emulators(), [])

    def test_exit_status_is_the_commands(self):
        for status in 0, 1, 42, 255:
            self.assertEqual(lab("--", "sh", "-c", f"exit {status}").returncode, status)

    def test_death_by_a_signal_is_128_plus_its_number(self):
        done = lab("--", "sh", "-c", "kill -SEGV $$")
        self.assertEqual((done.returncode, done.stderr), (128 + signal.SIGSEGV, b""))

    def test_unknown_command_is_127_and_named(self):
        done = lab("--", "no-such-command", "x")
        self.assertEqual(done.returncode, 127)
        self.assertEqual(done.stderr, b"lab: no-such-command: no such command\n")

    def test_output_streams_are_apart_and_binary_safe(self):
        done = lab("--", "python3", "-c", "import os\n"
                   "every = bytes(range(256)) * 4096\n"
                   "os.write(2, every[::-1][:60000])\n"
                   "done = 0\n"
                   "while done < len(every): done += os.write(1, every[done:])")
        self.assertEqual(done.returncode, 0)
        self.assertEqual(done.stdout, bytes(range(256)) * 4096)
        self.assertEqual(done.stderr, (bytes(range(256)) * 4096)[::-1][:60000])

    def test_output_is_live(self):
        process = start("--", "sh", "-c", "echo up; sleep 1000")
        self.assertIsNone(process.poll())
        process.terminate()
        process.communicate()

    def test_dev_stdout_and_dev_stderr_may_be_opened(self):
        done = lab("--", "sh", "-c", "echo out >/dev/stdout; echo err >/dev/stderr")
        self.assertEqual((done.stdout, done.stderr), (b"out\n", b"err\n"))

    def test_arguments_and_environment_arrive_unchanged(self):
        odd = "a'b \"c\" $d\n*\\ \N{SNOWMAN}"
        done = subprocess.run([LAB, "--", "printf", "%s.", odd, "", "-x"], capture_output=True, timeout=100)
        self.assertEqual(done.stdout, f"{odd}..-x.".encode())
        done = subprocess.run([LAB, "--", "sh", "-c", 'printf %s "$ODD"'], capture_output=True, timeout=100,
                              env=dict(ENVIRONMENT, ODD=odd))
        self.assertEqual(done.stdout, odd.encode())

    def test_kvm_is_the_real_kvm_amd(self):
        done = lab("--", "sh", "-c", "test -c /dev/kvm && cat /sys/module/kvm_amd/parameters/nested "
                   "&& grep -cw svm /proc/cpuinfo && id -u && echo $KVMXX_LAB")
        self.assertEqual(done.stdout, b"1\n1\n0\nx86_64\n", done.stderr)

    def test_kvm_module_can_be_loaded_anew_with_other_parameters(self):
        done = lab("--", "sh", "-c", "modprobe -r kvm_amd && modprobe kvm_amd npt=0 && "
                   "cat /sys/module/kvm_amd/parameters/npt", )
        self.assertEqual(done.stdout, b"N\n", done.stderr)

    def test_host_files_are_visible_and_writes_are_thrown_away(self):
        with tempfile.TemporaryDirectory() as directory:
            with open(f"{directory}/old", "w") as file:
                file.write("of the host")
            done = lab("--", "sh", "-c", "pwd; cat old; echo changed >old; echo x >new; cat old new", cwd=directory)
            self.assertEqual(done.stdout.decode(), f"{directory}\nof the hostchanged\nx\n", done.stderr)
            self.assertEqual(os.listdir(directory), ["old"])
            with open(f"{directory}/old") as file:
                self.assertEqual(file.read(), "of the host")

    def test_writes_below_rw_are_kept(self):
        with tempfile.TemporaryDirectory() as directory:
            done = lab("--rw", directory, "--", "sh", "-c", f"echo kept >{directory}/new; mkdir {directory}/d")
            self.assertEqual(done.returncode, 0, done.stderr)
            with open(f"{directory}/new") as file:
                self.assertEqual(file.read(), "kept\n")
            self.assertTrue(os.path.isdir(f"{directory}/d"))

    def test_standard_input_is_empty_unless_interactive(self):
        self.assertEqual(lab("--", "cat", input=b"not for you").stdout, b"")

    def test_interactive_input_arrives_whole_and_ends(self):
        data = os.urandom(3_000_000)
        self.assertEqual(lab("-i", "--", "cat", input=data).stdout, data)

    def test_interactive_input_is_live(self):
        process = start("-i", "--", "sh", "-c", "echo up; while read x; do echo got $x; done; echo end; exit 3",
                        stdin=subprocess.PIPE)
        for word in b"one", b"two":
            process.stdin.write(word + b"\n")
            process.stdin.flush()
            self.assertEqual(process.stdout.readline(), b"got " + word + b"\n")
        self.assertEqual(process.communicate()[0], b"end\n")
        self.assertEqual(process.returncode, 3)

    def on_terminal(self, command, *steps):
        """Run the lab on a terminal: each step waits for an output, then types. (output, status, terminal is back)"""
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (33, 111))
        before = termios.tcgetattr(theirs)
        process = subprocess.Popen([LAB, "-i", "--", *command], stdin=theirs, stdout=theirs, stderr=theirs,
                                   env=ENVIRONMENT, start_new_session=True)
        seen, steps = b"", list(steps)
        deadline = time.monotonic() + 100
        while time.monotonic() < deadline:
            if select.select([ours], [], [], 0.1)[0]:
                seen += os.read(ours, 4096)
            elif process.poll() is not None:
                break
            if steps and steps[0][0] in seen:
                os.write(ours, steps.pop(0)[1])
        process.kill()
        process.wait()
        back = termios.tcgetattr(theirs) == before
        os.close(ours)
        os.close(theirs)
        return seen, process.returncode, back

    def test_terminal_stays_a_terminal_with_its_size_and_job_control(self):
        seen, status, back = self.on_terminal(
            ["sh", "-c", "trap 'echo caught; exit 9' INT; tty; stty size; sleep 100 & wait"], (b"33 111", b"\x03"))
        self.assertIn(b"/dev/hvc0\r\n33 111\r\n", seen)
        self.assertIn(b"caught\r\n", seen)
        self.assertEqual((status, back), (9, True))

    def test_escape_ends_the_lab_and_the_terminal_is_put_back(self):
        seen, status, back = self.on_terminal(["sh", "-c", "stty raw -echo; echo up; sleep 1000"], (b"up", b"\x1d" * 3))
        self.assertEqual((status, back), (-signal.SIGTERM, True), seen)
        self.assert_nothing_is_left()

    def test_timeout_is_124_in_time_and_leaves_nothing(self):
        lab("--", "true")  # not the time of a first boot
        begin = time.monotonic()
        done = lab("--timeout", "2", "--", "sh", "-c", "trap '' TERM INT; while :; do :; done")
        self.assertEqual(done.returncode, 124)
        self.assertLess(time.monotonic() - begin, 12)
        self.assertIn(b"no end after 2 s, killed: sh -c", done.stderr)
        self.assert_nothing_is_left()

    def test_timeout_holds_when_nobody_reads_the_output(self):
        process = start("--timeout", "3", "--", "sh", "-c", "echo up; yes")
        self.assertEqual(process.wait(30), 124)
        process.communicate()
        self.assert_nothing_is_left()

    def test_reader_that_goes_away_ends_the_lab(self):
        process = start("--", "sh", "-c", "echo up; yes")
        process.stdout.close()
        self.assertEqual(process.wait(30), -signal.SIGPIPE)
        process.stderr.close()
        self.assert_nothing_is_left()

    def test_killed_by_any_signal_leaves_nothing(self):
        for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL:
            with tempfile.TemporaryDirectory() as directory:
                ENVIRONMENT["TMPDIR"] = directory
                process = start("--", "sh", "-c", "echo up; sleep 1000")
                self.assertEqual(len(emulators()), 1)
                process.send_signal(number)
                process.communicate(timeout=30)
                self.assertEqual(process.returncode, -number)
                self.assert_nothing_is_left()
                self.assertEqual(os.listdir(directory), [])
                del ENVIRONMENT["TMPDIR"]

    def test_emulator_that_aborts_is_restarted_once_and_that_is_said(self):
        process = start("--", "sh", "-c", "echo up; sleep 2; echo end; exit 5")
        os.kill(emulators()[0], signal.SIGABRT)
        out, err = process.communicate(timeout=60)
        self.assertEqual((process.returncode, out), (5, b"up\nend\n"))
        self.assertRegex(err, rb"^lab: QEMU ended by itself \(signal 6: .*\): .*running the command again, once\n$")

    def test_emulator_that_aborts_twice_is_a_failure_of_the_lab(self):
        process = start("--", "sh", "-c", "echo up; sleep 1000")
        os.kill(emulators()[0], signal.SIGABRT)
        self.assertEqual(process.stdout.readline(), b"up\n")
        os.kill(emulators()[0], signal.SIGABRT)
        err = process.communicate(timeout=60)[1]
        self.assertEqual(process.returncode, 125)
        self.assertEqual(err.count(b"QEMU ended by itself"), 2)
        self.assert_nothing_is_left()

    def test_command_that_leaves_children_behind_ends_all_the_same(self):
        begin = time.monotonic()
        done = lab("--", "sh", "-c", "setsid sleep 1000 & echo end")
        self.assertEqual((done.returncode, done.stdout), (0, b"end\n"))
        self.assertLess(time.monotonic() - begin, 30)

    def test_two_at_once_from_an_empty_cache(self):
        with tempfile.TemporaryDirectory() as cache:
            kernels = os.environ.get("KVMXX_CACHE") or os.path.join(
                os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "kvmxx")
            lab("--", "true")  # so that there is a kernel
            os.symlink(f"{os.path.abspath(kernels)}/kernel", f"{cache}/kernel")
            both = [subprocess.Popen([LAB, "--", "echo", name], stdout=subprocess.PIPE,
                                     env=dict(ENVIRONMENT, KVMXX_CACHE=cache)) for name in ("one", "two")]
            self.assertEqual([each.communicate(timeout=200)[0] for each in both], [b"one\n", b"two\n"])
            self.assertEqual(len(os.listdir(f"{cache}/lab")), 1)

    def test_icount_is_a_clock_of_instructions(self):
        # The least of five in a run: a timer interrupt that lands in a measurement adds its own instructions.
        loop = "import time\ndef one():\n a = time.perf_counter_ns()\n for i in range(200000): pass\n" \
               " return time.perf_counter_ns() - a\nprint(min(one() for _ in range(5)))"
        times = [int(lab("--icount", "--", "python3", "-c", loop).stdout) for _ in range(3)]
        self.assertLess(max(times) / min(times), 1.1)

    def test_bad_options_are_usage_errors(self):
        for options in ["--mem", "9000"], ["--smp", "0"], ["--icount", "--smp", "2"], ["--rw", "/none"], ["--bogus"]:
            done = lab(*options, "--", "true")
            self.assertEqual(done.returncode, 2, options)
            self.assertIn(options[0].encode(), done.stderr)

    def test_emulator_that_is_missing_is_named_with_its_package(self):
        done = subprocess.run([LAB, "--", "true"], capture_output=True, env=dict(ENVIRONMENT, PATH="/nowhere"))
        self.assertEqual(done.returncode, 125)
        self.assertIn(b"tools/deps lab", done.stderr)
        self.assertIn(b"qemu-system-x86_64", done.stderr)

    @unittest.skipUnless(shutil.which("qemu-system-aarch64"), "tools/deps arm is not installed")
    def test_aarch64_has_kvm_too(self):
        done = lab("--arch", "aarch64", "--", "sh", "-c", "test -c /dev/kvm && uname -m && echo $KVMXX_LAB && exit 3")
        self.assertEqual((done.returncode, done.stdout), (3, b"aarch64\naarch64\n"), done.stderr)

    @unittest.skipUnless(shutil.which("qemu-system-aarch64"), "tools/deps arm is not installed")
    def test_aarch64_with_a_cpu_of_which_a_snapshot_forgets_a_timer_is_booted(self):
        with tempfile.TemporaryDirectory() as cache:
            lab("--arch", "aarch64", "--", "true")  # so that there is a kernel
            kernels = os.environ.get("KVMXX_CACHE") or os.path.join(
                os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "kvmxx")
            os.symlink(f"{os.path.abspath(kernels)}/kernel", f"{cache}/kernel")
            for cpu, snapshots in ("cortex-a76", 0), ("cortex-a57", 1):
                done = subprocess.run([LAB, "--arch", "aarch64", "--cpu", cpu, "--", "sleep", "1"], capture_output=True,
                                      env=dict(ENVIRONMENT, KVMXX_CACHE=cache), timeout=200)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(len(glob.glob(f"{cache}/lab/*")), snapshots, cpu)

    @unittest.skipUnless(shutil.which("qemu-system-aarch64"), "tools/deps arm is not installed")
    def test_machine_has_the_properties_that_were_asked_for(self):
        done = lab("--arch", "aarch64", "--machine", "gic-version=2", "--", "sh", "-c", "dmesg | grep -q GICv3")
        self.assertEqual(done.returncode, 1, done.stderr)


if __name__ == "__main__":
    unittest.main()

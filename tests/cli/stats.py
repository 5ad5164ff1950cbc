#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""kvmxx run tells where a machine's exits go, at the end, meanwhile and to kvmxx top."""

import json
import os
import pty
import select
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import program  # noqa: E402
from program import needs_kvm  # noqa: E402

# For ever: a byte to the serial port, a byte from port 0x99, where nothing is.
CHATTER = bytes.fromhex("baf803 b02e ee e599 ebfb")


@needs_kvm
class Stats(program.ProgramTest):
    def run_machine(self, code, *args):
        return self.kvmxx("run", self.file("guest", code), "--flat16", "0x1000", "--memory", "2M", *args)

    def test_the_end_is_drawn(self):
        ended = self.run_machine(program.PRINT_AND_RESET, "--stats")
        self.assertEqual((ended.status, ended.out), (5, "Hi\n"))
        lines = ended.err.splitlines()
        self.assertRegex(lines[0], r"\Akvmxx \d+: \d+\.\d s, 1 CPU, .* of 2 MiB in memory: the guest asked for a reset\Z")
        rows = {" ".join(line.split()[:-2]): line.split()[-2] for line in lines}
        self.assertRegex(ended.err, r"(?m)^IO +4 ")
        self.assertRegex(ended.err, r"(?m)^serial \(port 0x3f8\) +3 ")
        self.assertRegex(ended.err, r"(?m)^i8042 \(port 0x60\) +1 ")
        self.assertNotIn("nothing is there", rows)

    def test_devices_tell_of_themselves(self):
        ended = self.run_machine(program.PRINT_AND_RESET, "--stats", "--balloon", "size=1M")
        self.assertRegex(ended.err, r"(?m)^virtio +total +per second\nballoon target-bytes +1048576$")
        ended = self.run_machine(program.PRINT_AND_RESET, "--stats", "--json", "--balloon", "size=1M")
        self.assertEqual(json.loads(ended.err.splitlines()[0])["virtio"]["balloon"]["target-bytes"],
                         {"value": 1 << 20, "cumulative": False})

    def test_the_end_is_one_line_of_json(self):
        ended = self.run_machine(program.PRINT_AND_RESET, "--stats", "--json")
        stats = json.loads(ended.err.splitlines()[0])
        self.assertEqual((stats["schema"], stats["exits"], stats["cpu_exits"]), (1, {"IO": 4}, [{"IO": 4}]))
        self.assertEqual(stats["memory"]["bytes"], 2 << 20)
        self.assertEqual(stats["end"], "the guest asked for a reset")
        self.assertEqual([d for d in stats["devices"] if d["name"] == "serial"],
                         [{"name": "serial", "space": "port", "base": 0x3f8, "reads": 0, "writes": 3}])

    def test_the_kernel_s_own_counters_are_among_them(self):
        ended = self.run_machine(program.PRINT_AND_RESET, "--stats", "--json")
        kvm = json.loads(ended.err.splitlines()[0])["kvm"]
        if not json.loads(self.kvmxx("info", "--json").out)["capabilities"]["BINARY_STATS_FD"]["value"]:
            self.skipTest("this host's KVM has none to read (KVM_CAP_BINARY_STATS_FD)")
        self.assertEqual({frozenset(statistic) for statistic in kvm.values()}, {frozenset(("value", "cumulative"))})
        self.assertGreaterEqual(kvm["exits"]["value"], 4)
        self.assertIs(kvm["exits"]["cumulative"], True)

    def test_it_is_told_meanwhile_and_counts_grow(self):
        ended = self.run_machine(CHATTER, "--stats-every", "0.2", "--json", "--timeout", "1.5")
        told = [json.loads(line) for line in ended.err.splitlines() if line.startswith("{")]
        self.assertGreaterEqual(len(told), 3)
        counts = [stats["exits"].get("IO", 0) for stats in told]
        self.assertEqual(counts, sorted(counts))
        self.assertGreater(counts[-1], counts[0])
        self.assertEqual(told[-1]["nothing"]["port"][0]["address"], 0x99)
        self.assertNotIn("end", told[0])

    def test_the_file_is_whole_at_any_time_and_has_the_end(self):
        path = os.path.join(self.dir, "stats.json")
        machine = subprocess.Popen([program.PROGRAM, "run", self.file("guest", CHATTER), "--flat16", "0x1000",
                                    "--memory", "2M", "--stats-file", path, "--timeout", "2.5"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(machine.wait)
        self.addCleanup(machine.kill)
        uptimes = set()
        while machine.poll() is None:
            if os.path.exists(path):
                with open(path) as file:
                    uptimes.add(json.load(file)["uptime_ms"])
            time.sleep(0.01)
        self.assertGreaterEqual(len(uptimes), 3)
        with open(path) as file:
            self.assertEqual(json.load(file)["end"], "time is up")
        self.assertEqual(sorted(os.listdir(self.dir)), ["guest", "stats.json"])
        top = self.kvmxx("top", path)
        self.assertEqual((top.status, top.err), (0, ""))
        self.assertIn("time is up", top.out)

    def test_a_file_that_cannot_be_written_is_named_before_the_guest_runs(self):
        path = os.path.join(self.dir, "missing", "stats.json")
        ended = self.run_machine(program.PRINT_AND_RESET, "--stats-file", path)
        self.assertEqual((ended.status, ended.out), (1, ""))
        self.assertEqual(ended.err, f"kvmxx: --stats-file: {path}.new: No such file or directory\n")

    def test_a_file_longer_than_files_may_be_is_an_error(self):
        with open(program.PROGRAM, "rb") as file:
            if b"__tsan_init" in file.read():
                self.skipTest("the thread sanitizer writes a file of its own before the program begins")
        path = os.path.join(self.dir, "stats.json")
        limited = ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", program.PROGRAM]
        ended = self.kvmxx("run", self.file("guest", program.PRINT_AND_RESET), "--flat16", "0x1000", "--stats-file", path,
                           command=limited)
        self.assertEqual((ended.status, ended.err), (1, f"kvmxx: --stats-file: {path}.new: File too large\n"))
        self.assertEqual(os.listdir(self.dir), ["guest"])

    def test_a_file_that_cannot_be_written_for_a_while_is_told_once_each_time_and_goes_on(self):
        path = os.path.join(self.dir, "stats.json")
        machine = subprocess.Popen([program.PROGRAM, "run", self.file("guest", CHATTER), "--flat16", "0x1000",
                                    "--stats-file", path],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.addCleanup(machine.stderr.close)
        self.addCleanup(machine.wait)
        self.addCleanup(machine.kill)

        def wait_for_uptime(least):
            end = time.monotonic() + 30
            while time.monotonic() < end:
                if os.path.exists(path):
                    with open(path) as file:
                        uptime = json.load(file)["uptime_ms"]
                    if uptime >= least:
                        return uptime
                time.sleep(0.05)
            return self.fail("the file is not written")

        uptime = wait_for_uptime(0)
        for _ in range(2):
            while not os.path.isdir(path + ".new"):  # unless it is there just now
                try:
                    os.mkdir(path + ".new")
                except FileExistsError:
                    time.sleep(0.01)
            self.assertEqual(machine.stderr.readline(), f"kvmxx: --stats-file: {path}.new: Is a directory\n".encode())
            time.sleep(2.5)  # two more tries
            os.rmdir(path + ".new")
            uptime = wait_for_uptime(uptime + 2000)
        machine.kill()
        self.assertEqual(machine.stderr.read(), b"")

    def test_disks_of_one_name_are_told_apart_and_a_name_that_is_no_utf_8_is_told(self):
        disk = os.path.join(self.dir.encode(), b"d\xff.img")
        with open(disk, "wb") as file:
            file.truncate(4096)
        option = b"path=" + disk + b",readonly"
        path = os.path.join(self.dir, "stats.json")
        ended = self.run_machine(program.PRINT_AND_RESET, "--stats", "--json", "--stats-file", path, "--disk", option,
                                 "--disk", option)
        self.assertEqual((ended.status, ended.out), (5, "Hi\n"), ended.err)
        with open(path, encoding="utf-8") as file:
            for stats in (json.load(file), json.loads(ended.err.splitlines()[0])):
                name = f"disk {self.dir}/d\ufffd.img"
                self.assertEqual(list(stats["virtio"]), [name, name + " #2"])


class Top(program.ProgramTest):
    def stats(self, uptime, io, **more):
        return json.dumps({"schema": 1, "pid": 42, "uptime_ms": uptime, "exits": {"IO": io, "HLT": 0}, **more}).encode()

    def test_what_is_no_statistics_is_named(self):
        self.assert_refused(1, ["missing", "No such file"], "top", os.path.join(self.dir, "missing"))
        for content in (b"", b"{", b"[]", b'{"schema": 2}', b"\xff\x00"):
            with self.subTest(content):
                self.assert_refused(1, ["odd"], "top", self.file("odd", content))
        self.assert_refused(1, [self.dir], "top", self.dir)

    def test_fields_that_are_missing_or_odd_are_nothing(self):
        path = self.file("stats", self.stats(1000, -5, devices="x", nothing=[], kvm={"a": 1}, memory=None))
        ended = self.kvmxx("top", path)
        self.assertEqual((ended.status, ended.err), (0, ""))

    def test_the_terminal_is_redrawn_with_rates_until_the_machine_ends(self):
        path = self.file("stats", self.stats(1000, 100))
        controller, terminal = pty.openpty()
        self.addCleanup(os.close, controller)
        top = subprocess.Popen([program.PROGRAM, "top", path, "--interval", "0.1"], stdin=terminal, stdout=terminal,
                               stderr=terminal)
        os.close(terminal)
        self.addCleanup(top.wait)
        self.addCleanup(top.kill)
        time.sleep(0.3)
        os.rename(self.file("next", self.stats(2000, 350, end="time is up")), path)
        seen = b""
        while select.select([controller], [], [], 20)[0]:
            try:
                seen += os.read(controller, 4096)
            except OSError:  # the program has gone
                break
        self.assertEqual(top.wait(), 0)
        self.assertIn(b"100.0", seen)
        self.assertIn(b"250.0", seen)
        self.assertIn(b"time is up", seen)


if __name__ == "__main__":
    program.main()

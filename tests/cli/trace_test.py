#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""kvmxx run --trace, kvmxx replay, kvmxx trace export."""

import json
import os
import re
import sys

sys.dont_write_bytecode = True
import program  # noqa: E402
from program import needs_kvm  # noqa: E402

DATA = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "vmm", "data")


class Recordings(program.ProgramTest):
    def test_recording_is_replayed_without_kvm_and_shows_what_the_guest_printed(self):
        ended = self.kvmxx("replay", "-v", os.path.join(DATA, "echo.trace"))
        self.assertEqual((ended.status, ended.out), (0, "hello q"), ended.err)
        self.assertRegex(ended.err, r"\d+ exits and \d+ effects came as recorded")

    def test_device_that_answers_otherwise_is_told_by_line_and_field(self):
        with open(os.path.join(DATA, "echo.trace"), encoding="ascii") as file:
            text = file.read()
        line = text[:text.index("reply=61")].count("\n") + 1
        path = self.file("changed", text.replace("reply=61", "reply=21", 1).encode())
        ended = self.kvmxx("replay", path)
        self.assertEqual(ended.status, 1)
        self.assertIn(f"{path}: line {line}: vCPU 0: io_in port=0x3fd", ended.err)
        self.assertIn("reply is 61, not 21", ended.err)

    def test_recording_becomes_json_that_timeline_viewers_open(self):
        ended = self.kvmxx("trace", "export", os.path.join(DATA, "echo.trace"))
        self.assertEqual((ended.status, ended.err), (0, ""))
        events = json.loads(ended.out)["traceEvents"]
        names = {e["args"]["name"] for e in events if e["name"] == "thread_name"}
        self.assertEqual(names, {"machine", "vCPU 0"})
        phases = [e["name"] for e in events if e.get("cat") == "phase"]
        self.assertEqual(sorted(phases), sorted(["create", "load", "vm", "start", "run", "console", "end reset"]))
        last = 0
        for event in (e for e in events if e["ph"] == "X" and e["tid"] == 1):
            self.assertGreaterEqual(event["ts"], last - 0.001, event)  # slices of a track do not overlap
            last = event["ts"] + event["dur"]

    def test_what_is_no_recording_is_refused(self):
        for content in (b"", b"\x7fELF", b"kvmxx-trace 1\n1.000 sing\n"):
            path = self.file("none", content)
            for args in (["replay", path], ["trace", "export", path]):
                ended = self.kvmxx(*args)
                self.assertEqual((ended.status, ended.out), (1, ""))
                self.assertIn(path, ended.err)
                self.assertEqual(ended.err.count("\n"), 1)
        self.assertEqual(self.kvmxx("trace").status, 2)
        self.assertEqual(self.kvmxx("replay").status, 2)

    @needs_kvm
    def test_run_is_recorded_and_replayed(self):
        trace = os.path.join(self.dir, "trace")
        ended = self.kvmxx("run", self.file("guest", program.ECHO), "--flat16", "0x1000", "--memory", "2M",
                           "--trace", trace, stdin=b"abcq")
        self.assertEqual((ended.status, ended.out), (5, "abcq"), ended.err)
        with open(trace, encoding="ascii") as file:
            text = file.read()
        self.assertTrue(re.search(r"^\d+\.\d{3} end reset$", text, re.M), text[-300:])
        self.assertNotIn(self.dir, text)
        again = self.kvmxx("replay", trace)
        self.assertEqual((again.status, again.out, again.err), (0, "abcq", ""))

    @needs_kvm
    def test_recording_that_cannot_be_made_is_an_error_about_the_option(self):
        ended = self.kvmxx("run", self.file("guest", program.ECHO), "--flat16", "0x1000", "--trace", "/nonexistent/x")
        self.assertEqual(ended.status, 2)
        self.assertIn("--trace: /nonexistent/x: No such file or directory", ended.err)


if __name__ == "__main__":
    program.main()

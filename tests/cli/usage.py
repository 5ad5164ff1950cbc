#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""kvmxx answers questions about itself and refuses what it does not understand."""

import os
import re
import sys

sys.dont_write_bytecode = True
import program  # noqa: E402


class Usage(program.ProgramTest):
    def test_help_goes_to_stdout_and_is_no_error(self):
        ended = self.kvmxx("--help")
        self.assertEqual((ended.status, ended.err), (0, ""))
        for verb in ("run", "hello", "info", "doctor"):
            self.assertIn(verb, ended.out)

    def test_help_of_run_names_each_option_and_exit_status(self):
        ended = self.kvmxx("run", "--help")
        self.assertEqual((ended.status, ended.err), (0, ""))
        for word in ("--kernel", "--initrd", "--cmdline", "--memory", "--cpus", "--flat16", "--flat64", "--timeout",
                     "--grace", "--acpi", "--without", "--fw-cfg", "--test-devices", "--verbose", "Ctrl-A x", "124"):
            self.assertIn(word, ended.out)

    def test_the_documentation_has_a_row_for_each_option_of_run(self):
        with open(os.path.join(os.path.dirname(__file__), "../../docs/program.md"), encoding="utf-8") as file:
            rows = [line.split(" | ")[0] for line in file if line.startswith("| ")]
        for names in re.findall(r"(?m)^  (-\S+)", self.kvmxx("run", "--help").out):
            name = names.split(",")[-1]
            if name != "--help":
                self.assertTrue(any(re.search(rf"`{name}[ `]", row) for row in rows), f"docs/program.md has no row for {name}")

    def test_version_is_one_number(self):
        ended = self.kvmxx("--version")
        self.assertEqual(ended.status, 0)
        self.assertRegex(ended.out, r"\A\d+\.\d+\.\d+\n\Z")

    def test_no_verb_is_a_usage_error(self):
        self.assert_refused(2, ["subcommand"])

    def test_unknown_verb_is_named(self):
        self.assert_refused(2, ["nonsense"], "nonsense")

    def test_unknown_option_is_named(self):
        self.assert_refused(2, ["--bogus", "kvmxx run --help"], "run", "--bogus", "x")

    def test_option_without_its_value_is_named(self):
        self.assert_refused(2, ["--memory"], "run", "x", "--memory")

    def test_run_without_a_kernel_is_a_usage_error(self):
        self.assert_refused(2, ["no kernel"], "run")

    def test_superfluous_argument_is_named(self):
        self.assert_refused(2, ["extra"], "hello", "extra")

    def test_options_of_kernels_do_not_go_with_flat_binaries(self):
        for option in ("--initrd", "--cmdline"):
            self.assert_refused(2, ["--flat16", option], "run", "x", "--flat16", "0x1000", option, "y")
        self.assert_refused(2, ["--flat16", "--flat64"], "run", "x", "--flat16", "0x1000", "--flat64", "0x1000")

    def test_output_that_cannot_be_written_is_an_error(self):
        with open("/dev/full", "wb") as full:
            import subprocess
            done = subprocess.run([program.PROGRAM, "--help"], stdout=full, stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"standard output", done.stderr)


if __name__ == "__main__":
    program.main()

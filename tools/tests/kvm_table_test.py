#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Tests of tools/kvm-table, with results made up."""

import os
import subprocess
import tempfile
import unittest
from xml.sax.saxutils import escape

TOOL = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "kvm-table")
PASSED = "[       OK ] {0} (1 ms)\n"
SKIPPED = "/a/file.cpp:7: Skipped\n{1}\n\n[  SKIPPED ] {0} (1 ms)\n"
FAILED = "/a/file.cpp:7: Failure\n\n[  FAILED  ] {0} (1 ms)\n"


def case(name, output, result=""):
    return f'<testcase name="{name}" status="run">{result}<system-out>{escape(output)}</system-out></testcase>'


class KvmTable(unittest.TestCase):
    def table(self, **files):
        """The tool's status and what it prints, of these files."""
        with tempfile.TemporaryDirectory() as directory:
            for name, cases in files.items():
                with open(f"{directory}/{name}.xml", "w") as file:
                    file.write(f"<testsuite>{''.join(cases)}</testsuite>")
            done = subprocess.run([TOOL, directory], capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr

    @staticmethod
    def results(last=PASSED):
        lacks = "needs KVM_CAP_X, which this KVM lacks"
        both = PASSED.format("A.One") + SKIPPED.format("A.Two", lacks) + last.format("A.Three", "needs luck: 5")
        host = case("A.Two", SKIPPED.format("A.Two", lacks), '<skipped message="SKIP_REGULAR_EXPRESSION_MATCHED"/>')
        return {
            "dev": [case("A.One", PASSED.format("A.One")), host, case("Unit.IsNoneOfThem", "")],
            "lab": [case("lab.kvm_a_test", both)],
            "aarch64": [case("lab.a76.kvm_a_test", both), case("lab.gicv2.kvm_b_test", PASSED.format("B.One") * 2)],
        }

    def test_tests_are_counted_for_each_kvm_and_program(self):
        status, out, err = self.table(**self.results())
        self.assertEqual((status, err), (0, ""))
        self.assertIn("| `kvm_a_test` | 1, 1 skipped | 2, 1 skipped |  | 2, 1 skipped |  |  |  |\n", out)
        self.assertIn("| `kvm_b_test` |  |  |  |  |  |  | 2 |\n", out)

    def test_what_is_missing_is_named_once_with_how_many_want_it(self):
        out = self.table(**self.results(SKIPPED))[1]
        self.assertIn("| `KVM_CAP_X` | 1 | 1 |  | 1 |  |  |  |\n", out)
        self.assertIn("| luck |  | 1 |  | 1 |  |  |  |\n", out)
        self.assertIn("Run on none of these: `A.Three`, `A.Two`.", out)

    def test_a_failure_and_a_file_that_is_missing_are_errors(self):
        results = self.results(FAILED)
        del results["aarch64"]
        status, _, err = self.table(**results)
        self.assertEqual(status, 1)
        self.assertIn("lab: lab.kvm_a_test: A.Three failed", err)
        self.assertIn("aarch64.xml: there is none", err)


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""kvmxx info: what it prints, for people and for programs, with a KVM and without."""

import json
import re
import unittest

from host_case import HostCase, kvm_usable, main, run, run_on_terminal

FIELDS = {"schema", "kvmxx", "kernel", "cpu", "modules", "device", "guest_kernel_mode",
          "guest_kernel_mode_instructions_per_second", "exit_latency_ns", "api_version", "kvm", "capabilities",
          "missing"}


@unittest.skipUnless(kvm_usable(), "needs /dev/kvm and the permission to use it")
class OfThisHost(HostCase):
    def info(self):
        result = run("info", "--json")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return json.loads(result.stdout)

    def test_json_has_every_field_and_no_other(self):
        self.assertEqual(set(self.info()), FIELDS)

    def test_json_names_all_244_capabilities_with_number_and_value(self):
        capabilities = self.info()["capabilities"]
        self.assertEqual(len(capabilities), 244)
        self.assertEqual(capabilities["IRQCHIP"], {"number": 0, "value": 1})
        self.assertEqual(capabilities["USER_MEMORY"], {"number": 3, "value": 1})
        self.assertEqual(len({capability["number"] for capability in capabilities.values()}), 244)
        for name, capability in capabilities.items():
            self.assertTrue(isinstance(capability["value"], int) or capability["error"], name)

    def test_json_measures_exits_and_kernel_mode(self):
        info = self.info()
        self.assertIn(info["guest_kernel_mode"], ("native", "interpreted"))
        self.assertGreater(info["guest_kernel_mode_instructions_per_second"], 0)
        latency = info["exit_latency_ns"]
        self.assertTrue(0 < latency["min"] <= latency["median"], latency)
        self.assertGreaterEqual(latency["exits"], 3)

    def test_json_keeps_the_kernel_mode_on_a_line_of_its_own_for_scripts(self):
        lines = run("info", "--json").stdout.splitlines()
        modes = [line for line in lines if re.fullmatch(r' *"guest_kernel_mode": "[a-z]+",', line)]
        self.assertEqual(len(modes), 1)

    def test_json_says_of_kvm_what_the_kernel_says(self):
        info = self.info()
        self.assertEqual(info["api_version"], 12)
        self.assertEqual(info["kvm"]["vm"], "ok")
        self.assertEqual(info["kvm"]["vcpu_mmap_size"] % 4096, 0)
        self.assertGreater(info["kvm"]["supported_cpuid"], 0)
        self.assertEqual(info["device"]["path"], "/dev/kvm")
        with open("/proc/sys/kernel/osrelease", encoding="ascii") as release:
            self.assertEqual(info["kernel"]["release"], release.read().strip())

    def test_table_has_its_sections_and_every_capability(self):
        result = run("info")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        for section in "Host", "KVM", "Guest execution", "Capabilities (number, name, a VM's value)":
            self.assertIn(f"{section}\n", result.stdout)
        for name in self.info()["capabilities"]:
            self.assertRegex(result.stdout, rf"\b{name}\b")
        self.assertRegex(result.stdout, r"\n    0  IRQCHIP +yes\n")
        self.assertRegex(result.stdout, r"\n  235  VM_TYPES +0x")

    def test_table_is_at_most_100_columns_wide_where_it_lists_capabilities(self):
        capabilities = run("info").stdout.partition("Capabilities (")[2]
        self.assertLessEqual(max(map(len, capabilities.splitlines())), 100)

    def test_facts_that_are_missing_say_why(self):
        info = json.loads(run("info", "--json", "--root", str(self.directory)).stdout)
        self.assertIsNone(info["cpu"])
        self.assertIn("/proc/cpuinfo: No such file or directory", info["missing"]["cpu"])
        self.assertIsNone(info["modules"])
        self.assertIn("/sys/module: No such file or directory", info["missing"]["modules"])
        text = run("info", "--root", str(self.directory)).stdout
        self.assertIn(f"? {self.directory}/proc/cpuinfo: No such file or directory\n", text)

    def test_colours_are_for_terminals_only(self):
        self.assertNotIn("\x1b", run("info", environment={"TERM": "xterm"}).stdout)
        self.assertIn("\x1b[", run_on_terminal("info", environment={"TERM": "xterm", "NO_COLOR": ""}))
        self.assertNotIn("\x1b", run_on_terminal("info", environment={"TERM": "xterm", "NO_COLOR": "1"}))
        self.assertNotIn("\x1b", run_on_terminal("info", environment={"TERM": "dumb", "NO_COLOR": ""}))

    def test_full_standard_output_is_an_error(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            result = run("info", stdout=full)
        self.assertEqual(result.returncode, 1)
        self.assert_one_line(result.stderr, "standard output")


class WithoutKvm(HostCase):
    def check(self, device, *parts, runner=run):
        result = runner("info", "--device", device)
        self.assertEqual(result.returncode, 1)
        self.assert_one_line(result.stderr, "kvmxx info: ", *parts)
        self.assertTrue(result.stdout.startswith("Host\n"), "the host is shown all the same")
        self.assertNotIn("Capabilities", result.stdout)

        result = runner("info", "--json", "--device", device)
        self.assertEqual(result.returncode, 1)
        self.assert_one_line(result.stderr, "kvmxx info: ", *parts)
        info = json.loads(result.stdout)
        self.assertEqual(set(info), FIELDS | {"error"})
        self.assertIsNone(info["kvm"])
        self.assertIsNone(info["api_version"])
        self.assertIsNone(info["exit_latency_ns"])
        self.assertEqual(info["guest_kernel_mode"], "unknown")
        self.assertEqual(info["capabilities"], {})
        self.assertEqual(f"kvmxx info: {info['error']}\n", result.stderr)

    def test_missing_device_is_named_with_its_cure(self):
        self.check("/nonexistent", "there is no /nonexistent: the usual path is /dev/kvm")

    def test_device_that_is_not_kvm_is_named(self):
        self.check("/dev/null", "/dev/null is not KVM: ", "10, 232", "1, 3")

    def test_directory_is_no_device(self):
        self.check(str(self.directory), f"{self.directory} is no device")

    def test_device_without_permission_is_named_with_its_cure(self):
        path = str(self.closed_file())
        self.check(path, f"{path} ", runner=self.run_unprivileged)

    def test_empty_path_and_unknown_option_are_usage(self):
        for arguments in (["--device", ""], ["--device"], ["--nonsense"], ["extra"]):
            result = run("info", *arguments)
            self.assertEqual(result.returncode, 2, arguments)
            self.assertEqual(result.stdout, "")
            self.assertNotEqual(result.stderr, "")

    def test_host_without_modules_says_to_load_them(self):
        (self.directory / "sys/module").mkdir(parents=True)
        (self.directory / "proc").mkdir()
        (self.directory / "proc/cpuinfo").write_text("vendor_id : GenuineIntel\nflags : fpu vmx\n")
        result = run("doctor", "--json", "--root", str(self.directory), "--device", "/nonexistent")
        module = [c for c in json.loads(result.stdout)["checks"] if c["check"] == "module"][0]
        self.assertEqual(module["verdict"], "fail")
        self.assertIn("modprobe kvm_intel", module["remedy"])


if __name__ == "__main__":
    main()

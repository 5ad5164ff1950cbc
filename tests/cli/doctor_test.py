#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""kvmxx doctor: each fault is found and comes with its remedy, and the status tells how bad it is."""

import json
import os
import resource
import unittest

from host_case import HostCase, kvm_usable, main, run, run_on_terminal

VERDICTS = {"ok", "note", "warn", "fail"}


def checks(result):
    return {check["check"]: check for check in json.loads(result.stdout)["checks"]}


@unittest.skipUnless(kvm_usable(), "needs /dev/kvm and the permission to use it")
class OfThisHost(HostCase):
    def test_status_says_whether_the_kernel_mode_is_native(self):
        mode = json.loads(run("info", "--json").stdout)["guest_kernel_mode"]
        result = run("doctor", "--json")
        verdict = {"native": "ok", "interpreted": "warn"}[mode]
        self.assertEqual(checks(result)["kernel_mode"]["verdict"], verdict)
        diagnosis = json.loads(result.stdout)["diagnosis"]
        self.assertEqual(result.returncode, {"healthy": 0, "degraded": 3}[diagnosis])
        if mode == "interpreted":
            self.assertEqual(diagnosis, "degraded")
            self.assertIn("tools/lab", checks(result)["kernel_mode"]["remedy"])

    def test_every_check_has_a_mark_and_every_fault_a_remedy(self):
        found = json.loads(run("doctor", "--json").stdout)["checks"]
        self.assertGreaterEqual(len(found), 10)
        for check in found:
            self.assertIn(check["verdict"], VERDICTS)
            self.assertNotEqual(check["text"], "")
            if check["verdict"] in ("warn", "fail"):
                self.assertIn("remedy", check, check["text"])

    def test_text_has_the_checks_of_json(self):
        text = run("doctor").stdout
        for check in json.loads(run("doctor", "--json").stdout)["checks"]:
            if check["check"] not in ("kernel_mode", "memory"):  # they have figures
                self.assertIn(check["text"], text)
        self.assertTrue(text.splitlines()[-1].startswith("This host runs guests"))

    def test_quiet_leaves_only_what_needs_mending(self):
        loud, quiet = run("doctor"), run("doctor", "--quiet")
        self.assertEqual(loud.returncode, quiet.returncode)
        self.assertNotIn("ok  ", quiet.stdout)
        self.assertNotIn("This host", quiet.stdout)
        self.assertEqual(quiet.stdout == "", quiet.returncode == 0)

    def test_unreadable_sys_is_no_fault_of_a_kvm_that_answers(self):
        result = run("doctor", "--json", "--root", str(self.directory))
        self.assertIn(result.returncode, (0, 3))
        self.assertEqual(checks(result)["module"]["verdict"], "note")

    def test_few_open_files_are_a_warning(self):
        result = run("doctor", "--json")
        self.assertEqual(checks(result)["open_files"]["verdict"], "ok")
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
        try:
            result = run("doctor", "--json")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        self.assertEqual(result.returncode, 3)
        self.assertEqual(checks(result)["open_files"]["verdict"], "warn")
        self.assertIn("ulimit -n", checks(result)["open_files"]["remedy"])

    def test_colours_are_for_terminals_only(self):
        self.assertNotIn("\x1b", run("doctor", environment={"TERM": "xterm"}).stdout)
        self.assertIn("\x1b[", run_on_terminal("doctor", environment={"TERM": "xterm", "NO_COLOR": ""}))
        self.assertNotIn("\x1b", run_on_terminal("doctor", environment={"TERM": "xterm", "NO_COLOR": "1"}))


class OfHostsWithAFault(HostCase):
    def check(self, check, *arguments, runner=run):
        """The check's finding; the host must be broken by it."""
        result = runner("doctor", "--json", *arguments)
        self.assertEqual(result.returncode, 1)
        self.assertEqual(json.loads(result.stdout)["diagnosis"], "broken")
        finding = checks(result)[check]
        self.assertEqual(finding["verdict"], "fail")
        text = runner("doctor", *arguments)
        self.assertEqual(text.returncode, 1)
        self.assertIn(f"FAIL  {finding['text']}\n      {finding['remedy']}\n", text.stdout)
        self.assertIn("runs no guests", text.stdout)
        return finding

    def test_missing_device(self):
        finding = self.check("device", "--device", "/nonexistent")
        self.assertEqual(finding["text"], "there is no /nonexistent")

    def test_null_device(self):
        finding = self.check("api", "--device", "/dev/null")
        self.assertEqual(finding["text"], "/dev/null is not KVM")

    def test_plain_file(self):
        (self.directory / "kvm").touch()
        finding = self.check("device", "--device", str(self.directory / "kvm"))
        self.assertIn("is no device", finding["text"])

    def test_device_without_permission_names_user_and_cure(self):
        path = self.closed_file()
        if not path.is_char_device():
            self.skipTest("needs CAP_MKNOD to make a device")
        finding = self.check("permission", "--device", str(path), runner=self.run_unprivileged)
        if "device policy" in finding["text"] or "nodev" in finding["text"]:
            self.skipTest("this file system or container forbids devices")
        self.assertIn(f"may not open {path} (mode 0600, user 0", finding["text"])
        self.assertIn("usermod -aG kvm", finding["remedy"])
        self.assertIn(f"setfacl -m u:65534:rw {path}", finding["remedy"])
        os.chmod(path, 0o660)
        os.chown(path, 0, 4)  # a group that is not root's
        finding = self.check("permission", "--device", str(path), runner=self.run_unprivileged)
        self.assertIn("usermod -aG", finding["remedy"])
        self.assertIn("log in again", finding["remedy"])

    def test_modules_that_are_missing(self):
        (self.directory / "sys/module/ext4").mkdir(parents=True)
        finding = self.check("module", "--device", "/nonexistent", "--root", str(self.directory))
        self.assertIn("KVM's module is not loaded", finding["text"])
        self.assertIn("modprobe", finding["remedy"])

    def test_module_without_its_driver(self):
        (self.directory / "sys/module/kvm").mkdir(parents=True)
        finding = self.check("module", "--device", "/nonexistent", "--root", str(self.directory))
        self.assertIn("kvm is loaded, but none that drives the hardware", finding["text"])

    def test_usage(self):
        for arguments in (["--device", ""], ["--nonsense"], ["extra"]):
            self.assertEqual(run("doctor", *arguments).returncode, 2, arguments)
        help_text = run("doctor", "--help")
        self.assertEqual(help_text.returncode, 0)
        self.assertIn("3 guests run, but less well", help_text.stdout)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0 OR MIT
"""What the tests of `kvmxx info` and `kvmxx doctor` share. Each is called with the program's path."""

import os
import pathlib
import pty
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True

PROGRAM = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "build/dev/bin/kvmxx").resolve()


def run(*arguments, environment=None, stdout=subprocess.PIPE, as_nobody=False):
    """The program's end: returncode, stdout, stderr."""
    command = [PROGRAM, *arguments]
    if as_nobody:
        command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command]
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE, text=True,
                          timeout=60, env=dict(os.environ) | (environment or {}), check=False)


def run_on_terminal(*arguments, environment):
    """What the program writes to a terminal."""
    master, terminal = pty.openpty()
    process = subprocess.Popen([PROGRAM, *arguments], stdin=subprocess.DEVNULL, stdout=terminal,
                               stderr=subprocess.DEVNULL, env=dict(os.environ) | environment)
    os.close(terminal)
    text = b""
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:  # EIO: the other end is closed
            break
        if not part:
            break
        text += part
    os.close(master)
    process.wait(60)
    return text.decode()


def kvm_usable():
    return os.access("/dev/kvm", os.R_OK | os.W_OK)


class HostCase(unittest.TestCase):
    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="kvmxx-host-"))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.directory.chmod(0o755)

    def closed_file(self):
        """A character device, or else a file, that nobody but root may open."""
        path = self.directory / "kvm"
        try:
            os.mknod(path, 0o020600, os.makedev(10, 232))
        except PermissionError:
            path.touch()
        path.chmod(0o000 if os.geteuid() else 0o600)
        return path

    def run_unprivileged(self, *arguments):
        """The program as a user who is not root."""
        if os.geteuid() == 0 and not shutil.which("setpriv"):
            self.skipTest("needs setpriv to stop being root")
        result = run(*arguments, as_nobody=os.geteuid() == 0)
        if result.returncode == 126 or "failed to execute" in result.stderr:
            self.skipTest(f"nobody may not execute {PROGRAM}")
        return result

    def assert_one_line(self, text, *parts):
        self.assertEqual(text.count("\n"), 1, text)
        for part in parts:
            self.assertIn(part, text)


def main():
    """Ends the process: 77 if every test was skipped."""
    result = unittest.main(argv=sys.argv[:1] + sys.argv[2:], verbosity=2, exit=False).result
    if result.testsRun and len(result.skipped) == result.testsRun:
        sys.exit(77)
    sys.exit(not result.wasSuccessful())

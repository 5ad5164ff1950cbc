# SPDX-License-Identifier: Apache-2.0 OR MIT
"""What the tests have in common that run Debian's cloud kernel in kvmxx, in the lab."""

import glob
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools"))
from labkit.image import cpio  # noqa: E402

SKIPPED = 77
FETCH = [os.path.join(ROOT, "tools/fetch-kernel"), "cloud-amd64"]
# How a guest's program begins: all that busybox has, the usual file systems, the console, modules.
PROLOGUE = r"""#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs -o size=100% tmp /tmp
exec </dev/console >/dev/console 2>&1
for module in @MODULES@; do insmod /modules/$module.ko; done
"""
PROGRAM, DIRECTORY = stat.S_IFREG | 0o755, stat.S_IFDIR | 0o755


def kernel():
    """Debian's cloud kernel, a path."""
    return subprocess.run(FETCH, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def busybox():
    """The static one that was fetched with the kernel, a path."""
    return os.path.join(os.path.dirname(kernel()), "../bin/busybox")


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write_initrd(path, directories, programs, modules):
    """An initial RAM disk of busybox, `programs` (a name each, and text or bytes) and the kernel's `modules`, by the names
    of their files in its tree: NAME or DIRECTORY/NAME."""
    files = {name: (DIRECTORY, b"") for name in ("bin", "dev", "modules", *directories)}
    files["bin/busybox"] = PROGRAM, read(busybox())
    for name, contents in programs.items():
        files[name] = PROGRAM, contents.encode() if isinstance(contents, str) else contents
    tree = os.path.join(os.path.dirname(kernel()), "../lib/modules/*/kernel")
    for module in modules:
        found, = glob.glob(f"{tree}/**/{module}.ko", recursive=True)
        files[f"modules/{os.path.basename(found)}"] = PROGRAM, read(found)
    with open(path, "wb") as file:
        file.write(cpio(files))


def run_in_lab(*command, timeout=380, options=()):
    """What the command prints there; it is shown, too."""
    lab = subprocess.run([os.path.join(ROOT, "tools/lab"), "--timeout", str(timeout), *options, "--", *command],
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace")
    print(lab.stdout)
    return lab.stdout


def run_guest(command, program, modules, *arguments, later=(), programs=None, options=()):
    """What a command prints in the lab that runs a guest: its last arguments are the kernel, an initial RAM disk with `program`,
    a script of busybox's shell behind PROLOGUE, and `arguments`. The modules are inserted, `later` but there."""
    with tempfile.TemporaryDirectory() as made:
        initrd = os.path.join(made, "initrd")
        prologue = PROLOGUE.replace("@MODULES@", " ".join(map(os.path.basename, modules)))
        write_initrd(initrd, ("proc", "sys", "tmp"), {"init": prologue + program, **(programs or {})}, (*modules, *later))
        return run_in_lab(*command, kernel(), initrd, *arguments, options=options)


def main(*tools):
    """Runs the tests, or says what of QEMU, Debian's kernel and `tools` is missing."""
    missing = [tool for tool in ("qemu-system-x86_64", *tools) if not shutil.which(tool)]
    if missing or subprocess.run(FETCH, stdout=subprocess.DEVNULL).returncode:
        print("needs", ", ".join(missing) or "Debian's kernel (tools/fetch-kernel)")
        sys.exit(SKIPPED)
    unittest.main(verbosity=2)

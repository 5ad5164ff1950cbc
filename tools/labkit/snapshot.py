# SPDX-License-Identifier: Apache-2.0 OR MIT
"""L1 booted, idle and kept on disk, so that later runs start in about a second.

The memory of L1 is a file from the start; a snapshot is that file and QEMU's device state beside it.
A later QEMU maps the memory copy-on-write, so there is nothing to load, and many may do so at once."""

import contextlib
import fcntl
import hashlib
import os
import re
import select
import shutil
import subprocess
import tempfile
import time

from . import LabCrash, LabError
from .arch import ARCHS, MODULES, kernel_options
from .image import HERE, initramfs, vmlinux
from .qemu import Qemu

BOOT_SECONDS = 180
KEPT = 8  # snapshots, the most recently used, at 100 to 200 MiB of disk each


def cache_directory():
    """Where this project keeps what it can make anew."""
    cache = os.environ.get("KVMXX_CACHE")
    if not cache:
        cache = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "kvmxx")
    return os.path.abspath(cache)


def fetch_kernel(arch):
    """(directory of the unpacked kernel package, release, image)."""
    fetch = os.path.join(os.path.dirname(HERE), "fetch-kernel")
    done = subprocess.run([fetch, arch.kernel], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise LabError(f"no kernel for L1 (tools/fetch-kernel {arch.kernel} failed, above)")
    image = done.stdout.strip()
    return os.path.dirname(os.path.dirname(image)), os.path.basename(image).removeprefix("vmlinuz-"), image


def host_identity():
    """A snapshot remembers the rate of the host's clock: it holds for this machine, since this boot."""
    with open("/proc/sys/kernel/random/boot_id") as boot, open("/proc/cpuinfo") as cpu:
        first = cpu.read().split("\n\n")[0]
        return boot.read(), re.findall(r"^(?:model name|bogomips|CPU part|BogoMIPS)\s*:.*", first, re.M)


def key(options, image):
    """Whatever a snapshot depends on, as a name. What the lab itself is goes in by content."""
    def stamp(path):
        info = os.stat(path)
        return path, info.st_size, info.st_mtime_ns
    source = hashlib.sha256()
    for name in sorted(os.listdir(HERE)):
        if name.endswith((".py", ".sh")):
            with open(f"{HERE}/{name}", "rb") as file:
                source.update(file.read())
    parts = [stamp(image), stamp(shutil.which(ARCHS[options.arch].qemu)), source.hexdigest(), host_identity(),
             options.mem, options.smp, options.icount, options.cpu, options.machine]
    return f"{options.arch}-{hashlib.sha256(repr(parts).encode()).hexdigest()[:16]}"


@contextlib.contextmanager
def locked(path):
    """Hold the lock of the directory `path`, made if need be. It goes with the process."""
    while True:
        os.makedirs(path, exist_ok=True)
        fd = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            try:
                current = os.stat(path).st_ino == os.fstat(fd).st_ino
            except FileNotFoundError:
                current = False
            if current:
                yield
                return
        finally:
            os.close(fd)


def prune(directory):
    """Remove all but the most recently used snapshots, except those in the making."""
    found = [(entry.stat().st_mtime, entry.path) for entry in os.scandir(directory) if entry.is_dir()]
    for _, path in sorted(found)[:-KEPT]:
        with contextlib.suppress(FileNotFoundError, BlockingIOError):
            fd = os.open(path, os.O_RDONLY)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(fd)


def wait_until_ready(qemu, show):
    """Follow L1's boot until it says that it is ready."""
    deadline = time.monotonic() + BOOT_SECONDS
    heard = b""
    while b"READY" not in heard:
        left = deadline - time.monotonic()
        readable, _, _ = select.select([qemu.serial, qemu.control, qemu.messages], [], [], max(left, 0))
        if not readable:
            raise LabCrash(f"L1 does not boot within {BOOT_SECONDS} s")
        for channel in readable:
            if channel is qemu.messages:
                data = os.read(channel, 1 << 16)
                qemu.note("log", data)
            else:
                data = channel.recv(1 << 16)
            if not data:
                raise LabCrash(qemu.how_it_died())
            if channel is qemu.serial:
                qemu.note("console", data)
                if show:
                    os.write(2, data)
            if channel is qemu.control:
                heard += data


def boot(options, kernel, ram=None):
    """Boot L1 to the point where it waits for its job."""
    root, release, image = kernel
    arch = ARCHS[options.arch]
    with contextlib.ExitStack() as stack:
        inherit = []

        def temporary(data):
            """The path, for QEMU, of a file without a name."""
            file = stack.enter_context(tempfile.TemporaryFile())
            file.write(data)
            file.flush()
            inherit.append(file.fileno())
            return f"/proc/self/fd/{file.fileno()}"

        # Entered as an ELF file where that is possible: nothing for TCG to run in real mode or to unpack.
        extra = ["-kernel", temporary(vmlinux(image)) if arch.pvh else image,
                 "-initrd", temporary(initramfs(root, release, f"{MODULES} {arch.modules}")),
                 "-append", kernel_options(arch, options.icount, options.verbose)]
        qemu = Qemu(options, ram, True, extra, inherit)
    try:
        wait_until_ready(qemu, options.verbose)
    except BaseException as error:
        qemu.close()
        if isinstance(error, LabError):
            raise type(error)(f"{error}\n{qemu.report()}") from None
        raise
    return qemu


def migrate(qemu, command, fd):
    """Save or load the device state; memory is in its file already."""
    qemu.qmp("migrate-set-capabilities", capabilities=[{"capability": "x-ignore-shared", "state": True}])
    qemu.qmp("getfd", fd, fdname="state")
    qemu.qmp(command, uri="fd:state")
    deadline = time.monotonic() + 60
    while (status := qemu.qmp("query-migrate").get("status")) != "completed":
        if status == "failed" or time.monotonic() > deadline:
            raise LabCrash(f"QEMU's {command} failed: {qemu.last_words()}")
        time.sleep(0.002)


def make(options, kernel, directory):
    """Boot L1 and keep it in `directory`, whose lock we hold."""
    ram, state = f"{directory}/ram", f"{directory}/state"
    with open(ram, "wb") as file:
        file.truncate(options.mem << 20)
    with open(f"{state}.part", "wb") as file:
        qemu = boot(options, kernel, ram)
        try:
            qemu.qmp("stop")
            migrate(qemu, "migrate", file.fileno())
        finally:
            qemu.close()
    os.rename(f"{state}.part", state)


def resume(options, kernel):
    """A QEMU with L1 as it was at the end of its boot, stopped."""
    labs = os.path.join(cache_directory(), "lab")
    directory = os.path.join(labs, key(options, kernel[2]))
    with contextlib.ExitStack() as stack:
        with locked(directory):
            if not os.path.exists(f"{directory}/state"):
                make(options, kernel, directory)
                prune(labs)
            os.utime(directory)
            # Held open, they may be pruned from now on.
            ram = stack.enter_context(open(f"{directory}/ram", "r+b")).fileno()
            state = stack.enter_context(open(f"{directory}/state", "rb")).fileno()
        qemu = Qemu(options, f"/proc/self/fd/{ram}", False, ["-incoming", "defer"], [ram])
        try:
            migrate(qemu, "migrate-incoming", state)
        except BaseException:
            qemu.close()
            raise
    return qemu

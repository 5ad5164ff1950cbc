# SPDX-License-Identifier: Apache-2.0 OR MIT
"""One QEMU process with L1 inside, and the channels to both."""

import contextlib
import fcntl
import json
import os
import shlex
import socket
import subprocess
import sys

from . import LabCrash, LabError
from .arch import ARCHS

QMP_SECONDS = 60  # no answer for so long: QEMU hangs
KEPT_LOG = 1 << 16


def pipe():
    """A pipe that holds more than the usual 64 KiB, if allowed: fewer stalls of L1."""
    reader, writer = os.pipe()
    with contextlib.suppress(OSError):
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 1 << 20)
    return reader, writer


class Qemu:
    """QEMU, started at once; `ram` is the file that holds L1's memory, or None for memory of its own."""

    def __init__(self, options, ram=None, share=False, extra=(), inherit=()):
        arch = ARCHS[options.arch]
        self.log = b""      # the latest of QEMU's own messages
        self.console = b""  # and of L1's console
        self.theirs = []    # descriptors that are QEMU's
        machine = f",{options.machine}" if options.machine else ""
        command = [
            "setpriv", "--pdeathsig", "KILL", arch.qemu, "-nodefaults", "-no-user-config", "-no-reboot",
            "-display", "none", "-M", f"{arch.machine},memory-backend=ram{machine}", "-cpu", options.cpu or arch.cpu,
            "-accel", f"tcg,tb-size=256,thread={'single' if options.icount else 'multi'}",
            "-smp", str(options.smp), "-m", str(options.mem), "-device", "virtio-serial-pci,max_ports=5",
        ]
        if ram is None:
            command += ["-object", f"memory-backend-ram,id=ram,size={options.mem}M"]
        else:
            mode = "on" if share else "off"
            command += ["-object", f"memory-backend-file,id=ram,size={options.mem}M,mem-path={ram},share={mode}"]
        # Every channel is a descriptor that QEMU inherits: no names in any file system.
        self.qmp_socket = self.duplex(command, "qmp")
        command += ["-mon", "chardev=qmp,mode=control"]
        self.serial = self.duplex(command, "serial")
        command += ["-serial", "chardev:serial"]
        self.terminal = self.duplex(command, "terminal")
        command += ["-device", "virtconsole,nr=0,chardev=terminal"]
        self.stdout = self.output(command, 1)
        self.stderr = self.output(command, 2)
        self.stdin = self.duplex(command, "stdin")
        command += ["-device", "virtserialport,nr=3,chardev=stdin"]
        self.control = self.duplex(command, "control")
        command += ["-device", "virtserialport,nr=4,chardev=control"]
        # The same devices in every run, or a snapshot would not fit: without --rw the share is / again.
        for tag, path, readonly in ("root", "/", "on"), ("rw", options.rw or "/", "off" if options.rw else "on"):
            path = path.replace(",", ",,")
            command += [
                "-fsdev", f"local,id={tag},path={path},security_model=none,readonly={readonly},multidevs=remap",
                "-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}",
            ]
        if options.icount:
            command += ["-icount", "shift=0,sleep=off", "-rtc", "base=2030-01-01,clock=vm", "-seed", "1"]
        command += extra
        if options.verbose:
            print("lab:", shlex.join(command), file=sys.stderr)

        self.messages, writer = os.pipe()
        self.theirs.append(writer)
        try:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=writer, stderr=writer, start_new_session=True,
                pass_fds=[*self.theirs, *inherit])
        except FileNotFoundError:
            raise LabError("this machine has no 'setpriv' (package util-linux)") from None
        finally:
            for fd in self.theirs:
                os.close(fd)
        self.qmp_socket.settimeout(QMP_SECONDS)
        self.qmp_stream = self.qmp_socket.makefile("r")
        try:
            self.qmp_line()  # the greeting
            self.qmp("qmp_capabilities")
        except LabError:
            self.kill()
            raise LabError(f"cannot start {arch.qemu}: {self.last_words()}") from None

    def duplex(self, command, name):
        """A two-way channel; returns our end."""
        ours, theirs = socket.socketpair()
        self.theirs.append(theirs.detach())
        command += ["-chardev", f"socket,id={name},fd={self.theirs[-1]}"]
        return ours

    def output(self, command, number):
        """A channel out of L1; returns our end. A pipe, for QEMU waits for a slow reader of it."""
        reader, writer = pipe()
        self.theirs.append(writer)
        command += [
            "-add-fd", f"fd={writer},set={number}",
            "-chardev", f"file,id=out{number},path=/dev/fdset/{number},append=on",
            "-device", f"virtserialport,nr={number},chardev=out{number}",
        ]
        return reader

    def qmp_line(self):
        try:
            line = self.qmp_stream.readline()
        except TimeoutError:
            raise LabCrash(f"QEMU does not answer within {QMP_SECONDS} s") from None
        except ConnectionError:
            line = ""
        if not line:
            raise LabCrash(self.how_it_died())
        return json.loads(line)

    def qmp(self, command, *fds, **arguments):
        """Ask QEMU, and return its answer; give it descriptors along with the question."""
        question = json.dumps({"execute": command, "arguments": arguments}).encode()
        try:
            socket.send_fds(self.qmp_socket, [question + b"\n"], fds)
        except ConnectionError:
            raise LabCrash(self.how_it_died()) from None
        while True:
            reply = self.qmp_line()
            if "return" in reply:
                return reply["return"]
            if "error" in reply:
                raise LabError(f"QEMU refuses {command}: {reply['error'].get('desc')}")

    def note(self, kind, data):
        """Remember the end of what QEMU (`log`) or L1's console (`console`) said."""
        setattr(self, kind, (getattr(self, kind) + data)[-KEPT_LOG:])

    def kill(self):
        """End QEMU and L1, now; harmless when they have ended."""
        self.process.kill()
        self.process.wait()
        os.set_blocking(self.messages, False)
        try:
            while data := os.read(self.messages, KEPT_LOG):
                self.note("log", data)
        except BlockingIOError:
            pass

    def close(self):
        """End it, and give back all descriptors."""
        self.kill()
        self.qmp_stream.close()
        for channel in self.qmp_socket, self.serial, self.terminal, self.stdin, self.control:
            channel.close()
        for fd in self.stdout, self.stderr, self.messages:
            os.close(fd)

    def last_words(self):
        """What QEMU said about its end, on one line."""
        lines = [line for line in self.log.decode(errors="replace").splitlines()
                 if line.strip() and "TCG doesn't support" not in line]
        return "; ".join(lines[-3:]) or "it says nothing"

    def report(self):
        """The end of what L1's console and QEMU said, for an error message of many lines."""
        lines = (self.console + self.log).decode(errors="replace").splitlines()
        return "\n".join(f"    {line}" for line in lines if line.strip() and "TCG doesn't support" not in line)[-4000:]

    def how_it_died(self):
        """For an error message."""
        try:
            status = self.process.wait(5)
        except subprocess.TimeoutExpired:
            return "QEMU closed its channels without an end"
        self.kill()
        how = f"signal {-status}" if status < 0 else f"status {status}"
        return f"QEMU ended by itself ({how}: {self.last_words()})"

# SPDX-License-Identifier: Apache-2.0 OR MIT
"""One run of a command in L1: its job, its streams, its end."""

import contextlib
import os
import re
import select
import shlex
import signal
import socket
import sys
import tempfile
import termios
import time
import tty

from . import LabCrash, LabError
from .arch import ARCHS
from .snapshot import boot, fetch_kernel, resume

PULSE_SECONDS = 2        # how often L1 says that it lives
SILENT_SECONDS = 60      # for so long no sign of life: it hangs
ESCAPE = b"\x1d\x1d\x1d"  # Ctrl-] three times, on a terminal, ends the lab whatever CMD does
CHUNK = 1 << 16


class OutOfTime(Exception):
    """CMD's time is up."""


class Killed(BaseException):
    """A signal asks the lab to end; `number` says which."""

    def __init__(self, number):
        super().__init__(number)
        self.number = number


@contextlib.contextmanager
def time_limit(seconds):
    """Raise OutOfTime in this block after so long, wherever it waits; 0: never."""
    def ring(*_):
        raise OutOfTime
    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


@contextlib.contextmanager
def raw_terminal():
    """Pass each key on as it is, and put the terminal back whatever happens."""
    before = termios.tcgetattr(0)
    try:
        tty.setraw(0, termios.TCSANOW)
        yield
    finally:
        termios.tcsetattr(0, termios.TCSANOW, before)


class Session:
    """A command and its streams; run() until it has a status."""

    def __init__(self, options):
        self.options = options
        self.arch = ARCHS[options.arch]
        self.terminal = options.interactive and os.isatty(0) and os.isatty(1)
        self.consumed = False  # has any standard input been passed on?
        self.status = None

    def job(self):
        """What L1's init reads: shell variables, among them the script that becomes CMD."""
        options, arch, host = self.options, self.arch, os.uname().machine
        environment = {name: value for name, value in os.environ.items()
                       if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) and name not in ("_", "PWD", "OLDPWD")}
        environment["KVMXX_LAB"] = options.arch
        if options.arch != host:
            environment["PATH"] = f"/.lab/bin:{environment.get('PATH', '')}"
            environment["LD_LIBRARY_PATH"] = f"{arch.foreign}/lib"
        script = [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
        name = shlex.quote(options.cmd[0])
        script += [f"cd {shlex.quote(os.getcwd())} || exit 125",
                   f"command -v -- {name} >/dev/null || {{ printf 'lab: %s: no such command\\n' {name} >&2; exit 127; }}",
                   f"exec {shlex.join(options.cmd)}", ""]
        columns, rows = os.get_terminal_size(0) if self.terminal else (80, 24)
        variables = dict(
            # Under --icount a clock of L1's own, and no pulse that would make it jump.
            epoch=0 if options.icount else int(time.time()),
            pulse=0 if options.icount else PULSE_SECONDS,
            modules=f"{self.kernel[0]}/lib/modules",
            rw=options.rw or "",
            host=host, ld_so=arch.ld_so, foreign=arch.foreign,
            input="terminal" if self.terminal else "stream" if options.interactive else "none",
            errors="terminal" if self.terminal and os.isatty(2) else "apart",
            rows=rows, columns=columns,
            job="\n".join(script),
        )
        return os.fsencode("".join(f"{name}={shlex.quote(str(value))}\n" for name, value in variables.items()))

    def run(self):
        """CMD's exit status."""
        self.kernel = fetch_kernel(self.arch)
        for last in False, True:
            try:
                return self.attempt()
            except LabCrash as crash:
                if last or self.consumed:
                    raise
                reason = str(crash).splitlines()[0]
                print(f"lab: {reason}: QEMU's fault, not the command's; running the command again, once",
                      file=sys.stderr, flush=True)

    def attempt(self):
        options = self.options
        qemu = boot(options, self.kernel) if options.cold else resume(options, self.kernel)
        try:
            with time_limit(options.timeout), raw_terminal() if self.terminal else contextlib.nullcontext():
                job = self.job()
                qemu.control.sendall(b"%d\n" % len(job) + job)
                if not options.cold:
                    qemu.qmp("cont")
                Pump(self, qemu).run()
            return self.status
        except LabError as error:
            if error.__class__ is LabError:
                raise LabError(f"{error}\n{qemu.report()}") from None
            raise
        finally:
            qemu.close()
            if options.keep:
                self.keep(qemu)

    def keep(self, qemu):
        """Leave the logs of --keep, and say where."""
        directory = tempfile.mkdtemp(prefix="kvmxx-lab-")
        for name in "console", "log":
            with open(f"{directory}/{name}", "wb") as file:
                file.write(getattr(qemu, name))
        print(f"lab: what L1's console and QEMU said is in {directory}", file=sys.stderr)


class Pump:
    """Moves bytes between CMD's streams and ours until CMD has ended and all is delivered."""

    def __init__(self, session, qemu):
        self.session, self.qemu = session, qemu
        self.sources = {
            qemu.stdout: lambda data: self.write(1, data),
            qemu.stderr: lambda data: self.write(2, data),
            qemu.terminal.fileno(): lambda data: self.write(1, data),
            qemu.serial.fileno(): self.console,
            qemu.messages: lambda data: qemu.note("log", data),
            qemu.control.fileno(): self.control,
        }
        self.heard = b""    # on the control port, of a line not complete
        self.input = None   # where input goes, as long as there is any: the terminal or the stream
        self.pending = b""  # input that L1 has not taken yet
        self.typed = b""    # the latest input, to find ESCAPE in
        if session.options.interactive:
            self.input = qemu.terminal if session.terminal else qemu.stdin
            self.input.setblocking(False)

    def run(self):
        silent = 0
        while self.sources:
            reading, writing = list(self.sources), []
            if self.input and self.pending:
                writing = [self.input]
            elif self.input:
                reading.append(0)
            readable, writable, _ = select.select(reading, writing, [], PULSE_SECONDS)
            silent = 0 if readable or writable else silent + PULSE_SECONDS
            if silent >= SILENT_SECONDS and not self.session.options.icount:
                raise LabCrash(f"L1 hangs (no sign of life for {silent} s)")
            if writable:
                self.pass_input()
            for fd in readable:
                if fd == 0:
                    self.take_input()
                elif fd in self.sources:
                    self.drain(fd)
        if self.session.status is None:
            raise LabCrash(self.qemu.how_it_died())

    def drain(self, fd):
        try:
            data = os.read(fd, CHUNK)
        except ConnectionError:
            data = b""
        except BlockingIOError:
            return
        if data:
            self.sources[fd](data)
            return
        del self.sources[fd]
        if fd == self.qemu.control.fileno():
            self.stop()

    def stop(self):
        """No more of L1: that closes all channels, and run() ends when what is in them is read."""
        self.qemu.kill()
        self.input = None

    @staticmethod
    def write(fd, data):
        try:
            while data:
                data = data[os.write(fd, data):]
        except BrokenPipeError:
            raise Killed(signal.SIGPIPE) from None

    def console(self, data):
        self.qemu.note("console", data)
        if self.session.options.verbose:
            self.write(2, data)

    def control(self, data):
        *lines, self.heard = (self.heard + data).split(b"\n")
        for line in lines:
            word, _, rest = line.partition(b" ")
            if word == b"EXIT":
                self.session.status = int(rest)
                self.stop()
            elif word == b"FAIL":
                raise LabError(f"L1 {rest.decode(errors='replace')}")

    def take_input(self):
        try:
            data = os.read(0, CHUNK)
        except OSError:  # the terminal is gone, or standard input is closed
            data = b""
        if data:
            self.session.consumed = True
            self.pending = data
            if self.session.terminal:
                self.typed = (self.typed + data)[-len(ESCAPE):]
                if self.typed == ESCAPE:
                    raise Killed(signal.SIGTERM)
        else:
            if not self.session.terminal:
                self.input.shutdown(socket.SHUT_WR)
            self.input = None

    def pass_input(self):
        try:
            self.pending = self.pending[self.input.send(self.pending):]
        except BlockingIOError:
            pass
        except ConnectionError:
            self.input = None

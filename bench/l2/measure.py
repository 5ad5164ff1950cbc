# SPDX-License-Identifier: Apache-2.0 OR MIT
"""What l2boot and l2io have in common: they stage files, run `inside` in the lab under --icount, where one
microsecond of CPU time is 1000 instructions, and collect what each VMM cost."""

import os
import subprocess
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tools"))
from labkit.image import cpio, vmlinux  # noqa: E402

__all__ = ["add_options", "check", "compile_c", "cpio", "print_exits", "run", "run_jobs", "stage", "write"]


def add_options(parser):
    parser.add_argument("--program", default=os.path.join(ROOT, "build/release/bin/kvmxx"), help="the kvmxx to measure")


def check(parser, options):
    if not os.access(options.program, os.X_OK):
        parser.error(f"there is no {options.program}: ./run builds it")


def compile_c(source, target, *options):
    """The program's bytes, which are in the file `target` also."""
    subprocess.run(["gcc", "-O2", "-Wall", "-o", target, os.path.join(HERE, source), *options], check=True)
    with open(target, "rb") as file:
        return file.read()


def write(directory, name, contents):
    with open(os.path.join(directory, name), "wb") as file:
        file.write(contents)


def stage(directory, program, job):
    """Kernel, program and job file. The kernel's path on the host."""
    kernel = subprocess.run([os.path.join(ROOT, "tools/fetch-kernel"), "cloud-amd64"], check=True, text=True,
                            stdout=subprocess.PIPE).stdout.strip()
    compile_c("cost.c", os.path.join(directory, "cost"), "-static")
    write(directory, "vmlinux", vmlinux(kernel))
    for source, name in ((kernel, "bzimage"), (program, "kvmxx"), (os.path.join(HERE, job), "job.sh")):
        subprocess.run(["cp", source, os.path.join(directory, name)], check=True)
    return kernel


def lab_command(directory, runs, names):
    return [os.path.join(ROOT, "tools/lab"), "--icount", "--mem", "2048", "--timeout", "1800", "--",
            os.path.join(HERE, "inside"), directory, str(runs), *names]


def run_inside(directory, runs, names):
    return subprocess.run(lab_command(directory, runs, names), text=True, stdout=subprocess.PIPE)


def run(directory, runs, names):
    """The lab's status, and for each name the costs of its runs: user + system, user, system; in 1000 instructions."""
    lab = run_inside(directory, runs, names)
    costs = {}
    for line in lab.stdout.splitlines():
        name, user, system, _ = line.split()
        costs.setdefault(name, []).append((int(user) + int(system), int(user), int(system)))
    return lab.returncode, costs


def run_jobs(directory, names, tell):
    """The lab's status. tell() is called for each name and job, as they come, with what it took: how many times,
    instructions of the process and of all threads, exits, and exits to user space for memory."""
    with subprocess.Popen(lab_command(directory, "jobs", names), text=True, stdout=subprocess.PIPE) as lab:
        for line in lab.stdout:
            name, job, *numbers = line.split()
            tell(name, job, tuple(map(int, numbers)))
    return lab.returncode


def print_exits(directory, names):
    """The lab's status. Prints the exits of one run of each, and what KVM and the VMM did at them."""
    lab = run_inside(directory, "exits", names)
    rows = [line.split("\t") for line in lab.stdout.splitlines()]
    print(f"{'':34} {'exits':>8} {'M instructions':>15}")
    for vmm in dict.fromkeys(row[0] for row in rows):
        print(vmm)
        counts = {name: (int(count), int(time)) for which, name, count, time in rows if which == vmm}
        guest = counts.pop("guest", (0, 0))
        of_all = tuple(map(sum, zip(*counts.values())))
        for name, (count, time) in [*sorted(counts.items(), key=lambda row: -row[1][0]), ("all exits", of_all),
                                    ("in the guest", guest)]:
            print(f"  {name:32} {count:8} {time / 1e6:15.3f}")
    return lab.returncode

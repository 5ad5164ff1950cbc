# SPDX-License-Identifier: Apache-2.0 OR MIT
"""What differs between the architectures that the lab can emulate: add a row, get a lab."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Arch:
    kernel: str    # the KIND that tools/fetch-kernel takes
    qemu: str      # QEMU's program for it
    deps: str      # and the groups of tools/deps that have it
    machine: str   # QEMU's -M
    cpu: str       # and -cpu: one with virtualization
    console: str   # the kernel's name of the serial port
    append: str    # kernel options
    modules: str   # kernel modules that L1 loads, after those in MODULES
    pvh: bool      # boots as an ELF vmlinux, entered in 32-bit mode, not as packed
    ld_so: str     # the dynamic loader, and where the host may have that of a foreign architecture
    foreign: str
    saved: tuple = ()  # the CPUs whose state a snapshot keeps; none: all


MODULES = "virtio_pci virtio_console 9pnet_virtio 9p overlay"

# nokaslr: L1 with KASLR has hung with both CPUs spinning (3 of 48 runs). On arm64 KASLR also means
# KPTI, with which each system call costs TCG 70 microseconds.
ARCHS = {
    "x86_64": Arch(
        kernel="amd64",
        qemu="qemu-system-x86_64",
        deps="lab",
        machine="pc,i8042=off,hpet=off",
        cpu="EPYC,+svm,+npt",
        console="ttyS0",
        append="nokaslr no_timer_check tsc=reliable",
        modules="kvm-amd msr",
        pvh=True,
        ld_so="/lib64/ld-linux-x86-64.so.2",
        foreign="/usr/x86_64-linux-gnu",
    ),
    "aarch64": Arch(
        kernel="arm64",
        qemu="qemu-system-aarch64",
        deps="lab arm",
        machine="virt,virtualization=on,gic-version=3,dtb-randomness=off",
        cpu="cortex-a72",
        console="ttyAMA0",
        append="nokaslr kpti=off",
        modules="",
        pvh=False,
        ld_so="/lib/ld-linux-aarch64.so.1",
        foreign="/usr/aarch64-linux-gnu",
        # With VHE, L1 runs by the virtual timer of EL2, of which QEMU 7.2 saves nothing.
        saved=("cortex-a53", "cortex-a57", "cortex-a72"),
    ),
}


def can_be_saved(options):
    """Whether L1 goes on from a snapshot with the CPU that the options ask for."""
    arch = ARCHS[options.arch]
    return not arch.saved or (options.cpu or arch.cpu).split(",")[0] in arch.saved


def kernel_options(arch, icount, verbose):
    """L1's kernel command line. The general ones make boot and system calls cheap under TCG."""
    options = [f"console={arch.console}", "panic=-1", "mitigations=off", "random.trust_cpu=on", "cryptomgr.notests",
               "rcupdate.rcu_expedited=1", "randomize_kstack_offset=off", arch.append]
    if icount:
        options.append("norandmaps")
    if not verbose:
        options.append("quiet")
    return " ".join(options)

# SPDX-License-Identifier: Apache-2.0 OR MIT
"""The public headers, what they include, and the order of their layers."""

import functools
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
INCLUDE = ROOT / "include"

# A header includes only headers of earlier lines, or of its own line where that ends in "*".
# ARCH stands for x86_64, aarch64 and riscv64. The first pattern that matches is the header's layer.
KVM_LAYERS = """
version error types flags
throw try
abi/.* *
generic_syscall
ARCH/syscall
arch
syscall
fd
ioctl flex_array guest_memfd stats
exit_payloads
exit
kick
object memslot
one_reg
device
ARCH/lists ARCH/nested
ARCH/vm ARCH/system ARCH/one_reg ARCH/gic ARCH/aia
ARCH/vcpu
vcpu
vm
ARCH/sev ARCH/tdx
system
coalesced dirty_ring
kvm
"""

# Of the toolkit: directories. A directory's headers may include each other.
VMM_LAYERS = "error log statistic text_file memory hypervisor fake_exit fake acpi device host x86_64 boot pci block net virtio nvme machine snapshot gdb".split()

# What each public header of the core may take from the standard library: <string>, <memory>, <atomic>,
# <functional>, <chrono> and <vector> cost 0.3 to 0.5 s each to parse, so text and tables live in .cpp files.
STANDARD = set("cassert cerrno compare concepts cstddef cstdint cstdlib cstring expected span "
               "new type_traits utility".split())

# Opt-in headers: no other public header includes them.
OPT_IN = {"kvm/try.hpp", "kvm/throw.hpp"}


def public_headers(product):
    """Paths as they are included, "kvm/vm.hpp"."""
    return sorted(str(path.relative_to(INCLUDE)) for path in (INCLUDE / product).rglob("*.hpp"))


@functools.cache
def arch_macros():
    """KVM_ARCH_VM and the like, each with the headers that it may stand for."""
    found = {}
    for name, header in re.findall(r"#define (KVM_ARCH_\w+) <(.*?)>", (INCLUDE / "kvm/arch.hpp").read_text()):
        found.setdefault(name, []).append(header)
    return found


@functools.cache
def includes(header):
    """What a header names in its #include lines; a KVM_ARCH_ macro gives all that it may stand for."""
    text = (INCLUDE / header).read_text()
    found = re.findall(r'^ *# *include *[<"]([^>"]+)[>"]', text, re.M)
    for macro in re.findall(r"^ *# *include *(KVM_ARCH_\w+)", text, re.M):
        found += arch_macros()[macro]
    return tuple(found)


@functools.cache
def closure(header):
    """All headers of the project that a header needs, itself too."""
    seen, todo = set(), [header]
    while todo:
        name = todo.pop()
        if name not in seen and (INCLUDE / name).exists():
            seen.add(name)
            todo += includes(name)
    return frozenset(seen)


@functools.cache
def kvm_layer(header):
    """(number, whether its headers may include each other) of a core header; None if it has no layer."""
    name = header.removeprefix("kvm/").removesuffix(".hpp")
    for number, line in enumerate(KVM_LAYERS.strip().splitlines()):
        for pattern in line.removesuffix(" *").split():
            if re.fullmatch(pattern.replace("ARCH", "(x86_64|aarch64|riscv64)"), name):
                return number, line.endswith(" *")
    return None


def vmm_layer(header):
    """The same of a toolkit's header."""
    name = header.removeprefix("vmm/").removesuffix(".hpp").partition("/")[0]
    return (VMM_LAYERS.index(name), True) if name in VMM_LAYERS else None

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""facts.py ours OUT.cpp HEADER...: a table of every fact that the library's headers state, by the
kernel's name: numbers as the compiler computes them from the library's own constants and types. Of the
other architectures' headers, the ioctls.
facts.py theirs OUT.c CC: a table of every fact in the installed <linux/kvm.h>, to be compiled as C.

A name follows from ours by the library's rules of naming (kvm::x86_64::VcpuEvents::flags is
kvm_vcpu_events.flags, MemFlag::readonly's prefix is in MemFlag's comment); EXCEPTIONS has the rest."""

import re
import subprocess
import sys

from declarations import Declarations, fields

# Ours to the kernel's, where the rule does not give it. None: the kernel has no such name.
EXCEPTIONS = {
    "kvm::StatsDescHeader": "kvm_stats_desc",
    "kvm::x86_64::XenEvtchn": None,  # compared as a member of kvm_xen_hvm_attr
    "kvm::x86_64::sev::Data": "kvm_sev_launch_update_data",
    "kvm::x86_64::sev::Packet": "kvm_sev_launch_secret",
    "kvm::cap::Any": None,
    "kvm::cap::Kind": None,
    "kvm::Dir": None,
    "kvm::Switch": None,
    "kvm::FdNumber": None,
    "kvm::HypercallExit": None,  # 1 << KVM_HC_MAP_GPA_RANGE
    "kvm::VmTypeBit": None,  # 1 << VmType
    "kvm::MemoryAttribute::private_memory": "KVM_MEMORY_ATTRIBUTE_PRIVATE",
    "kvm::IoeventfdFlag::fast_mmio": None,  # 1 << kvm_ioeventfd_flag_nr_fast_mmio
    "kvm::X2apicApiFlag::enable_suppress_eoi_broadcast": "KVM_X2APIC_ENABLE_SUPPRESS_EOI_BROADCAST",
    "kvm::X2apicApiFlag::disable_suppress_eoi_broadcast": "KVM_X2APIC_DISABLE_SUPPRESS_EOI_BROADCAST",
    "kvm::exit_reason_count": None,
    "kvm::abi::kvmio": "KVMIO",
    "kvm::x86_64::max_io_msrs": None,  # MAX_IO_MSRS, which the kernel keeps to itself, less one
    "kvm::x86_64::least_vcpu_mmap_size": None,
    "kvm::x86_64::msr_filter_max_bitmap_bytes": "KVM_MSR_FILTER_MAX_BITMAP_SIZE",
}
# Structures that are only the head of the kernel's.
HEADS = {"kvm::GuestDebugHeader": "kvm_guest_debug"}
# Fields of another path than the kernel's; None: padding that the kernel's compiler adds without a name.
FIELDS = {
    "kvm_guest_debug.debugreg": "kvm_guest_debug.arch.debugreg",
    "kvm_tdx_capabilities.nent": "kvm_tdx_capabilities.cpuid.nent",
    "kvm_tdx_capabilities.padding": "kvm_tdx_capabilities.cpuid.padding",
    "kvm_tdx_init_vm.nent": "kvm_tdx_init_vm.cpuid.nent",
    "kvm_tdx_init_vm.padding": "kvm_tdx_init_vm.cpuid.padding",
    "kvm_msr_filter.pad": None,
    "kvm_msr_filter_range.pad": None,
}
# Constants that are members or parts of something else.
EXTRAS = {
    "KVM_API_VERSION": "kvm::Kvm::api_version_expected",
    "KVM_VCPU_TSC_CTRL": "kvm::x86_64::tsc_offset.group",
    "KVM_VCPU_TSC_OFFSET": "kvm::x86_64::tsc_offset.attr",
    "KVM_X86_XCOMP_GUEST_SUPP": "kvm::x86_64::xcomp_guest_supp.attr",
    "KVM_DEV_VFIO_GROUP": "kvm::vfio::file_add.group",
    "KVM_DEV_VFIO_GROUP_ADD": "kvm::vfio::file_add.attr",
    "KVM_DEV_VFIO_GROUP_DEL": "kvm::vfio::file_del.attr",
    "EFD_SEMAPHORE": "kvm::EventFdFlag::semaphore",
    "EFD_NONBLOCK": "kvm::EventFdFlag::nonblock",
}


def snake(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def kernel_struct(name):
    if name in EXCEPTIONS or name in HEADS:
        return EXCEPTIONS.get(name, HEADS.get(name))
    parts = name.split("::")[1:]
    if parts[0] == "run":  # members of kvm_run, compared through it
        return None
    return "kvm_" + snake("_".join(p for p in parts if p != "x86_64"))


def kernel_enumerator(enum, enumerator):
    full = f"{enum.name}::{enumerator}"
    if full in EXCEPTIONS:
        return EXCEPTIONS[full]
    upper = enumerator.upper()
    for name in re.findall(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]*[A-Z0-9]\b", enum.doc):
        if name.endswith("_" + upper):
            return name
    prefix = re.search(r"\b([A-Z][A-Z0-9_]*_)\*", enum.doc)
    return prefix[1] + upper if prefix else "no kernel name is known of " + full


def struct_facts(name, kernel, paths):
    if name not in HEADS:
        yield f"sizeof {kernel}", f"sizeof({name})"
    for path in paths:
        full = FIELDS.get(f"{kernel}.{path}", f"{kernel}.{path}")
        if full:
            yield full + " offset", f"offsetof({name}, {path})"
            yield full + " size", f"sizeof((({name}*)0)->{path})"


def resolver(structs):
    """Finds a type that one of our headers names, from any of our namespaces."""
    def resolve(name):
        for prefix in ("kvm::", "kvm::run::", "kvm::x86_64::", "kvm::x86_64::sev::", "kvm::x86_64::tdx::"):
            if prefix + name in structs:
                return prefix + name
        return name
    return resolve


def our_facts(headers):
    found = Declarations()
    for header in headers:
        with open(header) as text:
            found.add(text.read(), header)
    payloads = "kvm::exit::"
    for name, members in found.structs.items():
        kernel = kernel_struct(name)
        if kernel and not name.startswith(payloads):
            yield from struct_facts(name, kernel, fields(found.structs, members, resolver(found.structs)))
    for enum in found.enums:
        if enum.name in EXCEPTIONS:
            continue
        for enumerator in enum.enumerators:
            if not enum.scoped:  # system calls: nr_ioctl
                scope = enum.name.rpartition("::")[0]
                yield "__NR_" + enumerator[3:], f"{scope}::{enumerator}"
                continue
            kernel = kernel_enumerator(enum, enumerator)
            if kernel:
                yield kernel, f"{enum.name}::{enumerator}"
    for constant in found.constants:
        scope, _, short = constant.name.rpartition("::")
        if scope == "kvm::cap":
            yield "KVM_CAP_" + short.upper(), constant.name + ".number"
        elif scope.startswith("kvm::op"):
            yield f"ioctl {constant.name}", f'ioctl({constant.name}.name, "{short.upper()}")'
            yield constant.name + ".name", constant.name + ".request"
        elif constant.name in EXCEPTIONS:
            if EXCEPTIONS[constant.name]:
                yield EXCEPTIONS[constant.name], constant.name
        elif constant.type != "bool":
            yield "KVM_" + short.upper(), constant.name
    yield from EXTRAS.items()


def preprocess(cc, *options):
    text = "#include <linux/kvm.h>\n#include <sys/syscall.h>\n#include <sys/eventfd.h>\n"
    return subprocess.run([cc, "-E", "-x", "c", *options, "-"], input=text, text=True, check=True,
                          stdout=subprocess.PIPE).stdout


def integers(cc, names):
    """Those names that are integer constants."""
    names = sorted(names)
    lines = [f"unsigned long v{i} = (unsigned long)({name});" for i, name in enumerate(names)]
    text = "#include <linux/kvm.h>\n#include <sys/syscall.h>\n#include <sys/eventfd.h>\n" + "\n".join(lines)
    errors = subprocess.run([cc, "-x", "c", "-fsyntax-only", "-w", "-fmax-errors=0", "-"], input=text, text=True,
                            stderr=subprocess.PIPE).stderr
    bad = {int(line) - 4 for line in re.findall(r"^<stdin>:(\d+):", errors, flags=re.M)}
    return [name for i, name in enumerate(names) if i not in bad]


def their_facts(cc):
    found = Declarations().add(preprocess(cc, "-P"), "<linux/kvm.h>")
    for name, members in found.structs.items():
        if name.startswith("kvm_"):
            yield from struct_facts("struct " + name, name, fields(found.structs, members, lambda type: type))
    names = set(re.findall(r"^#define (_*(?:KVM|NR|GUEST_MEMFD|EFD)\w*) +\S", preprocess(cc, "-dM"), flags=re.M))
    names |= {name for enum in found.enums for name in enum.enumerators if name.startswith("KVM_")}
    for name in integers(cc, names):
        yield name, name


def c_value(value):
    return value if value.startswith("ioctl(") else f"(unsigned long)({value})"


def main():
    side, out, *rest = sys.argv[1:]
    if side == "ours":
        facts, includes = our_facts(rest), "#include <cstddef>\n#include <kvm/kvm.hpp>\n"
        includes += "".join(f'#include "{header}"\n' for header in rest)
    else:
        facts = their_facts(rest[0])
        includes = "#include <linux/kvm.h>\n#include <sys/syscall.h>\n#include <sys/eventfd.h>\n#include <stddef.h>\n"
    with open(out, "w") as text:
        text.write(f"/* Made by tests/abi/facts.py. */\n{includes}#include \"fact.h\"\n\n")
        text.write(f"const struct fact facts_{side}[] = {{\n")
        for name, value in facts:
            name = name if name.startswith("kvm::") else f'"{name}"'
            text.write(f"    {{{name}, {c_value(value)}}},\n")
        text.write(f"}};\nconst unsigned long facts_{side}_count = sizeof facts_{side} / sizeof *facts_{side};\n")


main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""compare.py COMPILER OURS TWINS INCLUDE: of two programs with functions ours_X and twin_X, the instructions that
X needs: those of the function and of every function that it calls or jumps to, each once, but for
padding. No method of the library may need more than its twin in C; every method has one."""

import re
import subprocess
import sys

# Called by both sides, and counted for neither: the account of slots beyond the 64th.
BOTH = re.compile(r"slots_(take|drop)_more|SlotSet(9take|9drop)_moreE")
PADDING = re.compile(r"nop|data16|cs$|xchg\s+%ax,%ax|int3")
# Methods whose way to success has no instruction more than C's, but the compiler lays out the ways to an
# error with some more: at most so many.
TAILS = {
    "gcc": {"kvm_msrs": 9, "vcpu_msrs": 9, "vcpu_set_msr": 1, "vm_add_ioeventfd": 6, "vm_remove_ioeventfd": 2,
            "vm_add_memory": 6, "vm_set_memory_attributes": 1, "vm_set_user_memory_region": 5,
            "vm_set_user_memory_region2": 5, "vcpu_set_cpuid": 2, "vcpu_set_cpuid2": 2, "vcpu_set_nested_state": 2,
            "vm_set_gsi_routing": 2, "vm_set_pmu_event_filter": 2},
    "clang": {"kvm_msrs": 5, "vcpu_msrs": 5, "vm_add_ioeventfd": 3, "vm_remove_ioeventfd": 2,
              "vm_create_vcpu": 1},
}
# Methods without a twin, and why.
LIST = "fills a list on the heap, several system calls"
EXEMPT = {
    "Kvm::open": "opens a file: system calls", "Kvm::adopt": "asks what the descriptor is",
    "Kvm::adopt_vm": "asks what the descriptor is", "Vcpu::adopt": "asks what the descriptor is",
    "Kvm::supported_cpuid": LIST, "Kvm::emulated_cpuid": LIST, "Kvm::msr_index_list": LIST,
    "Kvm::msr_feature_index_list": LIST, "Kvm::supported_hv_cpuid": LIST, "Vcpu::supported_hv_cpuid": LIST,
    "Vcpu::cpuid2": LIST, "Vcpu::reg_list": LIST, "Vcpu::nested_state": LIST, "Vcpu::xsave2": LIST,
    "Vcpu::set_xsave2": "as set_xsave, which has one", "Vm::set_msr_filter": "builds a list of bitmaps",
    "Vm::stats": LIST, "Vcpu::stats": LIST, "Vm::create_guest_memfd": "makes an object with its mapping",
    "Vcpu::create_kick": "checks a signal, allocates once", "Vcpu::pre_fault_memory": "a loop of system calls",
    "Vcpu::complete_pending_io": "run() with a flag set around it",
}


def functions(program):
    """Each function's instructions, and the functions that it goes to."""
    text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", program], check=True, text=True,
                          stdout=subprocess.PIPE).stdout
    found, current = {}, None
    for line in text.splitlines():
        if start := re.match(r"[0-9a-f]+ <(.*)>:$", line):
            current = found[start[1]] = [0, set(), False]
        elif instruction := re.match(r"\s+[0-9a-f]+:\s+(.*\S)", line):
            if not PADDING.match(instruction[1]):
                current[0] += 1
            current[2] |= instruction[1].startswith("syscall")
            if target := re.match(r"(?:j\w+|call)\s+[0-9a-f]+ <([^+>]*)", instruction[1]):
                current[1].add(target[1])
    return found


def needs(all_functions, name):
    """Where ours_X only passes on to a function of the library, that function."""
    own = all_functions[name]
    if not own[2] and len(own[1]) == 1 and (callee := next(iter(own[1]))) in all_functions:
        name = callee
    seen, left = set(), [name]
    while left:
        one = left.pop()
        if one not in seen and one in all_functions and "@" not in one and not BOTH.search(one):
            seen.add(one)
            left += all_functions[one][1]
    return sum(all_functions[one][0] for one in seen)


METHOD = re.compile(r"^    (?:static )?(?:\[\[[^]]*\]\] )?[A-Za-z_][\w:]*(?:<[^()]*>)?[&*]? ([a-z]\w*)\(", re.M)


def methods(include):
    """The public methods of the four classes, as the headers declare them."""
    for name, files in {"Kvm": ("system.hpp", "x86_64/system.hpp"), "Vm": ("vm.hpp", "x86_64/vm.hpp"),
                        "Vcpu": ("vcpu.hpp", "x86_64/vcpu.hpp"), "Device": ("device.hpp",)}.items():
        for file in files:
            with open(f"{include}/kvm/{file}") as header:
                text = header.read()
            text = text[re.search(r"^class (Kvm|Vm|Vcpu|Device)", text, re.M).start():]
            text = re.sub(r"^(private|protected):.*?(?=^public:|^\};)", "", text, flags=re.M | re.S)
            yield from ((name, method) for method in METHOD.findall(text) if method not in ("return", "static_assert"))


def main():
    ours, twins = functions(sys.argv[2]), functions(sys.argv[3])
    names = sorted(name[5:] for name in ours if name.startswith("ours_") and not name.endswith(".cold"))
    wrong, equal, fewer, longer = [], 0, 0, 0
    print(f"{'instructions':34} {'kvmxx':>6} {'C':>6}")
    for name in names:
        if f"twin_{name}" not in twins:
            wrong.append(f"{name} has no twin")
            continue
        mine, theirs = needs(ours, f"ours_{name}"), needs(twins, f"twin_{name}")
        more = mine - theirs
        tail = 0 < more <= TAILS[sys.argv[1]].get(name, 0)
        print(f"{name:34} {mine:6} {theirs:6}{'  in error paths' if tail else '  TOO MANY' if more > 0 else ''}")
        if more > 0 and not tail:
            wrong.append(f"{name} needs {mine} instructions, C {theirs}")
        equal += more == 0
        fewer += more < 0
        longer += tail
    exempt = set()
    for class_name, method in methods(sys.argv[4]):
        full = f"{class_name}::{method}"
        if full in EXEMPT:
            exempt.add(full)
        elif f"{class_name.lower()}_{method}" not in names:
            wrong.append(f"{full} is not measured: give it a line in ours.cpp and a twin")
    print(f"{fewer} methods need fewer instructions than C, {equal} as many, {longer} more for errors; not measured:")
    for full in sorted(exempt):
        print(f"    {full}: {EXEMPT[full]}")
    for text in wrong:
        print("WRONG:", text)
    return 1 if wrong else 0


sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""facts.py ours OUT.cpp ARCH HEADER...: a table of every fact that the library's headers state, by the
kernel's name: numbers as the compiler computes them from the library's own constants and types. Of the
architectures other than ARCH, the ioctls.
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
    "kvm::x86_64::sev::GuestState": None,  # in documentation only
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
    "kvm::run::Hyperv": "kvm_hyperv_exit",
    "kvm::run::Xen": "kvm_xen_exit",
    "kvm::run::SnpReqCerts": "kvm_exit_snp_req_certs",
    "kvm::x86_64::sev::snp_id_block_size": "KVM_SEV_SNP_ID_BLOCK_SIZE",
    "kvm::x86_64::sev::snp_id_auth_size": "KVM_SEV_SNP_ID_AUTH_SIZE",
    "kvm::x86_64::sev::snp_finish_data_size": "KVM_SEV_SNP_FINISH_DATA_SIZE",
    "kvm::aarch64::HypercallFlag::insn_16bit": "KVM_HYPERCALL_EXIT_16BIT",
    "kvm::aarch64::DeviceAddr": "kvm_arm_device_addr",
    "kvm::aarch64::CopyMteTags": "kvm_arm_copy_mte_tags",
    "kvm::aarch64::CounterOffset": "kvm_arm_counter_offset",
    "kvm::aarch64::RegMaskRange": "reg_mask_range",
    "kvm::aarch64::CoreRegs": "kvm_regs",
    "kvm::aarch64::reg_mask_count": "KVM_ARM_FEATURE_ID_RANGE_SIZE",
    "kvm::aarch64::least_vcpu_mmap_size": None,
    "kvm::riscv64::CoreRegs": "kvm_riscv_core",
    "kvm::riscv64::AiaCsrRegs": "kvm_riscv_aia_csr",
    "kvm::riscv64::SmstateenCsrRegs": "kvm_riscv_smstateen_csr",
    "kvm::riscv64::SbiSta": "kvm_riscv_sbi_sta",
    "kvm::riscv64::SbiFwft": "kvm_riscv_sbi_fwft",
    "kvm::riscv64::SbiFwftFeature": "kvm_riscv_sbi_fwft_feature",
    "kvm::riscv64::TimerRegs": "kvm_riscv_timer",
    "kvm::riscv64::least_vcpu_mmap_size": None,
}
# Structures that the kernel has twice.
ALSO = {
    "kvm::x86_64::sev::Data": ["kvm_sev_launch_measure"],
    "kvm::x86_64::sev::Packet": ["kvm_sev_send_update_data", "kvm_sev_receive_update_data"],
}
# Structures whose size is not the kernel's: the head of its; those that grow with it, as they are no
# argument of an ioctl; empty ones.
HEADS = {
    "kvm::GuestDebugHeader": "kvm_guest_debug",
    "kvm::x86_64::SvmNestedStateHdr": "kvm_svm_nested_state_hdr",
    "kvm::riscv64::ConfigRegs": "kvm_riscv_config",
    "kvm::riscv64::CsrRegs": "kvm_riscv_csr",
    "kvm::riscv64::DebugExitArch": "kvm_debug_exit_arch",
    "kvm::riscv64::SyncRegs": "kvm_sync_regs",
}
# Fields of another path than the kernel's; None: padding that the kernel's compiler adds without a name.
FIELDS = {
    "kvm_guest_debug.debugreg": "kvm_guest_debug.arch.debugreg",
    "kvm_tdx_capabilities.nent": "kvm_tdx_capabilities.cpuid.nent",
    "kvm_tdx_capabilities.padding": "kvm_tdx_capabilities.cpuid.padding",
    "kvm_tdx_init_vm.nent": "kvm_tdx_init_vm.cpuid.nent",
    "kvm_tdx_init_vm.padding": "kvm_tdx_init_vm.cpuid.padding",
    "kvm_guest_debug.dbg_bcr": "kvm_guest_debug.arch.dbg_bcr",
    "kvm_guest_debug.dbg_bvr": "kvm_guest_debug.arch.dbg_bvr",
    "kvm_guest_debug.dbg_wcr": "kvm_guest_debug.arch.dbg_wcr",
    "kvm_guest_debug.dbg_wvr": "kvm_guest_debug.arch.dbg_wvr",
    "kvm_regs.regs": "kvm_regs.regs.regs",
    "kvm_regs.sp": "kvm_regs.regs.sp",
    "kvm_regs.pc": "kvm_regs.regs.pc",
    "kvm_regs.pstate": "kvm_regs.regs.pstate",
    "kvm_regs.vregs": "kvm_regs.fp_regs.vregs",
    "kvm_regs.fpsr": "kvm_regs.fp_regs.fpsr",
    "kvm_regs.fpcr": "kvm_regs.fp_regs.fpcr",
    "kvm_regs.reserved": None,
    "kvm_regs.pad": None,
    "kvm_riscv_core.pc": "kvm_riscv_core.regs.pc",
    "kvm_riscv_core.x": None,  # a member for each
    "kvm_msr_filter.pad": None,
    "kvm_msr_filter_range.pad": None,
}
# Room for what is larger on another architecture, or in another kernel.
UNSIZED = {"kvm_run.debug", "kvm_nested_state.hdr.svm"}
# Constants that are members or parts of something else: of every architecture, and of one.
EXTRAS = {
    "KVM_API_VERSION": "kvm::Kvm::api_version_expected",
    "KVM_DEV_VFIO_GROUP": "kvm::vfio::file_add.group",
    "KVM_DEV_VFIO_GROUP_ADD": "kvm::vfio::file_add.attr",
    "KVM_DEV_VFIO_GROUP_DEL": "kvm::vfio::file_del.attr",
    "EFD_SEMAPHORE": "kvm::EventFdFlag::semaphore",
    "EFD_NONBLOCK": "kvm::EventFdFlag::nonblock",
    "KVM_MEMORY_EXIT_FLAG_PRIVATE": "kvm::MemoryAttribute::private_memory",
    "KVM_REG_ARCH_MASK": "kvm::reg_arch_mask",
    **{f"KVM_REG_{arch.upper()}": f"kvm::reg_{arch}" for arch in ("x86", "arm64", "riscv")},
    **{f"KVM_REG_SIZE_U{8 << n}": f"kvm::reg_size_u{8 << n}" for n in range(9)},
}
ARCH_EXTRAS = {
    "x86_64": {
        "KVM_VCPU_TSC_CTRL": "kvm::x86_64::tsc_offset.group",
        "KVM_VCPU_TSC_OFFSET": "kvm::x86_64::tsc_offset.attr",
        "KVM_X86_GRP_SYSTEM": "kvm::x86_64::xcomp_guest_supp.group",
        "KVM_X86_XCOMP_GUEST_SUPP": "kvm::x86_64::xcomp_guest_supp.attr",
        "KVM_X86_GRP_SEV": "kvm::x86_64::sev::vmsa_features.group",
        "KVM_X86_SEV_VMSA_FEATURES": "kvm::x86_64::sev::vmsa_features.attr",
        "KVM_X86_SNP_POLICY_BITS": "kvm::x86_64::sev::snp_policy_bits.attr",
        "KVM_X86_SEV_SNP_REQ_CERTS": "kvm::x86_64::sev::snp_req_certs.attr",
        "KVM_TDX_MEASURE_MEMORY_REGION": "kvm::x86_64::tdx::Measure::yes",
    },
    "aarch64": {
        "KVM_ARM_VCPU_PMU_V3_CTRL": "kvm::aarch64::pmu_v3_irq.group",
        "KVM_ARM_VCPU_PMU_V3_IRQ": "kvm::aarch64::pmu_v3_irq.attr",
        "KVM_ARM_VCPU_PMU_V3_INIT": "kvm::aarch64::pmu_v3_init.attr",
        "KVM_ARM_VCPU_PMU_V3_FILTER": "kvm::aarch64::pmu_v3_filter.attr",
        "KVM_ARM_VCPU_PMU_V3_SET_PMU": "kvm::aarch64::pmu_v3_set_pmu.attr",
        "KVM_ARM_VCPU_PMU_V3_SET_NR_COUNTERS": "kvm::aarch64::pmu_v3_nr_counters.attr",
        "KVM_ARM_VCPU_TIMER_IRQ_HVTIMER": "kvm::aarch64::timer_irq_hvtimer.attr",
        "KVM_ARM_VCPU_TIMER_IRQ_HPTIMER": "kvm::aarch64::timer_irq_hptimer.attr",
        "KVM_ARM_VM_SMCCC_CTRL": "kvm::aarch64::smccc_filter.group",
        "KVM_ARM_VM_SMCCC_FILTER": "kvm::aarch64::smccc_filter.attr",
        "KVM_DEV_ARM_VGIC_GRP_MAINT_IRQ": "kvm::aarch64::vgic::maint_irq.group",
        "KVM_DEV_ARM_VGIC_USERSPACE_PPIS": "kvm::aarch64::vgic::userspace_ppis.attr",
        "KVM_REG_ARM_VENDOR_HYP_BMAP_2": "kvm::aarch64::vendor_hyp_bmap_2.value()",
        "KVM_ARM_VCPU_TIMER_CTRL": "kvm::aarch64::timer_irq_vtimer.group",
        "KVM_ARM_VCPU_TIMER_IRQ_VTIMER": "kvm::aarch64::timer_irq_vtimer.attr",
        "KVM_ARM_VCPU_TIMER_IRQ_PTIMER": "kvm::aarch64::timer_irq_ptimer.attr",
        "KVM_ARM_VCPU_PVTIME_CTRL": "kvm::aarch64::pvtime_ipa.group",
        "KVM_ARM_VCPU_PVTIME_IPA": "kvm::aarch64::pvtime_ipa.attr",
        "KVM_VGIC_V2_ADDR_TYPE_DIST": "kvm::aarch64::vgic::v2_addr_dist.attr",
        "KVM_VGIC_V2_ADDR_TYPE_CPU": "kvm::aarch64::vgic::v2_addr_cpu.attr",
        "KVM_VGIC_V3_ADDR_TYPE_DIST": "kvm::aarch64::vgic::v3_addr_dist.attr",
        "KVM_VGIC_V3_ADDR_TYPE_REDIST": "kvm::aarch64::vgic::v3_addr_redist.attr",
        "KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION": "kvm::aarch64::vgic::v3_addr_redist_region.attr",
        "KVM_VGIC_ITS_ADDR_TYPE": "kvm::aarch64::vgic::its_addr.attr",
        "KVM_VGIC_V2_DIST_SIZE": "kvm::aarch64::vgic::v2_dist_size",
        "KVM_VGIC_V2_CPU_SIZE": "kvm::aarch64::vgic::v2_cpu_size",
        "KVM_VGIC_V3_DIST_SIZE": "kvm::aarch64::vgic::v3_dist_size",
        "KVM_VGIC_V3_REDIST_SIZE": "kvm::aarch64::vgic::v3_redist_size",
        "KVM_VGIC_V3_ITS_SIZE": "kvm::aarch64::vgic::its_size",
        "KVM_DEV_ARM_VGIC_GRP_ADDR": "kvm::aarch64::vgic::v3_addr_dist.group",
        "KVM_DEV_ARM_VGIC_GRP_NR_IRQS": "kvm::aarch64::vgic::nr_irqs.group",
        "KVM_DEV_ARM_VGIC_GRP_CTRL": "kvm::aarch64::vgic::ctrl_init.group",
        "KVM_DEV_ARM_VGIC_CTRL_INIT": "kvm::aarch64::vgic::ctrl_init.attr",
        "KVM_DEV_ARM_ITS_SAVE_TABLES": "kvm::aarch64::vgic::its_save_tables.attr",
        "KVM_DEV_ARM_ITS_RESTORE_TABLES": "kvm::aarch64::vgic::its_restore_tables.attr",
        "KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES": "kvm::aarch64::vgic::save_pending_tables.attr",
        "KVM_DEV_ARM_ITS_CTRL_RESET": "kvm::aarch64::vgic::its_ctrl_reset.attr",
        "KVM_DEV_ARM_VGIC_GRP_DIST_REGS": "kvm::aarch64::vgic::dist_reg(0, 0).group",
        "KVM_DEV_ARM_VGIC_GRP_CPU_REGS": "kvm::aarch64::vgic::cpu_reg(0, 0).group",
        "KVM_DEV_ARM_VGIC_GRP_REDIST_REGS": "kvm::aarch64::vgic::redist_reg(0, 0).group",
        "KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS": "kvm::aarch64::vgic::cpu_sysreg(0, 0).group",
        "KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO": "kvm::aarch64::vgic::level_info(0, 0).group",
        "KVM_DEV_ARM_VGIC_GRP_ITS_REGS": "kvm::aarch64::vgic::its_reg(0).group",
        "KVM_REG_ARM_TIMER_CTL": "kvm::aarch64::timer_ctl.value()",
        "KVM_REG_ARM_TIMER_CNT": "kvm::aarch64::timer_cnt.value()",
        "KVM_REG_ARM_TIMER_CVAL": "kvm::aarch64::timer_cval.value()",
        "KVM_REG_ARM_PTIMER_CTL": "kvm::aarch64::ptimer_ctl.value()",
        "KVM_REG_ARM_PTIMER_CNT": "kvm::aarch64::ptimer_cnt.value()",
        "KVM_REG_ARM_PTIMER_CVAL": "kvm::aarch64::ptimer_cval.value()",
        "KVM_REG_ARM_PSCI_VERSION": "kvm::aarch64::psci_version.value()",
        "KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_1": "kvm::aarch64::smccc_arch_workaround_1.value()",
        "KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_2": "kvm::aarch64::smccc_arch_workaround_2.value()",
        "KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_3": "kvm::aarch64::smccc_arch_workaround_3.value()",
        "KVM_REG_ARM_STD_BMAP": "kvm::aarch64::std_bmap.value()",
        "KVM_REG_ARM_STD_HYP_BMAP": "kvm::aarch64::std_hyp_bmap.value()",
        "KVM_REG_ARM_VENDOR_HYP_BMAP": "kvm::aarch64::vendor_hyp_bmap.value()",
        "KVM_REG_ARM64_SVE_VLS": "kvm::aarch64::sve_vls.value()",
    },
    "riscv64": {
        "KVM_DEV_RISCV_AIA_GRP_CONFIG": "kvm::riscv64::aia::mode.group",
        "KVM_DEV_RISCV_AIA_CONFIG_MODE": "kvm::riscv64::aia::mode.attr",
        "KVM_DEV_RISCV_AIA_CONFIG_IDS": "kvm::riscv64::aia::ids.attr",
        "KVM_DEV_RISCV_AIA_CONFIG_SRCS": "kvm::riscv64::aia::sources.attr",
        "KVM_DEV_RISCV_AIA_CONFIG_GROUP_BITS": "kvm::riscv64::aia::group_bits.attr",
        "KVM_DEV_RISCV_AIA_CONFIG_GROUP_SHIFT": "kvm::riscv64::aia::group_shift.attr",
        "KVM_DEV_RISCV_AIA_CONFIG_HART_BITS": "kvm::riscv64::aia::hart_bits.attr",
        "KVM_DEV_RISCV_AIA_CONFIG_GUEST_BITS": "kvm::riscv64::aia::guest_bits.attr",
        "KVM_DEV_RISCV_AIA_GRP_ADDR": "kvm::riscv64::aia::addr_aplic.group",
        "KVM_DEV_RISCV_AIA_ADDR_APLIC": "kvm::riscv64::aia::addr_aplic.attr",
        "KVM_DEV_RISCV_APLIC_SIZE": "kvm::riscv64::aia::aplic_size",
        "KVM_DEV_RISCV_IMSIC_SIZE": "kvm::riscv64::aia::imsic_size",
        "KVM_DEV_RISCV_AIA_GRP_CTRL": "kvm::riscv64::aia::ctrl_init.group",
        "KVM_DEV_RISCV_AIA_CTRL_INIT": "kvm::riscv64::aia::ctrl_init.attr",
        "KVM_DEV_RISCV_AIA_GRP_APLIC": "kvm::riscv64::aia::aplic_reg(0).group",
        "KVM_DEV_RISCV_AIA_GRP_IMSIC": "kvm::riscv64::aia::imsic_reg(0, 0).group",
        "KVM_DEV_RISCV_AIA_MODE_EMUL": "kvm::riscv64::aia::Mode::emul",
        "KVM_DEV_RISCV_AIA_MODE_HWACCEL": "kvm::riscv64::aia::Mode::hwaccel",
        "KVM_DEV_RISCV_AIA_MODE_AUTO": "kvm::riscv64::aia::Mode::automatic",
    },
}
ARCHITECTURES = tuple(ARCH_EXTRAS)
# (arm64's header uses SZ_64K, which it does not define.)
PRELUDE = """#include <linux/kvm.h>
#include <sys/syscall.h>
#include <sys/eventfd.h>
#ifndef SZ_64K
#define SZ_64K 0x10000
#endif
"""


def snake(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def kernel_struct(name):
    if name in EXCEPTIONS or name in HEADS:
        return EXCEPTIONS.get(name, HEADS.get(name))
    parts = name.split("::")[1:]
    if parts[0] == "run":  # members of kvm_run, compared through it
        return None
    return "kvm_" + snake("_".join(p for p in parts if p not in ARCHITECTURES))


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
        full = f"{kernel}.{path}"
        if not name.startswith("struct "):
            full = FIELDS.get(full, full)
        if full:
            yield full + " offset", f"offsetof({name}, {path})"
            if full not in UNSIZED:
                yield full + " size", f"sizeof((({name}*)0)->{path})"


def resolver(structs):
    """Finds a type that one of our headers names, from any of our namespaces."""
    def resolve(name):
        for prefix in ("kvm::", "kvm::run::", "kvm::x86_64::", "kvm::x86_64::sev::", "kvm::x86_64::tdx::",
                       "kvm::aarch64::", "kvm::riscv64::"):
            if prefix + name in structs:
                return prefix + name
        return name
    return resolve


def our_facts(arch, headers):
    found = Declarations()
    for header in headers:
        with open(header) as text:
            found.add(text.read(), header)
    payloads = "kvm::exit::"
    for name, members in found.structs.items():
        kernel = kernel_struct(name)
        for kernel in [kernel, *ALSO.get(name, [])] if kernel and not name.startswith(payloads) else []:
            yield from struct_facts(name, kernel, fields(found.structs, members, resolver(found.structs)))
    for enum in found.enums:
        if enum.name in EXCEPTIONS:
            continue
        for enumerator in enum.enumerators:
            if not enum.scoped:  # system calls: nr_ioctl
                scope = enum.name.rpartition("::")[0]
                if scope == "kvm::generic" and arch == "x86_64":
                    continue
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
    yield from ARCH_EXTRAS[arch].items()


def preprocess(cc, *options):
    text = PRELUDE
    return subprocess.run([cc, "-E", "-x", "c", *options, "-"], input=text, text=True, check=True,
                          stdout=subprocess.PIPE).stdout


def integers(cc, names):
    """Those names that are integer constants."""
    names = sorted(names)
    lines = [f"unsigned long v{i} = (unsigned long)({name});" for i, name in enumerate(names)]
    text = PRELUDE + "\n".join(lines)
    errors = subprocess.run([cc, "-x", "c", "-fsyntax-only", "-w", "-fmax-errors=0", "-"], input=text, text=True,
                            stderr=subprocess.PIPE).stderr
    bad = {int(line) - PRELUDE.count("\n") - 1 for line in re.findall(r"^<stdin>:(\d+):", errors, flags=re.M)}
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
        arch, *headers = rest
        facts, includes = our_facts(arch, headers), "#include <cstddef>\n#include <kvm/kvm.hpp>\n"
        own = {"x86_64": ("sev", "tdx"), "aarch64": ("gic", "one_reg"), "riscv64": ("aia", "one_reg")}
        includes += "".join(f"#include <kvm/{arch}/{header}.hpp>\n" for header in own[arch])
        includes += "".join(f'#include "{header}"\n' for header in headers)
    else:
        facts = their_facts(rest[0])
        includes = PRELUDE + "#include <stddef.h>\n"
    with open(out, "w") as text:
        text.write(f"/* Made by tests/abi/facts.py. */\n{includes}#include \"fact.h\"\n\n")
        text.write(f"const struct fact facts_{side}[] = {{\n")
        for name, value in facts:
            name = name if name.startswith("kvm::") else f'"{name}"'
            text.write(f"    {{{name}, {c_value(value)}}},\n")
        text.write(f"}};\nconst unsigned long facts_{side}_count = sizeof facts_{side} / sizeof *facts_{side};\n")


main()

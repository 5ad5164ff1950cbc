// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/abi/x86_64.hpp>

/// The bits that capabilities answer and take. A kernel may know more; Flags keeps what it does not
/// name.
namespace kvm {

/// An argument of 0 or 1.
enum class Switch : u64 { off = 0, on = 1 };

/// A descriptor's number as a capability's argument.
enum class FdNumber : s32 {};

/// KVM_XEN_HVM_CONFIG_*.
enum class XenHvmFlag : u32 {
    hypercall_msr = 1,
    intercept_hcall = 2,
    shared_info = 4,
    runstate = 8,
    evtchn_2level = 16,
    evtchn_send = 32,
    runstate_update_flag = 64,
    pvclock_tsc_unstable = 128,
    shared_info_hva = 256,
};

/// KVM_X86_DISABLE_EXITS_*: instructions that a guest executes without an exit.
enum class DisableExit : u32 { mwait = 1, hlt = 2, pause = 4, cstate = 8, aperfmperf = 16 };

/// KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE, KVM_DIRTY_LOG_INITIALLY_SET.
enum class ManualDirtyLogFlag : u32 { enable = 1, initially_set = 2 };

/// KVM_X2APIC_API_*.
enum class X2apicApiFlag : u64 {
    use_32bit_ids = 1,
    disable_broadcast_quirk = 2,
    enable_suppress_eoi_broadcast = 4,
    disable_suppress_eoi_broadcast = 8,
};

/// KVM_MSR_EXIT_REASON_*: why an MSR access exits to user space.
enum class MsrExitReason : u32 { inval = 1, unknown = 2, filter = 4 };

/// KVM_BUS_LOCK_DETECTION_*.
enum class BusLockFlag : u32 { off = 1, exit = 2 };

/// KVM_PMU_CAP_DISABLE.
enum class PmuCapFlag : u32 { disable = 1 };

/// KVM_MEMORY_ATTRIBUTE_PRIVATE.
enum class MemoryAttribute : u64 { private_memory = 8 };

/// GUEST_MEMFD_FLAG_*.
enum class GuestMemfdFlag : u64 { mmap = 1, init_shared = 2 };

/// KVM_X86_QUIRK_*: historic misbehaviour that a VMM may switch off.
enum class Quirk : u64 {
    lint0_reenabled = 1 << 0,
    cd_nw_cleared = 1 << 1,
    lapic_mmio_hole = 1 << 2,
    out_7e_inc_rip = 1 << 3,
    misc_enable_no_mwait = 1 << 4,
    fix_hypercall_insn = 1 << 5,
    mwait_never_ud_faults = 1 << 6,
    slot_zap_all = 1 << 7,
    stuff_feature_msrs = 1 << 8,
    ignore_guest_pat = 1 << 9,
    vmcs12_allow_freeze_in_smm = 1 << 10,
    nested_svm_shared_pat = 1 << 11,
};

/// Bits of NotifyVmexit: KVM_X86_NOTIFY_VMEXIT_*.
enum class NotifyVmexitFlag : u32 { enabled = 1, user = 2 };
template <>
inline constexpr bool is_flag_enum<NotifyVmexitFlag> = true;

/// cap::x86_notify_vmexit's argument: after how many TSC cycles without an event window the CPU
/// exits, and whether that reaches user space as exit::Notify.
class NotifyVmexit {
public:
    /// A window of cycles, and what is to become of it.
    constexpr NotifyVmexit(u32 window, Flags<NotifyVmexitFlag> flags)
        : bits_(u64(window) << 32 | flags.bits()) {}

    /// The argument as the kernel's word.
    constexpr u64 bits() const { return bits_; }

private:
    u64 bits_;
};

/// 1 << KVM_HC_*: hypercalls that exit to user space.
enum class HypercallExit : u64 { map_gpa_range = 1 << 12 };

/// 1 << VmType: the types that Kvm::create_vm() takes here.
enum class VmTypeBit : u32 {
    default_vm = 1 << 0,
    sw_protected_vm = 1 << 1,
    sev_vm = 1 << 2,
    sev_es_vm = 1 << 3,
    snp_vm = 1 << 4,
    tdx_vm = 1 << 5,
};

template <>
inline constexpr bool is_flag_enum<XenHvmFlag> = true;
template <>
inline constexpr bool is_flag_enum<DisableExit> = true;
template <>
inline constexpr bool is_flag_enum<ManualDirtyLogFlag> = true;
template <>
inline constexpr bool is_flag_enum<X2apicApiFlag> = true;
template <>
inline constexpr bool is_flag_enum<MsrExitReason> = true;
template <>
inline constexpr bool is_flag_enum<BusLockFlag> = true;
template <>
inline constexpr bool is_flag_enum<MemoryAttribute> = true;
template <>
inline constexpr bool is_flag_enum<GuestMemfdFlag> = true;
template <>
inline constexpr bool is_flag_enum<Quirk> = true;
template <>
inline constexpr bool is_flag_enum<VmTypeBit> = true;

}  // namespace kvm

// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/abi/common.hpp>

/// The structures of arm64's asm/kvm.h. See kvm/abi/common.hpp for the manner.
namespace kvm::aarch64 {

using kvm::operator|;  // of flags: a lookup by argument does not look into kvm

/// Bits of VcpuInit::features: KVM_ARM_VCPU_*, by number.
enum class VcpuFeature : u32 {
    power_off = 0,        // starts switched off: PSCI's CPU_ON starts it
    el1_32bit = 1,        // cap::arm_el1_32bit
    psci_0_2 = 2,         // cap::arm_psci_0_2
    pmu_v3 = 3,           // cap::arm_pmu_v3
    sve = 4,              // cap::arm_sve; to be finalised
    ptrauth_address = 5,  // cap::arm_ptrauth_address
    ptrauth_generic = 6,  // cap::arm_ptrauth_generic
    has_el2 = 7,          // cap::arm_el2
    has_el2_e2h0 = 8,     // cap::arm_el2_e2h0
};

/// VcpuInit::target: KVM_ARM_TARGET_*. Vm::preferred_target() tells the host's.
enum class VcpuTarget : u32 {
    aem_v8 = 0,
    foundation_v8 = 1,
    cortex_a57 = 2,
    xgene_potenza = 3,
    cortex_a53 = 4,
    generic_v8 = 5,
};

struct VcpuInit {     // KVM_ARM_VCPU_INIT, KVM_ARM_PREFERRED_TARGET
    u32 target;       //  0, VcpuTarget
    u32 features[7];  //  4

    /// Asks for a feature.
    constexpr void set(VcpuFeature feature) {
        features[static_cast<u32>(feature) / 32] |= 1u << static_cast<u32>(feature) % 32;
    }
};
static_assert(sizeof(VcpuInit) == 32);

/// The device of KVM_ARM_SET_DEVICE_ADDR.
inline constexpr u32 arm_device_vgic_v2 = 0;

struct DeviceAddr {  // KVM_ARM_SET_DEVICE_ADDR
    u64 id;          //  0, device << 16 | type of address
    u64 addr;        //  8
};
static_assert(sizeof(DeviceAddr) == 16);

/// CopyMteTags::flags: KVM_ARM_TAGS_*.
enum class MteTags : u64 { to_guest = 0, from_guest = 1 };

struct CopyMteTags {  // KVM_ARM_MTE_COPY_TAGS
    u64 guest_ipa;    //  0, page-aligned
    u64 length;       //  8, bytes of guest memory
    void* addr;       // 16, a byte per 16 bytes of guest memory
    MteTags flags;    // 24
    u64 reserved[2];  // 32
};
static_assert(sizeof(CopyMteTags) == 48);

struct CounterOffset {   // KVM_ARM_SET_COUNTER_OFFSET
    u64 counter_offset;  //  0
    u64 reserved;        //  8
};
static_assert(sizeof(CounterOffset) == 16);

struct RegMaskRange {  // KVM_ARM_GET_REG_WRITABLE_MASKS
    u64 addr;          //  0, of u64[reg_mask_count]
    u32 range;         //  8, 0: the feature id registers
    u32 reserved[13];  // 12
};
static_assert(sizeof(RegMaskRange) == 64);
/// The feature id registers, op0 3, op1 0, 1 and 3, crn 0, crm 0 to 7, op2 0 to 7.
inline constexpr std::size_t reg_mask_count = 3 * 8 * 8;

struct GuestDebug {   // KVM_SET_GUEST_DEBUG
    u32 control;      //   0, Flags<GuestDebugFlag>
    u32 pad;          //   4
    u64 dbg_bcr[16];  //   8, breakpoints: control
    u64 dbg_bvr[16];  // 136, and address
    u64 dbg_wcr[16];  // 264, watchpoints: control
    u64 dbg_wvr[16];  // 392, and address
};
static_assert(sizeof(GuestDebug) == 520);

/// Bits of GuestDebug::control: KVM_GUESTDBG_*.
enum class GuestDebugFlag : u32 {
    enable = 1,
    singlestep = 2,
    use_sw_bp = 0x10000,
    use_hw = 0x20000
};

struct DebugExitArch {  // kvm_run's `debug`
    u32 hsr;            //  0, ESR_EL2
    u32 hsr_high;       //  4, its upper half, with kvm_run.flags bit 0
    u64 far;            //  8, of watchpoints
};
static_assert(sizeof(DebugExitArch) == 16);

/// Bits of SyncRegs::device_irq_level: KVM_ARM_DEV_*.
enum class DeviceIrq : u64 { el1_vtimer = 1, el1_ptimer = 2, pmu = 4 };

struct SyncRegs {          // kvm_run's `s`
    u64 device_irq_level;  //  0, Flags<DeviceIrq>, with cap::arm_user_irq
};
static_assert(sizeof(SyncRegs) == 8);

struct VcpuEvents {  // KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS
    struct {
        u8 serror_pending;    //  0
        u8 serror_has_esr;    //  1
        u8 ext_dabt_pending;  //  2, set only
        u8 pad[5];            //  3
        u64 serror_esr;       //  8
    } exception;
    u32 reserved[12];  // 16
};
static_assert(sizeof(VcpuEvents) == 64);

/// KVM_PMU_EVENT_*.
enum class PmuEventAction : u8 { allow = 0, deny = 1 };

struct PmuEventFilter {     // KVM_ARM_VCPU_PMU_V3_FILTER
    u16 base_event;         //  0
    u16 nevents;            //  2
    PmuEventAction action;  //  4
    u8 pad[3];              //  5
};
static_assert(sizeof(PmuEventFilter) == 8);

/// KVM_SMCCC_FILTER_*.
enum class SmcccAction : u8 { handle = 0, deny = 1, fwd_to_user = 2 };

struct SmcccFilter {     // KVM_ARM_VM_SMCCC_FILTER
    u32 base;            //  0, a function id
    u32 nr_functions;    //  4
    SmcccAction action;  //  8
    u8 pad[15];          //  9
};
static_assert(sizeof(SmcccFilter) == 24);

/// The values of the registers smccc_arch_workaround_1, _2 and _3:
/// KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_1_*.
enum class SmcccArchWorkaround1 : u64 { not_avail = 0, avail = 1, not_required = 2 };
/// KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_2_*: `enabled` is a bit beside the others.
enum class SmcccArchWorkaround2 : u64 {
    not_avail = 0,
    unknown = 1,
    avail = 2,
    not_required = 3,
    enabled = 16,
};
/// KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_3_*.
enum class SmcccArchWorkaround3 : u64 { not_avail = 0, avail = 1, not_required = 2 };

/// The bits, by number, of the registers std_bmap, std_hyp_bmap, vendor_hyp_bmap,
/// vendor_hyp_bmap_2: KVM_REG_ARM_STD_BIT_*.
enum class StdBit : u32 { trng_v1_0 = 0 };
/// KVM_REG_ARM_STD_HYP_BIT_*.
enum class StdHypBit : u32 { pv_time = 0 };
/// KVM_REG_ARM_VENDOR_HYP_BIT_*.
enum class VendorHypBit : u32 { func_feat = 0, ptp = 1 };
/// KVM_REG_ARM_VENDOR_HYP_BIT_*.
enum class VendorHyp2Bit : u32 { discover_impl_ver = 0, discover_impl_cpus = 1 };

/// The layout whose offsets name the core registers: struct kvm_regs, not used by an ioctl.
struct CoreRegs {
    u64 regs[31];      //   0
    u64 sp;            // 248, SP_EL0
    u64 pc;            // 256
    u64 pstate;        // 264
    u64 sp_el1;        // 272
    u64 elr_el1;       // 280
    u64 spsr[5];       // 288
    u64 pad;           // 328
    u64 vregs[32][2];  // 336
    u32 fpsr;          // 848
    u32 fpcr;          // 852
    u32 reserved[2];   // 856
};
static_assert(sizeof(CoreRegs) == 864 && offsetof(CoreRegs, vregs) == 336);

/// The type of a VM: how many bits its physical addresses have (cap::arm_vm_ipa_size says how many
/// at most; 0 means 40), and whether it is protected.
enum class VmType : u64 {};
inline constexpr u64 vm_type_arm_ipa_size_mask = 0xff;
constexpr VmType ipa_size(u32 bits) { return VmType(bits & vm_type_arm_ipa_size_mask); }

/// Bits of run::Hypercall::flags: KVM_HYPERCALL_EXIT_SMC, KVM_HYPERCALL_EXIT_16BIT.
enum class HypercallFlag : u64 { smc = 1, insn_16bit = 2 };

/// Bits of exit::SystemEvent's first word: KVM_SYSTEM_EVENT_*.
enum class SystemEventFlag : u64 { reset_flag_psci_reset2 = 1, shutdown_flag_psci_off2 = 1 };

/// exit::FailEntry's reason on a CPU that has not what the vCPU was given.
inline constexpr u64 exit_fail_entry_cpu_unsupported = 1;

/// Bits of kvm_run.flags in a debug exit: KVM_DEBUG_ARCH_HSR_HIGH_VALID.
enum class RunFlag : u16 { hsr_high_valid = 1 };

/// kvm_run's page.
inline constexpr std::size_t least_vcpu_mmap_size = 4096;

}  // namespace kvm::aarch64

namespace kvm {

template <>
inline constexpr bool is_flag_enum<aarch64::GuestDebugFlag> = true;
template <>
inline constexpr bool is_flag_enum<aarch64::DeviceIrq> = true;

}  // namespace kvm

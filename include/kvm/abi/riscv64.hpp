// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/abi/common.hpp>

/// The structures of riscv's asm/kvm.h, 64-bit. See kvm/abi/common.hpp for the manner. Those whose
/// offsets name registers are no ioctl's argument.
namespace kvm::riscv64 {

using kvm::operator|;  // of flags: a lookup by argument does not look into kvm

struct GuestDebug {  // KVM_SET_GUEST_DEBUG
    u32 control;     //  0, Flags<GuestDebugFlag>
    u32 pad;         //  4
};
static_assert(sizeof(GuestDebug) == 8);

/// Bits of GuestDebug::control: KVM_GUESTDBG_*.
enum class GuestDebugFlag : u32 { enable = 1 };

/// riscv puts nothing into kvm_run's `debug` and `s`.
struct DebugExitArch {};
struct SyncRegs {};

/// KVM_INTERRUPT's two values: KVM_INTERRUPT_SET, KVM_INTERRUPT_UNSET.
enum class ExternalInterrupt : u32 { set = 0xffffffff, unset = 0xfffffffe };

struct ConfigRegs {         // KVM_REG_RISCV_CONFIG
    u64 isa;                //  0
    u64 zicbom_block_size;  //  8
    u64 mvendorid;          // 16
    u64 marchid;            // 24
    u64 mimpid;             // 32
    u64 zicboz_block_size;  // 40
    u64 satp_mode;          // 48
    u64 zicbop_block_size;  // 56
};
static_assert(sizeof(ConfigRegs) == 64);

/// KVM_RISCV_MODE_*: user, supervisor.
enum class PrivilegeMode : u64 { u = 0, s = 1 };

struct CoreRegs {        // KVM_REG_RISCV_CORE
    u64 pc;              //   0
    u64 x[31];           //   8, x1 to x31
    PrivilegeMode mode;  // 256
};
static_assert(sizeof(CoreRegs) == 264);

struct CsrRegs {     // KVM_REG_RISCV_CSR_GENERAL
    u64 sstatus;     //  0
    u64 sie;         //  8
    u64 stvec;       // 16
    u64 sscratch;    // 24
    u64 sepc;        // 32
    u64 scause;      // 40
    u64 stval;       // 48
    u64 sip;         // 56
    u64 satp;        // 64
    u64 scounteren;  // 72
    u64 senvcfg;     // 80
};
static_assert(sizeof(CsrRegs) == 88);

struct AiaCsrRegs {  // KVM_REG_RISCV_CSR_AIA
    u64 siselect;    //  0
    u64 iprio1;      //  8
    u64 iprio2;      // 16
    u64 sieh;        // 24
    u64 siph;        // 32
    u64 iprio1h;     // 40
    u64 iprio2h;     // 48
};
static_assert(sizeof(AiaCsrRegs) == 56);

struct SmstateenCsrRegs {  // KVM_REG_RISCV_CSR_SMSTATEEN
    u64 sstateen0;         //  0
};

/// KVM_RISCV_TIMER_STATE_*.
enum class TimerState : u64 { off = 0, on = 1 };

struct TimerRegs {     // KVM_REG_RISCV_TIMER
    u64 frequency;     //  0, Hz
    u64 time;          //  8
    u64 compare;       // 16
    TimerState state;  // 24
};
static_assert(sizeof(TimerRegs) == 32);

struct SbiSta {    // KVM_REG_RISCV_SBI_STA: where the guest finds its stolen time
    u64 shmem_lo;  //  0
    u64 shmem_hi;  //  8
};

struct SbiFwftFeature {
    u64 enable;  //  0
    u64 flags;   //  8
    u64 value;   // 16
};

struct SbiFwft {                      // KVM_REG_RISCV_SBI_FWFT
    SbiFwftFeature misaligned_deleg;  //  0
    SbiFwftFeature pointer_masking;   // 24
};

/// KVM_RISCV_ISA_EXT_*: KVM's own numbers of ISA extensions, for isa_ext().
enum class IsaExt : u64 {
    // clang-format off
    a, c, d, f, h, i, m, svpbmt, sstc,
    svinval, zihintpause, zicbom, zicboz, zbb, ssaia, v, svnapot, zba,
    zbs, zicntr, zicsr, zifencei, zihpm, smstateen, zicond, zbc, zbkb,
    zbkc, zbkx, zknd, zkne, zknh, zkr, zksed, zksh, zkt,
    zvbb, zvbc, zvkb, zvkg, zvkned, zvknha, zvknhb, zvksed, zvksh,
    zvkt, zfh, zfhmin, zihintntl, zvfh, zvfhmin, zfa, ztso, zacas,
    sscofpmf, zimop, zca, zcb, zcd, zcf, zcmop, zawrs, smnpm,
    ssnpm, svade, svadu, svvptc, zabha, ziccrse, zaamo, zalrsc, zicbop,
    zfbfmin, zvfbfmin, zvfbfwma, zclsd, zilsd, zalasr,
    // clang-format on
};

/// KVM_RISCV_SBI_EXT_*: KVM's own numbers of SBI extensions, for sbi_ext().
enum class SbiExt : u64 {
    // clang-format off
    v01, time, ipi, rfence, srst, hsm, pmu, experimental, vendor,
    dbcn, sta, susp, fwft, mpxy,
    // clang-format on
};

/// riscv has one type of vm.
enum class VmType : u64 {};

/// riscv has no exit for hypercalls: its SBI has exit::RiscvSbi.
enum class HypercallFlag : u64 {};

/// riscv sets no bits in kvm_run.flags.
enum class RunFlag : u16 {};

/// kvm_run's page.
inline constexpr std::size_t least_vcpu_mmap_size = 4096;

}  // namespace kvm::riscv64

// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/abi/common.hpp>

/// The structures of x86_64's asm/kvm.h. See kvm/abi/common.hpp for the manner.
namespace kvm::x86_64 {

using kvm::operator|;  // of flags: a lookup by argument does not look into kvm

struct Regs {                // KVM_GET_REGS, KVM_SET_REGS
    u64 rax, rbx, rcx, rdx;  //   0
    u64 rsi, rdi, rsp, rbp;  //  32
    u64 r8, r9, r10, r11;    //  64
    u64 r12, r13, r14, r15;  //  96
    u64 rip, rflags;         // 128
};
static_assert(sizeof(Regs) == 144);

struct Segment {
    u64 base;                           //  0
    u32 limit;                          //  8
    u16 selector;                       // 12
    u8 type;                            // 14
    u8 present, dpl, db, s, l, g, avl;  // 15
    u8 unusable;                        // 22
    u8 padding;                         // 23
};
static_assert(sizeof(Segment) == 24);

struct Dtable {
    u64 base;        //  0
    u16 limit;       //  8
    u16 padding[3];  // 10
};
static_assert(sizeof(Dtable) == 16);

inline constexpr u32 nr_interrupts = 256;

struct Sregs {                                        // KVM_GET_SREGS, KVM_SET_SREGS
    Segment cs, ds, es, fs, gs, ss;                   //   0
    Segment tr, ldt;                                  // 144
    Dtable gdt, idt;                                  // 192
    u64 cr0, cr2, cr3, cr4, cr8;                      // 224
    u64 efer;                                         // 264
    u64 apic_base;                                    // 272
    u64 interrupt_bitmap[(nr_interrupts + 63) / 64];  // 280
};
static_assert(sizeof(Sregs) == 312);

/// Bits of Sregs2::flags: KVM_SREGS2_FLAGS_PDPTRS_VALID.
enum class Sregs2Flag : u64 { pdptrs_valid = 1 };

struct Sregs2 {                      // KVM_GET_SREGS2, KVM_SET_SREGS2
    Segment cs, ds, es, fs, gs, ss;  //   0
    Segment tr, ldt;                 // 144
    Dtable gdt, idt;                 // 192
    u64 cr0, cr2, cr3, cr4, cr8;     // 224
    u64 efer;                        // 264
    u64 apic_base;                   // 272
    u64 flags;                       // 280, Flags<Sregs2Flag>
    u64 pdptrs[4];                   // 288
};
static_assert(sizeof(Sregs2) == 320);

struct Fpu {          // KVM_GET_FPU, KVM_SET_FPU
    u8 fpr[8][16];    //   0
    u16 fcw;          // 128
    u16 fsw;          // 130
    u8 ftwx;          // 132, as FXSAVE has it
    u8 pad1;          // 133
    u16 last_opcode;  // 134
    u64 last_ip;      // 136
    u64 last_dp;      // 144
    u8 xmm[16][16];   // 152
    u32 mxcsr;        // 408
    u32 pad2;         // 412
};
static_assert(sizeof(Fpu) == 416);

inline constexpr u32 apic_reg_size = 0x400;

struct LapicState {  // KVM_GET_LAPIC, KVM_SET_LAPIC: the APIC page's first KiB
    u8 regs[apic_reg_size];
};
static_assert(sizeof(LapicState) == 1024);

struct MsrEntry {
    u32 index;     //  0
    u32 reserved;  //  4
    u64 data;      //  8
};
static_assert(sizeof(MsrEntry) == 16);

struct Msrs {   // KVM_GET_MSRS, KVM_SET_MSRS; MsrEntry[nmsrs] follows
    u32 nmsrs;  //  0
    u32 pad;    //  4
};
static_assert(sizeof(Msrs) == 8);

struct MsrList {  // KVM_GET_MSR_INDEX_LIST; u32[nmsrs] follows
    u32 nmsrs;    //  0
};
static_assert(sizeof(MsrList) == 4);

/// Bits of CpuidEntry2::flags: KVM_CPUID_FLAG_*.
enum class CpuidFlag : u32 { signifcant_index = 1, stateful_func = 2, state_read_next = 4 };

struct CpuidEntry2 {
    u32 function;    //  0, the leaf
    u32 index;       //  4, the subleaf
    u32 flags;       //  8, Flags<CpuidFlag>
    u32 eax;         // 12
    u32 ebx;         // 16
    u32 ecx;         // 20
    u32 edx;         // 24
    u32 padding[3];  // 28
};
static_assert(sizeof(CpuidEntry2) == 40);

struct Cpuid2 {   // KVM_GET_SUPPORTED_CPUID, KVM_SET_CPUID2; CpuidEntry2[nent] follows
    u32 nent;     //  0
    u32 padding;  //  4
};
static_assert(sizeof(Cpuid2) == 8);

struct PicState {                                // KVM_GET_IRQCHIP with a PIC
    u8 last_irr, irr, imr, isr;                  //  0
    u8 priority_add, irq_base, read_reg_select;  //  4
    u8 poll, special_mask, init_state;           //  7
    u8 auto_eoi, rotate_on_auto_eoi;             // 10
    u8 special_fully_nested_mode, init4;         // 12
    u8 elcr, elcr_mask;                          // 14
};
static_assert(sizeof(PicState) == 16);

inline constexpr u32 ioapic_num_pins = 24;

struct IoapicState {                // KVM_GET_IRQCHIP with the I/O APIC
    u64 base_address;               //  0
    u32 ioregsel;                   //  8
    u32 id;                         // 12
    u32 irr;                        // 16
    u32 pad;                        // 20
    u64 redirtbl[ioapic_num_pins];  // 24, as the I/O APIC's registers have it
};
static_assert(sizeof(IoapicState) == 216);

/// KVM_IRQCHIP_*: which interrupt controller.
enum class IrqchipId : u32 { pic_master = 0, pic_slave = 1, ioapic = 2 };

struct Irqchip {        // KVM_GET_IRQCHIP, KVM_SET_IRQCHIP
    IrqchipId chip_id;  //  0
    u32 pad;            //  4
    union {
        PicState pic;
        IoapicState ioapic;
        u8 dummy[512];
    } chip;  //  8
};
static_assert(sizeof(Irqchip) == 520);

/// Bits of PitConfig::flags: KVM_PIT_SPEAKER_DUMMY.
enum class PitFlag : u32 { speaker_dummy = 1 };

struct PitConfig {  // KVM_CREATE_PIT2
    u32 flags;      //  0, Flags<PitFlag>
    u32 pad[15];    //  4
};
static_assert(sizeof(PitConfig) == 64);

struct PitChannelState {
    u32 count;                                         //  0, up to 65536
    u16 latched_count;                                 //  4
    u8 count_latched, status_latched, status;          //  6
    u8 read_state, write_state, write_latch, rw_mode;  //  9
    u8 mode, bcd, gate;                                // 13
    s64 count_load_time;                               // 16, nanoseconds
};
static_assert(sizeof(PitChannelState) == 24);

/// Bits of PitState2::flags: KVM_PIT_FLAGS_*.
enum class PitStateFlag : u32 { hpet_legacy = 1, speaker_data_on = 2 };

struct PitState2 {                // KVM_GET_PIT2, KVM_SET_PIT2
    PitChannelState channels[3];  //  0
    u32 flags;                    // 72, Flags<PitStateFlag>
    u32 reserved[9];              // 76
};
static_assert(sizeof(PitState2) == 112);

struct ReinjectControl {  // KVM_REINJECT_CONTROL
    u8 pit_reinject;      //  0
    u8 reserved[31];      //  1
};
static_assert(sizeof(ReinjectControl) == 32);

struct DebugExitArch {  // kvm_run's `debug`
    u32 exception;      //  0, the vector: 1 #DB, 3 #BP
    u32 pad;            //  4
    u64 pc;             //  8
    u64 dr6;            // 16
    u64 dr7;            // 24
};
static_assert(sizeof(DebugExitArch) == 32);

/// Bits of GuestDebug::control: KVM_GUESTDBG_*.
enum class GuestDebugFlag : u32 {
    enable = 1,
    singlestep = 2,
    use_sw_bp = 0x10000,
    use_hw_bp = 0x20000,
    inject_db = 0x40000,
    inject_bp = 0x80000,
    blockirq = 0x100000,
};

struct GuestDebug {   // KVM_SET_GUEST_DEBUG
    u32 control;      //  0, Flags<GuestDebugFlag>
    u32 pad;          //  4
    u64 debugreg[8];  //  8, DR0..DR7
};
static_assert(sizeof(GuestDebug) == 72);

/// Bits of VcpuEvents::flags: KVM_VCPUEVENT_VALID_*.
enum class VcpuEventFlag : u32 {
    nmi_pending = 1,
    sipi_vector = 2,
    shadow = 4,
    smm = 8,
    payload = 16,
    triple_fault = 32,
};

/// Bits of VcpuEvents::interrupt.shadow: KVM_X86_SHADOW_INT_*.
enum class InterruptShadow : u8 { mov_ss = 1, sti = 2 };

struct VcpuEvents {  // KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS
    struct {
        u8 injected, nr, has_error_code, pending;
        u32 error_code;
    } exception;  //  0
    struct {
        u8 injected, nr, soft;
        u8 shadow;  // Flags<InterruptShadow>
    } interrupt;    //  8
    struct {
        u8 injected, pending, masked, pad;
    } nmi;            // 12
    u32 sipi_vector;  // 16
    u32 flags;        // 20, Flags<VcpuEventFlag>
    struct {
        u8 smm, pending, smm_inside_nmi, latched_init;
    } smi;  // 24
    struct {
        u8 pending;
    } triple_fault;            // 28
    u8 reserved[26];           // 29
    u8 exception_has_payload;  // 55
    u64 exception_payload;     // 56
};
static_assert(sizeof(VcpuEvents) == 64 && offsetof(VcpuEvents, exception_has_payload) == 55);

struct Debugregs {    // KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS
    u64 db[4];        //  0
    u64 dr6;          // 32
    u64 dr7;          // 40
    u64 flags;        // 48
    u64 reserved[9];  // 56
};
static_assert(sizeof(Debugregs) == 128);

struct Xsave {         // KVM_GET_XSAVE; with KVM_GET_XSAVE2, u32[] follow
    u32 region[1024];  // the XSAVE area, laid out as CPUID leaf 0xd says
};
static_assert(sizeof(Xsave) == 4096);

struct Xcr {
    u32 xcr;       //  0
    u32 reserved;  //  4
    u64 value;     //  8
};

inline constexpr u32 max_xcrs = 16;

struct Xcrs {            // KVM_GET_XCRS, KVM_SET_XCRS
    u32 nr_xcrs;         //   0
    u32 flags;           //   4
    Xcr xcrs[max_xcrs];  //   8
    u64 padding[16];     // 264
};
static_assert(sizeof(Xcrs) == 392);

/// Bits of kvm_valid_regs and kvm_dirty_regs: KVM_SYNC_X86_*.
enum class SyncReg : u64 { regs = 1, sregs = 2, events = 4 };

struct SyncRegs {       // kvm_run's `s`
    Regs regs;          //   0
    Sregs sregs;        // 144
    VcpuEvents events;  // 456
};
static_assert(sizeof(SyncRegs) == 520 && offsetof(SyncRegs, events) == 456);

struct TprAccessCtl {  // KVM_TPR_ACCESS_REPORTING
    u32 enabled;       //  0
    u32 flags;         //  4
    u32 reserved[8];   //  8
};
static_assert(sizeof(TprAccessCtl) == 40);

/// Bits of run::Hypercall::flags: KVM_EXIT_HYPERCALL_*.
enum class HypercallFlag : u64 { long_mode = 1 };

/// Bits of kvm_run.flags: KVM_RUN_X86_*.
enum class RunFlag : u16 { smm = 1, bus_lock = 2, guest_mode = 4 };

/// KVM_X86_*_VM: the types of vm that cap::vm_types lists, for Kvm::create_vm().
enum class VmType : u64 {
    default_vm = 0,
    sw_protected_vm = 1,
    sev_vm = 2,
    sev_es_vm = 3,
    snp_vm = 4,
    tdx_vm = 5,
};

/// KVM_MAX_MSR_ENTRIES: what one KVM_GET_MSRS or KVM_SET_MSRS takes at most is 255.
inline constexpr u32 max_io_msrs = 255;

/// kvm_run's page, then the page of port I/O's data.
inline constexpr std::size_t least_vcpu_mmap_size = std::size_t{2} * 4096;

}  // namespace kvm::x86_64

namespace kvm {

template <>
inline constexpr bool is_flag_enum<x86_64::CpuidFlag> = true;
template <>
inline constexpr bool is_flag_enum<x86_64::GuestDebugFlag> = true;
template <>
inline constexpr bool is_flag_enum<x86_64::VcpuEventFlag> = true;
template <>
inline constexpr bool is_flag_enum<x86_64::PitStateFlag> = true;
template <>
inline constexpr bool is_flag_enum<x86_64::InterruptShadow> = true;
template <>
inline constexpr bool is_flag_enum<x86_64::SyncReg> = true;
template <>
inline constexpr bool is_flag_enum<x86_64::RunFlag> = true;

}  // namespace kvm

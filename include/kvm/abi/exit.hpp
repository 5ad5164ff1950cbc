// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstddef>
#include <cstdint>

/// struct kvm_run: the page that a vCPU shares with the kernel, and the reasons why KVM_RUN
/// returns.
namespace kvm {

/// KVM_EXIT_*. The kernel may know more reasons than this list.
enum class ExitReason : std::uint32_t {
    unknown = 0,
    exception = 1,
    io = 2,
    hypercall = 3,
    debug = 4,
    hlt = 5,
    mmio = 6,
    irq_window_open = 7,
    shutdown = 8,
    fail_entry = 9,
    intr = 10,
    set_tpr = 11,
    tpr_access = 12,
    s390_sieic = 13,
    s390_reset = 14,
    dcr = 15,
    nmi = 16,
    internal_error = 17,
    osi = 18,
    papr_hcall = 19,
    s390_ucontrol = 20,
    watchdog = 21,
    s390_tsch = 22,
    epr = 23,
    system_event = 24,
    s390_stsi = 25,
    ioapic_eoi = 26,
    hyperv = 27,
    arm_nisv = 28,
    x86_rdmsr = 29,
    x86_wrmsr = 30,
    dirty_ring_full = 31,
    ap_reset_hold = 32,
    x86_bus_lock = 33,
    xen = 34,
    riscv_sbi = 35,
    riscv_csr = 36,
    notify = 37,
    loongarch_iocsr = 38,
    memory_fault = 39,
    tdx = 40,
    arm_sea = 41,
    arm_ldst64b = 42,
    snp_req_certs = 43,
};
inline constexpr std::uint32_t exit_reason_count = 44;

/// KVM_EXIT_IO_*: run::Io::direction.
enum class IoDirection : std::uint8_t { in = 0, out = 1 };

/// KVM_EXIT_HYPERV_*: run::Hyperv::type.
enum class HypervExitType : std::uint32_t { synic = 1, hcall = 2, syndbg = 3 };

/// KVM_EXIT_XEN_*: run::Xen::type.
enum class XenExitType : std::uint32_t { hcall = 1 };

/// Bits of run::EmulationFailure::flags: KVM_INTERNAL_ERROR_EMULATION_FLAG_*.
enum class EmulationFailureFlag : std::uint64_t { instruction_bytes = 1 };

/// Bits of run::Notify::flags: KVM_NOTIFY_*.
enum class NotifyFlag : std::uint32_t { context_invalid = 1 };

/// Bits of run::ArmSea::flags: KVM_EXIT_ARM_SEA_FLAG_*.
enum class ArmSeaFlag : std::uint64_t { gpa_valid = 1 };

/// The members of kvm_run's union, each as the kernel lays it out.
namespace run {

struct Hw {
    std::uint64_t hardware_exit_reason;
};
struct FailEntry {
    std::uint64_t hardware_entry_failure_reason;
    std::uint32_t cpu;
};
struct Ex {
    std::uint32_t exception;
    std::uint32_t error_code;
};
struct Io {
    IoDirection direction;      //  0
    std::uint8_t size;          //  1, bytes per access
    std::uint16_t port;         //  2
    std::uint32_t count;        //  4, accesses
    std::uint64_t data_offset;  //  8, from the start of kvm_run
};
struct Mmio {
    std::uint64_t phys_addr;  //  0
    std::uint8_t data[8];     //  8
    std::uint32_t len;        // 16
    std::uint8_t is_write;    // 20
};
struct Iocsr {  // LoongArch
    std::uint64_t phys_addr;
    std::uint8_t data[8];
    std::uint32_t len;
    std::uint8_t is_write;
};
struct Hypercall {
    std::uint64_t nr;       //  0
    std::uint64_t args[6];  //  8
    std::uint64_t ret;      // 56, the reply
    std::uint64_t flags;    // 64, the architecture's Flags<HypercallFlag>
};
struct TprAccess {
    std::uint64_t rip;
    std::uint32_t is_write;
    std::uint32_t pad;
};
struct S390Sieic {
    std::uint8_t icptcode;
    std::uint16_t ipa;
    std::uint32_t ipb;
};
struct S390Ucontrol {
    std::uint64_t trans_exc_code;
    std::uint32_t pgm_code;
};
struct Dcr {
    std::uint32_t dcrn;
    std::uint32_t data;
    std::uint8_t is_write;
};
struct Internal {
    std::uint32_t suberror;  //  0
    std::uint32_t ndata;     //  4
    std::uint64_t data[16];  //  8
};
struct EmulationFailure {         // overlays Internal for suberror 1
    std::uint32_t suberror;       //  0
    std::uint32_t ndata;          //  4
    std::uint64_t flags;          //  8, Flags<EmulationFailureFlag>: whether the next two are valid
    std::uint8_t insn_size;       // 16
    std::uint8_t insn_bytes[15];  // 17
};
struct Osi {
    std::uint64_t gprs[32];
};
struct PaprHcall {
    std::uint64_t nr;
    std::uint64_t ret;
    std::uint64_t args[9];
};
struct S390Tsch {
    std::uint16_t subchannel_id;
    std::uint16_t subchannel_nr;
    std::uint32_t io_int_parm;
    std::uint32_t io_int_word;
    std::uint32_t ipb;
    std::uint8_t dequeued;
};
struct Epr {
    std::uint32_t epr;
};
struct SystemEvent {
    std::uint32_t type;      //  0
    std::uint32_t ndata;     //  4
    std::uint64_t data[16];  //  8, data[0] is `flags` before cap::system_event_data
};
struct S390Stsi {
    std::uint64_t addr;
    std::uint8_t ar;
    std::uint8_t reserved;
    std::uint8_t fc;
    std::uint8_t sel1;
    std::uint16_t sel2;
};
struct Eoi {
    std::uint8_t vector;
};
struct HypervSynic {
    std::uint32_t msr;
    std::uint32_t pad2;
    std::uint64_t control;
    std::uint64_t evt_page;
    std::uint64_t msg_page;
};
struct HypervHcall {
    std::uint64_t input;
    std::uint64_t result;
    std::uint64_t params[2];
};
struct HypervSyndbg {
    std::uint32_t msr;
    std::uint32_t pad2;
    std::uint64_t control;
    std::uint64_t status;
    std::uint64_t send_page;
    std::uint64_t recv_page;
    std::uint64_t pending_page;
};
struct Hyperv {
    HypervExitType type;  //  0
    std::uint32_t pad1;   //  4
    union {
        HypervSynic synic;
        HypervHcall hcall;
        HypervSyndbg syndbg;
    } u;  //  8
};
struct ArmNisv {
    std::uint64_t esr_iss;
    std::uint64_t fault_ipa;
};
struct Msr {
    std::uint8_t error;    //  0, the reply: 1 injects #GP
    std::uint8_t pad[7];   //  1
    std::uint32_t reason;  //  8, MsrExitReason
    std::uint32_t index;   // 12
    std::uint64_t data;    // 16, the value, or the reply
};
struct XenHcall {
    std::uint32_t longmode;
    std::uint32_t cpl;
    std::uint64_t input;
    std::uint64_t result;
    std::uint64_t params[6];
};
struct Xen {
    XenExitType type;  //  0
    union {
        XenHcall hcall;
    } u;  //  8
};
struct RiscvSbi {
    std::uint64_t extension_id;
    std::uint64_t function_id;
    std::uint64_t args[6];
    std::uint64_t ret[2];
};
struct RiscvCsr {
    std::uint64_t csr_num;
    std::uint64_t new_value;
    std::uint64_t write_mask;
    std::uint64_t ret_value;
};
struct Notify {
    std::uint32_t flags;  // Flags<NotifyFlag>
};
struct MemoryFault {
    std::uint64_t flags;  //  0, Flags<MemoryAttribute>
    std::uint64_t gpa;    //  8
    std::uint64_t size;   // 16
};
struct TdxUnknown {
    std::uint64_t ret;
    std::uint64_t data[5];
};
struct TdxQuote {
    std::uint64_t ret;
    std::uint64_t gpa;
    std::uint64_t size;
};
struct TdxTdVmCallInfo {
    std::uint64_t ret;
    std::uint64_t leaf;
    std::uint64_t r11, r12, r13, r14;
};
struct TdxSetupEventNotify {
    std::uint64_t ret;
    std::uint64_t vector;
};
struct Tdx {
    std::uint64_t flags;  //  0
    std::uint64_t nr;     //  8, the TDVMCALL's number
    union {
        TdxUnknown unknown;
        TdxQuote get_quote;
        TdxTdVmCallInfo get_tdvmcall_info;
        TdxSetupEventNotify setup_event_notify;
    };  // 16
};
struct ArmSea {
    std::uint64_t flags;  //  0, Flags<ArmSeaFlag>
    std::uint64_t esr;    //  8
    std::uint64_t gva;    // 16
    std::uint64_t gpa;    // 24
};
struct SnpReqCerts {
    std::uint64_t gpa;     //  0
    std::uint64_t npages;  //  8
    std::uint64_t ret;     // 16, the reply
};

}  // namespace run

struct Run {                                     // struct kvm_run
    std::uint8_t request_interrupt_window;       //  0, in
    std::uint8_t immediate_exit;                 //  1, in; other threads write it: atomic
    std::uint8_t padding1[6];                    //  2, the library's: [0] Exit, [1] DirtyRing
    std::uint32_t exit_reason;                   //  8, out
    std::uint8_t ready_for_interrupt_injection;  // 12, out
    std::uint8_t if_flag;                        // 13, out
    std::uint16_t flags;                         // 14, out
    std::uint64_t cr8;                           // 16, in and out
    std::uint64_t apic_base;                     // 24, in and out
    union {
        run::Hw hw;
        run::FailEntry fail_entry;
        run::Ex ex;
        run::Io io;
        run::Mmio mmio;
        run::Iocsr iocsr_io;
        run::Hypercall hypercall;
        run::TprAccess tpr_access;
        run::S390Sieic s390_sieic;
        std::uint64_t s390_reset_flags;
        run::S390Ucontrol s390_ucontrol;
        run::Dcr dcr;
        run::Internal internal;
        run::EmulationFailure emulation_failure;
        run::Osi osi;
        run::PaprHcall papr_hcall;
        run::S390Tsch s390_tsch;
        run::Epr epr;
        run::SystemEvent system_event;
        run::S390Stsi s390_stsi;
        run::Eoi eoi;
        run::Hyperv hyperv;
        run::ArmNisv arm_nisv;
        run::Msr msr;
        run::Xen xen;
        run::RiscvSbi riscv_sbi;
        run::RiscvCsr riscv_csr;
        run::Notify notify;
        run::MemoryFault memory_fault;
        run::Tdx tdx;
        run::ArmSea arm_sea;
        run::SnpReqCerts snp_req_certs;
        std::uint64_t debug[4];  // the architecture's DebugExitArch
        std::uint8_t padding[256];
    };  // 32
    std::uint64_t kvm_valid_regs;  // 288
    std::uint64_t kvm_dirty_regs;  // 296
    std::uint64_t s[256];          // 304, the architecture's SyncRegs
};
static_assert(sizeof(Run) == 2352);
static_assert(offsetof(Run, exit_reason) == 8);
static_assert(offsetof(Run, io) == 32);
static_assert(offsetof(Run, kvm_valid_regs) == 288);
static_assert(offsetof(Run, s) == 304);

}  // namespace kvm

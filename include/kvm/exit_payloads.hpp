// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/abi/cap_flags.hpp>
#include <kvm/arch.hpp>
#include <kvm/types.hpp>
#include <span>

/// What each exit carries. Spans and references point into kvm_run: filling one is the reply, which
/// the kernel takes when the vCPU runs next.
namespace kvm::exit {

namespace detail {

/// The length of an access: never more than the 8 bytes that kvm_run has for it.
constexpr u32 bounded(u32 length) { return length < 8 ? length : 8; }

}  // namespace detail

/// KVM_EXIT_UNKNOWN: the hardware gave a reason that KVM does not know.
struct Unknown {
    u64 hardware_exit_reason;
};

/// KVM_EXIT_EXCEPTION (PowerPC).
struct Exception {
    u32 exception;
    u32 error_code;
};

/// KVM_EXIT_IO, a read: `count` reads of `size` bytes (1, 2, 4) from one port. Fill `data`, count *
/// size bytes: `rep insb` of 4 is size 1, count 4; `insd` is size 4, count 1.
struct IoIn {
    Port port;
    u8 size;
    u32 count;
    std::span<std::byte> data;

    static IoIn of(Run& r) {
        auto* bytes = reinterpret_cast<std::byte*>(&r) + r.io.data_offset;
        return {
            Port(r.io.port), r.io.size, r.io.count, {bytes, std::size_t(r.io.size) * r.io.count}};
    }
};

/// KVM_EXIT_IO, a write: `count` writes of `size` bytes (1, 2, 4) to one port.
struct IoOut {
    Port port;
    u8 size;
    u32 count;
    std::span<const std::byte> data;

    static IoOut of(Run& r) {
        auto* bytes = reinterpret_cast<const std::byte*>(&r) + r.io.data_offset;
        return {
            Port(r.io.port), r.io.size, r.io.count, {bytes, std::size_t(r.io.size) * r.io.count}};
    }
};

/// KVM_EXIT_HYPERCALL: the guest called; `ret` is the reply. Needs cap::exit_hypercall on x86_64.
struct Hypercall {
    u64 nr;
    std::span<const u64, 6> args;
    u64& ret;
    Flags<arch::HypercallFlag> flags;

    static Hypercall of(Run& r) {
        return {r.hypercall.nr, std::span<const u64, 6>(r.hypercall.args), r.hypercall.ret,
                Flags<arch::HypercallFlag>(r.hypercall.flags)};
    }
};

/// KVM_EXIT_DEBUG: a breakpoint, watchpoint or step that set_guest_debug() asked for.
struct Debug {
    const DebugExitArch& arch;
};

/// KVM_EXIT_HLT: the guest waits for an interrupt. Only without an in-kernel irqchip.
struct Hlt {};

/// KVM_EXIT_MMIO, a read of 1 to 8 bytes where there is no memory. Fill `data`.
struct MmioRead {
    Gpa address;
    std::span<std::byte> data;

    static MmioRead of(run::Mmio& m) {
        return {Gpa(m.phys_addr), {reinterpret_cast<std::byte*>(m.data), detail::bounded(m.len)}};
    }
};

/// KVM_EXIT_MMIO, a write of 1 to 8 bytes where there is no memory, or read-only memory.
struct MmioWrite {
    Gpa address;
    std::span<const std::byte> data;

    static MmioWrite of(run::Mmio& m) {
        return {Gpa(m.phys_addr),
                {reinterpret_cast<const std::byte*>(m.data), detail::bounded(m.len)}};
    }
};

/// KVM_EXIT_IRQ_WINDOW_OPEN: interrupt() would be taken now; Run::request_interrupt_window asked.
struct IrqWindowOpen {};

/// KVM_EXIT_SHUTDOWN: a triple fault (x86_64).
struct Shutdown {};

/// KVM_EXIT_FAIL_ENTRY: the hardware refused to enter the guest.
struct FailEntry {
    u64 hardware_entry_failure_reason;
    u32 cpu;
};

/// KVM_EXIT_INTR, EINTR or EAGAIN: a signal, a Kick, or an immediate exit ended run(); no reply is
/// due.
struct Interrupted {};

/// KVM_EXIT_SET_TPR: the guest lowered its task priority (x86_64 without in-kernel irqchip).
struct SetTpr {
    u64 cr8;
};

/// KVM_EXIT_TPR_ACCESS: the guest touched the APIC's task priority; tpr_access_reporting() asked.
struct TprAccess {
    Gva rip;
    bool is_write;
};

/// KVM_EXIT_S390_SIEIC.
struct S390Sieic {
    u8 icptcode;
    u16 ipa;
    u32 ipb;
};

/// KVM_EXIT_S390_RESET.
struct S390Reset {
    u64 flags;
};

/// KVM_EXIT_DCR (PowerPC 440, gone).
struct Dcr {
    u32 dcrn;
    u32& data;
    bool is_write;
};

/// KVM_EXIT_NMI.
struct Nmi {};

/// KVM_INTERNAL_ERROR_*.
enum class InternalErrorKind : u32 {
    emulation = 1,
    simul_ex = 2,
    delivery_ev = 3,
    unexpected_exit_reason = 4,
};

/// KVM_EXIT_INTERNAL_ERROR: KVM gave up on an instruction. For `emulation`, `insn` has its bytes if
/// the kernel gave them; `data` has what it said otherwise, at most 16 words.
struct InternalError {
    InternalErrorKind suberror;
    std::span<const u64> data;
    std::span<const u8> insn;

    static InternalError of(Run& r) {
        const u32 n = r.internal.ndata < 16 ? r.internal.ndata : 16;
        const auto& e = r.emulation_failure;
        const bool has_insn =
            InternalErrorKind(r.internal.suberror) == InternalErrorKind::emulation && n >= 3 &&
            Flags<EmulationFailureFlag>(e.flags).has(EmulationFailureFlag::instruction_bytes);
        const u8 size = e.insn_size < 15 ? e.insn_size : u8(15);
        return {InternalErrorKind(r.internal.suberror),
                {r.internal.data, n},
                {e.insn_bytes, has_insn ? size : 0u}};
    }
};

/// KVM_EXIT_OSI (PowerPC).
struct Osi {
    std::span<u64, 32> gprs;
};

/// KVM_EXIT_PAPR_HCALL (PowerPC): `ret` is the reply.
struct PaprHcall {
    u64 nr;
    u64& ret;
    std::span<u64, 9> args;
};

/// KVM_EXIT_S390_UCONTROL.
struct S390Ucontrol {
    u64 trans_exc_code;
    u32 pgm_code;
};

/// KVM_EXIT_WATCHDOG (PowerPC).
struct Watchdog {};

/// KVM_EXIT_S390_TSCH.
struct S390Tsch {
    const run::S390Tsch& tsch;
};

/// KVM_EXIT_EPR (PowerPC): fill `epr`.
struct Epr {
    u32& epr;
};

/// KVM_SYSTEM_EVENT_*.
enum class SystemEventType : u32 {
    shutdown = 1,
    reset = 2,
    crash = 3,
    wakeup = 4,
    suspend = 5,
    sev_term = 6,
    tdx_fatal = 7,
};

/// KVM_EXIT_SYSTEM_EVENT: the guest asks for power-off, reset and the like. `data` at most 16
/// words.
struct SystemEvent {
    SystemEventType type;
    std::span<const u64> data;

    static SystemEvent of(Run& r) {
        const u32 n = r.system_event.ndata < 16 ? r.system_event.ndata : 16;
        return {SystemEventType(r.system_event.type), {r.system_event.data, n}};
    }
};

/// KVM_EXIT_S390_STSI.
struct S390Stsi {
    const run::S390Stsi& stsi;
};

/// KVM_EXIT_IOAPIC_EOI: the guest acknowledged a level interrupt (split irqchip).
struct IoapicEoi {
    u8 vector;
};

/// KVM_EXIT_HYPERV: see run::Hyperv for the three kinds.
struct Hyperv {
    run::Hyperv& hyperv;
};

/// KVM_EXIT_ARM_NISV: an access without a syndrome, which the VMM must decode.
struct ArmNisv {
    u64 esr_iss;
    Gpa fault_ipa;
};

/// KVM_EXIT_X86_RDMSR: fill `data`, or set `error` to 1 to inject #GP.
struct Rdmsr {
    u32 index;
    MsrExitReason reason;
    u64& data;
    u8& error;
};

/// KVM_EXIT_X86_WRMSR: set `error` to 1 to inject #GP.
struct Wrmsr {
    u32 index;
    MsrExitReason reason;
    u64 data;
    u8& error;
};

/// KVM_EXIT_DIRTY_RING_FULL: harvest and reset the ring, then run again.
struct DirtyRingFull {};

/// KVM_EXIT_AP_RESET_HOLD (SEV-ES).
struct ApResetHold {};

/// KVM_EXIT_X86_BUS_LOCK: the guest held a bus lock too long.
struct BusLock {};

/// KVM_EXIT_XEN: a hypercall; `xen.u.hcall.result` is the reply.
struct Xen {
    run::Xen& xen;
};

/// KVM_EXIT_RISCV_SBI: `ret` is the reply.
struct RiscvSbi {
    u64 extension_id;
    u64 function_id;
    std::span<const u64, 6> args;
    std::span<u64, 2> ret;
};

/// KVM_EXIT_RISCV_CSR: `ret_value` is the reply.
struct RiscvCsr {
    u64 csr_num;
    u64 new_value;
    u64 write_mask;
    u64& ret_value;
};

/// KVM_EXIT_NOTIFY: the guest made no progress for cap::x86_notify_vmexit's window.
struct Notify {
    bool context_invalid;
};

/// KVM_EXIT_LOONGARCH_IOCSR, a read. Fill `data`.
struct LoongarchIocsrRead {
    u64 address;
    std::span<std::byte> data;

    static LoongarchIocsrRead of(run::Iocsr& m) {
        return {m.phys_addr, {reinterpret_cast<std::byte*>(m.data), detail::bounded(m.len)}};
    }
};

/// KVM_EXIT_LOONGARCH_IOCSR, a write.
struct LoongarchIocsrWrite {
    u64 address;
    std::span<const std::byte> data;

    static LoongarchIocsrWrite of(run::Iocsr& m) {
        return {m.phys_addr, {reinterpret_cast<const std::byte*>(m.data), detail::bounded(m.len)}};
    }
};

/// KVM_EXIT_MEMORY_FAULT (KVM_RUN says EFAULT or EHWPOISON): the guest touched memory that its VMM
/// must convert, or that is gone. Needs cap::memory_fault_info.
struct MemoryFault {
    Flags<MemoryAttribute> flags;
    Gpa gpa;
    u64 size;
};

/// KVM_EXIT_TDX: a TDVMCALL; the member that `tdx.nr` selects has the reply, `ret`.
struct Tdx {
    run::Tdx& tdx;
};

/// KVM_EXIT_ARM_SEA: a synchronous external abort.
struct ArmSea {
    bool gpa_valid;
    u64 esr;
    Gva gva;
    Gpa gpa;
};

/// KVM_EXIT_ARM_LDST64B: a 64-byte load or store where there is no memory.
struct ArmLdst64b {
    u64 esr_iss;
    Gpa fault_ipa;
};

/// KVM_EXIT_SNP_REQ_CERTS: put the certificates at `gpa`; `ret` is the reply.
struct SnpReqCerts {
    Gpa gpa;
    u64& npages;
    u64& ret;
};

/// A reason that is newer than this library: Exit::raw() has the page.
struct Other {
    u32 reason;
};

}  // namespace kvm::exit

// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cassert>
#include <kvm/arch.hpp>
#include <kvm/exit_payloads.hpp>
#include <type_traits>

#if defined(__clang__)
#define KVM_LIFETIMEBOUND [[clang::lifetimebound]]
#else
#define KVM_LIFETIMEBOUND
#endif

/// Define KVMXX_CHECKED as 1 (CMake does so in Debug builds) and a stale Exit asserts.
#ifndef KVMXX_CHECKED
#define KVMXX_CHECKED 0
#endif

namespace kvm {

/// Makes one visitor of several lambdas, for Exit::visit(). Without a generic arm
/// (`[](const auto&) {...}`) it must have an arm for every payload, or visit() does not compile.
template <class... F>
struct handlers : F... {
    using F::operator()...;
};

namespace detail {

template <class... Payload>
struct PayloadList {};

using Payloads =
    PayloadList<exit::Unknown, exit::Exception, exit::IoIn, exit::IoOut, exit::Hypercall,
                exit::Debug, exit::Hlt, exit::MmioRead, exit::MmioWrite, exit::IrqWindowOpen,
                exit::Shutdown, exit::FailEntry, exit::Interrupted, exit::SetTpr, exit::TprAccess,
                exit::S390Sieic, exit::S390Reset, exit::Dcr, exit::Nmi, exit::InternalError,
                exit::Osi, exit::PaprHcall, exit::S390Ucontrol, exit::Watchdog, exit::S390Tsch,
                exit::Epr, exit::SystemEvent, exit::S390Stsi, exit::IoapicEoi, exit::Hyperv,
                exit::ArmNisv, exit::Rdmsr, exit::Wrmsr, exit::DirtyRingFull, exit::ApResetHold,
                exit::BusLock, exit::Xen, exit::RiscvSbi, exit::RiscvCsr, exit::Notify,
                exit::LoongarchIocsrRead, exit::LoongarchIocsrWrite, exit::MemoryFault, exit::Tdx,
                exit::ArmSea, exit::ArmLdst64b, exit::SnpReqCerts, exit::Other>;

template <class H, class... Payload>
consteval bool has_every_arm(PayloadList<Payload...>) {
    return (std::is_invocable_v<H&, Payload> && ...);
}

template <class H, class... Payload>
consteval bool has_only_void_arms(PayloadList<Payload...>) {
    return (std::is_void_v<std::invoke_result_t<H&, Payload>> && ...);
}

template <class H>
inline constexpr bool handles_every_exit = has_every_arm<H>(Payloads{});

}  // namespace detail

/// Why KVM_RUN returned. Exit is to kvm_run what string_view is to string: one pointer, valid until
/// the next run() of the same vCPU or the vCPU's end. Move-only, so that it does not outlive its
/// use unseen. Registers may be read and written while a payload is in use.
class [[nodiscard]] Exit {
public:
    explicit Exit(Run& run) : run_(&run) {
#if KVMXX_CHECKED
        generation_ = generation();
#endif
    }
    Exit(Exit&&) = default;
    Exit& operator=(Exit&&) = default;

    /// The kernel's number; it may be one that this library does not name.
    ExitReason reason() const { return ExitReason(fresh().exit_reason); }

    /// Calls the arm of `handler` that takes this exit's payload, and returns what it returns.
    /// Every arm must return the same type. A reason newer than the library goes to exit::Other.
    template <class H>
    [[gnu::always_inline]] inline decltype(auto) visit(H&& handler) const;

    /// The page itself, for what has no payload type.
    Run& raw() const { return fresh(); }

private:
    Run& fresh() const {
#if KVMXX_CHECKED
        assert(generation_ == generation() && "kvm::Exit used after the next run() of its vCPU");
#endif
        return *run_;
    }

    Run* run_;
#if KVMXX_CHECKED
public:
    /// The number of the run that made this exit, kept in kvm_run's padding by checked builds.
    static void next_generation(Run& run) { ++run.padding1[0]; }

private:
    unsigned char generation() const { return run_->padding1[0]; }
    unsigned char generation_;
#endif
};

template <class H>
inline decltype(auto) Exit::visit(H&& h) const {
    static_assert(detail::handles_every_exit<H>,
                  "an exit's payload has no arm: add one, or a generic arm [](const auto&) {...}");
    using R = std::invoke_result_t<H&, exit::Unknown>;
    if constexpr (std::is_void_v<R>) {
        static_assert(detail::has_only_void_arms<H>(detail::Payloads{}),
                      "an arm returns a value and another returns nothing: it would be dropped");
    }
    Run& r = fresh();
    switch (ExitReason(r.exit_reason)) {
        case ExitReason::unknown:
            return static_cast<R>(h(exit::Unknown{r.hw.hardware_exit_reason}));
        case ExitReason::exception:
            return static_cast<R>(h(exit::Exception{r.ex.exception, r.ex.error_code}));
        case ExitReason::io:
            return r.io.direction != IoDirection::in ? static_cast<R>(h(exit::IoOut::of(r)))
                                                     : static_cast<R>(h(exit::IoIn::of(r)));
        case ExitReason::hypercall:
            return static_cast<R>(h(exit::Hypercall::of(r)));
        case ExitReason::debug:
            return static_cast<R>(h(exit::Debug{*reinterpret_cast<DebugExitArch*>(r.debug)}));
        case ExitReason::hlt:
            return static_cast<R>(h(exit::Hlt{}));
        case ExitReason::mmio:
            return r.mmio.is_write ? static_cast<R>(h(exit::MmioWrite::of(r.mmio)))
                                   : static_cast<R>(h(exit::MmioRead::of(r.mmio)));
        case ExitReason::irq_window_open:
            return static_cast<R>(h(exit::IrqWindowOpen{}));
        case ExitReason::shutdown:
            return static_cast<R>(h(exit::Shutdown{}));
        case ExitReason::fail_entry:
            return static_cast<R>(
                h(exit::FailEntry{r.fail_entry.hardware_entry_failure_reason, r.fail_entry.cpu}));
        case ExitReason::intr:
            return static_cast<R>(h(exit::Interrupted{}));
        case ExitReason::set_tpr:
            return static_cast<R>(h(exit::SetTpr{r.cr8}));
        case ExitReason::tpr_access:
            return static_cast<R>(
                h(exit::TprAccess{Gva(r.tpr_access.rip), r.tpr_access.is_write != 0}));
        case ExitReason::s390_sieic:
            return static_cast<R>(
                h(exit::S390Sieic{r.s390_sieic.icptcode, r.s390_sieic.ipa, r.s390_sieic.ipb}));
        case ExitReason::s390_reset:
            return static_cast<R>(h(exit::S390Reset{r.s390_reset_flags}));
        case ExitReason::dcr:
            return static_cast<R>(h(exit::Dcr{r.dcr.dcrn, r.dcr.data, r.dcr.is_write != 0}));
        case ExitReason::nmi:
            return static_cast<R>(h(exit::Nmi{}));
        case ExitReason::internal_error:
            return static_cast<R>(h(exit::InternalError::of(r)));
        case ExitReason::osi:
            return static_cast<R>(h(exit::Osi{r.osi.gprs}));
        case ExitReason::papr_hcall:
            return static_cast<R>(
                h(exit::PaprHcall{r.papr_hcall.nr, r.papr_hcall.ret, r.papr_hcall.args}));
        case ExitReason::s390_ucontrol:
            return static_cast<R>(
                h(exit::S390Ucontrol{r.s390_ucontrol.trans_exc_code, r.s390_ucontrol.pgm_code}));
        case ExitReason::watchdog:
            return static_cast<R>(h(exit::Watchdog{}));
        case ExitReason::s390_tsch:
            return static_cast<R>(h(exit::S390Tsch{r.s390_tsch}));
        case ExitReason::epr:
            return static_cast<R>(h(exit::Epr{r.epr.epr}));
        case ExitReason::system_event:
            return static_cast<R>(h(exit::SystemEvent::of(r)));
        case ExitReason::s390_stsi:
            return static_cast<R>(h(exit::S390Stsi{r.s390_stsi}));
        case ExitReason::ioapic_eoi:
            return static_cast<R>(h(exit::IoapicEoi{r.eoi.vector}));
        case ExitReason::hyperv:
            return static_cast<R>(h(exit::Hyperv{r.hyperv}));
        case ExitReason::arm_nisv:
            return static_cast<R>(h(exit::ArmNisv{r.arm_nisv.esr_iss, Gpa(r.arm_nisv.fault_ipa)}));
        case ExitReason::x86_rdmsr:
            return static_cast<R>(
                h(exit::Rdmsr{r.msr.index, MsrExitReason(r.msr.reason), r.msr.data, r.msr.error}));
        case ExitReason::x86_wrmsr:
            return static_cast<R>(
                h(exit::Wrmsr{r.msr.index, MsrExitReason(r.msr.reason), r.msr.data, r.msr.error}));
        case ExitReason::dirty_ring_full:
            return static_cast<R>(h(exit::DirtyRingFull{}));
        case ExitReason::ap_reset_hold:
            return static_cast<R>(h(exit::ApResetHold{}));
        case ExitReason::x86_bus_lock:
            return static_cast<R>(h(exit::BusLock{}));
        case ExitReason::xen:
            return static_cast<R>(h(exit::Xen{r.xen}));
        case ExitReason::riscv_sbi:
            return static_cast<R>(
                h(exit::RiscvSbi{r.riscv_sbi.extension_id, r.riscv_sbi.function_id,
                                 r.riscv_sbi.args, r.riscv_sbi.ret}));
        case ExitReason::riscv_csr:
            return static_cast<R>(h(exit::RiscvCsr{r.riscv_csr.csr_num, r.riscv_csr.new_value,
                                                   r.riscv_csr.write_mask, r.riscv_csr.ret_value}));
        case ExitReason::notify:
            return static_cast<R>(h(
                exit::Notify{Flags<NotifyFlag>(r.notify.flags).has(NotifyFlag::context_invalid)}));
        case ExitReason::loongarch_iocsr:
            return r.iocsr_io.is_write
                       ? static_cast<R>(h(exit::LoongarchIocsrWrite::of(r.iocsr_io)))
                       : static_cast<R>(h(exit::LoongarchIocsrRead::of(r.iocsr_io)));
        case ExitReason::memory_fault:
            return static_cast<R>(
                h(exit::MemoryFault{Flags<MemoryAttribute>(r.memory_fault.flags),
                                    Gpa(r.memory_fault.gpa), r.memory_fault.size}));
        case ExitReason::tdx:
            return static_cast<R>(h(exit::Tdx{r.tdx}));
        case ExitReason::arm_sea:
            return static_cast<R>(
                h(exit::ArmSea{Flags<ArmSeaFlag>(r.arm_sea.flags).has(ArmSeaFlag::gpa_valid),
                               r.arm_sea.esr, Gva(r.arm_sea.gva), Gpa(r.arm_sea.gpa)}));
        case ExitReason::arm_ldst64b:
            return static_cast<R>(
                h(exit::ArmLdst64b{r.arm_nisv.esr_iss, Gpa(r.arm_nisv.fault_ipa)}));
        case ExitReason::snp_req_certs:
            return static_cast<R>(h(exit::SnpReqCerts{
                Gpa(r.snp_req_certs.gpa), r.snp_req_certs.npages, r.snp_req_certs.ret}));
    }
    return static_cast<R>(h(exit::Other{r.exit_reason}));
}

/// The kernel's name of a reason without KVM_EXIT_ ("IO", "MMIO"); "?" for one that is newer than
/// this library.
const char* name(ExitReason reason);

}  // namespace kvm

// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/object.hpp>
#include <kvm/types.hpp>
#include <kvm/x86_64/lists.hpp>
#include <kvm/x86_64/nested.hpp>
#include <kvm/x86_64/vm.hpp>

namespace kvm::x86_64 {

/// KVM_VCPU_TSC_OFFSET: what is added to the host's TSC, for snapshots that keep vCPUs in step.
inline constexpr Attr<u64> tsc_offset{0, 0, "KVM_VCPU_TSC_OFFSET"};

/// What a vCPU has on x86_64 beside the rest. Getters and setters work between runs.
class VcpuOps : public kvm::detail::Object {
public:
    /// The general registers. KVM_GET_REGS.
    Result<Regs> regs() const { return call(fd_, op::x86_64::get_regs); }
    /// Sets them. KVM_SET_REGS. Pending exceptions are dropped.
    Result<void> set_regs(const Regs& regs) { return call(fd_, op::x86_64::set_regs, regs); }
    /// Segments, control registers, EFER, APIC base. KVM_GET_SREGS.
    Result<Sregs> sregs() const { return call(fd_, op::x86_64::get_sregs); }
    /// Sets them. KVM_SET_SREGS. Errors: EINVAL (a combination that no CPU allows).
    Result<void> set_sregs(const Sregs& sregs) { return call(fd_, op::x86_64::set_sregs, sregs); }
    /// The same with the PDPTRs, without the interrupt bitmap. KVM_GET_SREGS2. Needs cap::sregs2.
    /// Since 5.14.
    Result<Sregs2> sregs2() const { return call(fd_, op::x86_64::get_sregs2); }
    /// Sets them. KVM_SET_SREGS2. Needs cap::sregs2. Since 5.14. Errors: EINVAL.
    Result<void> set_sregs2(const Sregs2& sregs) {
        return call(fd_, op::x86_64::set_sregs2, sregs);
    }

    /// x87 and SSE, but for `mxcsr`, which neither call touches: xsave() has all. KVM_GET_FPU.
    Result<Fpu> fpu() const { return call(fd_, op::x86_64::get_fpu); }
    /// Sets it. KVM_SET_FPU. What the vCPU has not used yet stays as after reset, whatever is set:
    /// set_xsave() says by XSTATE_BV what is in use.
    Result<void> set_fpu(const Fpu& fpu) { return call(fd_, op::x86_64::set_fpu, fpu); }
    /// The XSAVE area, its first 4096 bytes. KVM_GET_XSAVE. Needs cap::xsave.
    /// Errors: EINVAL (the guest's area is longer: xsave2()).
    Result<Xsave> xsave() const { return call(fd_, op::x86_64::get_xsave); }
    /// Sets it, if that is all of it. KVM_CHECK_EXTENSION, KVM_SET_XSAVE. Needs cap::xsave. Errors:
    /// EINVAL; EMSGSIZE where cap::xsave2 of `vm`, this vCPU's VM, is more than 4096, as the kernel
    /// would read beyond `xsave`.
    Result<void> set_xsave(const VmOps& vm, const Xsave& xsave);
    /// The whole XSAVE area, as long as `vm`, this vCPU's VM, says. KVM_CHECK_EXTENSION,
    /// KVM_GET_XSAVE2. Needs cap::xsave2. Since 5.17. Errors: ENOMEM.
    Result<Xsave2> xsave2(const VmOps& vm) const;
    /// Sets it. KVM_CHECK_EXTENSION, KVM_SET_XSAVE. Needs cap::xsave2. Since 5.17.
    /// Errors: EMSGSIZE (shorter than `vm` says), EINVAL.
    Result<void> set_xsave2(const VmOps& vm, const Xsave2& xsave);
    /// The extended control registers. KVM_GET_XCRS. Needs cap::xcrs.
    Result<Xcrs> xcrs() const { return call(fd_, op::x86_64::get_xcrs); }
    /// Sets them. KVM_SET_XCRS. Needs cap::xcrs. Errors: EINVAL (bits that the guest's CPUID
    /// lacks).
    Result<void> set_xcrs(const Xcrs& xcrs) { return call(fd_, op::x86_64::set_xcrs, xcrs); }
    /// The debug registers. KVM_GET_DEBUGREGS. Needs cap::debugregs.
    Result<Debugregs> debugregs() const { return call(fd_, op::x86_64::get_debugregs); }
    /// Sets them. KVM_SET_DEBUGREGS. Needs cap::debugregs. Errors: EINVAL.
    Result<void> set_debugregs(const Debugregs& regs) {
        return call(fd_, op::x86_64::set_debugregs, regs);
    }

    /// The local APIC's registers. KVM_GET_LAPIC. Needs cap::irqchip. Errors: EINVAL without an
    /// APIC in the kernel.
    Result<LapicState> lapic() const { return call(fd_, op::x86_64::get_lapic); }
    /// Sets them. KVM_SET_LAPIC. Needs cap::irqchip. Errors: EINVAL.
    Result<void> set_lapic(const LapicState& lapic) {
        return call(fd_, op::x86_64::set_lapic, lapic);
    }

    /// One MSR. KVM_GET_MSRS. Errors: EINVAL (no such MSR; `detail` is its number).
    Result<u64> msr(u32 index) const;
    /// Sets one MSR. KVM_SET_MSRS. Errors: EINVAL (no such MSR, or a value that it refuses;
    /// `detail` is its number).
    Result<void> set_msr(u32 index, u64 value);
    /// Fills in the data of any number of MSRs. KVM_GET_MSRS. Errors: EINVAL, with the index of the
    /// entry that the kernel refused as `detail`; the entries before it are filled in.
    Result<void> msrs(std::span<MsrEntry> entries) const { return detail::get_msrs(fd_, entries); }
    /// Sets any number of MSRs, in order. KVM_SET_MSRS. Errors: EINVAL, with the index of the entry
    /// that the kernel refused as `detail`; the entries before it are set.
    Result<void> set_msrs(std::span<const MsrEntry> entries) {
        return detail::set_msrs(fd_, entries);
    }

    /// The vCPU's CPUID leaves. KVM_GET_CPUID2. Needs cap::ext_cpuid.
    Result<CpuidList> cpuid2() const;
    /// Sets them, before the first run(). KVM_SET_CPUID2. Needs cap::ext_cpuid. Errors: EINVAL once
    /// the vCPU has run and the leaves differ, E2BIG.
    Result<void> set_cpuid2(const CpuidList& cpuid) {
        return kvm::detail::call_list(fd_, op::x86_64::set_cpuid2, cpuid);
    }

    /// The old form, without subleaves: prefer set_cpuid2(). KVM_SET_CPUID. Errors: EINVAL, E2BIG.
    Result<void> set_cpuid(const OldCpuidList& cpuid) {
        return kvm::detail::call_list(fd_, op::x86_64::set_cpuid, cpuid);
    }
    /// The CPUID leaves of Hyper-V's interface for this vCPU. KVM_GET_SUPPORTED_HV_CPUID. Needs
    /// cap::hyperv_cpuid; prefer Kvm::supported_hv_cpuid().
    Result<CpuidList> supported_hv_cpuid() const { return kvm::detail::supported_hv_cpuid(fd_); }

    /// The state of a guest that is a hypervisor. KVM_GET_NESTED_STATE. Needs cap::nested_state.
    /// Errors: EINVAL (the vCPU has no VMX or SVM), ENOMEM.
    Result<NestedStateBlob> nested_state() const;
    /// Sets it. KVM_SET_NESTED_STATE. Needs cap::nested_state. Errors: EINVAL.
    Result<void> set_nested_state(const NestedStateBlob& state) {
        return kvm::detail::call_list(fd_, op::x86_64::set_nested_state, state);
    }

    /// Gives the vCPU machine-check banks: MCG_CAP, of what Kvm::mce_cap_supported() has.
    /// KVM_X86_SETUP_MCE. Needs cap::mce. Errors: EINVAL (more than that).
    Result<void> setup_mce(u64 mcg_cap) { return call(fd_, op::x86_64::setup_mce, mcg_cap); }
    /// Injects a machine check. KVM_X86_SET_MCE. Needs cap::mce. Errors: EINVAL (no such bank).
    Result<void> set_mce(const X86Mce& mce) { return call(fd_, op::x86_64::set_mce, mce); }

    /// An attribute of a Xen guest's vCPU; XenVcpuAttr::u has it. KVM_XEN_VCPU_GET_ATTR. Needs
    /// cap::xen_hvm with XenHvmFlag::shared_info. Errors: EINVAL, ENOENT.
    Result<XenVcpuAttr> xen_vcpu_attr(XenVcpuAttrType type) const;
    /// Changes one. KVM_XEN_VCPU_SET_ATTR. Needs cap::xen_hvm with XenHvmFlag::shared_info. Errors:
    /// EINVAL.
    Result<void> set_xen_vcpu_attr(const XenVcpuAttr& attr) {
        return call(fd_, op::x86_64::xen_vcpu_set_attr, attr);
    }

    /// Pending exceptions, interrupts, NMI and SMI. KVM_GET_VCPU_EVENTS. Needs cap::vcpu_events.
    Result<VcpuEvents> vcpu_events() const { return call(fd_, op::x86_64::get_vcpu_events); }
    /// Sets them. KVM_SET_VCPU_EVENTS. Needs cap::vcpu_events. Errors: EINVAL.
    Result<void> set_vcpu_events(const VcpuEvents& events) {
        return call(fd_, op::x86_64::set_vcpu_events, events);
    }

    /// Steps, breakpoints and watchpoints; they end run() with exit::Debug. KVM_SET_GUEST_DEBUG.
    /// Needs cap::set_guest_debug. Errors: EINVAL (a flag that cap::set_guest_debug2 lacks), EBUSY.
    Result<void> set_guest_debug(const GuestDebug& debug) {
        return call(fd_, op::x86_64::set_guest_debug, debug);
    }

    /// The guest's TSC frequency in kHz. KVM_GET_TSC_KHZ. Needs cap::get_tsc_khz.
    Result<u32> tsc_khz() const { return call(fd_, op::x86_64::get_tsc_khz); }
    /// Sets it. KVM_SET_TSC_KHZ. Needs cap::tsc_control. Errors: EINVAL (beyond what the host can
    /// scale).
    Result<void> set_tsc_khz(u32 khz) { return call(fd_, op::x86_64::set_tsc_khz, khz); }

    /// What a guest-virtual address means now, by the guest's page tables; Translation::valid is 0
    /// where it means nothing. KVM_TRANSLATE.
    Result<Translation> translate(Gva address) const {
        Result<Translation> translation(std::in_place);
        translation->linear_address = address.value();
        kvm::detail::call_into(fd_, op::x86_64::translate, translation);
        return translation;
    }

    /// Injects an interrupt by vector, without PICs in the kernel. Without any irqchip it takes the
    /// place of one that the guest has not taken yet. KVM_INTERRUPT. Errors: EEXIST (with
    /// cap::split_irqchip: one is pending), ENXIO (there are PICs: create_irqchip()).
    Result<void> interrupt(u8 vector) {
        return call(fd_, op::x86_64::interrupt, Interrupt{vector});
    }
    /// Injects an NMI. KVM_NMI. Needs cap::user_nmi.
    Result<void> nmi() { return call(fd_, op::x86_64::nmi); }
    /// Injects an SMI. KVM_SMI. Needs cap::x86_smm.
    Result<void> smi() { return call(fd_, op::x86_64::smi); }
    /// Has accesses to the APIC's task priority exit as exit::TprAccess. KVM_TPR_ACCESS_REPORTING.
    /// Needs cap::vapic.
    Result<void> tpr_access_reporting(Switch enabled) {
        TprAccessCtl control{static_cast<u32>(enabled), 0, {}};
        return call(fd_, op::x86_64::tpr_access_reporting, control);
    }
    /// Where the guest keeps its virtual APIC state, for Windows guests without an APIC in
    /// hardware. KVM_SET_VAPIC_ADDR. Needs cap::vapic. Errors: EINVAL (no APIC in the kernel),
    /// EFAULT.
    Result<void> set_vapic_addr(Gpa address) {
        return call(fd_, op::x86_64::set_vapic_addr, VapicAddr{address.value()});
    }
    /// Tells the guest's clock that it was paused. KVM_KVMCLOCK_CTRL. Needs cap::kvmclock_ctrl.
    /// Errors: EINVAL (the guest uses no kvmclock).
    Result<void> kvmclock_ctrl() { return call(fd_, op::x86_64::kvmclock_ctrl); }

    /// The registers that the kernel stores into kvm_run at each exit (of those in
    /// set_sync_valid()) and takes from there at entry (of those in set_sync_dirty()): no system
    /// call. Needs cap::sync_regs.
    SyncRegs& sync_regs() { return *reinterpret_cast<SyncRegs*>(run_->s); }
    const SyncRegs& sync_regs() const { return *reinterpret_cast<const SyncRegs*>(run_->s); }
    /// Which registers the kernel stores at each exit from now on.
    void set_sync_valid(Flags<SyncReg> regs) { run_->kvm_valid_regs = regs.bits(); }
    /// Which registers the kernel takes at the next entry, once.
    void set_sync_dirty(Flags<SyncReg> regs) { run_->kvm_dirty_regs = regs.bits(); }

protected:
    VcpuOps(Fd fd, Run* run) : Object(static_cast<Fd&&>(fd)), run_(run) {}

    Run* run_;
};

}  // namespace kvm::x86_64

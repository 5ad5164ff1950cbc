// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/abi/aarch64_table.hpp>
#include <kvm/object.hpp>
#include <kvm/types.hpp>

namespace kvm::aarch64 {

/// KVM_ARM_VCPU_PMU_V3_*: the PMU of a vCPU, to be set up before it runs.
inline constexpr Attr<s32> pmu_v3_irq{0, 0, "KVM_ARM_VCPU_PMU_V3_IRQ"};
inline constexpr Attr<PmuEventFilter> pmu_v3_filter{0, 2, "KVM_ARM_VCPU_PMU_V3_FILTER"};
inline constexpr Attr<s32> pmu_v3_set_pmu{0, 3, "KVM_ARM_VCPU_PMU_V3_SET_PMU"};
inline constexpr Attr<u32> pmu_v3_nr_counters{0, 4, "KVM_ARM_VCPU_PMU_V3_SET_NR_COUNTERS"};
/// KVM_ARM_VCPU_PMU_V3_INIT: takes no value; see VcpuOps::init_pmu().
inline constexpr Attr<s32> pmu_v3_init{0, 1, "KVM_ARM_VCPU_PMU_V3_INIT"};
/// KVM_ARM_VCPU_TIMER_IRQ_*: the PPIs of the timers.
inline constexpr Attr<s32> timer_irq_vtimer{1, 0, "KVM_ARM_VCPU_TIMER_IRQ_VTIMER"};
inline constexpr Attr<s32> timer_irq_ptimer{1, 1, "KVM_ARM_VCPU_TIMER_IRQ_PTIMER"};
inline constexpr Attr<s32> timer_irq_hvtimer{1, 2, "KVM_ARM_VCPU_TIMER_IRQ_HVTIMER"};
inline constexpr Attr<s32> timer_irq_hptimer{1, 3, "KVM_ARM_VCPU_TIMER_IRQ_HPTIMER"};
/// KVM_ARM_VCPU_PVTIME_IPA: where the guest finds its stolen time, 64 bytes, 64-byte-aligned.
inline constexpr Attr<u64> pvtime_ipa{2, 0, "KVM_ARM_VCPU_PVTIME_IPA"};

/// What a vCPU has on aarch64 beside the rest. Its registers are one_reg()'s.
class VcpuOps : public kvm::detail::Object {
public:
    /// Gives the vCPU its target and features and resets it, before anything else; again, with the
    /// same, to reset it. KVM_ARM_VCPU_INIT. Errors: EINVAL (another target, or features the host
    /// lacks or that differ from before), ENOENT (a feature is unknown).
    Result<void> init(const VcpuInit& init) { return call(fd_, op::aarch64::vcpu_init, init); }
    /// Ends the configuration of a feature: VcpuFeature::sve, after sve_vls is set.
    /// KVM_ARM_VCPU_FINALIZE. Errors: EPERM (it is final), EINVAL.
    Result<void> finalize(VcpuFeature feature) {
        return call(fd_, op::aarch64::vcpu_finalize, static_cast<int>(feature));
    }
    /// Makes the PMU ready, after the interrupt controller. KVM_SET_DEVICE_ATTR with
    /// KVM_ARM_VCPU_PMU_V3_INIT. Errors:
    /// ENODEV (no VcpuFeature::pmu_v3), ENXIO (no interrupt), EBUSY.
    Result<void> init_pmu() {
        const kvm::DeviceAttr argument{0, pmu_v3_init.group, pmu_v3_init.attr, 0};
        return kvm::detail::answer<void>(
            pmu_v3_init.name,
            kvm::detail::raw_ioctl(fd_, kvm::op::set_device_attr.request, &argument));
    }

    /// Pending SErrors. KVM_GET_VCPU_EVENTS. Needs cap::vcpu_events.
    Result<VcpuEvents> vcpu_events() const { return call(fd_, op::aarch64::get_vcpu_events); }
    /// Injects SErrors and external aborts. KVM_SET_VCPU_EVENTS. Needs cap::vcpu_events;
    /// cap::arm_inject_serror_esr for a syndrome. Errors: EINVAL.
    Result<void> set_vcpu_events(const VcpuEvents& events) {
        return call(fd_, op::aarch64::set_vcpu_events, events);
    }
    /// Steps, breakpoints and watchpoints; they end run() with exit::Debug. KVM_SET_GUEST_DEBUG.
    /// Needs cap::set_guest_debug; cap::guest_debug_hw_bps and _hw_wps say how many. Errors:
    /// EINVAL.
    Result<void> set_guest_debug(const GuestDebug& debug) {
        return call(fd_, op::aarch64::set_guest_debug, debug);
    }

    /// What the kernel stores into kvm_run at each exit: the levels of the timers' and the PMU's
    /// lines, without a GIC in the kernel. Needs cap::arm_user_irq.
    const SyncRegs& sync_regs() const { return *reinterpret_cast<const SyncRegs*>(run_->s); }

protected:
    VcpuOps(Fd fd, Run* run) : Object(static_cast<Fd&&>(fd)), run_(run) {}

    Run* run_;
};

}  // namespace kvm::aarch64

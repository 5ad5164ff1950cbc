// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/object.hpp>
#include <kvm/types.hpp>
#include <kvm/x86_64/lists.hpp>

namespace kvm::x86_64 {

/// One range of an MSR filter: bit n of `bitmap`, whole 64-bit words, set lets the guest access MSR
/// `base` + n in the ways that `flags` name; the other ways are not this range's concern.
struct MsrRange {
    Flags<MsrFilterFlag> flags;
    u32 base;
    u32 nmsrs;
    std::span<const u8> bitmap;
};

/// What a VM has on x86_64 beside the rest.
class VmOps : public kvm::detail::CheckExtension {
public:
    using CheckExtension::CheckExtension;

    /// Where Intel's real-mode emulation may keep three pages, in a hole of guest memory below 4
    /// GiB. Call it always, before the vCPUs. KVM_SET_TSS_ADDR. Needs cap::set_tss_addr. Errors:
    /// EINVAL (they do not fit below 4 GiB).
    Result<void> set_tss_addr(Gpa address) const {
        return call(fd_, op::x86_64::set_tss_addr, address.value());
    }
    /// Where the same keeps a page table, one page. KVM_SET_IDENTITY_MAP_ADDR. Needs
    /// cap::set_identity_map_addr. Errors: EINVAL once there is a vCPU.
    Result<void> set_identity_map_addr(Gpa address) const {
        return call(fd_, op::x86_64::set_identity_map_addr, address.value());
    }

    /// The state of an interrupt controller. KVM_GET_IRQCHIP. Errors: ENXIO without
    /// create_irqchip().
    Result<Irqchip> irqchip(IrqchipId id) const {
        Result<Irqchip> chip(std::in_place);
        chip->chip_id = id;
        kvm::detail::call_into(fd_, op::x86_64::get_irqchip, chip);
        return chip;
    }
    /// Sets it. KVM_SET_IRQCHIP. Errors: ENXIO without create_irqchip(), EINVAL (no such chip).
    Result<void> set_irqchip(const Irqchip& chip) const {
        return call(fd_, op::x86_64::set_irqchip, chip);
    }

    /// An 8254 timer in the kernel, wired to GSI 0. After create_irqchip(), before the vCPUs.
    /// KVM_CREATE_PIT2. Needs cap::pit2. Errors: EEXIST, ENOENT (no irqchip; older kernels make a
    /// timer that nothing hears).
    Result<void> create_pit2(Flags<PitFlag> flags = {}) const {
        return call(fd_, op::x86_64::create_pit2, PitConfig{flags.bits(), {}});
    }
    /// The timer's state. KVM_GET_PIT2. Needs cap::pit_state2. Errors: ENXIO without create_pit2().
    Result<PitState2> pit2() const { return call(fd_, op::x86_64::get_pit2); }
    /// Sets it. KVM_SET_PIT2. Needs cap::pit_state2. Errors: ENXIO without create_pit2().
    Result<void> set_pit2(const PitState2& state) const {
        return call(fd_, op::x86_64::set_pit2, state);
    }
    /// Whether the timer's missed ticks are delivered later. KVM_REINJECT_CONTROL. Needs
    /// cap::reinject_control. Errors: ENXIO without create_pit2().
    Result<void> reinject_control(Switch reinject) const {
        return call(fd_, op::x86_64::reinject_control,
                    ReinjectControl{static_cast<u8>(reinject), {}});
    }

    /// Which vCPU is the boot processor; 0 if nobody says. KVM_SET_BOOT_CPU_ID. Needs
    /// cap::set_boot_cpu_id. Errors: EBUSY once there is a vCPU.
    Result<void> set_boot_cpu_id(VcpuId id) const {
        return call(fd_, op::x86_64::set_boot_cpu_id, static_cast<u32>(id));
    }

    /// The timer without its later additions; port 0x61 as the PIT's is in the kernel too. Prefer
    /// create_pit2(). KVM_CREATE_PIT. Needs cap::pit. Errors: as create_pit2().
    Result<void> create_pit() const { return call(fd_, op::x86_64::create_pit); }
    /// The timer's state, the old form. KVM_GET_PIT. Needs cap::pit. Errors: ENXIO without a timer.
    /// Prefer pit2().
    Result<PitState> pit() const;
    /// Sets it. KVM_SET_PIT. Needs cap::pit. Errors: ENXIO without a timer. Prefer set_pit2().
    Result<void> set_pit(const PitState& state) const {
        return call(fd_, op::x86_64::set_pit, state);
    }

    /// How many pages of shadow page tables the VM may have. KVM_GET_NR_MMU_PAGES.
    Result<u64> nr_mmu_pages() const { return call(fd_, op::x86_64::get_nr_mmu_pages); }
    /// Limits them. KVM_SET_NR_MMU_PAGES. Needs cap::mmu_shadow_cache_control. Errors: EINVAL (<
    /// 20).
    Result<void> set_nr_mmu_pages(u64 pages) const {
        return call(fd_, op::x86_64::set_nr_mmu_pages, pages);
    }

    /// Which MSRs the guest may touch; the others exit as exit::Rdmsr and exit::Wrmsr where
    /// cap::x86_user_space_msr has MsrExitReason::filter enabled, else give it #GP. No ranges: all
    /// as `otherwise` says. KVM_X86_SET_MSR_FILTER. Needs cap::x86_msr_filter. Since 5.10. Errors:
    /// E2BIG (more than 16 ranges), EMSGSIZE (a bitmap shorter than its MSRs; `detail` is the
    /// range), EINVAL.
    Result<void> set_msr_filter(MsrFilterDefault otherwise, std::span<const MsrRange> ranges) const;

    /// Which PMU events the guest may count. KVM_SET_PMU_EVENT_FILTER. Needs cap::pmu_event_filter;
    /// cap::pmu_event_masked_events for PmuEventFlag::masked_events. Since 5.3. Errors: EINVAL,
    /// E2BIG, EMSGSIZE (a count beyond the capacity).
    Result<void> set_pmu_event_filter(const PmuEvents& filter) const {
        return kvm::detail::call_list(fd_, op::x86_64::set_pmu_event_filter, filter);
    }

    /// Hypercalls that post the event `connection` (24 bits) signal `event` and do not exit.
    /// KVM_HYPERV_EVENTFD. Needs cap::hyperv_eventfd. Errors: EEXIST, EINVAL.
    Result<void> add_hyperv_eventfd(u32 connection, FdRef event) const {
        return call(fd_, op::x86_64::hyperv_eventfd,
                    HypervEventfd{connection, event.number(), 0, {}});
    }
    /// Undoes it. KVM_HYPERV_EVENTFD with KVM_HYPERV_EVENTFD_DEASSIGN. Errors: ENOENT.
    Result<void> remove_hyperv_eventfd(u32 connection) const {
        constexpr auto deassign = static_cast<u32>(HypervEventfdFlag::deassign);
        return call(fd_, op::x86_64::hyperv_eventfd, HypervEventfd{connection, -1, deassign, {}});
    }

    /// How the kernel serves Xen guests. KVM_XEN_HVM_CONFIG. Needs cap::xen_hvm. Errors: EINVAL.
    Result<void> xen_hvm_config(const XenHvmConfig& config) const {
        return call(fd_, op::x86_64::xen_hvm_config, config);
    }
    /// An attribute of the Xen VM; XenHvmAttr::u has it. KVM_XEN_HVM_GET_ATTR. Needs cap::xen_hvm
    /// with XenHvmFlag::shared_info. Errors: EINVAL.
    Result<XenHvmAttr> xen_hvm_attr(XenAttrType type) const;
    /// Changes one. KVM_XEN_HVM_SET_ATTR. Needs cap::xen_hvm with XenHvmFlag::shared_info. Errors:
    /// EINVAL.
    Result<void> set_xen_hvm_attr(const XenHvmAttr& attr) const {
        return call(fd_, op::x86_64::xen_hvm_set_attr, attr);
    }
    /// Sends an event to a Xen guest. KVM_XEN_HVM_EVTCHN_SEND. Needs cap::xen_hvm with
    /// XenHvmFlag::evtchn_send. Errors: EINVAL.
    Result<void> xen_hvm_evtchn_send(const IrqRoutingXenEvtchn& event) const {
        return call(fd_, op::x86_64::xen_hvm_evtchn_send, event);
    }

    /// Pins memory that an encrypted guest will use. KVM_MEMORY_ENCRYPT_REG_REGION. Errors: ENOTTY
    /// (the VM is not encrypted), ENOMEM, EINVAL. sev.hpp and tdx.hpp have the commands.
    Result<void> register_encrypted_memory(std::span<std::byte> memory) const {
        return call(fd_, op::x86_64::memory_encrypt_reg_region,
                    EncRegion{reinterpret_cast<u64>(memory.data()), memory.size()});
    }
    /// Undoes it. KVM_MEMORY_ENCRYPT_UNREG_REGION. Errors: ENOTTY, EINVAL.
    Result<void> unregister_encrypted_memory(std::span<std::byte> memory) const {
        return call(fd_, op::x86_64::memory_encrypt_unreg_region,
                    EncRegion{reinterpret_cast<u64>(memory.data()), memory.size()});
    }

    /// The VM's kvmclock, in nanoseconds; ClockData::flags say which of the other fields the kernel
    /// has filled in. KVM_GET_CLOCK. Needs cap::adjust_clock.
    Result<ClockData> clock() const { return call(fd_, op::x86_64::get_clock); }
    /// Sets the kvmclock; with ClockFlag::realtime, advanced by what has passed since `realtime`.
    /// KVM_SET_CLOCK. Needs cap::adjust_clock. Errors: EINVAL (a flag that cap::adjust_clock
    /// lacks).
    Result<void> set_clock(const ClockData& clock) const {
        return call(fd_, op::x86_64::set_clock, clock);
    }

    /// The TSC frequency that new vCPUs get, in kHz. KVM_GET_TSC_KHZ. Needs cap::vm_tsc_control.
    Result<u32> tsc_khz() const { return call(fd_, op::x86_64::get_tsc_khz); }
    /// Sets it. KVM_SET_TSC_KHZ. Needs cap::vm_tsc_control. Errors: EINVAL once there is a vCPU.
    Result<void> set_tsc_khz(u32 khz) const { return call(fd_, op::x86_64::set_tsc_khz, khz); }
};

}  // namespace kvm::x86_64

// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/object.hpp>
#include <kvm/types.hpp>
#include <kvm/x86_64/lists.hpp>

namespace kvm::x86_64 {

/// What a VM has on x86_64 beside the rest.
class VmOps : public kvm::detail::CheckExtension {
public:
    using CheckExtension::CheckExtension;

    /// Where Intel's real-mode emulation may keep three pages, in a hole of guest memory below 4
    /// GiB. Call it always, before the vCPUs. KVM_SET_TSS_ADDR. Needs cap::set_tss_addr.
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
        if (auto done = call(fd_, op::x86_64::get_irqchip, *chip); !done) [[unlikely]] {
            chip = std::unexpected(done.error());
        }
        return chip;
    }
    /// KVM_SET_IRQCHIP. Errors: ENXIO without create_irqchip(), EINVAL (no such chip).
    Result<void> set_irqchip(const Irqchip& chip) const {
        return call(fd_, op::x86_64::set_irqchip, chip);
    }

    /// An 8254 timer in the kernel, wired to GSI 0. After create_irqchip(), before the vCPUs.
    /// KVM_CREATE_PIT2. Needs cap::pit2. Errors: EEXIST, ENOENT (no irqchip).
    Result<void> create_pit2(Flags<PitFlag> flags = {}) const {
        return call(fd_, op::x86_64::create_pit2, PitConfig{flags.bits(), {}});
    }
    /// KVM_GET_PIT2. Needs cap::pit_state2. Errors: ENXIO without create_pit2().
    Result<PitState2> pit2() const { return call(fd_, op::x86_64::get_pit2); }
    /// KVM_SET_PIT2. Needs cap::pit_state2. Errors: ENXIO without create_pit2().
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

    /// The VM's kvmclock, in nanoseconds, with what else the kernel knows at that moment.
    /// KVM_GET_CLOCK. Needs cap::adjust_clock.
    Result<ClockData> clock() const { return call(fd_, op::x86_64::get_clock); }
    /// Sets the kvmclock; with ClockFlag::realtime, advanced by what has passed since `realtime`.
    /// KVM_SET_CLOCK. Needs cap::adjust_clock.
    Result<void> set_clock(const ClockData& clock) const {
        return call(fd_, op::x86_64::set_clock, clock);
    }

    /// The TSC frequency that new vCPUs get, in kHz. KVM_GET_TSC_KHZ. Needs cap::vm_tsc_control.
    Result<u32> tsc_khz() const {
        const auto khz = call(fd_, op::x86_64::get_tsc_khz);
        return khz ? Result<u32>(static_cast<u32>(*khz)) : std::unexpected(khz.error());
    }
    /// KVM_SET_TSC_KHZ. Needs cap::vm_tsc_control. Errors: EINVAL once there is a vCPU.
    Result<void> set_tsc_khz(u32 khz) const { return call(fd_, op::x86_64::set_tsc_khz, khz); }
};

}  // namespace kvm::x86_64

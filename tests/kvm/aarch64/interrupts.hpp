// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include "script.hpp"

#include <kvm/aarch64/gic.hpp>

KVMXX_GUEST_LABEL(script, vectors)

namespace kvm::test {

enum class Trigger : u32 { edge = 0xaaaaaaaa, level = 0 };  // of 16 interrupts, in GICD_ICFGR

/// A guest with an interrupt controller in the kernel, of which one line is its own.
class InterruptGuest : public Guest {
public:
    /// Why there can be none; "" if there can.
    static std::string missing(const Kvm& kvm) {
        return must(must(kvm.create_vm()).has_device(DeviceType::arm_vgic_v3))
                   ? ""
                   : "needs KVM_DEV_TYPE_ARM_VGIC_V3, which this KVM lacks";
    }

    explicit InterruptGuest(const Kvm& kvm)
        : Guest(kvm), gic_(must(vm().create_device(DeviceType::arm_vgic_v3))) {
        namespace vgic = aarch64::vgic;
        constexpr u32 ctlr = 0, igroupr1 = 0x84, isenabler1 = 0x104;
        constexpr u32 icc_pmr = 3 << 14 | 4 << 7 | 6 << 3,
                      icc_igrpen1 = 3 << 14 | 12 << 7 | 12 << 3 | 7;
        must(gic_.set_attr(vgic::nr_irqs, 64));
        must(gic_.set_attr(vgic::v3_addr_dist, layout::dist));
        must(gic_.set_attr(vgic::v3_addr_redist, layout::redist));
        must(vgic::command(gic_, vgic::ctrl_init));
        must(gic_.set_attr(vgic::dist_reg(0, ctlr), 0x12));  // affinities, group 1
        must(gic_.set_attr(vgic::dist_reg(0, igroupr1), ~0u));
        must(gic_.set_attr(vgic::dist_reg(0, isenabler1), 1u << (intid - 32)));
        must(gic_.set_attr(vgic::cpu_sysreg(0, icc_pmr), 0xf0));
        must(gic_.set_attr(vgic::cpu_sysreg(0, icc_igrpen1), 1));
    }

    /// The line, for irq_line() and for irqfds, whose GSI n is SPI 32 + n.
    static constexpr u32 intid = 36;
    static constexpr Gsi line = spi(intid), line_of_irqfd{intid - 32};

    /// Has the guest let the line's interrupts in, and then do `script`.
    void load_waiting(const std::vector<Operation>& script, Trigger trigger = Trigger::edge) {
        constexpr u32 icfgr2 = 0xc08;
        must(gic_.set_attr(aarch64::vgic::dist_reg(0, icfgr2), static_cast<u32>(trigger)));
        load_script(*this, script);
        set(vbar_el1, layout::code + guests::script_vectors());
    }
    /// Runs to the handler's exit.
    void run_to_interrupt() { EXPECT_EQ(run_to_write(0x1f000010), intid); }

private:
    Device gic_;
};

/// What a VM needs for vCPUs that wait for their start-up.
inline void before_start_up(Vm&) {}
/// A vCPU that waits until another starts it.
inline Vcpu vcpu_before_start_up(const Vm& vm, VcpuId id) {
    Vcpu vcpu = must(vm.create_vcpu(id));
    must(vcpu.init(vcpu_init(vm, {VcpuFeature::power_off})));
    return vcpu;
}

}  // namespace kvm::test

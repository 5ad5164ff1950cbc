// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/aarch64/gic.hpp>
#include <support/guest.hpp>

KVMXX_GUEST(interrupts)

namespace kvm::test {

/// Registers of a GIC's distributor and, for what is private, of a redistributor's second frame.
namespace gic_reg {
inline constexpr u32 ctlr = 0, igroupr = 0x80, isenabler = 0x100, icenabler = 0x180,
                     ispendr = 0x200, icpendr = 0x280, isactiver = 0x300, icactiver = 0x380,
                     ipriorityr = 0x400, icfgr = 0xc00;
}

/// ICC_*_EL1, as vgic::cpu_sysreg() wants it.
constexpr u32 icc_sysreg(u32 crn, u32 crm, u32 op2) { return 3 << 14 | crn << 7 | crm << 3 | op2; }

/// A guest that takes interrupts of a GICv3 that the VMM has set up: guests/aarch64/interrupts.S.
class GicGuest {
public:
    explicit GicGuest(const Kvm& kvm, const GuestOptions& options = {}) : guest_(kvm, options) {}

    /// Makes the GIC, after all vCPUs: 64 interrupts, of group 1, none enabled, all let through.
    void make(u64 last_cpu = 0) {
        namespace vgic = aarch64::vgic;
        gic_ = must(guest_.vm().create_device(DeviceType::arm_vgic_v3));
        must(gic().set_attr(vgic::nr_irqs, 64));
        must(gic().set_attr(vgic::v3_addr_dist, layout::dist));
        must(gic().set_attr(vgic::v3_addr_redist, layout::redist));
        must(vgic::command(gic(), vgic::ctrl_init));
        must(gic().set_attr(vgic::dist_reg(0, gic_reg::ctlr), 0x12));  // ARE, group 1
        set(gic_reg::igroupr + 4, 32, ~0u);
        for (u64 cpu = 0; cpu <= last_cpu; ++cpu) {
            set(gic_reg::igroupr, 0, ~0u, cpu);
            must(gic().set_attr(vgic::cpu_sysreg(cpu, icc_sysreg(4, 6, 0)), 0xf8));  // PMR
            must(gic().set_attr(vgic::cpu_sysreg(cpu, icc_sysreg(12, 12, 7)), 1));
        }
    }
    /// Enables an interrupt with a priority; the less the more urgent.
    void enable(u32 intid, u8 priority = 0x80, u64 cpu = 0) {
        u32 all = get(gic_reg::ipriorityr + intid / 4 * 4, intid, cpu);
        const u32 shift = intid % 4 * 8;
        all = (all & ~(0xffu << shift)) | u32(priority) << shift;
        set(gic_reg::ipriorityr + intid / 4 * 4, intid, all, cpu);
        set_bit(gic_reg::isenabler, intid, cpu);
    }
    /// An SPI by level; KVM's default is by edge.
    void make_level(u32 intid) {
        const u32 offset = gic_reg::icfgr + intid / 16 * 4;
        set(offset, intid, get(offset, intid) & ~(2u << intid % 16 * 2));
    }
    /// Loads the guest and runs it until it waits.
    void start() {
        load();
        EXPECT_EQ(guest_.run_to_write(layout::mmio + 16), 0u);
    }
    void load() {
        guest_.load(guests::interrupts());
        guest_.set(sp_el1, layout::memory_size);
        guest_.set(x(7), layout::data);
        guest_.set(x(9), layout::mmio);
    }
    /// Runs to the interrupt, and to its end.
    void expect_taken(u32 intid) { EXPECT_EQ(guest_.run_to_write(layout::mmio), intid); }
    void expect_ended(u32 intid) { EXPECT_EQ(guest_.run_to_write(layout::mmio + 8), intid); }
    void expect_whole(u32 intid) {
        expect_taken(intid);
        expect_ended(intid);
    }
    /// Runs for a while in which no interrupt comes.
    void expect_none() {
        const Watchdog watchdog(std::chrono::milliseconds(30));
        const Exit exit = must(guest_.vcpu().run());
        EXPECT_EQ(exit.reason(), ExitReason::intr) << describe(exit);
    }

    /// The bit of an interrupt in a register with one bit for each.
    void set_bit(u32 reg, u32 intid, u64 cpu = 0) {
        set(reg + intid / 32 * 4, intid, 1u << intid % 32, cpu);
    }
    bool bit(u32 reg, u32 intid, u64 cpu = 0) {
        return get(reg + intid / 32 * 4, intid, cpu) >> intid % 32 & 1;
    }

    Guest& guest() { return guest_; }
    Vm& vm() { return guest_.vm(); }
    Device& gic() { return *gic_; }

private:
    /// A register of the distributor, or of the vCPU's redistributor where the interrupt is
    /// private.
    static Attr<u32> reg(u32 offset, u32 intid, u64 cpu) {
        return intid < 32 ? aarch64::vgic::redist_reg(cpu, 0x10000 + offset)
                          : aarch64::vgic::dist_reg(0, offset);
    }
    u32 get(u32 offset, u32 intid, u64 cpu = 0) {
        return must(gic().attr(reg(offset, intid, cpu)));
    }
    void set(u32 offset, u32 intid, u32 value, u64 cpu = 0) {
        must(gic().set_attr(reg(offset, intid, cpu), value));
    }

    Guest guest_;
    std::optional<Device> gic_;
};

/// A suite of tests with a GicGuest, made if the KVM has a GICv3.
class WithGicV3 : public WithKvm {
protected:
    void SetUp() override {
        WithKvm::SetUp();
        if (!IsSkipped() && !must(must(kvm().create_vm()).has_device(DeviceType::arm_vgic_v3))) {
            GTEST_SKIP() << "needs KVM_DEV_TYPE_ARM_VGIC_V3, which this KVM lacks";
        }
    }
};

}  // namespace kvm::test

// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A GICv2, which a KVM has whose host's own can be one: in the lab, with --machine gic-version=2.

#include <cerrno>
#include <kvm/aarch64/gic.hpp>
#include <support/guest.hpp>

KVMXX_GUEST(interrupts_v2)

namespace kvm::test {
namespace {

using namespace kvm::aarch64;

class GicOfVersion2 : public WithGuest {
protected:
    void SetUp() override {
        WithGuest::SetUp();
        if (IsSkipped()) {
            return;
        }
        if (!must(vm().has_device(DeviceType::arm_vgic_v2))) {
            EXPECT_ERRNO(vm().create_device(DeviceType::arm_vgic_v2), ENODEV);
            EXPECT_FALSE(vm().create_irqchip());
            GTEST_SKIP() << "needs KVM_DEV_TYPE_ARM_VGIC_V2, which this KVM lacks: the host's GIC "
                            "cannot be one";
        }
    }
    Vm& vm() { return guest().vm(); }
    Device create() { return must(vm().create_device(DeviceType::arm_vgic_v2)); }
    /// 64 interrupts at the usual addresses, of which 33 to 63 may come to vCPU 0.
    Device ready() {
        Device gic = create();
        must(gic.set_attr(vgic::nr_irqs, 64));
        must(gic.set_attr(vgic::v2_addr_dist, layout::dist));
        must(gic.set_attr(vgic::v2_addr_cpu, layout::gic_cpu));
        must(vgic::command(gic, vgic::ctrl_init));
        constexpr u32 ctlr = 0, isenabler = 0x100, itargetsr = 0x800;
        must(gic.set_attr(vgic::dist_reg(0, ctlr), 1));
        must(gic.set_attr(vgic::dist_reg(0, isenabler), ~0u));
        must(gic.set_attr(vgic::dist_reg(0, isenabler + 4), ~0u));
        for (u32 spi = 32; spi < 64; spi += 4) {
            must(gic.set_attr(vgic::dist_reg(0, itargetsr + spi), 0x01010101));
        }
        return gic;
    }
    /// Loads the guest; it first writes `value` to `address`.
    void load(u64 address = layout::data, u32 value = 0) {
        guest().load(guests::interrupts_v2());
        guest().set(sp_el1, layout::memory_size);
        guest().set(x(2), layout::gic_cpu);
        guest().set(x(7), address);
        guest().set(x(8), value);
        guest().set(x(9), layout::mmio);
    }
    void start() {
        load();
        EXPECT_EQ(guest().run_to_write(layout::mmio + 16), 0u);
    }
    void expect_whole(u32 intid) {
        EXPECT_EQ(guest().run_to_write(layout::mmio), intid);
        EXPECT_EQ(guest().run_to_write(layout::mmio + 8), intid);
    }
};

TEST_F(GicOfVersion2, AddressesAreAlignedAndSetOnce) {
    const Device gic = create();
    EXPECT_ERRNO(vm().create_device(DeviceType::arm_vgic_v2), EEXIST);
    EXPECT_EQ(must(gic.attr(vgic::v2_addr_dist)), u64(-1)) << "none so far";
    EXPECT_ERRNO(gic.set_attr(vgic::v2_addr_dist, layout::dist + 0x100), EINVAL);
    EXPECT_ERRNO(gic.set_attr(vgic::v2_addr_dist, u64(1) << 48), E2BIG);
    EXPECT_ERRNO(gic.set_attr(vgic::v3_addr_dist, layout::dist), ENXIO) << "of a GICv3";
    ASSERT_OK(gic.set_attr(vgic::v2_addr_dist, layout::dist));
    EXPECT_ERRNO(gic.set_attr(vgic::v2_addr_dist, layout::dist), EEXIST);
    EXPECT_ERRNO(gic.set_attr(vgic::nr_irqs, 63), EINVAL);
    ASSERT_OK(gic.set_attr(vgic::nr_irqs, 64));
    EXPECT_ERRNO(gic.set_attr(vgic::nr_irqs, 64), EBUSY);
}

TEST_F(GicOfVersion2, AVcpuDoesNotRunBeforeItIsWhole) {
    const Device gic = create();
    ASSERT_OK(gic.set_attr(vgic::v2_addr_dist, layout::dist));
    guest().load(guests::halt());
    EXPECT_ERRNO(guest().vcpu().run(), ENXIO) << "it has no address for its CPU interface";
}

TEST_F(GicOfVersion2, ItsTwoPartsDoNotOverlap) {
    const Device gic = create();
    ASSERT_OK(gic.set_attr(vgic::v2_addr_dist, layout::dist));
    ASSERT_OK(gic.set_attr(vgic::v2_addr_cpu, layout::dist));
    guest().load(guests::halt());
    EXPECT_ERRNO(guest().vcpu().run(), EINVAL);
}

TEST_F(GicOfVersion2, IsTheIrqchipThatTheOldWayMakes) {
    ASSERT_OK(vm().create_irqchip());
    EXPECT_ERRNO(vm().create_irqchip(), EEXIST);
    EXPECT_ERRNO(vm().create_device(DeviceType::arm_vgic_v2), EEXIST);
    REQUIRE_CAP(kvm(), cap::arm_set_device_addr);
    constexpr u32 arm_vgic_v2 = 0, dist = 0, cpu = 1;
    ASSERT_OK(vm().set_device_addr(arm_vgic_v2, dist, Gpa(layout::dist)));
    EXPECT_ERRNO(vm().set_device_addr(arm_vgic_v2, dist, Gpa(layout::dist)), EEXIST);
    ASSERT_OK(vm().set_device_addr(arm_vgic_v2, cpu, Gpa(layout::gic_cpu)));
    EXPECT_ERRNO(vm().set_device_addr(arm_vgic_v2, 7, Gpa(layout::dist)), ENODEV);
    guest().load(guests::halt());
    guest().run_to<exit::SystemEvent>();
}

TEST_F(GicOfVersion2, RegistersAreReadAndWritten) {
    const Device gic = ready();
    EXPECT_EQ(must(gic.attr(vgic::dist_reg(0, 4))) & 0x1f, 1u) << "64 interrupts";
    constexpr u32 pmr = 4;
    ASSERT_OK(gic.set_attr(vgic::cpu_reg(0, pmr), 0x10));
    EXPECT_EQ(must(gic.attr(vgic::cpu_reg(0, pmr))), 0x10u);
    EXPECT_ERRNO(gic.attr(vgic::cpu_reg(7, pmr)), EINVAL) << "no such vCPU";
}

TEST_F(GicOfVersion2, InterruptsOfEachKindComeByEveryWay) {
    const Device gic = ready();
    start();
    ASSERT_OK(vm().irq_line(spi(40), Level::high));
    expect_whole(40);
    ASSERT_OK(vm().irq_line(spi(40), Level::low));
    REQUIRE_CAP(kvm(), cap::irqfd);
    const EventFd event = must(EventFd::create());
    ASSERT_OK(vm().add_irqfd(event, Gsi(41 - 32)));
    ASSERT_OK(event.write());
    expect_whole(41);
    constexpr u32 ispendr = 0x200;
    ASSERT_OK(gic.set_attr(vgic::dist_reg(0, ispendr + 4), 1u << 10));
    expect_whole(42);
    ASSERT_OK(gic.set_attr(vgic::dist_reg(0, ispendr), 1u << 20));
    expect_whole(20);
}

TEST_F(GicOfVersion2, AnSgiComesToItsSender) {
    const Device gic = ready();
    constexpr u32 sgir = 0xf00;
    load(layout::dist + sgir, 2u << 24 | 5);  // to itself
    expect_whole(5);
}

}  // namespace
}  // namespace kvm::test

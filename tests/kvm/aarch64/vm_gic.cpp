// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <kvm/aarch64/gic.hpp>
#include <support/guest.hpp>

namespace kvm::test {
namespace {

using namespace kvm::aarch64;

/// ICC_PMR_EL1, as vgic::cpu_sysreg() wants it.
constexpr u32 icc_pmr_el1 = 3 << 14 | 4 << 7 | 6 << 3;

class GicV3 : public WithGuest {
protected:
    void SetUp() override {
        WithGuest::SetUp();
        if (IsSkipped()) {
            return;
        }
        if (!must(guest().vm().has_device(DeviceType::arm_vgic_v3))) {
            GTEST_SKIP() << "needs KVM_DEV_TYPE_ARM_VGIC_V3, which this KVM lacks";
        }
    }
    Device create() { return must(guest().vm().create_device(DeviceType::arm_vgic_v3)); }
    /// A GIC that is ready: 64 interrupts at the usual addresses.
    Device ready() {
        Device gic = create();
        must(gic.set_attr(vgic::nr_irqs, 64));
        must(gic.set_attr(vgic::v3_addr_dist, layout::dist));
        must(gic.set_attr(vgic::v3_addr_redist, layout::redist));
        must(vgic::command(gic, vgic::ctrl_init));
        return gic;
    }
    /// Starts the guest that takes interrupt `intid`.
    void start(u32 intid) {
        guest().load(guests::irq());
        guest().set(x(1), layout::dist);
        guest().set(x(2), layout::redist);
        guest().set(x(4), intid);
        guest().set(x(9), layout::mmio);
        EXPECT_EQ(guest().run_to_write(layout::mmio), 0u);
    }
};

TEST_F(GicV3, IsMadeOnce) {
    const Device gic = create();
    EXPECT_ERRNO(guest().vm().create_device(DeviceType::arm_vgic_v3), EEXIST);
}

TEST_F(GicV3, ADeviceOfAnotherArchitectureIsEnodev) {
    EXPECT_FALSE(must(guest().vm().has_device(DeviceType::xics)));
    EXPECT_ERRNO(guest().vm().create_device(DeviceType::xics), ENODEV);
}

TEST_F(GicV3, TellsItsAttributes) {
    const Device gic = create();
    EXPECT_TRUE(must(gic.has_attr(vgic::v3_addr_dist)));
    EXPECT_TRUE(must(gic.has_attr(vgic::v3_addr_redist_region)));
    EXPECT_TRUE(must(gic.has_attr(vgic::nr_irqs)));
    EXPECT_TRUE(must(gic.has_attr(vgic::ctrl_init)));
    EXPECT_TRUE(must(gic.has_attr(vgic::save_pending_tables)));
    EXPECT_FALSE(must(gic.has_attr(vgic::v2_addr_cpu)));
    EXPECT_FALSE(must(gic.has_attr(vgic::its_addr)));
    EXPECT_FALSE(must(gic.has_attr(vgic::its_save_tables)));
}

TEST_F(GicV3, AddressesAreAlignedAndSetOnce) {
    const Device gic = create();
    EXPECT_EQ(must(gic.attr(vgic::v3_addr_dist)), u64(-1)) << "none so far";
    EXPECT_ERRNO(gic.set_attr(vgic::v3_addr_dist, layout::dist + 0x1000), EINVAL);
    EXPECT_ERRNO(gic.set_attr(vgic::v3_addr_dist, u64(1) << 60), E2BIG);
    ASSERT_OK(gic.set_attr(vgic::v3_addr_dist, layout::dist));
    EXPECT_EQ(must(gic.attr(vgic::v3_addr_dist)), layout::dist);
    EXPECT_ERRNO(gic.set_attr(vgic::v3_addr_dist, layout::dist), EEXIST);
    ASSERT_OK(gic.set_attr(vgic::v3_addr_redist, layout::redist));
    EXPECT_EQ(must(gic.attr(vgic::v3_addr_redist)), layout::redist);
}

TEST_F(GicV3, ARegionOfRedistributorsIsOneOfSeveral) {
    const Device gic = create();
    const u64 region = u64(2) << 52 | layout::redist;
    ASSERT_OK(gic.set_attr(vgic::v3_addr_redist_region, region));
    EXPECT_ERRNO(gic.set_attr(vgic::v3_addr_redist_region, region | 2), EINVAL)
        << "index 1 comes next";
    ASSERT_OK(gic.set_attr(vgic::v3_addr_redist_region, (region + 0x100000) | 1));
}

TEST_F(GicV3, HasSoManyInterruptsAsItIsTold) {
    const Device gic = create();
    EXPECT_ERRNO(gic.set_attr(vgic::nr_irqs, 63), EINVAL);
    EXPECT_ERRNO(gic.set_attr(vgic::nr_irqs, 1056), EINVAL);
    ASSERT_OK(gic.set_attr(vgic::nr_irqs, 96));
    EXPECT_EQ(must(gic.attr(vgic::nr_irqs)), 96u);
    EXPECT_ERRNO(gic.set_attr(vgic::nr_irqs, 128), EBUSY);
}

TEST_F(GicV3, AnAttributeThatIsNoneIsEnxio) {
    const Device gic = create();
    constexpr Attr<u64> none{77, 0, "KVM_DEV_NONE"};
    EXPECT_FALSE(must(gic.has_attr(none)));
    EXPECT_ERRNO(gic.attr(none), ENXIO);
    EXPECT_ERRNO(gic.set_attr(none, 1), ENXIO);
}

TEST_F(GicV3, RegistersAreReadAndWrittenOnceItIsReady) {
    const Device gic = ready();
    constexpr u32 ctlr = 0, typer = 4, isenabler1 = 0x104;
    EXPECT_EQ(must(gic.attr(vgic::dist_reg(0, typer))) & 0x1f, 1u) << "64 interrupts";
    ASSERT_OK(gic.set_attr(vgic::dist_reg(0, ctlr), 0x12));
    EXPECT_EQ(must(gic.attr(vgic::dist_reg(0, ctlr))) & 2, 2u);
    ASSERT_OK(gic.set_attr(vgic::dist_reg(0, isenabler1), 0x100));
    EXPECT_EQ(must(gic.attr(vgic::dist_reg(0, isenabler1))), 0x100u);
    EXPECT_EQ(must(gic.attr(vgic::redist_reg(0, 8))) & 0x10, 0x10u) << "GICR_TYPER: the last one";
    ASSERT_OK(gic.set_attr(vgic::cpu_sysreg(0, icc_pmr_el1), 0xf0));
    EXPECT_EQ(must(gic.attr(vgic::cpu_sysreg(0, icc_pmr_el1))), 0xf0u);
    EXPECT_EQ(must(gic.attr(vgic::level_info(0, 32))), 0u);
}

TEST_F(GicV3, TheLevelsOfLinesAreToldAndRestored) {
    const Device gic = ready();
    constexpr u32 icfgr2 = 0xc08;
    ASSERT_OK(gic.set_attr(vgic::dist_reg(0, icfgr2), 0)) << "by level: KVM's default is edges";
    ASSERT_OK(guest().vm().irq_line(spi(40), Level::high));
    EXPECT_EQ(must(gic.attr(vgic::level_info(0, 32))), 1u << 8);
    ASSERT_OK(gic.set_attr(vgic::level_info(0, 32), 1u << 9));
    EXPECT_EQ(must(gic.attr(vgic::level_info(0, 32))), 1u << 9);
}

TEST_F(GicV3, ASharedInterruptComesToTheGuest) {
    const Device gic = ready();
    start(40);
    ASSERT_OK(guest().vm().irq_line(spi(40), Level::high));
    EXPECT_EQ(guest().run_to_write(layout::mmio), 40u);
    ASSERT_OK(guest().vm().irq_line(spi(40), Level::low));
}

TEST_F(GicV3, APrivateInterruptComesToTheGuest) {
    const Device gic = ready();
    start(23);
    ASSERT_OK(guest().vm().irq_line(ppi(0, 23), Level::high));
    EXPECT_EQ(guest().run_to_write(layout::mmio), 23u);
}

TEST_F(GicV3, ALineThatIsNoneIsRefused) {
    const Device gic = ready();
    EXPECT_ERRNO(guest().vm().irq_line(spi(64), Level::high), EINVAL);
    EXPECT_ERRNO(guest().vm().irq_line(spi(8), Level::high), EINVAL);
    EXPECT_ERRNO(guest().vm().irq_line(ppi(7, 23), Level::high), EINVAL) << "no such vCPU";
    EXPECT_ERRNO(guest().vm().irq_line(cpu_line(0, 0), Level::high), ENXIO) << "it has a GIC";
}

TEST_F(GicV3, AnIrqfdRaisesItsInterrupt) {
    REQUIRE_CAP(kvm(), cap::irqfd);
    const Device gic = ready();
    start(33);
    const EventFd event = must(EventFd::create());
    ASSERT_OK(guest().vm().add_irqfd(event, Gsi(1)));  // GSI n is SPI 32 + n
    const EventFd other = must(EventFd::create());
    EXPECT_ERRNO(guest().vm().add_irqfd(event, Gsi(2)), EBUSY);
    ASSERT_OK(event.write());
    EXPECT_EQ(guest().run_to_write(layout::mmio), 33u);
    EXPECT_OK(guest().vm().remove_irqfd(event, Gsi(1)));
}

TEST_F(GicV3, TheVirtualTimerInterruptsTheGuest) {
    const Device gic = ready();
    start(27);
    guest().set(timer_cval, 0);
    guest().set(timer_ctl, 1);
    EXPECT_EQ(guest().run_to_write(layout::mmio), 27u);
}

TEST_F(GicV3, AnItsIsADeviceOfItsOwn) {
    if (!must(guest().vm().has_device(DeviceType::arm_vgic_its))) {
        GTEST_SKIP() << "needs KVM_DEV_TYPE_ARM_VGIC_ITS, which this KVM lacks";
    }
    const Device gic = ready();
    const Device its = must(guest().vm().create_device(DeviceType::arm_vgic_its));
    EXPECT_TRUE(must(its.has_attr(vgic::its_addr)));
    EXPECT_TRUE(must(its.has_attr(vgic::its_save_tables)));
    ASSERT_OK(its.set_attr(vgic::its_addr, 0x08080000));
    EXPECT_EQ(must(its.attr(vgic::its_addr)), 0x08080000u);
    ASSERT_OK(vgic::command(its, vgic::ctrl_init));
    constexpr u32 gits_typer = 8;
    EXPECT_EQ(must(its.attr(vgic::its_reg(gits_typer))) & 1, 1u) << "physical LPIs";
    EXPECT_OK(vgic::command(its, vgic::its_ctrl_reset));
}

TEST_F(GicV3, MsisAreSignalledThroughTheIts) {
    REQUIRE_CAP(kvm(), cap::signal_msi);
    const Device gic = ready();
    Msi msi = {};
    msi.address_lo = 0x08080040 + 0x10000;
    EXPECT_FALSE(guest().vm().signal_msi(msi)) << "there is no ITS at that address";
}

class GicV2 : public WithKvm {};

TEST_F(GicV2, HasItsAddresses) {
    Guest guest(kvm());
    if (!must(guest.vm().has_device(DeviceType::arm_vgic_v2))) {
        EXPECT_ERRNO(guest.vm().create_device(DeviceType::arm_vgic_v2), ENODEV);
        GTEST_SKIP() << "needs KVM_DEV_TYPE_ARM_VGIC_V2, which this KVM lacks: the host's GIC "
                        "cannot be one";
    }
    const Device gic = must(guest.vm().create_device(DeviceType::arm_vgic_v2));
    ASSERT_OK(gic.set_attr(vgic::nr_irqs, 64));
    ASSERT_OK(gic.set_attr(vgic::v2_addr_dist, layout::dist));
    ASSERT_OK(gic.set_attr(vgic::v2_addr_cpu, layout::gic_cpu));
    EXPECT_EQ(must(gic.attr(vgic::v2_addr_cpu)), layout::gic_cpu);
    ASSERT_OK(vgic::command(gic, vgic::ctrl_init));
    EXPECT_OK(gic.attr(vgic::dist_reg(0, 0)));
    EXPECT_OK(gic.attr(vgic::cpu_reg(0, 0)));
}

}  // namespace
}  // namespace kvm::test

// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Interrupts by every way into a GICv3, in their order, and what of them is saved and restored.

#include "gic_guest.hpp"

#include <thread>

namespace kvm::test {
namespace {

using namespace kvm::aarch64;

class GicInterrupts : public WithGicV3 {
protected:
    void SetUp() override {
        WithGicV3::SetUp();
        if (!IsSkipped()) {
            guest_.emplace(kvm());
            guest().make();
        }
    }
    GicGuest& guest() { return *guest_; }
    Vm& vm() { return guest().vm(); }
    void pulse(u32 intid) {
        must(vm().irq_line(spi(intid), Level::high));
        must(vm().irq_line(spi(intid), Level::low));
    }

private:
    std::optional<GicGuest> guest_;
};

TEST_F(GicInterrupts, TheMoreUrgentComeFirst) {
    guest().enable(40, 0xc0);
    guest().enable(41, 0x40);
    guest().enable(42, 0x80);
    guest().load();
    for (const u32 intid : {40u, 41u, 42u}) {
        pulse(intid);
    }
    for (const u32 intid : {41u, 42u, 40u}) {
        guest().expect_whole(intid);
    }
}

TEST_F(GicInterrupts, AMoreUrgentOneInterruptsAHandler) {
    guest().enable(40, 0xc0);
    guest().enable(41, 0x40);
    guest().start();
    pulse(40);
    guest().expect_taken(40);
    pulse(41);
    guest().expect_whole(41);
    guest().expect_ended(40);
}

TEST_F(GicInterrupts, OneAsUrgentWaitsForTheHandlersEnd) {
    guest().enable(40);
    guest().enable(41);
    guest().start();
    pulse(40);
    guest().expect_taken(40);
    pulse(41);
    guest().expect_ended(40);
    guest().expect_whole(41);
}

TEST_F(GicInterrupts, ALevelComesAgainUntilItFallsAndAnEdgeOnce) {
    guest().make_level(40);
    guest().enable(40);
    guest().enable(41);
    guest().start();
    must(vm().irq_line(spi(40), Level::high));
    guest().expect_whole(40);
    guest().expect_taken(40);
    must(vm().irq_line(spi(40), Level::low));
    guest().expect_ended(40);
    guest().expect_none();
    must(vm().irq_line(spi(41), Level::high));
    guest().expect_whole(41);
    guest().expect_none();
    must(vm().irq_line(spi(41), Level::low));
    guest().expect_none();
}

TEST_F(GicInterrupts, ThoseThatAreDisabledWaitUntilTheyAreEnabled) {
    guest().start();
    pulse(40);
    guest().expect_none();
    EXPECT_TRUE(guest().bit(gic_reg::ispendr, 40));
    guest().enable(40);
    guest().expect_whole(40);
    EXPECT_FALSE(guest().bit(gic_reg::ispendr, 40));
}

TEST_F(GicInterrupts, OfEachKindArePendingIfTheVmmOrTheGuestWritesSo) {
    for (const u32 intid : {3u, 20u, 40u}) {  // an SGI, a PPI, an SPI
        guest().enable(intid);
    }
    guest().start();
    for (const u32 intid : {3u, 20u, 40u}) {
        guest().set_bit(gic_reg::ispendr, intid);
        guest().expect_whole(intid);
        guest().expect_none();
    }
    guest().load();
    guest().guest().set(x(7), layout::dist + gic_reg::ispendr + 4);
    guest().guest().set(x(8), 1u << 8);
    guest().expect_whole(40);
}

TEST_F(GicInterrupts, APendingOneMayBeTakenBack) {
    guest().enable(40);
    guest().load();
    guest().set_bit(gic_reg::ispendr, 40);
    guest().set_bit(gic_reg::ispendr, 41);
    for (u32 word : {0u, 1u << 9}) {  // the register has its new value whole: what is 0 is cleared
        must(guest().gic().set_attr(vgic::dist_reg(0, gic_reg::ispendr + 4), word));
        EXPECT_EQ(must(guest().gic().attr(vgic::dist_reg(0, gic_reg::ispendr + 4))), word);
    }
    EXPECT_EQ(guest().guest().run_to_write(layout::mmio + 16), 0u);
    guest().expect_none();
}

TEST_F(GicInterrupts, AnActiveOneIsSavedAndRestored) {
    guest().enable(40);
    guest().enable(41);
    guest().start();
    pulse(40);
    guest().expect_taken(40);
    EXPECT_TRUE(guest().bit(gic_reg::isactiver, 40)) << "saved in its handler";
    guest().expect_ended(40);
    guest().expect_none();
    EXPECT_FALSE(guest().bit(gic_reg::isactiver, 40));

    guest().set_bit(gic_reg::isactiver, 40);
    pulse(40);
    guest().expect_none();
    EXPECT_TRUE(guest().bit(gic_reg::isactiver, 40));
    EXPECT_TRUE(guest().bit(gic_reg::ispendr, 40)) << "and it waits";
    pulse(41);
    guest().expect_whole(41);
    guest().set_bit(gic_reg::icactiver, 40);
    guest().expect_whole(40);
}

TEST_F(GicInterrupts, APpisLevelIsOfItsVcpu) {
    guest().enable(20);
    guest().start();
    must(vm().irq_line(ppi(0, 20), Level::high));
    guest().expect_taken(20);
    must(vm().irq_line(ppi(0, 20), Level::low));
    guest().expect_ended(20);
    guest().expect_none();
}

TEST_F(GicInterrupts, AnIrqfdPulsesAnSpi) {
    REQUIRE_CAP(kvm(), cap::irqfd);
    guest().enable(40);
    guest().enable(41);
    guest().start();
    const EventFd one = must(EventFd::create());
    const EventFd two = must(EventFd::create());
    ASSERT_OK(vm().add_irqfd(one, Gsi(40 - 32)));
    EXPECT_ERRNO(vm().add_irqfd(one, Gsi(41 - 32)), EBUSY) << "an eventfd has one GSI";
    ASSERT_OK(vm().add_irqfd(two, Gsi(40 - 32))) << "a GSI may have several";
    for (const EventFd* event : {&one, &two}) {
        ASSERT_OK(event->write());
        guest().expect_whole(40);
    }
    ASSERT_OK(vm().remove_irqfd(one, Gsi(40 - 32)));
    EXPECT_OK(vm().remove_irqfd(one, Gsi(40 - 32))) << "twice is no error";
    ASSERT_OK(one.write());
    guest().expect_none();
    EXPECT_ERRNO(vm().add_irqfd(FdRef(vm().fd()), Gsi(41 - 32)), EINVAL) << "no eventfd";
}

TEST_F(GicInterrupts, AResamplingIrqfdIsHighUntilTheGuestEndsIt) {
    REQUIRE_CAP(kvm(), cap::irqfd_resample);
    guest().make_level(40);
    guest().enable(40);
    guest().start();
    const EventFd event = must(EventFd::create());
    const EventFd ended = must(EventFd::create(0, EventFdFlag::nonblock));
    ASSERT_OK(vm().add_irqfd(event, Gsi(40 - 32), ended));
    ASSERT_OK(event.write());
    guest().expect_taken(40);
    EXPECT_ERRNO(ended.read(), EAGAIN);
    guest().expect_ended(40);
    guest().expect_none();
    EXPECT_EQ(must(ended.read()), 1u);
}

TEST_F(GicInterrupts, APinOfTheRoutingTableIsAnSpi) {
    REQUIRE_CAP(kvm(), cap::irq_routing);
    REQUIRE_CAP(kvm(), cap::irqfd);
    guest().enable(45);
    guest().start();
    GsiRouting routing = must(GsiRouting::with_capacity(1));
    ASSERT_OK(vm().set_gsi_routing(routing)) << "none at all";
    IrqRoutingEntry entry = {};
    entry.gsi = 5;
    entry.type = IrqRoutingType::irqchip;
    entry.u.irqchip = {0, 45 - 32};
    must(routing.push_back(entry));
    ASSERT_OK(vm().set_gsi_routing(routing));
    const EventFd event = must(EventFd::create());
    ASSERT_OK(vm().add_irqfd(event, Gsi(5)));
    ASSERT_OK(event.write());
    guest().expect_whole(45);
}

TEST_F(GicInterrupts, AnSgiComesToItsSender) {
    guest().enable(5);
    guest().load();
    guest().guest().set(x(6), u64(5) << 24 | 1);
    guest().expect_whole(5);
}

TEST(GicInterruptsBetween, AnSgiWakesAnotherVcpu) {
    const auto opened = Kvm::open();
    if (!opened || !must(must(opened->create_vm()).has_device(DeviceType::arm_vgic_v3))) {
        GTEST_SKIP() << "needs KVM_DEV_TYPE_ARM_VGIC_V3, which this KVM lacks";
    }
    GicGuest sender(*opened);
    Vcpu other = must(sender.vm().create_vcpu(VcpuId(1)));
    must(other.init(vcpu_init(sender.vm())));
    sender.make(1);
    sender.enable(5, 0x80, 1);
    sender.load();
    sender.guest().set(x(6), u64(5) << 24 | 2);
    for (const RegId<u64> id : {pc, pstate, x(7), x(9)}) {
        must(other.set_one_reg(id, sender.guest().get(id)));
    }
    must(other.set_one_reg(sp_el1, layout::memory_size - 0x1000));
    const auto run_to_write = [&]() -> std::pair<u64, u64> {
        const Watchdog watchdog(std::chrono::seconds(10));
        const Exit exit = must(other.run());
        std::pair<u64, u64> found = {};
        exit.visit(handlers{
            [&](const exit::MmioWrite& e) { found = {e.address.value(), number_of(e.data)}; },
            [](const auto&) {}});
        return found;
    };
    EXPECT_EQ(run_to_write(), (std::pair<u64, u64>{layout::mmio + 16, 0}));
    std::jthread thread([&] {  // it waits in the kernel meanwhile
        EXPECT_EQ(run_to_write(), (std::pair<u64, u64>{layout::mmio, 5}));
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_EQ(sender.guest().run_to_write(layout::mmio + 16), 0u);
}

}  // namespace
}  // namespace kvm::test

// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <interrupts.hpp>
#include <support/result.hpp>

KVMXX_GUEST(pic)

namespace kvm::test {
namespace {

using namespace std::chrono_literals;

IrqRoutingEntry to_chip(Gsi number, IrqchipId chip, u32 pin) {
    IrqRoutingEntry entry = {};
    entry.gsi = static_cast<u32>(number);
    entry.type = IrqRoutingType::irqchip;
    entry.u.irqchip = {static_cast<u32>(chip), pin};
    return entry;
}

IrqRoutingEntry to_msi(Gsi number) {
    IrqRoutingEntry entry = {};
    entry.gsi = static_cast<u32>(number);
    entry.type = IrqRoutingType::msi;
    entry.u.msi = {static_cast<u32>(lapic_address), 0, interrupt_vector, 0};
    return entry;
}

class VmIrqX86 : public WithKvm {};

TEST_F(VmIrqX86, ALineOfThePicInterruptsARealModeGuest) {
    InterruptGuest guest(kvm());
    guest.load_real(guests::pic());
    EXPECT_EQ(guest.run_to<exit::IoOut>().port, Port(0xe0));
    for (int i = 0; i < 2; ++i) {
        ASSERT_OK(guest.vm().irq_line(Gsi(4), Level::high));
        ASSERT_OK(guest.vm().irq_line(Gsi(4), Level::low));
        EXPECT_EQ(guest.run_to<exit::IoOut>().port, Port(0xe4));
    }
}

TEST_F(VmIrqX86, TheStatusSaysWhetherALineWasMaskedDeliveredOrPending) {
    REQUIRE_CAP(kvm(), cap::irq_inject_status);
    REQUIRE_CAP(kvm(), cap::irq_routing);
    InterruptGuest guest(kvm());
    Vm& vm = guest.vm();
    const IrqRoutingEntry entries[] = {to_chip(Gsi(4), IrqchipId::pic_master, 4),
                                       to_chip(Gsi(5), IrqchipId::pic_master, 5)};
    must(vm.set_gsi_routing(must(GsiRouting::from(entries))));
    guest.load_real(guests::pic());
    guest.run_to<exit::IoOut>();
    EXPECT_LT(must(vm.irq_line_status(Gsi(5), Level::high)), 0) << "the guest masks line 5";
    EXPECT_GT(must(vm.irq_line_status(Gsi(4), Level::high)), 0);
    EXPECT_OK(vm.irq_line(Gsi(4), Level::low));
    EXPECT_EQ(must(vm.irq_line_status(Gsi(4), Level::high)), 0) << "the first is still pending";
    EXPECT_LT(must(vm.irq_line_status(Gsi(6), Level::high)), 0) << "line 6 is wired to nothing";
}

TEST_F(VmIrqX86, AnEmptyRoutingDeliversNothingAndAnotherDeliversAgain) {
    REQUIRE_CAP(kvm(), cap::irq_routing);
    InterruptGuest guest(kvm());
    must(guest.vm().set_gsi_routing(must(GsiRouting::with_capacity(0))));
    guest.load_real(guests::pic());
    guest.run_to<exit::IoOut>();
    must(guest.vm().irq_line(Gsi(4), Level::high));
    must(guest.vm().irq_line(Gsi(4), Level::low));
    EXPECT_THROW((void)guest.run(200ms), std::runtime_error) << "the guest should wait";
    const IrqRoutingEntry wired[] = {to_chip(Gsi(9), IrqchipId::pic_master, 4)};
    must(guest.vm().set_gsi_routing(must(GsiRouting::from(wired))));
    must(guest.vm().irq_line(Gsi(9), Level::high));
    EXPECT_EQ(guest.run_to<exit::IoOut>().port, Port(0xe4));
}

TEST_F(VmIrqX86, AGsiMayBeAMessage) {
    REQUIRE_CAP(kvm(), cap::irq_routing);
    REQUIRE_CAP(kvm(), cap::irqfd);
    InterruptGuest guest(kvm());
    const IrqRoutingEntry wired[] = {to_msi(Gsi(40))};
    must(guest.vm().set_gsi_routing(must(GsiRouting::from(wired))));
    const EventFd event = must(EventFd::create());
    must(guest.vm().add_irqfd(event, Gsi(40)));
    guest.load_routed(0x10000, {{wait}});
    must(event.write());
    guest.run_to_interrupt();
}

TEST_F(VmIrqX86, ARoutingToAChipThatThereIsNotIsRefused) {
    REQUIRE_CAP(kvm(), cap::irq_routing);
    Vm vm = must(kvm().create_vm());
    must(vm.create_irqchip());
    const IrqRoutingEntry no_chip[] = {to_chip(Gsi(4), IrqchipId(7), 0)};
    EXPECT_ERRNO(vm.set_gsi_routing(must(GsiRouting::from(no_chip))), EINVAL);
    const IrqRoutingEntry no_pin[] = {to_chip(Gsi(4), IrqchipId::ioapic, 99)};
    EXPECT_ERRNO(vm.set_gsi_routing(must(GsiRouting::from(no_pin))), EINVAL);
    const u32 most = static_cast<u32>(must(vm.check(cap::irq_routing)));
    EXPECT_GT(most, 1u);
    std::vector<IrqRoutingEntry> many(most + 1, to_msi(Gsi(0)));
    EXPECT_ERRNO(vm.set_gsi_routing(must(GsiRouting::from(many))), EINVAL);
}

TEST_F(VmIrqX86, AMessageIsDeliveredOnceTheApicIsOn) {
    REQUIRE_CAP(kvm(), cap::signal_msi);
    InterruptGuest guest(kvm());
    const Msi msi{.address_lo = u32(lapic_address),
                  .address_hi = 0,
                  .data = interrupt_vector,
                  .flags = 0,
                  .devid = 0,
                  .pad = {}};
    const auto early = guest.vm().signal_msi(msi);
    ASSERT_OK(early);
    EXPECT_FALSE(*early) << "the guest has not enabled its APIC";
    guest.load_routed(0x10000, {{wait}});
    EXPECT_TRUE(must(guest.vm().signal_msi(msi)));
    guest.run_to_interrupt();
    Msi nobody = msi;
    nobody.address_lo |= 9 << 12;
    EXPECT_FALSE(must(guest.vm().signal_msi(nobody))) << "no vCPU has APIC id 9";
}

TEST_F(VmIrqX86, AMessageWithoutApicsIsRefused) {
    REQUIRE_CAP(kvm(), cap::signal_msi);
    Vm vm = must(kvm().create_vm());
    const Msi msi{.address_lo = u32(lapic_address),
                  .address_hi = 0,
                  .data = interrupt_vector,
                  .flags = 0,
                  .devid = 0,
                  .pad = {}};
    EXPECT_ERRNO(vm.signal_msi(msi), EINVAL);
}

}  // namespace
}  // namespace kvm::test

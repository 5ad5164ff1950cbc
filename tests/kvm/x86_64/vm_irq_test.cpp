// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "interrupts.hpp"

#include <support/result.hpp>
#include <thread>

KVMXX_GUEST(pic)

namespace kvm::test {
namespace {

using namespace std::chrono_literals;

constexpr u64 lapic = 0xfee00000, ioapic = 0xfec00000;
constexpr u8 vector = 0x45;
/// A GSI that the I/O APIC has and the PICs have not.
constexpr Gsi gsi{20};

/// A guest with an interrupt controller in the kernel.
Guest with_irqchip(const Kvm& kvm) {
    return Guest(kvm, [](Vm& vm) { must(vm.create_irqchip()); });
}

/// Has the guest enable its local APIC, route I/O APIC pin 20 to `vector`, tell port 0xe1 that it
/// is ready, and then do `script`.
void load_apic_script(Guest& guest, u64 redirection, const std::vector<Operation>& script) {
    std::vector<Operation> whole = {{store4, lapic + 0xf0, 0x1ff},
                                    {store4, ioapic, 0x10 + 2 * 20},
                                    {store4, ioapic + 0x10, redirection},
                                    {out1, 0xe1, 0}};
    whole.insert(whole.end(), script.begin(), script.end());
    load_script(guest, whole);
    guest.set_gate(vector, guests::script_interrupt());
    ASSERT_EQ(guest.run_to<exit::IoOut>().port, Port(0xe1));
}

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
    entry.u.msi = {static_cast<u32>(lapic), 0, vector, 0};
    return entry;
}

class VmIrq : public WithKvm {};

TEST_F(VmIrq, ALineOfThePicInterruptsARealModeGuest) {
    Guest guest = with_irqchip(kvm());
    guest.load_real(guests::pic());
    EXPECT_EQ(guest.run_to<exit::IoOut>().port, Port(0xe0));
    for (int i = 0; i < 2; ++i) {
        ASSERT_OK(guest.vm().irq_line(Gsi(4), Level::high));
        ASSERT_OK(guest.vm().irq_line(Gsi(4), Level::low));
        EXPECT_EQ(guest.run_to<exit::IoOut>().port, Port(0xe4));
    }
}

TEST_F(VmIrq, TheStatusSaysWhetherALineWasMaskedDeliveredOrPending) {
    REQUIRE_CAP(kvm(), cap::irq_inject_status);
    REQUIRE_CAP(kvm(), cap::irq_routing);
    Guest guest = with_irqchip(kvm());
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

TEST_F(VmIrq, AnIrqfdWakesAGuestThatHalts) {
    REQUIRE_CAP(kvm(), cap::irqfd);
    Guest guest = with_irqchip(kvm());
    const EventFd event = must(EventFd::create());
    ASSERT_OK(guest.vm().add_irqfd(event, gsi));
    load_apic_script(guest, vector, {{wait}, {out1, 0xe2, 0}});
    std::thread other([&] {
        std::this_thread::sleep_for(50ms);
        must(event.write());
    });
    EXPECT_EQ(guest.run_to<exit::IoOut>().port, interrupted_port);
    EXPECT_EQ(guest.run_to<exit::IoOut>().port, Port(0xe2));
    other.join();
}

TEST_F(VmIrq, ARemovedIrqfdInterruptsNoMore) {
    REQUIRE_CAP(kvm(), cap::irqfd);
    Guest guest = with_irqchip(kvm());
    const EventFd event = must(EventFd::create(0, EventFdFlag::nonblock));
    ASSERT_OK(guest.vm().add_irqfd(event, gsi));
    ASSERT_OK(guest.vm().remove_irqfd(event, gsi));
    EXPECT_OK(guest.vm().remove_irqfd(event, gsi)) << "nothing to undo is no error";
    load_apic_script(guest, vector, {{wait}, {out1, 0xe2, 0}});
    must(event.write());
    EXPECT_THROW((void)guest.run(200ms), std::runtime_error) << "the guest should wait";
    EXPECT_EQ(must(event.read()), 1u) << "nobody else took the signal";
    ASSERT_OK(guest.vm().add_irqfd(event, gsi));
    must(event.write());
    EXPECT_EQ(guest.run_to<exit::IoOut>().port, interrupted_port);
}

TEST_F(VmIrq, AResamplingIrqfdStaysHighUntilTheGuestAcknowledges) {
    REQUIRE_CAP(kvm(), cap::irqfd_resample);
    Guest guest = with_irqchip(kvm());
    const EventFd event = must(EventFd::create());
    const EventFd resample = must(EventFd::create(0, EventFdFlag::nonblock));
    ASSERT_OK(guest.vm().add_irqfd(event, gsi, resample));
    constexpr u64 level_triggered = 1 << 15;
    load_apic_script(guest, level_triggered | vector, {{wait}, {out1, 0xe2, 0}, {wait}});
    EXPECT_ERRNO(resample.read(), EAGAIN);
    must(event.write());
    EXPECT_EQ(guest.run_to<exit::IoOut>().port, interrupted_port);
    EXPECT_EQ(guest.run_to<exit::IoOut>().port, Port(0xe2));
    EXPECT_EQ(must(resample.read()), 1u);
    EXPECT_THROW((void)guest.run(200ms), std::runtime_error) << "the line should have fallen";
    must(event.write());
    EXPECT_EQ(guest.run_to<exit::IoOut>().port, interrupted_port);
}

TEST_F(VmIrq, IrqfdsRefuseWhatIsNoEventfdOrTaken) {
    REQUIRE_CAP(kvm(), cap::irqfd);
    Vm vm = must(kvm().create_vm());
    must(vm.create_irqchip());
    const EventFd event = must(EventFd::create());
    ASSERT_OK(vm.add_irqfd(event, Gsi(4)));
    EXPECT_ERRNO(vm.add_irqfd(event, Gsi(4)), EBUSY);
    EXPECT_ERRNO(vm.add_irqfd(event, Gsi(5)), EBUSY);
    EXPECT_ERRNO(vm.add_irqfd(FdRef(-1), Gsi(4)), EBADF);
    EXPECT_ERRNO(vm.add_irqfd(vm.fd(), Gsi(4)), EINVAL);
    EXPECT_ERRNO(vm.remove_irqfd(FdRef(-1), Gsi(4)), EBADF);
    EXPECT_ERRNO(vm.add_irqfd(must(EventFd::create()), Gsi(5), vm.fd()), EINVAL);
}

TEST_F(VmIrq, AnEmptyRoutingDeliversNothingAndAnotherDeliversAgain) {
    REQUIRE_CAP(kvm(), cap::irq_routing);
    Guest guest = with_irqchip(kvm());
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

TEST_F(VmIrq, AGsiMayBeAMessage) {
    REQUIRE_CAP(kvm(), cap::irq_routing);
    REQUIRE_CAP(kvm(), cap::irqfd);
    Guest guest = with_irqchip(kvm());
    const IrqRoutingEntry wired[] = {to_msi(Gsi(40))};
    must(guest.vm().set_gsi_routing(must(GsiRouting::from(wired))));
    const EventFd event = must(EventFd::create());
    must(guest.vm().add_irqfd(event, Gsi(40)));
    load_apic_script(guest, 0x10000, {{wait}, {out1, 0xe2, 0}});
    must(event.write());
    EXPECT_EQ(guest.run_to<exit::IoOut>().port, interrupted_port);
}

TEST_F(VmIrq, ARoutingToAChipThatThereIsNotIsRefused) {
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

TEST_F(VmIrq, AMessageIsDeliveredOnceTheApicIsOn) {
    REQUIRE_CAP(kvm(), cap::signal_msi);
    Guest guest = with_irqchip(kvm());
    const Msi msi{.address_lo = u32(lapic),
                  .address_hi = 0,
                  .data = vector,
                  .flags = 0,
                  .devid = 0,
                  .pad = {}};
    const auto early = guest.vm().signal_msi(msi);
    ASSERT_OK(early);
    EXPECT_FALSE(*early) << "the guest has not enabled its APIC";
    load_apic_script(guest, 0x10000, {{wait}, {out1, 0xe2, 0}});
    EXPECT_TRUE(must(guest.vm().signal_msi(msi)));
    EXPECT_EQ(guest.run_to<exit::IoOut>().port, interrupted_port);
    Msi nobody = msi;
    nobody.address_lo |= 9 << 12;
    EXPECT_FALSE(must(guest.vm().signal_msi(nobody))) << "no vCPU has APIC id 9";
}

TEST_F(VmIrq, AMessageWithoutApicsIsRefused) {
    REQUIRE_CAP(kvm(), cap::signal_msi);
    Vm vm = must(kvm().create_vm());
    const Msi msi{.address_lo = u32(lapic),
                  .address_hi = 0,
                  .data = vector,
                  .flags = 0,
                  .devid = 0,
                  .pad = {}};
    EXPECT_ERRNO(vm.signal_msi(msi), EINVAL);
}

}  // namespace
}  // namespace kvm::test

// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <support/guest.hpp>

KVMXX_GUEST(smm)
KVMXX_GUEST(window)
KVMXX_GUEST_LABEL(window, interrupt)

namespace kvm::test {
namespace {

class VcpuInjection : public WithKvm {};

constexpr u8 nmi_vector = 2, undefined_vector = 6, interrupt_vector = 0x40;

std::string next_output(Guest& guest) { return bytes_of(guest.run_to<exit::IoOut>().data); }

TEST_F(VcpuInjection, NothingIsPendingInTheBeginning) {
    REQUIRE_CAP(kvm(), cap::vcpu_events);
    Guest guest(kvm());
    const VcpuEvents events = must(guest.vcpu().vcpu_events());
    EXPECT_EQ(events.exception.injected, 0);
    EXPECT_EQ(events.interrupt.injected, 0);
    EXPECT_EQ(events.nmi.pending, 0);
    EXPECT_EQ(events.smi.pending, 0);
}

TEST_F(VcpuInjection, ReadsBackTheEventsThatWereSet) {
    REQUIRE_CAP(kvm(), cap::vcpu_events);
    Guest guest(kvm());
    guest.load_long(guests::halt());
    VcpuEvents events = must(guest.vcpu().vcpu_events());
    events.nmi.masked = 1;
    events.interrupt.injected = 1;
    events.interrupt.nr = 0x55;
    ASSERT_OK(guest.vcpu().set_vcpu_events(events));
    const VcpuEvents now = must(guest.vcpu().vcpu_events());
    EXPECT_EQ(now.nmi.masked, 1);
    EXPECT_EQ(now.interrupt.injected, 1);
    EXPECT_EQ(now.interrupt.nr, 0x55);
}

TEST_F(VcpuInjection, RefusesUnknownFlags) {
    REQUIRE_CAP(kvm(), cap::vcpu_events);
    Guest guest(kvm());
    VcpuEvents events = must(guest.vcpu().vcpu_events());
    events.flags |= 1u << 31;
    EXPECT_ERRNO(guest.vcpu().set_vcpu_events(events), EINVAL);
}

TEST_F(VcpuInjection, AnInjectedExceptionRunsTheGuestsHandler) {
    REQUIRE_CAP(kvm(), cap::vcpu_events);
    Guest guest(kvm());
    guest.load_long(guests::handlers());
    guest.set_gate(undefined_vector, guests::handlers_exception());
    guest.run_to<exit::Hlt>();
    VcpuEvents events = must(guest.vcpu().vcpu_events());
    events.exception = {
        .injected = 1, .nr = undefined_vector, .has_error_code = 0, .pending = 0, .error_code = 0};
    ASSERT_OK(guest.vcpu().set_vcpu_events(events));
    EXPECT_EQ(next_output(guest), "x");
    guest.run_to<exit::Hlt>();
}

TEST_F(VcpuInjection, AnNmiRunsTheGuestsHandler) {
    REQUIRE_CAP(kvm(), cap::user_nmi);
    Guest guest(kvm());
    guest.load_long(guests::handlers());
    guest.set_gate(nmi_vector, guests::handlers_nmi());
    guest.run_to<exit::Hlt>();
    ASSERT_OK(guest.vcpu().nmi());
    EXPECT_EQ(next_output(guest), "n");
    guest.run_to<exit::Hlt>();
}

TEST_F(VcpuInjection, AnSmiRunsTheGuestsHandlerInSystemManagementMode) {
    REQUIRE_CAP(kvm(), cap::x86_smm);
    Guest guest(kvm());
    guest.load_long(guests::handlers());
    guest.write(0x38000, guests::smm());
    // What the CPU sees in system management mode is an address space of its own.
    const auto smram [[maybe_unused]] =
        must(guest.vm().add_memory(Slot(1 << 16), 0_gpa, guest.memory()));
    guest.run_to<exit::Hlt>();
    ASSERT_OK(guest.vcpu().smi());
    EXPECT_EQ(next_output(guest), "s");
    EXPECT_TRUE(Flags<RunFlag>(guest.vcpu().raw().flags).has(RunFlag::smm));
    guest.run_to<exit::Hlt>();
    EXPECT_FALSE(Flags<RunFlag>(guest.vcpu().raw().flags).has(RunFlag::smm));
}

TEST_F(VcpuInjection, AnInterruptRunsTheGuestsHandlerWithoutAnIrqchip) {
    Guest guest(kvm());
    guest.load_long(guests::handlers());
    guest.set_gate(interrupt_vector, guests::handlers_interrupt());
    guest.run_to<exit::Hlt>();
    ASSERT_EQ(guest.vcpu().raw().ready_for_interrupt_injection, 1);
    ASSERT_EQ(guest.vcpu().raw().if_flag, 1);
    ASSERT_OK(guest.vcpu().interrupt(interrupt_vector));
    EXPECT_EQ(next_output(guest), "i");
    guest.run_to<exit::Hlt>();
}

TEST_F(VcpuInjection, TheInterruptWindowOpensWhenTheGuestEnablesInterrupts) {
    Guest guest(kvm());
    guest.load_long(guests::window());
    guest.set_gate(interrupt_vector, guests::window_interrupt());
    EXPECT_EQ(next_output(guest), "d");
    EXPECT_EQ(guest.vcpu().raw().ready_for_interrupt_injection, 0);
    EXPECT_EQ(guest.vcpu().raw().if_flag, 0);
    guest.vcpu().raw().request_interrupt_window = 1;
    guest.run_to<exit::IrqWindowOpen>();
    EXPECT_EQ(guest.vcpu().raw().if_flag, 1);
    EXPECT_EQ(guest.vcpu().raw().ready_for_interrupt_injection, 1);
    guest.vcpu().raw().request_interrupt_window = 0;
    ASSERT_OK(guest.vcpu().interrupt(interrupt_vector));
    EXPECT_EQ(next_output(guest), "i");
}

TEST_F(VcpuInjection, RefusesToInjectAnInterruptBesideAnIrqchip) {
    REQUIRE_CAP(kvm(), cap::irqchip);
    Guest guest(kvm(), [](Vm& vm) { must(vm.create_irqchip()); });
    EXPECT_ERRNO(guest.vcpu().interrupt(interrupt_vector), ENXIO);
}

}  // namespace
}  // namespace kvm::test

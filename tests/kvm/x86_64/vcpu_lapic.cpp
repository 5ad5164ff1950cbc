// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <cstdlib>
#include <support/guest.hpp>
#include <vector>

KVMXX_GUEST(tpr)
KVMXX_GUEST_LABEL(tpr, write)
KVMXX_GUEST_LABEL(tpr, read)

namespace kvm::test {
namespace {

class VcpuLapic : public WithKvm {};

void with_irqchip(Vm& vm) { must(vm.create_irqchip()); }

u32 apic_register(const LapicState& lapic, std::size_t offset) {
    u32 value;
    std::memcpy(&value, lapic.regs + offset, sizeof value);
    return value;
}

TEST_F(VcpuLapic, ReadsBackTheRegistersThatWereSet) {
    REQUIRE_CAP(kvm(), cap::irqchip);
    Guest guest(kvm(), with_irqchip);
    LapicState lapic = must(guest.vcpu().lapic());
    EXPECT_EQ(apic_register(lapic, 0x30) & 0xff, 0x14u) << "the version of every APIC since P4";
    const u32 priority = 0x20;
    std::memcpy(lapic.regs + 0x80, &priority, sizeof priority);
    ASSERT_OK(guest.vcpu().set_lapic(lapic));
    EXPECT_EQ(apic_register(must(guest.vcpu().lapic()), 0x80), priority);
}

TEST_F(VcpuLapic, IsNoneWithoutAnIrqchipInTheKernel) {
    Guest guest(kvm());
    EXPECT_ERRNO(guest.vcpu().lapic(), EINVAL);
    EXPECT_ERRNO(guest.vcpu().set_lapic(LapicState{}), EINVAL);
}

TEST_F(VcpuLapic, ReportsAccessesToTheTaskPriority) {
    REQUIRE_CAP(kvm(), cap::vapic);
    Guest guest(kvm(), with_irqchip);
    guest.load_long(guests::tpr());
    ASSERT_OK(guest.vcpu().tpr_access_reporting(Switch::on));
    std::vector<exit::TprAccess> accesses;
    const auto collect = [&] {
        const Exit exit = guest.run();
        if (exit.reason() == ExitReason::io) {
            EXPECT_EQ(number_of(guest.payload<exit::IoOut>(exit).data), 0x20u);
            return false;
        }
        accesses.push_back(guest.payload<exit::TprAccess>(exit));
        return true;
    };
    while (collect()) {
    }
    if (accesses.size() < 2 && !std::getenv("KVMXX_LAB")) {  // whose KVM reports both
        GTEST_SKIP() << "needs a KVM that stops at each access to the task priority: this one "
                        "interprets on, unless something else had it stop";
    }
    ASSERT_EQ(accesses.size(), 2u);
    EXPECT_TRUE(accesses[0].is_write);
    EXPECT_EQ(accesses[0].rip, Gva(layout::long_code + guests::tpr_write()));
    EXPECT_FALSE(accesses[1].is_write);
    EXPECT_EQ(accesses[1].rip, Gva(layout::long_code + guests::tpr_read()));
}

TEST_F(VcpuLapic, DoesNotReportAccessesToTheTaskPriorityUnasked) {
    REQUIRE_CAP(kvm(), cap::vapic);
    Guest guest(kvm(), with_irqchip);
    guest.load_long(guests::tpr());
    ASSERT_OK(guest.vcpu().tpr_access_reporting(Switch::on));
    ASSERT_OK(guest.vcpu().tpr_access_reporting(Switch::off));
    EXPECT_EQ(number_of(guest.run_to<exit::IoOut>().data), 0x20u);
}

TEST_F(VcpuLapic, TheFirstVcpuCanRunAndOthersWaitToBeStarted) {
    REQUIRE_CAP(kvm(), cap::mp_state);
    Guest guest(kvm(), with_irqchip);
    EXPECT_EQ(must(guest.vcpu().mp_state()).mp_state, MpStateValue::runnable);
    auto second = must(guest.vm().create_vcpu(VcpuId(1)));
    EXPECT_EQ(must(second.mp_state()).mp_state, MpStateValue::uninitialized);
}

TEST_F(VcpuLapic, ReadsBackTheMultiprocessorStateThatWasSet) {
    REQUIRE_CAP(kvm(), cap::mp_state);
    Guest guest(kvm(), with_irqchip);
    ASSERT_OK(guest.vcpu().set_mp_state({MpStateValue::halted}));
    EXPECT_EQ(must(guest.vcpu().mp_state()).mp_state, MpStateValue::halted);
}

TEST_F(VcpuLapic, RefusesAStateOfAnotherArchitecture) {
    REQUIRE_CAP(kvm(), cap::mp_state);
    Guest guest(kvm());
    EXPECT_ERRNO(guest.vcpu().set_mp_state({MpStateValue::check_stop}), EINVAL);
}

}  // namespace
}  // namespace kvm::test

// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// The timers of a vCPU: their interrupts, and their registers' ids.

#include "gic_guest.hpp"

#include <sched.h>

KVMXX_GUEST(timer)
KVMXX_GUEST(counters)

namespace kvm::test {
namespace {

using namespace kvm::aarch64;

/// What guests/aarch64/timer.S takes.
enum class How : u64 { virtual_cval = 0, virtual_tval = 1, physical_cval = 2, physical_tval = 3 };
constexpr u32 virtual_ppi = 27, physical_ppi = 30;

constexpr u32 ppi_of(How how) { return u64(how) & 2 ? physical_ppi : virtual_ppi; }

class TimerArm : public WithGicV3 {
protected:
    void SetUp() override {
        WithGicV3::SetUp();
        if (!IsSkipped()) {
            guest_.emplace(kvm());
            guest_->make();
        }
    }
    Guest& guest() { return guest_->guest(); }
    void enable(u32 intid) { guest_->enable(intid); }
    /// Has the guest set a timer to `ticks` from now on, and runs until it is interrupted; by how
    /// many ticks that was late.
    s64 wait(How how, u64 ticks) {
        guest().load(guests::timer());
        guest().set(x(0), u64(how));
        guest().set(x(1), ticks);
        guest().set(x(9), layout::mmio);
        EXPECT_EQ(guest().run_to_write(layout::mmio), ppi_of(how));
        return static_cast<s64>(guest().run_to_write(layout::mmio + 8));
    }

private:
    std::optional<GicGuest> guest_;
};

TEST_F(TimerArm, EachInterruptsByItsComparisonAndByWhatIsLeftAndNotTooEarly) {
    enable(virtual_ppi);
    enable(physical_ppi);
    for (const How how :
         {How::virtual_cval, How::virtual_tval, How::physical_cval, How::physical_tval}) {
        for (const u64 ticks : {0u, 1000u, 200000u}) {
            EXPECT_GE(wait(how, ticks), 0) << "timer " << u64(how) << ", ticks " << ticks;
        }
    }
}

TEST_F(TimerArm, ItIsKeptWhenTheVcpuGoesToAnotherCpu) {
    cpu_set_t all = {};
    ASSERT_EQ(sched_getaffinity(0, sizeof all, &all), 0);
    enable(virtual_ppi);
    for (std::size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (CPU_ISSET(cpu, &all)) {
            cpu_set_t one = {};
            CPU_SET(cpu, &one);
            ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
            EXPECT_GE(wait(How::virtual_cval, 1000), 0);
        }
    }
    EXPECT_EQ(sched_setaffinity(0, sizeof all, &all), 0);
}

TEST_F(TimerArm, HasThePrivateInterruptThatWasChosen) {
    enable(20);
    ASSERT_OK(guest().vcpu().set_attr(timer_irq_vtimer, 20));
    guest().load(guests::timer());
    guest().set(x(0), u64(How::virtual_cval));
    guest().set(x(1), 1000);
    guest().set(x(9), layout::mmio);
    EXPECT_EQ(guest().run_to_write(layout::mmio), 20u);
}

TEST_F(TimerArm, TheGuestFindsWhatWasSetThoughTwoIdsAreEachOthersEncodings) {
    constexpr u64 count = u64(1) << 40, comparison = u64(1) << 50, enabled_and_masked = 3;
    guest().load(guests::counters());
    guest().set(x(9), layout::mmio);
    guest().set(timer_cnt, count);
    guest().set(timer_cval, comparison);
    guest().set(timer_ctl, enabled_and_masked);
    const u64 first = guest().run_to_write(layout::mmio);
    EXPECT_GE(first, count);
    EXPECT_LT(first, count + (u64(1) << 36)) << "some minutes at most";
    EXPECT_EQ(guest().run_to_write(layout::mmio), comparison);
    EXPECT_EQ(guest().run_to_write(layout::mmio), enabled_and_masked);
    EXPECT_GE(guest().get(timer_cnt), first) << "it goes on";
    EXPECT_EQ(guest().get(timer_cval), comparison);
}

}  // namespace
}  // namespace kvm::test

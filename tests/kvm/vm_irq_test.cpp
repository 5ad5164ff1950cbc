// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <interrupts.hpp>
#include <support/result.hpp>
#include <thread>

namespace kvm::test {
namespace {

using namespace std::chrono_literals;

constexpr Gsi line = InterruptGuest::line, gsi = InterruptGuest::line_of_irqfd;
constexpr Gsi next_gsi{static_cast<u32>(gsi) + 1};

/// Where a script tells that it went on.
constexpr u64 after = layout::mmio;

class VmIrq : public WithKvm {
protected:
    void SetUp() override {
        WithKvm::SetUp();
        if (IsSkipped()) {
            return;
        }
        if (const std::string why = InterruptGuest::missing(kvm()); !why.empty()) {
            GTEST_SKIP() << why;
        }
    }
};

TEST_F(VmIrq, ALineInterruptsTheGuestOnceForEachEdge) {
    InterruptGuest guest(kvm());
    guest.load_waiting({{wait}, {store1, after, 1}, {wait}, {store1, after, 2}, {wait}});
    for (const u64 number : {1u, 2u}) {
        ASSERT_OK(guest.vm().irq_line(line, Level::high));
        ASSERT_OK(guest.vm().irq_line(line, Level::low));
        guest.run_to_interrupt();
        EXPECT_EQ(guest.run_to_write(after), number);
    }
    EXPECT_THROW((void)guest.run(200ms), std::runtime_error) << "the guest should wait";
}

TEST_F(VmIrq, ALineByLevelInterruptsAsLongAsItIsHigh) {
    InterruptGuest guest(kvm());
    guest.load_waiting(std::vector<Operation>(8, {wait}), Trigger::level);
    ASSERT_OK(guest.vm().irq_line(line, Level::high));
    guest.run_to_interrupt();
    guest.run_to_interrupt();
    ASSERT_OK(guest.vm().irq_line(line, Level::low));
    const auto run_on = [&] {
        for (int i = 0; i < 3; ++i) {  // one more may have been on its way
            (void)guest.run(200ms);
        }
    };
    EXPECT_THROW(run_on(), std::runtime_error) << "the guest should wait";
}

TEST_F(VmIrq, AnIrqfdWakesAGuestThatWaits) {
    REQUIRE_CAP(kvm(), cap::irqfd);
    InterruptGuest guest(kvm());
    const EventFd event = must(EventFd::create());
    ASSERT_OK(guest.vm().add_irqfd(event, gsi));
    guest.load_waiting({{wait}, {store1, after, 1}});
    std::thread other([&] {
        std::this_thread::sleep_for(50ms);
        must(event.write());
    });
    guest.run_to_interrupt();
    EXPECT_EQ(guest.run_to_write(after), 1u);
    other.join();
}

TEST_F(VmIrq, ARemovedIrqfdInterruptsNoMore) {
    REQUIRE_CAP(kvm(), cap::irqfd);
    InterruptGuest guest(kvm());
    const EventFd event = must(EventFd::create(0, EventFdFlag::nonblock));
    ASSERT_OK(guest.vm().add_irqfd(event, gsi));
    ASSERT_OK(guest.vm().remove_irqfd(event, gsi));
    EXPECT_OK(guest.vm().remove_irqfd(event, gsi)) << "nothing to undo is no error";
    guest.load_waiting({{wait}, {store1, after, 1}});
    must(event.write());
    EXPECT_THROW((void)guest.run(200ms), std::runtime_error) << "the guest should wait";
    EXPECT_EQ(must(event.read()), 1u) << "nobody else took the signal";
    ASSERT_OK(guest.vm().add_irqfd(event, gsi));
    must(event.write());
    guest.run_to_interrupt();
}

TEST_F(VmIrq, AResamplingIrqfdStaysHighUntilTheGuestAcknowledges) {
    REQUIRE_CAP(kvm(), cap::irqfd_resample);
    InterruptGuest guest(kvm());
    const EventFd event = must(EventFd::create());
    const EventFd resample = must(EventFd::create(0, EventFdFlag::nonblock));
    ASSERT_OK(guest.vm().add_irqfd(event, gsi, resample));
    guest.load_waiting({{wait}, {store1, after, 1}, {wait}}, Trigger::level);
    EXPECT_ERRNO(resample.read(), EAGAIN);
    must(event.write());
    guest.run_to_interrupt();
    EXPECT_EQ(guest.run_to_write(after), 1u);
    EXPECT_EQ(must(resample.read()), 1u);
    EXPECT_THROW((void)guest.run(200ms), std::runtime_error) << "the line should have fallen";
    must(event.write());
    guest.run_to_interrupt();
}

TEST_F(VmIrq, IrqfdsRefuseWhatIsNoEventfdOrTaken) {
    REQUIRE_CAP(kvm(), cap::irqfd);
    InterruptGuest guest(kvm());
    const Vm& vm = guest.vm();
    const EventFd event = must(EventFd::create());
    ASSERT_OK(vm.add_irqfd(event, gsi));
    EXPECT_ERRNO(vm.add_irqfd(event, gsi), EBUSY);
    EXPECT_ERRNO(vm.add_irqfd(event, next_gsi), EBUSY);
    EXPECT_ERRNO(vm.add_irqfd(FdRef(-1), gsi), EBADF);
    EXPECT_ERRNO(vm.add_irqfd(vm.fd(), gsi), EINVAL);
    EXPECT_ERRNO(vm.remove_irqfd(FdRef(-1), gsi), EBADF);
    EXPECT_ERRNO(vm.add_irqfd(must(EventFd::create()), next_gsi, vm.fd()), EINVAL);
}

TEST_F(VmIrq, TwoIrqfdsMayShareAGsi) {
    REQUIRE_CAP(kvm(), cap::irqfd);
    InterruptGuest guest(kvm());
    const EventFd one = must(EventFd::create()), two = must(EventFd::create());
    ASSERT_OK(guest.vm().add_irqfd(one, gsi));
    ASSERT_OK(guest.vm().add_irqfd(two, gsi));
    guest.load_waiting({{wait}, {store1, after, 1}, {wait}});
    must(one.write());
    guest.run_to_interrupt();
    EXPECT_EQ(guest.run_to_write(after), 1u);
    must(two.write());
    guest.run_to_interrupt();
    EXPECT_OK(guest.vm().remove_irqfd(one, gsi));
    EXPECT_OK(guest.vm().remove_irqfd(two, gsi));
}

}  // namespace
}  // namespace kvm::test

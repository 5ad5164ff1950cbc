// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <array>
#include <cstring>
#include <gtest/gtest.h>
#include <thread>
#include <vmm/device/debug_console.hpp>
#include <vmm/device/pm_timer.hpp>
#include <vmm/device/power.hpp>
#include <vmm/device/pvpanic.hpp>
#include <vmm/device_fixture.hpp>

namespace vmm {
namespace {

using test::in;
using test::out;

struct TestPower final : PowerLine {
    void power_off() override { ++count; }
    int count = 0;
};

struct TestPanic final : PanicLine {
    void panicked() override { ++panics; }
    void crash_loaded() override { ++crashes; }
    int panics = 0;
    int crashes = 0;
};

struct TestClock final : Clock {
    std::uint64_t nanoseconds() const override { return now; }
    std::uint64_t now = 1'000'000'000'000;
};

constexpr std::uint8_t s5 = 5;
constexpr unsigned sleep_s5 = 0x20 | s5 << 2;

TEST(SleepRegisters, SwitchTheMachineOffByS5Alone) {
    TestPower power;
    SleepRegisters sleep(power, s5);
    out(sleep, 0, s5 << 2);
    EXPECT_EQ(power.count, 0) << "SLP_EN is not set";
    out(sleep, 0, 0x20 | 3 << 2);
    EXPECT_EQ(power.count, 0) << "there is no S3";
    out(sleep, 1, sleep_s5);
    EXPECT_EQ(power.count, 0) << "that is the status";
    out(sleep, 0, sleep_s5);
    EXPECT_EQ(power.count, 1);
    EXPECT_EQ(in(sleep, 0), s5 << 2) << "SLP_EN reads as 0";
    EXPECT_EQ(in(sleep, 1), 0) << "it has never woken";
}

TEST(EventRegisters, RaiseTheLineUntilTheGuestReadsWhatHappened) {
    test::TestLine line;
    EventRegisters events(line);
    EXPECT_FALSE(events.armed());
    events.press();
    EXPECT_FALSE(line.up()) << "nobody listens";
    out(events, 1, 0xff);
    EXPECT_TRUE(events.armed());
    EXPECT_TRUE(line.up()) << "what was pressed before is seen";
    EXPECT_EQ(in(events, 1), 1) << "the one event that there is";
    EXPECT_EQ(in(events, 0), 1);
    EXPECT_FALSE(line.up());
    EXPECT_EQ(in(events, 0), 0);
    events.press();
    events.press();
    EXPECT_EQ(line.changes, 3);
    out(events, 1, 0);
    EXPECT_FALSE(line.up());
}

TEST(Pm1Registers, RaiseTheSystemControlInterruptByTheButton) {
    test::TestLine sci;
    TestPower power;
    Pm1Registers pm1(sci, power, s5);
    EXPECT_FALSE(pm1.armed());
    pm1.press();
    EXPECT_FALSE(sci.up());
    out(pm1, 3, 0xff);
    EXPECT_TRUE(pm1.armed());
    EXPECT_EQ(in(pm1, 3), 7) << "what can be enabled, though the others never happen";
    out(pm1, 2, 0xff);
    EXPECT_EQ(in(pm1, 2), 0x21);
    EXPECT_EQ(in(pm1, 3), 7);
    EXPECT_TRUE(sci.up());
    EXPECT_EQ(in(pm1, 1), 1);
    out(pm1, 0, 0xff);
    EXPECT_TRUE(sci.up()) << "another event's status";
    out(pm1, 1, 1);
    EXPECT_FALSE(sci.up());
    EXPECT_EQ(in(pm1, 1), 0);
}

TEST(Pm1Registers, SwitchTheMachineOffAndAreAlwaysInAcpiMode) {
    test::TestLine sci;
    TestPower power;
    Pm1Registers pm1(sci, power, s5);
    EXPECT_EQ(in(pm1, 4), 1);
    out(pm1, 5, s5 << 2);
    EXPECT_EQ(power.count, 0);
    const std::array<std::byte, 2> control{std::byte{1}, std::byte{sleep_s5}};
    static_cast<BusDevice&>(pm1).write(4, control);
    EXPECT_EQ(power.count, 1);
}

TEST(PmTimer, CountsAtItsFrequencyForEver) {
    TestClock clock;
    const PmTimer timer(clock, PmTimer::Width::bits32);
    EXPECT_EQ(timer.count(), 0u);
    clock.now += 1'000'000'000;
    EXPECT_EQ(timer.count(), PmTimer::frequency);
    clock.now += 500'000'000;
    EXPECT_EQ(timer.count(), PmTimer::frequency + PmTimer::frequency / 2);
    clock.now += 1'000'000'000ull * 1'000'000'000;  // 31 years
    EXPECT_EQ(timer.count(),
              static_cast<std::uint32_t>((1'000'000'001ull * 2 + 1) * PmTimer::frequency / 2));
}

TEST(PmTimer, ReadsAtOnceAtAnyWidthAndCannotBeSet) {
    TestClock clock;
    PmTimer timer(clock, PmTimer::Width::bits24);
    clock.now += 1'000'000'000ull * 100;
    const std::uint32_t expected = 100 * PmTimer::frequency & 0xffffff;
    out(timer, 0, 0x55);
    std::array<std::byte, 4> bytes{};
    timer.read(0, bytes);
    std::uint32_t value = 0;
    std::memcpy(&value, bytes.data(), sizeof value);
    EXPECT_EQ(value, expected);
    EXPECT_EQ(in(timer, 1), expected >> 8 & 0xff);
    EXPECT_EQ(in(timer, 3), 0);
    EXPECT_EQ(in(timer, 4), 0xff);
}

TEST(HostClock, GoesForward) {
    const HostClock clock;
    const auto before = clock.nanoseconds();
    EXPECT_GE(clock.nanoseconds(), before);
}

TEST(PvPanic, TellsAPanicFromOneThatTheGuestTakesCareOf) {
    TestPanic line;
    PvPanic panic(line);
    EXPECT_EQ(in(panic, 0), 3) << "the events that there are";
    out(panic, 0, 0);
    out(panic, 0, 0xfc);
    EXPECT_EQ(line.panics + line.crashes, 0);
    out(panic, 0, 2);
    EXPECT_EQ(line.crashes, 1);
    out(panic, 0, 3);
    EXPECT_EQ(line.crashes, 2);
    EXPECT_EQ(line.panics, 0);
    out(panic, 0, 1);
    EXPECT_EQ(line.panics, 1);
}

TEST(DebugConsole, IsFoundByItsValueAndPrintsStrings) {
    test::TestPeer peer;
    DebugConsole console(peer);
    EXPECT_EQ(in(console, 0), 0xe9);
    static_cast<BusDevice&>(console).write(0, test::bytes("hello"));
    EXPECT_EQ(peer.sent, "hello");
}

TEST(PowerButton, MayBePressedWhileTheGuestLooks) {
    test::TestLine line, sci;
    TestPower power;
    EventRegisters events(line);
    Pm1Registers pm1(sci, power, s5);
    out(events, 1, 1);
    out(pm1, 3, 1);
    {
        const auto repeat = [](auto action) {
            return std::jthread([action] {
                for (int i = 0; i < 10'000; ++i) {
                    action();
                }
            });
        };
        const auto presses = repeat([&] {
            events.press();
            pm1.press();
        });
        const auto reads = repeat([&] {
            in(events, 0);
            out(pm1, 1, 1);
        });
    }
    in(events, 0);
    out(pm1, 1, 1);
    EXPECT_FALSE(line.up());
    EXPECT_FALSE(sci.up());
}

}  // namespace
}  // namespace vmm

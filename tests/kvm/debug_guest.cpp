// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <debugging.hpp>

namespace kvm::test {
namespace {

class GuestDebugging : public DebuggedGuest {};

/// Skips the test if the guest went past what should have stopped it, or fell over it.
#define REQUIRE_STOP(exit, what)                                                                   \
    do {                                                                                           \
        if ((exit).reason() != ExitReason::debug) {                                                \
            GTEST_SKIP() << "needs " what ", which this KVM takes and ignores: "                   \
                         << describe(exit);                                                        \
        }                                                                                          \
    } while (false)

TEST_F(GuestDebugging, ASingleStepStopsAfterEachInstruction) {
    debug({}, GuestDebugFlag::singlestep);
    for (const std::size_t offset : {guests::steps_second(), guests::steps_third(),
                                     guests::steps_store(), guests::steps_after()}) {
        const Exit exit = guest().run();
        REQUIRE_STOP(exit, "single steps");
        const auto step = guest().payload<exit::Debug>(exit);
        EXPECT_EQ(kind_of(step), StopKind::step);
        EXPECT_EQ(address_of(step), code(offset));
        EXPECT_EQ(guest().program_counter(), code(offset));
    }
}

TEST_F(GuestDebugging, TheGuestRunsFreelyOnceDebuggingIsSwitchedOff) {
    debug({}, GuestDebugFlag::singlestep);
    const Exit exit = guest().run();
    REQUIRE_STOP(exit, "single steps");
    guest().payload<exit::Debug>(exit);
    ASSERT_OK(guest().vcpu().set_guest_debug(kvm::GuestDebug{}));
    guest().run_to_stop();
}

TEST_F(GuestDebugging, AHardwareBreakpointStopsBeforeItsInstruction) {
    guest().write<u8>(layout::data, 0x11);
    debug(breakpoint(code(guests::steps_store())), hardware_debugging);
    const Exit exit = guest().run();
    REQUIRE_STOP(exit, "hardware breakpoints");
    const auto hit = guest().payload<exit::Debug>(exit);
    EXPECT_EQ(kind_of(hit), StopKind::breakpoint);
    EXPECT_EQ(address_of(hit), code(guests::steps_store()));
    EXPECT_EQ(guest().read<u8>(layout::data), 0x11);
}

TEST_F(GuestDebugging, AWatchpointStopsAtTheWrite) {
    debug(watchpoint(layout::data), hardware_debugging);
    const Exit exit = guest().run();
    REQUIRE_STOP(exit, "watchpoints");
    const auto hit = guest().payload<exit::Debug>(exit);
    EXPECT_EQ(kind_of(hit), StopKind::watchpoint);
    EXPECT_EQ(address_of(hit), code(where_watchpoints_stop()));
}

TEST_F(GuestDebugging, ASoftwareBreakpointStopsAtItsInstruction) {
    debug({}, GuestDebugFlag::use_sw_bp);
    const u64 place = code(guests::steps_second());
    const auto there = guest().read<Instruction>(place);
    guest().write(place, breakpoint_instruction);
    const Exit exit = guest().run();
    REQUIRE_STOP(exit, "software breakpoints");
    const auto hit = guest().payload<exit::Debug>(exit);
    EXPECT_EQ(kind_of(hit), StopKind::instruction);
    EXPECT_EQ(address_of(hit), place);
    guest().write(place, there);
    guest().run_to_stop();
}

}  // namespace
}  // namespace kvm::test

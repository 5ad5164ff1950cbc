// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <debugging.hpp>

namespace kvm::test {
namespace {

class GuestDebuggingX86 : public DebuggedGuest {};

TEST_F(GuestDebuggingX86, AWatchpointStopsOnceTheWriteIsDone) {
    debug(watchpoint(layout::data), hardware_debugging);
    guest().change_regs([](Regs& regs) { regs.rax = 0x3c; });
    const Exit exit = guest().run();
    if (exit.reason() != ExitReason::debug) {
        GTEST_SKIP() << "needs watchpoints, which this KVM takes and ignores: " << describe(exit);
    }
    EXPECT_EQ(guest().read<u8>(layout::data), 0x3c);
}

TEST_F(GuestDebuggingX86, WithoutASoftwareBreakpointTheGuestHasItsOwnException) {
    guest().write(code(guests::steps_second()), breakpoint_instruction);
    const Exit exit = guest().run();
    if (exit.reason() == ExitReason::internal_error) {
        GTEST_SKIP() << "needs int3, which this KVM cannot interpret";
    }
    guest().payload<exit::Shutdown>(exit);  // it has no handler
}

}  // namespace
}  // namespace kvm::test

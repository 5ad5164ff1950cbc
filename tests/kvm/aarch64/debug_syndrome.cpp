// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <debugging.hpp>

namespace kvm::test {
namespace {

class GuestDebuggingArm : public DebuggedGuest {};

TEST_F(GuestDebuggingArm, ABreakpointInstructionTellsItsNumber) {
    guest().write(code(guests::steps_second()), breakpoint_instruction);
    debug({}, GuestDebugFlag::use_sw_bp);
    EXPECT_EQ(guest().run_to<exit::Debug>().arch.hsr & 0xffff, 0x123u);
}

TEST_F(GuestDebuggingArm, AWatchpointTellsItsAddressBeforeTheWrite) {
    REQUIRE_CAP(kvm(), cap::guest_debug_hw_wps);
    debug(watchpoint(layout::data), hardware_debugging);
    EXPECT_EQ(guest().run_to<exit::Debug>().arch.far, layout::data);
    EXPECT_EQ(guest().program_counter(), code(guests::steps_store()));
}

TEST_F(GuestDebuggingArm, AFlagThatIsNoneIsRefused) {
    GuestDebug registers = {};
    registers.control = 1u << 30 | 1;
    const auto done = guest().vcpu().set_guest_debug(registers);
    EXPECT_ERRNO(done, EINVAL);
}

}  // namespace
}  // namespace kvm::test

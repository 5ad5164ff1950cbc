// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "guest.hpp"

#include <cerrno>

namespace kvm::test {
namespace {

/// ESR_EL2's exception class.
constexpr u32 class_breakpoint = 0x30, class_step = 0x32, class_watchpoint = 0x34, class_brk = 0x3c;

/// Control registers of breakpoints and watchpoints: enabled, at EL1, of four bytes.
constexpr u64 at_el1 = 1 | 1u << 1 | 0xfu << 5;
constexpr u64 stores = 2u << 3;

class DebuggingArm : public WithKvm {
protected:
    void SetUp() override {
        WithKvm::SetUp();
        if (!IsSkipped()) {
            REQUIRE_CAP(kvm(), cap::set_guest_debug);
            guest_.emplace(kvm());
            guest().load(guests::steps());
            guest().set(x(1), layout::data);
        }
    }
    Guest& guest() { return *guest_; }
    static u64 code(std::size_t offset) { return layout::code + offset; }
    void debug(GuestDebug debug, Flags<GuestDebugFlag> flags) {
        debug.control = (flags | GuestDebugFlag::enable).bits();
        must(guest().vcpu().set_guest_debug(debug));
    }
    static u32 exception_class(const exit::Debug& e) { return e.arch.hsr >> 26; }

private:
    std::optional<Guest> guest_;
};

TEST_F(DebuggingArm, ASingleStepStopsAfterEachInstruction) {
    debug({}, GuestDebugFlag::singlestep);
    for (const u64 offset : {4u, 8u, 12u, 16u, 20u}) {
        EXPECT_EQ(exception_class(guest().run_to<exit::Debug>()), class_step);
        EXPECT_EQ(guest().get(pc), code(offset));
    }
}

TEST_F(DebuggingArm, TheGuestRunsFreelyOnceDebuggingIsSwitchedOff) {
    debug({}, GuestDebugFlag::singlestep);
    guest().run_to<exit::Debug>();
    ASSERT_OK(guest().vcpu().set_guest_debug(GuestDebug{}));
    guest().run_to<exit::SystemEvent>();
}

TEST_F(DebuggingArm, ASoftwareBreakpointStopsAtItsInstruction) {
    guest().write<u32>(code(4), 0xd4200000 | 0x123 << 5);  // brk #0x123
    debug({}, GuestDebugFlag::use_sw_bp);
    const auto hit = guest().run_to<exit::Debug>();
    EXPECT_EQ(exception_class(hit), class_brk);
    EXPECT_EQ(hit.arch.hsr & 0xffff, 0x123u);
    EXPECT_EQ(guest().get(pc), code(4));
}

TEST_F(DebuggingArm, AHardwareBreakpointStopsBeforeItsInstruction) {
    REQUIRE_CAP(kvm(), cap::guest_debug_hw_bps);
    GuestDebug registers = {};
    registers.dbg_bcr[0] = at_el1;
    registers.dbg_bvr[0] = code(guests::steps_store());
    debug(registers, GuestDebugFlag::use_hw);
    EXPECT_EQ(exception_class(guest().run_to<exit::Debug>()), class_breakpoint);
    EXPECT_EQ(guest().get(pc), code(guests::steps_store()));
    EXPECT_EQ(guest().read<u32>(layout::data), 0u);
}

TEST_F(DebuggingArm, AWatchpointStopsAtTheWriteAndTellsItsAddress) {
    REQUIRE_CAP(kvm(), cap::guest_debug_hw_wps);
    GuestDebug registers = {};
    registers.dbg_wcr[0] = at_el1 | stores;
    registers.dbg_wvr[0] = layout::data;
    debug(registers, GuestDebugFlag::use_hw);
    const auto hit = guest().run_to<exit::Debug>();
    EXPECT_EQ(exception_class(hit), class_watchpoint);
    EXPECT_EQ(hit.arch.far, layout::data);
    EXPECT_EQ(guest().get(pc), code(guests::steps_store()));
}

TEST_F(DebuggingArm, AFlagThatIsNoneIsRefused) {
    GuestDebug registers = {};
    registers.control = 1u << 30 | 1;
    const auto done = guest().vcpu().set_guest_debug(registers);
    EXPECT_ERRNO(done, EINVAL);
}

}  // namespace
}  // namespace kvm::test

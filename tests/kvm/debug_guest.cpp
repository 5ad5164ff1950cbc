// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <support/guest.hpp>

KVMXX_GUEST(steps)
KVMXX_GUEST_LABEL(steps, store)
KVMXX_GUEST_LABEL(steps, after)

namespace kvm::test {
namespace {

constexpr u32 debug_exception = 1, breakpoint_exception = 3;
constexpr u64 step_bit = 1u << 14;

class GuestDebugging : public WithKvm {
protected:
    void SetUp() override {
        WithKvm::SetUp();
        if (!IsSkipped()) {
            REQUIRE_CAP(kvm(), cap::set_guest_debug);
            guest_.emplace(kvm());
            guest().load_long(guests::steps());
            guest().change_regs([](Regs& regs) { regs.rdi = layout::data; });
        }
    }
    Guest& guest() { return *guest_; }
    static u64 code(std::size_t offset) { return layout::long_code + offset; }
    void debug(Flags<GuestDebugFlag> flags, u64 dr0 = 0, u64 dr7 = 0) {
        kvm::GuestDebug debug = {};
        debug.control = (flags | GuestDebugFlag::enable).bits();
        debug.debugreg[0] = dr0;
        debug.debugreg[7] = dr7;
        must(guest().vcpu().set_guest_debug(debug));
    }

private:
    std::optional<Guest> guest_;
};

/// Skips the test if the guest went past what should have stopped it, or fell over it.
#define REQUIRE_STOP(exit, what)                                                                   \
    do {                                                                                           \
        if ((exit).reason() != ExitReason::debug) {                                                \
            GTEST_SKIP() << "needs " what ", which this KVM takes and ignores: "                   \
                         << describe(exit);                                                        \
        }                                                                                          \
    } while (false)

TEST_F(GuestDebugging, ASingleStepStopsAfterEachInstruction) {
    debug(GuestDebugFlag::singlestep);
    for (const u64 offset : {1u, 2u, 3u, 5u, 6u}) {
        const Exit exit = guest().run();
        REQUIRE_STOP(exit, "single steps");
        const auto step = guest().payload<exit::Debug>(exit);
        EXPECT_EQ(step.arch.exception, debug_exception);
        EXPECT_EQ(step.arch.pc, code(offset));
        EXPECT_EQ(step.arch.dr6 & step_bit, step_bit);
    }
}

TEST_F(GuestDebugging, TheGuestRunsFreelyOnceDebuggingIsSwitchedOff) {
    debug(GuestDebugFlag::singlestep);
    const Exit exit = guest().run();
    REQUIRE_STOP(exit, "single steps");
    guest().payload<exit::Debug>(exit);
    ASSERT_OK(guest().vcpu().set_guest_debug(kvm::GuestDebug{}));
    guest().run_to<exit::Hlt>();
}

TEST_F(GuestDebugging, AHardwareBreakpointStopsBeforeItsInstruction) {
    debug(GuestDebugFlag::use_hw_bp, code(guests::steps_store()), 0x402);
    const Exit exit = guest().run();
    REQUIRE_STOP(exit, "hardware breakpoints");
    const auto hit = guest().payload<exit::Debug>(exit);
    EXPECT_EQ(hit.arch.exception, debug_exception);
    EXPECT_EQ(hit.arch.pc, code(guests::steps_store()));
    EXPECT_EQ(hit.arch.dr6 & 0xf, 1u);
}

TEST_F(GuestDebugging, AWatchpointStopsAfterTheWrite) {
    debug(GuestDebugFlag::use_hw_bp, layout::data, 0x402 | 1u << 16);
    guest().change_regs([](Regs& regs) { regs.rax = 0x3c; });
    const Exit exit = guest().run();
    REQUIRE_STOP(exit, "watchpoints");
    const auto hit = guest().payload<exit::Debug>(exit);
    EXPECT_EQ(hit.arch.exception, debug_exception);
    EXPECT_EQ(hit.arch.pc, code(guests::steps_after()));
    EXPECT_EQ(hit.arch.dr6 & 0xf, 1u);
    EXPECT_EQ(guest().read<u8>(layout::data), 0x3c);
}

TEST_F(GuestDebugging, ASoftwareBreakpointStopsAtItsInstruction) {
    debug(GuestDebugFlag::use_sw_bp);
    guest().write<u8>(code(1), 0xcc);
    const Exit exit = guest().run();
    REQUIRE_STOP(exit, "software breakpoints");
    const auto hit = guest().payload<exit::Debug>(exit);
    EXPECT_EQ(hit.arch.exception, breakpoint_exception);
    EXPECT_EQ(hit.arch.pc, code(1));
    guest().write<u8>(code(1), 0x90);
    guest().run_to<exit::Hlt>();
}

TEST_F(GuestDebugging, WithoutASoftwareBreakpointTheGuestHasItsOwnException) {
    guest().write<u8>(code(1), 0xcc);
    const Exit exit = guest().run();
    if (exit.reason() == ExitReason::internal_error) {
        GTEST_SKIP() << "needs int3, which this KVM cannot interpret";
    }
    guest().payload<exit::Shutdown>(exit);  // it has no handler
}

}  // namespace
}  // namespace kvm::test

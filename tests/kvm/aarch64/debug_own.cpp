// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A guest that debugs itself, alone and while the VMM debugs it.

#include <support/guest.hpp>

KVMXX_GUEST(own_debug)
KVMXX_GUEST_LABEL(own_debug, brk)
KVMXX_GUEST_LABEL(own_debug, broken)
KVMXX_GUEST_LABEL(own_debug, watched)
KVMXX_GUEST_LABEL(own_debug, stepped)

namespace kvm::test {
namespace {

using namespace kvm::aarch64;

/// ESR_EL1's exception class, of exceptions of the same level.
constexpr u64 class_breakpoint = 0x31, class_step = 0x33, class_watchpoint = 0x35, class_brk = 0x3c;

class OwnDebugging : public WithGuest {
protected:
    void SetUp() override {
        WithGuest::SetUp();
        if (!IsSkipped()) {
            guest().load(guests::own_debug());
            guest().set(x(1), layout::data);
            guest().set(x(9), layout::mmio);
        }
    }
    /// The guest tells the exception that it has had, and where.
    void expect(u64 exception, std::size_t offset) {
        EXPECT_EQ(guest().run_to_write(layout::mmio), exception);
        EXPECT_EQ(guest().run_to_write(layout::mmio + 8), layout::code + offset);
        address_ = guest().run_to_write(layout::mmio + 16);
    }
    void expect_all() {
        expect(class_brk, guests::own_debug_brk());
        expect(class_breakpoint, guests::own_debug_broken());
        expect(class_watchpoint, guests::own_debug_watched());
        EXPECT_EQ(address_, layout::data);
        for (const std::size_t n : {1u, 2u, 3u}) {
            expect(class_step, guests::own_debug_stepped() + n * 4);
        }
    }

private:
    u64 address_ = 0;
};

TEST_F(OwnDebugging, HasItsBreakpointsWatchpointsAndSteps) {
    expect_all();
    EXPECT_EQ(guest().run_to<exit::SystemEvent>().type, exit::SystemEventType::shutdown);
}

TEST_F(OwnDebugging, ItsDebugRegistersAreTheGuestsOwnAgainAfterTheVmms) {
    REQUIRE_CAP(kvm(), cap::set_guest_debug);
    GuestDebug debug = {};
    debug.control = (Flags(GuestDebugFlag::enable) | GuestDebugFlag::singlestep).bits();
    must(guest().vcpu().set_guest_debug(debug));
    for (int i = 0; i < 3; ++i) {
        guest().run_to<exit::Debug>();
    }
    must(guest().vcpu().set_guest_debug({}));
    guest().load(guests::own_debug());
    expect_all();
}

TEST_F(OwnDebugging, ThereAreAsManyBreakpointsAndWatchpointsAsTheGuestIsTold) {
    const u64 features = guest().get(sys_reg(3, 0, 0, 5, 0));  // ID_AA64DFR0_EL1
    EXPECT_EQ(must(kvm().check(cap::guest_debug_hw_bps)), int(features >> 12 & 0xf) + 1);
    EXPECT_EQ(must(kvm().check(cap::guest_debug_hw_wps)), int(features >> 20 & 0xf) + 1);
}

}  // namespace
}  // namespace kvm::test

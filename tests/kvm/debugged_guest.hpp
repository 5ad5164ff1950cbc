// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <support/guest.hpp>

namespace kvm::test {

/// What stopped a guest that is debugged.
enum class StopKind { step, breakpoint, watchpoint, instruction, other };

/// A suite whose guest is about to do guests::steps().
class DebuggedGuestBase : public WithGuest {
protected:
    void SetUp() override {
        WithGuest::SetUp();
        if (!IsSkipped()) {
            REQUIRE_CAP(kvm(), cap::set_guest_debug);
            guest().load(guests::steps());
        }
    }
    static u64 code(std::size_t offset) { return layout::code + offset; }
    void debug(kvm::GuestDebug debug, Flags<GuestDebugFlag> flags) {
        debug.control = (flags | GuestDebugFlag::enable).bits();
        must(guest().vcpu().set_guest_debug(debug));
    }
};

}  // namespace kvm::test

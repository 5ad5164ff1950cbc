// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include "debugged_guest.hpp"

namespace kvm::test {

using Instruction = u8;
inline constexpr Instruction breakpoint_instruction = 0xcc;
inline constexpr GuestDebugFlag hardware_debugging = GuestDebugFlag::use_hw_bp;

/// DR0 stops before the instruction at `address`.
inline GuestDebug breakpoint(u64 address) {
    GuestDebug debug = {};
    debug.debugreg[0] = address;
    debug.debugreg[7] = 0x400 | 2;
    return debug;
}
/// DR1 stops after a write of the byte at `address`.
inline GuestDebug watchpoint(u64 address) {
    GuestDebug debug = {};
    debug.debugreg[1] = address;
    debug.debugreg[7] = 0x400 | 8 | 1u << 20;
    return debug;
}
inline std::size_t where_watchpoints_stop() { return guests::steps_after(); }

class DebuggedGuest : public DebuggedGuestBase {
protected:
    static StopKind kind_of(const exit::Debug& stop) {
        constexpr u32 debug_exception = 1, breakpoint_exception = 3;
        if (stop.arch.exception == breakpoint_exception) {
            return StopKind::instruction;
        }
        if (stop.arch.exception != debug_exception) {
            return StopKind::other;
        }
        return stop.arch.dr6 & 1u << 14 ? StopKind::step
               : stop.arch.dr6 & 1      ? StopKind::breakpoint
               : stop.arch.dr6 & 2      ? StopKind::watchpoint
                                        : StopKind::other;
    }
    static u64 address_of(const exit::Debug& stop) { return stop.arch.pc; }
};

}  // namespace kvm::test

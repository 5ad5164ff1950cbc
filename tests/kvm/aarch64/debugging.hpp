// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include "debugged_guest.hpp"

namespace kvm::test {

using Instruction = u32;
inline constexpr Instruction breakpoint_instruction = 0xd4200000 | 0x123 << 5;  // brk #0x123
inline constexpr GuestDebugFlag hardware_debugging = GuestDebugFlag::use_hw;

/// What breakpoints' and watchpoints' control registers have: enabled, at EL1, of four bytes.
inline constexpr u64 at_el1 = 1 | 1u << 1 | 0xfu << 5;

inline GuestDebug breakpoint(u64 address) {
    GuestDebug debug = {};
    debug.dbg_bcr[0] = at_el1;
    debug.dbg_bvr[0] = address;
    return debug;
}
inline GuestDebug watchpoint(u64 address) {
    GuestDebug debug = {};
    debug.dbg_wcr[0] = at_el1 | 2u << 3;  // stores
    debug.dbg_wvr[0] = address;
    return debug;
}
inline std::size_t where_watchpoints_stop() { return guests::steps_store(); }

class DebuggedGuest : public DebuggedGuestBase {
protected:
    static StopKind kind_of(const exit::Debug& stop) {
        switch (stop.arch.hsr >> 26) {  // ESR_EL2's exception class
            case 0x30:
                return StopKind::breakpoint;
            case 0x32:
                return StopKind::step;
            case 0x34:
                return StopKind::watchpoint;
            case 0x3c:
                return StopKind::instruction;
            default:
                return StopKind::other;
        }
    }
    u64 address_of(const exit::Debug&) { return guest().program_counter(); }
};

}  // namespace kvm::test

// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <support/guest.hpp>
#include <vector>

KVMXX_GUEST(script)
KVMXX_GUEST_LABEL(script, handler)

namespace kvm::test {

/// What guests/x86_64/script.S can do.
enum class Do : u64 {
    halt = 0,
    store1 = 1,
    store2 = 2,
    store4 = 4,
    store8 = 8,
    out1 = 0x11,
    out2 = 0x12,
    out4 = 0x14,
    load1 = 0x21,
    wait = 0x31,  // for one interrupt
};
using enum Do;

struct Operation {
    Do kind = halt;
    u64 address = 0;
    u64 value = 0;
};

/// The handler of interrupts tells this port.
inline constexpr Port interrupted_port{0xe0};

/// Has the guest do `script` in long mode, and then halt.
inline void load_script(Guest& guest, std::vector<Operation> script) {
    guest.load_long(guests::script());
    script.push_back({});
    guest.write(layout::data, std::as_bytes(std::span(script)));
    guest.change_regs([](Regs& regs) { regs.rsi = layout::data; });
}

/// The value that the script's operation number `n`, a load1, found.
inline u64 loaded(const Guest& guest, u64 n) {
    return guest.read<u64>(layout::data + n * sizeof(Operation) + offsetof(Operation, value));
}

}  // namespace kvm::test

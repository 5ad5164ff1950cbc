// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <support/guest.hpp>
#include <vector>

namespace kvm::test {

/// What guests/ARCH/script.S can do.
enum class Do : u64 {
    stop = 0,
    store1 = 1,
    store2 = 2,
    store4 = 4,
    store8 = 8,
    load1 = 0x21,
    load2 = 0x22,
    load4 = 0x24,
    load8 = 0x28,
    wait = 0x31,   // for one interrupt
    go_to = 0x41,  // the operation that is at `address`
    // x86_64's alone:
    out1 = 0x11,
    out2 = 0x12,
    out4 = 0x14,
};
using enum Do;

struct Operation {
    Do kind = stop;
    u64 address = 0;
    u64 value = 0;
};

/// Where the script's operation number `n` is.
constexpr u64 operation_at(u64 n) { return layout::data + n * sizeof(Operation); }

/// Has the guest do `script`, and then stop.
inline void load_script(Guest& guest, std::vector<Operation> script) {
    guest.load(guests::script());
    script.push_back({});
    guest.write(operation_at(0), std::as_bytes(std::span(script)));
    guest.set_argument(operation_at(0));
}

/// The value that the script's operation number `n`, a load, found.
inline u64 loaded(const Guest& guest, u64 n) {
    return guest.read<u64>(operation_at(n) + offsetof(Operation, value));
}

}  // namespace kvm::test

// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/error.hpp>
#include <ostream>

namespace kvm {

/// For GoogleTest, which finds it beside Error.
inline void PrintTo(const Error& error, std::ostream* out) {
    char text[256];
    *out << describe(error, text, sizeof text) << " {detail " << error.detail << "}";
}

}  // namespace kvm

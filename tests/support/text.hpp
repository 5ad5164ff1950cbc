// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstdio>
#include <kvm/types.hpp>
#include <string>

namespace kvm::test {

/// As printf; of a longer text its first 511 characters. A u64 is %lx: every host here is LP64.
template <class... Args>
std::string format(const char* pattern, Args... args) {
    char text[512];
    std::snprintf(text, sizeof text, pattern, args...);
    return text;
}

}  // namespace kvm::test

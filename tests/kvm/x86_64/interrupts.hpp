// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include "script.hpp"

namespace kvm::test {

/// A script's handler of interrupts tells this port.
inline constexpr Port interrupted_port{0xe0};

}  // namespace kvm::test

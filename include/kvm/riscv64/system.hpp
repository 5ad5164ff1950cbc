// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/object.hpp>

namespace kvm::riscv64 {

/// What /dev/kvm has on riscv64 beside the rest: nothing.
using KvmOps = kvm::detail::CheckExtension;

}  // namespace kvm::riscv64

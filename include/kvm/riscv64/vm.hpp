// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/object.hpp>

namespace kvm::riscv64 {

/// What a VM has on riscv64 beside the rest: nothing.
using VmOps = kvm::detail::CheckExtension;

}  // namespace kvm::riscv64

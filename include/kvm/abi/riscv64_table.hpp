// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/abi/ioctl.hpp>
#include <kvm/abi/riscv64.hpp>

/// The ioctls of riscv64, one line each. See kvm/abi/table.hpp for the manner.
namespace kvm::op::riscv64 {

using namespace kvm::riscv64;
// Names that the host's own architecture may have too:
using abi::iow;
using kvm::riscv64::GuestDebug;

// of a vCPU
inline constexpr auto interrupt = iow<kvm::Interrupt>(0x86, "KVM_INTERRUPT");
inline constexpr auto set_guest_debug = iow<GuestDebug>(0x9b, "KVM_SET_GUEST_DEBUG");

}  // namespace kvm::op::riscv64

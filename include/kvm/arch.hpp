// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

/// The only `#if` on the architecture in the library. `kvm::arch` is the host's namespace, and its
/// names are visible in `kvm`: `kvm::Regs` is `kvm::x86_64::Regs` on x86_64. The macros name the
/// headers that hold the host's half of a class.

#if defined(__x86_64__)
#include <kvm/abi/x86_64.hpp>
#include <kvm/x86_64/syscall.hpp>
#define KVM_ARCH_SYSTEM <kvm/x86_64/system.hpp>
#define KVM_ARCH_VM <kvm/x86_64/vm.hpp>
#define KVM_ARCH_VCPU <kvm/x86_64/vcpu.hpp>
namespace kvm {
namespace arch = x86_64;
using namespace x86_64;
}  // namespace kvm
#else
#error "kvmxx does not support this architecture yet: it has x86_64"
#endif

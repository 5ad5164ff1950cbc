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
#elif defined(__aarch64__)
#include <kvm/aarch64/syscall.hpp>
#include <kvm/abi/aarch64.hpp>
#define KVM_ARCH_SYSTEM <kvm/aarch64/system.hpp>
#define KVM_ARCH_VM <kvm/aarch64/vm.hpp>
#define KVM_ARCH_VCPU <kvm/aarch64/vcpu.hpp>
namespace kvm {
namespace arch = aarch64;
using namespace aarch64;
}  // namespace kvm
#elif defined(__riscv) && __riscv_xlen == 64
#include <kvm/abi/riscv64.hpp>
#include <kvm/riscv64/syscall.hpp>
#define KVM_ARCH_SYSTEM <kvm/riscv64/system.hpp>
#define KVM_ARCH_VM <kvm/riscv64/vm.hpp>
#define KVM_ARCH_VCPU <kvm/riscv64/vcpu.hpp>
namespace kvm {
namespace arch = riscv64;
using namespace riscv64;
}  // namespace kvm
#else
#error "kvmxx: x86_64, aarch64 and riscv64 are the architectures that it has"
#endif

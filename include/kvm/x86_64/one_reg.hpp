// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/one_reg.hpp>

/// The ids of x86_64 in the ONE_REG interface. Since 6.18.
namespace kvm::x86_64 {

/// KVM_X86_REG_MSR(index): an MSR.
consteval RegId<u64> msr_reg(u32 index) {
    return RegId<u64>(reg_x86 | reg_size_u64 | u64(2) << 32 | index);
}

/// KVM_X86_REG_KVM(KVM_REG_GUEST_SSP): the guest's shadow stack pointer.
inline constexpr RegId<u64> guest_ssp(reg_x86 | reg_size_u64 | u64(3) << 32);

}  // namespace kvm::x86_64

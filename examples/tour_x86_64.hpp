// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include "tour.hpp"

#include <cstring>
#include <span>

namespace tour {

/// Puts `code` at 0x1000 of the guest's memory, which begins at address 0, and the vCPU into real
/// mode there.
inline void load(kvm::Vcpu& vcpu, std::span<std::byte> memory,
                 std::span<const unsigned char> code) {
    std::memcpy(memory.data() + 0x1000, code.data(), code.size());
    kvm::Sregs sregs = must(vcpu.sregs());
    sregs.cs.base = sregs.cs.selector = 0;
    must(vcpu.set_sregs(sregs));
    kvm::Regs regs{};
    regs.rip = 0x1000, regs.rsp = 0x1000, regs.rflags = 2;
    must(vcpu.set_regs(regs));
}

}  // namespace tour

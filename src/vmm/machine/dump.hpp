// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/vcpu.hpp>
#include <string>
#include <vmm/memory/guest_memory.hpp>

namespace vmm::detail {

/// Registers, segments and control registers, in lines, for people.
std::string describe_cpu(std::uint32_t id, const kvm::Regs& regs, const kvm::Sregs& sregs);
/// Whether a CPU is as after a reset.
bool is_reset_state(const kvm::Regs& regs, const kvm::Sregs& sregs);
/// Where the next instruction is.
kvm::Gva code_address(const kvm::Regs& regs, const kvm::Sregs& sregs);
/// The bytes there, as far as they are RAM, one line.
std::string describe_code(const GuestMemory& memory, kvm::Gva at,
                          const kvm::Result<kvm::Translation>& translation);

/// All of it, of a vCPU that does not run.
template <class Vcpu>
std::string dump(std::uint32_t id, const Vcpu& vcpu, const GuestMemory& memory) {
    const auto regs = vcpu.regs();
    const auto sregs = vcpu.sregs();
    if (!regs || !sregs) {
        return "vCPU " + std::to_string(id) + ":\n" +
               Error(!regs ? regs.error() : sregs.error()).message + "\n";
    }
    std::string text = describe_cpu(id, *regs, *sregs);
    if (!is_reset_state(*regs, *sregs)) {
        const kvm::Gva at = code_address(*regs, *sregs);
        text += describe_code(memory, at, vcpu.translate(at));
    }
    return text;
}

}  // namespace vmm::detail

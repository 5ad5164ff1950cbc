// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/abi/riscv64_table.hpp>
#include <kvm/object.hpp>

namespace kvm::riscv64 {

/// What a vCPU has on riscv64 beside the rest. Its registers are one_reg()'s.
class VcpuOps : public kvm::detail::Object {
public:
    /// Raises or lowers the external interrupt, without an AIA in the kernel. KVM_INTERRUPT. Needs
    /// cap::ppc_unset_irq, which riscv64 has too. Errors: EINVAL.
    Result<void> interrupt(ExternalInterrupt level) {
        return call(fd_, op::riscv64::interrupt, kvm::Interrupt{static_cast<u32>(level)});
    }
    /// Has EBREAK end run() with exit::Debug. KVM_SET_GUEST_DEBUG. Needs cap::set_guest_debug.
    /// Since 6.10. Errors: EINVAL.
    Result<void> set_guest_debug(const GuestDebug& debug) {
        return call(fd_, op::riscv64::set_guest_debug, debug);
    }

protected:
    VcpuOps(Fd fd, Run* run) : Object(static_cast<Fd&&>(fd)), run_(run) {}

    Run* run_;
};

}  // namespace kvm::riscv64

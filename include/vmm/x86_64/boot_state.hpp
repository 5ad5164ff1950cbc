// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstdint>
#include <kvm/types.hpp>
#include <vmm/hypervisor.hpp>

/// How the boot processor starts.
namespace vmm::x86_64 {

/// How the CPU addresses memory at its first instruction.
enum class CpuMode {
    real,          ///< 16-bit segments; cs, ds, es, ss are BootState::segment
    protected_32,  ///< 32-bit, paging off, flat segments from BootState::gdt
    long_64,       ///< 64-bit, paging on: BootState::page_tables, flat segments from BootState::gdt
};

/// The boot processor's state at its first instruction. What is not here is as after reset;
/// interrupts are off.
struct BootState {
    CpuMode mode = CpuMode::real;
    std::uint16_t segment = 0;  ///< real: paragraphs, of 16 bytes
    std::uint64_t rip = 0;      ///< real: the offset in the segment
    std::uint64_t rsp = 0;
    std::uint64_t rax = 0;   ///< Multiboot: its magic number
    std::uint64_t rbx = 0;   ///< PVH and Multiboot: what they tell the kernel
    std::uint64_t rsi = 0;   ///< Linux: the zero page
    kvm::Gpa page_tables{};  ///< long_64: the PML4
    kvm::Gpa gdt{};          ///< protected_32, long_64

    friend bool operator==(const BootState&, const BootState&) = default;
};

/// Writes to where the layout has them the descriptors for `mode`, protected_32 or long_64 (CS
/// 0x10, the data segments 0x18, TR 0x20), and for long_64 page tables that map the first 4 GiB one
/// to one, by pages of 2 MiB. Fills `state`'s mode, page_tables and gdt. Errors: EFAULT (no RAM
/// there).
Result<void> prepare(const GuestMemory& memory, CpuMode mode, BootState& state);

/// Makes the vCPU start so: segments, control registers, EFER, general registers, x87 (FCW 0x37f)
/// and SSE registers. KVM_SET_SREGS, KVM_SET_REGS, KVM_SET_FPU. For the boot processor alone: the
/// others wait for its INIT and SIPI. Instantiated for every backend.
template <HypervisorVcpu Vcpu>
Result<void> apply(Vcpu& vcpu, const BootState& state);

}  // namespace vmm::x86_64

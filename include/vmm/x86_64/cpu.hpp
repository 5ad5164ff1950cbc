// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstdint>
#include <kvm/types.hpp>
#include <span>
#include <vmm/error.hpp>

namespace kvm {
class Kvm;
class Vcpu;
namespace x86_64 {
struct CpuidEntry2;
}
}  // namespace kvm

/// What every vCPU needs before its first run, in this order: setup_cpuid(), setup_msrs(),
/// setup_lapic().
namespace vmm::x86_64 {

/// Edits CPUID leaves as KVM_GET_SUPPORTED_CPUID gave them for vCPU `id` of `cpus`: its APIC id
/// wherever a leaf tells it, one socket of `cpus` cores of one thread each, the hypervisor bit, the
/// TSC deadline timer, no PMU, and KVM's signature, so that guests find kvm-clock.
void edit_cpuid(std::span<kvm::x86_64::CpuidEntry2> leaves, kvm::VcpuId id, std::uint32_t cpus);

/// Gives vCPU `id` of `cpus` the host's CPUID leaves as edit_cpuid() makes them.
/// KVM_GET_SUPPORTED_CPUID, KVM_SET_CPUID2. Before the first run and before any MSR is read.
Result<void> setup_cpuid(const kvm::Kvm& kvm, kvm::Vcpu& vcpu, kvm::VcpuId id, std::uint32_t cpus);

/// The MSRs that firmware would set: fast strings in IA32_MISC_ENABLE, write-back as the memory
/// type. KVM_SET_MSRS.
Result<void> setup_msrs(kvm::Vcpu& vcpu);

/// The local APIC's wires as firmware leaves them: LINT0 takes the PIC's interrupts, LINT1 the NMI.
/// With an irqchip in the kernel. KVM_GET_LAPIC, KVM_SET_LAPIC.
Result<void> setup_lapic(kvm::Vcpu& vcpu);

}  // namespace vmm::x86_64

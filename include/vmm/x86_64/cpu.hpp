// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstdint>
#include <kvm/abi/x86_64.hpp>
#include <kvm/types.hpp>
#include <span>
#include <vector>
#include <vmm/hypervisor.hpp>

/// What every vCPU needs before its first run, in this order: setup_cpuid(), setup_msrs(),
/// setup_lapic(). The templates are instantiated for every backend.
namespace vmm::x86_64 {

/// The CPUID leaves of vCPU `id` of `cpus`, made of those that KVM_GET_SUPPORTED_CPUID gave: its
/// APIC id wherever a leaf tells it, one socket of `cpus` cores of one thread each, which share the
/// last cache, and the hypervisor bit. KVM's own leaves, from 0x40000000 on, stay: by them guests
/// find kvm-clock.
std::vector<kvm::x86_64::CpuidEntry2> vcpu_cpuid(
    std::span<const kvm::x86_64::CpuidEntry2> supported, kvm::VcpuId id, std::uint32_t cpus);

/// Gives vCPU `id` of `cpus` what vcpu_cpuid() makes of the host's leaves, and the TSC deadline
/// timer where the host's KVM has it. Before the first run and before any MSR is read, with an
/// irqchip in the kernel. KVM_GET_SUPPORTED_CPUID, KVM_SET_CPUID2.
template <HypervisorSystem System, HypervisorVcpu Vcpu>
Result<void> setup_cpuid(const System& system, Vcpu& vcpu, kvm::VcpuId id, std::uint32_t cpus);

/// The MSRs that firmware would set: fast strings in IA32_MISC_ENABLE, write-back as the memory
/// type. KVM_SET_MSRS.
template <HypervisorVcpu Vcpu>
Result<void> setup_msrs(Vcpu& vcpu);

/// The local APIC's wires as firmware leaves them: LINT0 takes the PIC's interrupts, LINT1 the NMI.
/// With an irqchip in the kernel. KVM_GET_LAPIC, KVM_SET_LAPIC.
template <HypervisorVcpu Vcpu>
Result<void> setup_lapic(Vcpu& vcpu);

}  // namespace vmm::x86_64

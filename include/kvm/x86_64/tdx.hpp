// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/abi/tdx.hpp>
#include <kvm/x86_64/vcpu.hpp>

/// Intel TDX: KVM_MEMORY_ENCRYPT_OP's commands, on a VM of VmType::tdx_vm. Since 6.16.
///
/// Errors of all: `detail` is the low half of the TDX module's status where there is one; ENOTTY
/// (not a TDX VM), EINVAL (not now), EIO (the module refused), EBUSY.
namespace kvm::x86_64::tdx {

/// What KVM_TDX_CAPABILITIES answers, with the CPUID bits that a VMM may choose.
using CapabilityList = FlexArray<Capabilities, CpuidEntry2, &Capabilities::nent>;
/// What KVM_TDX_INIT_VM takes: attributes and XFAM, owner's digests, the chosen CPUID bits.
using InitVmList = FlexArray<InitVm, CpuidEntry2, &InitVm::nent>;

/// KVM_TDX_CAPABILITIES: what a TD on this host may have.
Result<CapabilityList> capabilities(const VmOps& vm);
/// KVM_TDX_INIT_VM: once, before the vCPUs. Errors: EMSGSIZE (a count beyond the capacity).
Result<void> init_vm(const VmOps& vm, const InitVmList& options);
/// KVM_TDX_INIT_VCPU: `rcx` is what the guest finds in RCX.
Result<void> init_vcpu(VcpuOps& vcpu, u64 rcx);
/// Whether the initial contents count for the guest's measurement: KVM_TDX_MEASURE_MEMORY_REGION.
enum class Measure : u32 { no = 0, yes = 1 };
/// KVM_TDX_INIT_MEM_REGION: copies whole pages to `address`, which must be private; repeated until
/// the kernel has taken all. Errors: EINVAL (alignment).
Result<void> init_mem_region(VcpuOps& vcpu, std::span<const std::byte> source, Gpa address,
                             Measure measure);
/// KVM_TDX_FINALIZE_VM: the guest may run.
Result<void> finalize_vm(const VmOps& vm);
/// KVM_TDX_GET_CPUID: what the TDX module shows to the guest.
Result<CpuidList> cpuid(const VcpuOps& vcpu);

}  // namespace kvm::x86_64::tdx

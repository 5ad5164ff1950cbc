// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/abi/ioctl.hpp>
#include <kvm/abi/x86_64.hpp>

/// The ioctls of x86_64, one line each. See kvm/abi/table.hpp for the manner.
namespace kvm::op::x86_64 {

using namespace kvm::x86_64;

using abi::io;
using abi::ior;
using abi::iow;
using abi::iowr;

// of /dev/kvm
inline constexpr auto get_msr_index_list = iowr<MsrList>(0x02, "KVM_GET_MSR_INDEX_LIST");
inline constexpr auto get_supported_cpuid = iowr<Cpuid2>(0x05, "KVM_GET_SUPPORTED_CPUID");
inline constexpr auto get_emulated_cpuid = iowr<Cpuid2>(0x09, "KVM_GET_EMULATED_CPUID");
inline constexpr auto get_msr_feature_index_list =
    iowr<MsrList>(0x0a, "KVM_GET_MSR_FEATURE_INDEX_LIST");

// of a VM
inline constexpr auto set_tss_addr = io(0x47, "KVM_SET_TSS_ADDR");
inline constexpr auto set_identity_map_addr = iow<u64>(0x48, "KVM_SET_IDENTITY_MAP_ADDR");
inline constexpr auto get_irqchip = iowr<Irqchip>(0x62, "KVM_GET_IRQCHIP");
inline constexpr auto set_irqchip = abi::ior<Irqchip, void, Dir::in>(0x63, "KVM_SET_IRQCHIP");
inline constexpr Ioctl<ReinjectControl, Dir::in> reinject_control = {
    abi::ioc(0, 0x71, 0), "KVM_REINJECT_CONTROL"};  // _IO, yet it takes a structure
inline constexpr auto create_pit2 = iow<PitConfig>(0x77, "KVM_CREATE_PIT2");
inline constexpr auto set_boot_cpu_id = io(0x78, "KVM_SET_BOOT_CPU_ID");
inline constexpr auto set_clock = iow<ClockData>(0x7b, "KVM_SET_CLOCK");
inline constexpr auto get_clock = ior<ClockData>(0x7c, "KVM_GET_CLOCK");
inline constexpr auto get_pit2 = ior<PitState2>(0x9f, "KVM_GET_PIT2");
inline constexpr auto set_pit2 = iow<PitState2>(0xa0, "KVM_SET_PIT2");

// of a vCPU
inline constexpr auto get_regs = ior<Regs>(0x81, "KVM_GET_REGS");
inline constexpr auto set_regs = iow<Regs>(0x82, "KVM_SET_REGS");
inline constexpr auto get_sregs = ior<Sregs>(0x83, "KVM_GET_SREGS");
inline constexpr auto set_sregs = iow<Sregs>(0x84, "KVM_SET_SREGS");
inline constexpr auto translate = iowr<Translation>(0x85, "KVM_TRANSLATE");
inline constexpr auto interrupt = iow<Interrupt>(0x86, "KVM_INTERRUPT");
inline constexpr auto get_msrs = iowr<Msrs, int>(0x88, "KVM_GET_MSRS");  // and of /dev/kvm
inline constexpr auto set_msrs = iow<Msrs, int>(0x89, "KVM_SET_MSRS");
inline constexpr auto get_fpu = ior<Fpu>(0x8c, "KVM_GET_FPU");
inline constexpr auto set_fpu = iow<Fpu>(0x8d, "KVM_SET_FPU");
inline constexpr auto get_lapic = ior<LapicState>(0x8e, "KVM_GET_LAPIC");
inline constexpr auto set_lapic = iow<LapicState>(0x8f, "KVM_SET_LAPIC");
inline constexpr auto set_cpuid2 = iow<Cpuid2>(0x90, "KVM_SET_CPUID2");
inline constexpr auto get_cpuid2 = iowr<Cpuid2>(0x91, "KVM_GET_CPUID2");
inline constexpr auto tpr_access_reporting = iowr<TprAccessCtl>(0x92, "KVM_TPR_ACCESS_REPORTING");
inline constexpr auto nmi = io(0x9a, "KVM_NMI");
inline constexpr auto set_guest_debug = iow<GuestDebug>(0x9b, "KVM_SET_GUEST_DEBUG");
inline constexpr auto get_vcpu_events = ior<VcpuEvents>(0x9f, "KVM_GET_VCPU_EVENTS");
inline constexpr auto set_vcpu_events = iow<VcpuEvents>(0xa0, "KVM_SET_VCPU_EVENTS");
inline constexpr auto get_debugregs = ior<Debugregs>(0xa1, "KVM_GET_DEBUGREGS");
inline constexpr auto set_debugregs = iow<Debugregs>(0xa2, "KVM_SET_DEBUGREGS");
inline constexpr auto set_tsc_khz = io(0xa2, "KVM_SET_TSC_KHZ");       // and of a VM
inline constexpr auto get_tsc_khz = io<int>(0xa3, "KVM_GET_TSC_KHZ");  // and of a VM
inline constexpr auto get_xsave = ior<Xsave>(0xa4, "KVM_GET_XSAVE");
inline constexpr auto set_xsave = iow<Xsave>(0xa5, "KVM_SET_XSAVE");
inline constexpr auto get_xcrs = ior<Xcrs>(0xa6, "KVM_GET_XCRS");
inline constexpr auto set_xcrs = iow<Xcrs>(0xa7, "KVM_SET_XCRS");
inline constexpr auto kvmclock_ctrl = io(0xad, "KVM_KVMCLOCK_CTRL");
inline constexpr auto smi = io(0xb7, "KVM_SMI");
inline constexpr auto get_sregs2 = ior<Sregs2>(0xcc, "KVM_GET_SREGS2");
inline constexpr auto set_sregs2 = iow<Sregs2>(0xcd, "KVM_SET_SREGS2");
inline constexpr auto get_xsave2 =
    abi::ior<Xsave, void, Dir::inout>(0xcf, "KVM_GET_XSAVE2");  // cap::xsave2 bytes

}  // namespace kvm::op::x86_64

// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/abi/ioctl.hpp>
#include <kvm/abi/x86_64.hpp>
#include <kvm/abi/x86_64_more.hpp>

/// The ioctls of x86_64, one line each. See kvm/abi/table.hpp for the manner.
namespace kvm::op::x86_64 {

using namespace kvm::x86_64;
// Names that the host's own architecture may have too:
using kvm::x86_64::GuestDebug;
using kvm::x86_64::PmuEventFilter;
using kvm::x86_64::VcpuEvents;

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
inline constexpr auto get_mce_cap_supported = ior<u64>(0x9d, "KVM_X86_GET_MCE_CAP_SUPPORTED");
inline constexpr auto get_supported_hv_cpuid =
    iowr<Cpuid2>(0xc1, "KVM_GET_SUPPORTED_HV_CPUID");  // and of a vCPU

// of a VM
inline constexpr auto set_nr_mmu_pages = io(0x44, "KVM_SET_NR_MMU_PAGES");
inline constexpr auto get_nr_mmu_pages = io<u64>(0x45, "KVM_GET_NR_MMU_PAGES");
inline constexpr auto create_pit = io(0x64, "KVM_CREATE_PIT");
inline constexpr auto get_pit = iowr<PitState>(0x65, "KVM_GET_PIT");
inline constexpr auto set_pit = ior<PitState, void, Dir::in>(0x66, "KVM_SET_PIT");
inline constexpr auto xen_hvm_config = iow<XenHvmConfig>(0x7a, "KVM_XEN_HVM_CONFIG");
inline constexpr auto set_pmu_event_filter = iow<PmuEventFilter>(0xb2, "KVM_SET_PMU_EVENT_FILTER");
inline constexpr auto memory_encrypt_op =
    iowr<unsigned long>(0xba, "KVM_MEMORY_ENCRYPT_OP");  // and, for TDX, of a vCPU
inline constexpr auto memory_encrypt_reg_region =
    ior<EncRegion, void, Dir::in>(0xbb, "KVM_MEMORY_ENCRYPT_REG_REGION");
inline constexpr auto memory_encrypt_unreg_region =
    ior<EncRegion, void, Dir::in>(0xbc, "KVM_MEMORY_ENCRYPT_UNREG_REGION");
inline constexpr auto hyperv_eventfd = iow<HypervEventfd>(0xbd, "KVM_HYPERV_EVENTFD");
inline constexpr auto set_msr_filter = iow<MsrFilter>(0xc6, "KVM_X86_SET_MSR_FILTER");
inline constexpr auto xen_hvm_get_attr = iowr<XenHvmAttr>(0xc8, "KVM_XEN_HVM_GET_ATTR");
inline constexpr auto xen_hvm_set_attr = iow<XenHvmAttr>(0xc9, "KVM_XEN_HVM_SET_ATTR");
inline constexpr auto xen_hvm_evtchn_send =
    iow<IrqRoutingXenEvtchn>(0xd0, "KVM_XEN_HVM_EVTCHN_SEND");
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
inline constexpr auto get_tsc_khz = io<u32>(0xa3, "KVM_GET_TSC_KHZ");  // and of a VM
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

inline constexpr auto set_cpuid = iow<Cpuid>(0x8a, "KVM_SET_CPUID");
inline constexpr auto set_vapic_addr = iow<VapicAddr>(0x93, "KVM_SET_VAPIC_ADDR");
inline constexpr auto setup_mce = iow<u64>(0x9c, "KVM_X86_SETUP_MCE");
inline constexpr auto set_mce = iow<X86Mce>(0x9e, "KVM_X86_SET_MCE");
inline constexpr auto get_nested_state = iowr<NestedState>(0xbe, "KVM_GET_NESTED_STATE");
inline constexpr auto set_nested_state = iow<NestedState>(0xbf, "KVM_SET_NESTED_STATE");
inline constexpr auto xen_vcpu_get_attr = iowr<XenVcpuAttr>(0xca, "KVM_XEN_VCPU_GET_ATTR");
inline constexpr auto xen_vcpu_set_attr = iow<XenVcpuAttr>(0xcb, "KVM_XEN_VCPU_SET_ATTR");

}  // namespace kvm::op::x86_64

// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/abi/x86_64.hpp>

/// The structures of x86_64's asm/kvm.h that few machines need: MCE, MSR filter, PMU, nested state,
/// Hyper-V and Xen. See kvm/abi/common.hpp for the manner.
namespace kvm::x86_64 {

struct CpuidEntry {  // KVM_SET_CPUID
    u32 function;    //  0
    u32 eax;         //  4
    u32 ebx;         //  8
    u32 ecx;         // 12
    u32 edx;         // 16
    u32 padding;     // 20
};
static_assert(sizeof(CpuidEntry) == 24);

struct Cpuid {    // KVM_SET_CPUID; CpuidEntry[nent] follows
    u32 nent;     //  0
    u32 padding;  //  4
};
static_assert(sizeof(Cpuid) == 8);

struct PitState {                 // KVM_GET_PIT, KVM_SET_PIT
    PitChannelState channels[3];  //  0
};
static_assert(sizeof(PitState) == 72);

struct VapicAddr {   // KVM_SET_VAPIC_ADDR
    u64 vapic_addr;  //  0
};
static_assert(sizeof(VapicAddr) == 8);

struct X86Mce {      // KVM_X86_SET_MCE
    u64 status;      //  0, MCi_STATUS
    u64 addr;        //  8, MCi_ADDR
    u64 misc;        // 16, MCi_MISC
    u64 mcg_status;  // 24
    u8 bank;         // 32
    u8 pad1[7];      // 33
    u64 pad2[3];     // 40
};
static_assert(sizeof(X86Mce) == 64);

/// Bits of MsrFilterRange::flags: KVM_MSR_FILTER_*.
enum class MsrFilterFlag : u32 { read = 1, write = 2 };

/// MsrFilter::flags: KVM_MSR_FILTER_DEFAULT_*.
enum class MsrFilterDefault : u32 { allow = 0, deny = 1 };

struct MsrFilterRange {  // 1 bit per MSR: 1 allows, 0 denies
    u32 flags;           //  0, Flags<MsrFilterFlag>
    u32 nmsrs;           //  4
    u32 base;            //  8
    u32 pad;             // 12
    const u8* bitmap;    // 16
};
static_assert(sizeof(MsrFilterRange) == 24);

inline constexpr u32 msr_filter_max_ranges = 16;
inline constexpr u32 msr_filter_max_bitmap_bytes = 0x600;

struct MsrFilter {                                 // KVM_X86_SET_MSR_FILTER
    MsrFilterDefault flags;                        //  0
    u32 pad;                                       //  4
    MsrFilterRange ranges[msr_filter_max_ranges];  //  8
};
static_assert(sizeof(MsrFilter) == 392);

/// PmuEventFilter::action: KVM_PMU_EVENT_*.
enum class PmuEventAction : u32 { allow = 0, deny = 1 };

/// Bits of PmuEventFilter::flags: KVM_PMU_EVENT_FLAG_*.
enum class PmuEventFlag : u32 { masked_events = 1 };

struct PmuEventFilter {        // KVM_SET_PMU_EVENT_FILTER; u64[nevents] follows
    PmuEventAction action;     //  0
    u32 nevents;               //  4
    u32 fixed_counter_bitmap;  //  8
    u32 flags;                 // 12, Flags<PmuEventFlag>
    u32 pad[4];                // 16
};
static_assert(sizeof(PmuEventFilter) == 32);

/// Bits of NestedState::flags: KVM_STATE_NESTED_*.
enum class NestedStateFlag : u16 {
    guest_mode = 1,
    run_pending = 2,
    evmcs = 4,
    mtf_pending = 8,
    gif_set = 0x100,
};

/// KVM_STATE_NESTED_FORMAT_*.
enum class NestedStateFormat : u16 { vmx = 0, svm = 1 };

/// Bits of VmxNestedStateHdr::smm.flags: KVM_STATE_NESTED_SMM_*.
enum class NestedSmmFlag : u16 { guest_mode = 1, vmxon = 2 };

/// Bits of VmxNestedStateHdr::flags: KVM_STATE_VMX_*.
enum class VmxNestedStateFlag : u32 { preemption_timer_deadline = 1 };

struct VmxNestedStateHdr {
    u64 vmxon_pa;   //  0
    u64 vmcs12_pa;  //  8
    struct {
        u16 flags;
    } smm;                          // 16, Flags<NestedSmmFlag>
    u16 pad;                        // 18
    u32 flags;                      // 20, Flags<VmxNestedStateFlag>
    u64 preemption_timer_deadline;  // 24
};
static_assert(sizeof(VmxNestedStateHdr) == 32);

struct SvmNestedStateHdr {
    u64 vmcb_pa;  //  0
    u64 gpat;     //  8, with Quirk::nested_svm_shared_pat disabled. Since 7.2
};

inline constexpr u32 state_nested_vmx_vmcs_size = 0x1000;
inline constexpr u32 state_nested_svm_vmcb_size = 0x1000;

struct VmxNestedStateData {                 // what follows NestedState for NestedStateFormat::vmx
    u8 vmcs12[state_nested_vmx_vmcs_size];  //    0
    u8 shadow_vmcs12[state_nested_vmx_vmcs_size];  // 4096
};

struct SvmNestedStateData {  // and for NestedStateFormat::svm, with NestedStateFlag::run_pending
    u8 vmcb12[state_nested_svm_vmcb_size];  //  0
};

struct NestedState {  // KVM_GET_NESTED_STATE, KVM_SET_NESTED_STATE; VMCS12 or VMCB12 follow
    u16 flags;        //  0, Flags<NestedStateFlag>
    NestedStateFormat format;  //  2
    u32 size;                  //  4, of all, bytes
    union {
        VmxNestedStateHdr vmx;
        SvmNestedStateHdr svm;
        u8 pad[120];
    } hdr;  //  8
};
static_assert(sizeof(NestedState) == 128);

/// Bits of HypervEventfd::flags: KVM_HYPERV_EVENTFD_*.
enum class HypervEventfdFlag : u32 { deassign = 1 };

inline constexpr u32 hyperv_conn_id_mask = 0x00ffffff;

struct HypervEventfd {  // KVM_HYPERV_EVENTFD
    u32 conn_id;        //  0, within hyperv_conn_id_mask
    s32 fd;             //  4
    u32 flags;          //  8, Flags<HypervEventfdFlag>
    u32 padding[3];     // 12
};
static_assert(sizeof(HypervEventfd) == 24);

inline constexpr u32 xen_msr_min_index = 0x40000000;
inline constexpr u32 xen_msr_max_index = 0x4fffffff;

struct XenHvmConfig {  // KVM_XEN_HVM_CONFIG
    u32 flags;         //  0, Flags<XenHvmFlag>
    u32 msr;           //  4, xen_msr_min_index to xen_msr_max_index, or 0
    u64 blob_addr_32;  //  8
    u64 blob_addr_64;  // 16
    u8 blob_size_32;   // 24, pages
    u8 blob_size_64;   // 25, pages
    u8 pad2[30];       // 26
};
static_assert(sizeof(XenHvmConfig) == 56);

/// KVM_XEN_ATTR_TYPE_*.
enum class XenAttrType : u16 {
    long_mode = 0,
    shared_info = 1,
    upcall_vector = 2,
    evtchn = 3,
    xen_version = 4,
    runstate_update_flag = 5,
    shared_info_hva = 6,
};

/// Bits of XenEvtchn::flags: KVM_XEN_EVTCHN_*.
enum class XenEvtchnFlag : u32 { deassign = 1, update = 2, reset = 4 };

/// What takes the place of an address away again: KVM_XEN_INVALID_GFN, KVM_XEN_INVALID_GPA.
inline constexpr u64 xen_invalid_gfn = ~u64(0);
inline constexpr u64 xen_invalid_gpa = ~u64(0);

struct XenEvtchn {  // XenHvmAttr's `evtchn`
    u32 send_port;  //  0
    u32 type;       //  4
    u32 flags;      //  8, Flags<XenEvtchnFlag>
    union {
        struct {
            u32 port, vcpu, priority;
        } port;
        struct {
            u32 port;
            s32 fd;
        } eventfd;
        u32 padding[4];
    } deliver;  // 12
};
static_assert(sizeof(XenEvtchn) == 28);

struct XenHvmAttr {    // KVM_XEN_HVM_GET_ATTR, KVM_XEN_HVM_SET_ATTR
    XenAttrType type;  //  0
    u16 pad[3];        //  2
    union {
        u8 long_mode;
        u8 vector;
        u8 runstate_update_flag;
        union {
            u64 gfn;
            u64 hva;
        } shared_info;
        XenEvtchn evtchn;
        u32 xen_version;
        u64 pad[8];
    } u;  //  8
};
static_assert(sizeof(XenHvmAttr) == 72);

/// KVM_XEN_VCPU_ATTR_TYPE_*.
enum class XenVcpuAttrType : u16 {
    vcpu_info = 0,
    vcpu_time_info = 1,
    runstate_addr = 2,
    runstate_current = 3,
    runstate_data = 4,
    runstate_adjust = 5,
    vcpu_id = 6,
    timer = 7,
    upcall_vector = 8,
    vcpu_info_hva = 9,
};

struct XenVcpuAttr {       // KVM_XEN_VCPU_GET_ATTR, KVM_XEN_VCPU_SET_ATTR
    XenVcpuAttrType type;  //  0
    u16 pad[3];            //  2
    union {
        u64 gpa;
        u64 hva;
        u64 pad[8];
        struct {
            u64 state, state_entry_time, time_running;
            u64 time_runnable, time_blocked, time_offline;
        } runstate;
        u32 vcpu_id;
        struct {
            u32 port, priority;
            u64 expires_ns;
        } timer;
        u8 vector;
    } u;  //  8
};
static_assert(sizeof(XenVcpuAttr) == 72);

struct EncRegion {  // KVM_MEMORY_ENCRYPT_(UN)REG_REGION
    u64 addr;       //  0, host address
    u64 size;       //  8
};
static_assert(sizeof(EncRegion) == 16);

}  // namespace kvm::x86_64

namespace kvm {

template <>
inline constexpr bool is_flag_enum<x86_64::MsrFilterFlag> = true;
template <>
inline constexpr bool is_flag_enum<x86_64::NestedStateFlag> = true;
template <>
inline constexpr bool is_flag_enum<x86_64::NestedSmmFlag> = true;
template <>
inline constexpr bool is_flag_enum<x86_64::XenEvtchnFlag> = true;

}  // namespace kvm

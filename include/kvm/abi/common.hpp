// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <kvm/abi/exit.hpp>
#include <kvm/flags.hpp>

/// The structures of linux/kvm.h that every architecture shares: the kernel's names without `kvm_`,
/// fields as the kernel names them, offsets in the margin. They are trivial types, so that a getter
/// spends no store on bytes that the kernel is about to write: write `MpState state{}` for zeroes.
namespace kvm {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using s16 = std::int16_t;
using s32 = std::int32_t;
using s64 = std::int64_t;

/// Bits of UserspaceMemoryRegion::flags: KVM_MEM_LOG_DIRTY_PAGES, KVM_MEM_READONLY (needs
/// cap::readonly_mem), KVM_MEM_GUEST_MEMFD (needs cap::guest_memfd and region version 2).
enum class MemFlag : u32 { log_dirty_pages = 1, readonly = 2, guest_memfd = 4 };
template <>
inline constexpr bool is_flag_enum<MemFlag> = true;

struct UserspaceMemoryRegion {  // KVM_SET_USER_MEMORY_REGION
    u32 slot;                   //  0, address space << 16 | id
    u32 flags;                  //  4, Flags<MemFlag>
    u64 guest_phys_addr;        //  8, page-aligned
    u64 memory_size;            // 16, bytes; 0 deletes the slot
    u64 userspace_addr;         // 24, page-aligned host address
};
static_assert(sizeof(UserspaceMemoryRegion) == 32);

struct UserspaceMemoryRegion2 {  // KVM_SET_USER_MEMORY_REGION2
    u32 slot;                    //  0
    u32 flags;                   //  4
    u64 guest_phys_addr;         //  8
    u64 memory_size;             // 16
    u64 userspace_addr;          // 24
    u64 guest_memfd_offset;      // 32
    u32 guest_memfd;             // 40
    u32 pad1;                    // 44
    u64 pad2[14];                // 48
};
static_assert(sizeof(UserspaceMemoryRegion2) == 160);
static_assert(offsetof(UserspaceMemoryRegion2, guest_memfd) == 40);

struct IrqLevel {  // KVM_IRQ_LINE, KVM_IRQ_LINE_STATUS
    union {
        u32 irq;     //  0, in
        s32 status;  //  0, out: > 0 delivered, 0 coalesced, < 0 masked
    };
    u32 level;  //  4
};
static_assert(sizeof(IrqLevel) == 8);

struct CoalescedMmioZone {  // KVM_(UN)REGISTER_COALESCED_MMIO
    u64 addr;               //  0
    u32 size;               //  8
    u32 pio;                // 12, 1: a port (cap::coalesced_pio)
};
static_assert(sizeof(CoalescedMmioZone) == 16);

struct CoalescedMmio {  // an entry of the ring
    u64 phys_addr;      //  0
    u32 len;            //  8
    u32 pio;            // 12
    u8 data[8];         // 16
};
static_assert(sizeof(CoalescedMmio) == 24);

struct CoalescedMmioRing {  // the ring's head, at page cap::coalesced_mmio of a vCPU's mapping
    u32 first;              //  0, the library's: the next entry to read
    u32 last;               //  4, the kernel's: the next entry to write
};  //  8, CoalescedMmio[(page - 8) / 24]
static_assert(sizeof(CoalescedMmioRing) == 8);

struct Translation {       // KVM_TRANSLATE
    u64 linear_address;    //  0, in
    u64 physical_address;  // 8
    u8 valid;              // 16
    u8 writeable;          // 17
    u8 usermode;           // 18
    u8 pad[5];             // 19
};
static_assert(sizeof(Translation) == 24);

struct Interrupt {  // KVM_INTERRUPT
    u32 irq;        //  0, the vector
};
static_assert(sizeof(Interrupt) == 4);

struct DirtyLog {       // KVM_GET_DIRTY_LOG
    u32 slot;           //  0
    u32 padding1;       //  4
    u64* dirty_bitmap;  //  8, one bit per page
};
static_assert(sizeof(DirtyLog) == 16);

struct ClearDirtyLog {  // KVM_CLEAR_DIRTY_LOG
    u32 slot;           //  0
    u32 num_pages;      //  4
    u64 first_page;     //  8, a multiple of 64
    u64* dirty_bitmap;  // 16
};
static_assert(sizeof(ClearDirtyLog) == 24);

/// The header of KVM_SET_SIGNAL_MASK's argument: the kernel's signal set follows, `len` bytes.
struct SignalMask {
    u32 len;  //  0
};
static_assert(sizeof(SignalMask) == 4);

/// KVM_MP_STATE_*: what a vCPU is doing. Not every state exists on every architecture.
enum class MpStateValue : u32 {
    runnable = 0,
    uninitialized = 1,
    init_received = 2,
    halted = 3,
    sipi_received = 4,
    stopped = 5,
    check_stop = 6,
    operating = 7,
    load = 8,
    ap_reset_hold = 9,
    suspended = 10,
};

struct MpState {            // KVM_GET_MP_STATE, KVM_SET_MP_STATE
    MpStateValue mp_state;  //  0
};
static_assert(sizeof(MpState) == 4);

/// Bits of Ioeventfd::flags: KVM_IOEVENTFD_FLAG_*.
enum class IoeventfdFlag : u32 {
    datamatch = 1,
    pio = 2,
    deassign = 4,
    virtio_ccw_notify = 8,
    fast_mmio = 16,
};
template <>
inline constexpr bool is_flag_enum<IoeventfdFlag> = true;

struct Ioeventfd {  // KVM_IOEVENTFD
    u64 datamatch;  //  0
    u64 addr;       //  8
    u32 len;        // 16, 1, 2, 4, 8; 0: any length
    s32 fd;         // 20
    u32 flags;      // 24, Flags<IoeventfdFlag>
    u8 pad[36];     // 28
};
static_assert(sizeof(Ioeventfd) == 64);

struct EnableCap {  // KVM_ENABLE_CAP
    u32 cap;        //  0
    u32 flags;      //  4
    u64 args[4];    //  8
    u8 pad[64];     // 40
};
static_assert(sizeof(EnableCap) == 104);

/// KVM_IRQ_ROUTING_*: what a GSI is wired to.
enum class IrqRoutingType : u32 {
    irqchip = 1,
    msi = 2,
    s390_adapter = 3,
    hv_sint = 4,
    xen_evtchn = 5,
};

/// Bits of Msi::flags and, for IrqRoutingType::msi, of IrqRoutingEntry::flags: KVM_MSI_*.
enum class MsiFlag : u32 { valid_devid = 1 };  // cap::msi_devid

/// KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL: the only priority, of events in the 2-level form.
inline constexpr u32 irq_routing_xen_evtchn_prio_2level = ~u32(0);

struct IrqRoutingIrqchip {
    u32 irqchip;
    u32 pin;
};

struct IrqRoutingMsi {
    u32 address_lo;
    u32 address_hi;
    u32 data;
    u32 devid;  // with MsiFlag::valid_devid in the entry's flags
};

struct IrqRoutingHvSint {
    u32 vcpu;
    u32 sint;
};

struct IrqRoutingXenEvtchn {
    u32 port;
    u32 vcpu;
    u32 priority;  // irq_routing_xen_evtchn_prio_2level
};

struct IrqRoutingEntry {  // KVM_SET_GSI_ROUTING
    u32 gsi;              //  0
    IrqRoutingType type;  //  4
    u32 flags;            //  8, Flags<MsiFlag>
    u32 pad;              // 12
    union {
        IrqRoutingIrqchip irqchip;
        IrqRoutingMsi msi;
        IrqRoutingHvSint hv_sint;
        IrqRoutingXenEvtchn xen_evtchn;
        u32 pad[8];
    } u;  // 16
};
static_assert(sizeof(IrqRoutingEntry) == 48);

struct IrqRouting {  // KVM_SET_GSI_ROUTING; IrqRoutingEntry[nr] follows
    u32 nr;          //  0
    u32 flags;       //  4
};
static_assert(sizeof(IrqRouting) == 8);

/// Bits of Irqfd::flags: KVM_IRQFD_FLAG_*.
enum class IrqfdFlag : u32 { deassign = 1, resample = 2 };
template <>
inline constexpr bool is_flag_enum<IrqfdFlag> = true;

struct Irqfd {       // KVM_IRQFD
    u32 fd;          //  0
    u32 gsi;         //  4
    u32 flags;       //  8, Flags<IrqfdFlag>
    u32 resamplefd;  // 12
    u8 pad[16];      // 16
};
static_assert(sizeof(Irqfd) == 32);

/// Bits of ClockData::flags: KVM_CLOCK_TSC_STABLE (get), KVM_CLOCK_REALTIME, KVM_CLOCK_HOST_TSC.
enum class ClockFlag : u32 { tsc_stable = 2, realtime = 4, host_tsc = 8 };
template <>
inline constexpr bool is_flag_enum<ClockFlag> = true;

struct ClockData {  // KVM_GET_CLOCK, KVM_SET_CLOCK
    u64 clock;      //  0, nanoseconds
    u32 flags;      //  8, Flags<ClockFlag>
    u32 pad0;       // 12
    u64 realtime;   // 16, nanoseconds since 1970
    u64 host_tsc;   // 24
    u32 pad[4];     // 32
};
static_assert(sizeof(ClockData) == 48);

struct OneReg {  // KVM_GET_ONE_REG, KVM_SET_ONE_REG
    u64 id;      //  0
    u64 addr;    //  8
};
static_assert(sizeof(OneReg) == 16);

struct Msi {         // KVM_SIGNAL_MSI
    u32 address_lo;  //  0
    u32 address_hi;  //  4
    u32 data;        //  8
    u32 flags;       // 12, Flags<MsiFlag>
    u32 devid;       // 16
    u8 pad[12];      // 20
};
static_assert(sizeof(Msi) == 32);

/// KVM_DEV_TYPE_*: what vm.create_device() makes.
enum class DeviceType : u32 {
    fsl_mpic_20 = 1,
    fsl_mpic_42 = 2,
    xics = 3,
    vfio = 4,
    arm_vgic_v2 = 5,
    flic = 6,
    arm_vgic_v3 = 7,
    arm_vgic_its = 8,
    xive = 9,
    arm_pv_time = 10,
    riscv_aia = 11,
    loongarch_ipi = 12,
    loongarch_eiointc = 13,
    loongarch_pchpic = 14,
    loongarch_dmsintc = 15,
    arm_vgic_v5 = 16,
};

/// Bits of CreateDevice::flags: KVM_CREATE_DEVICE_*. `test` makes nothing, and says whether it
/// would.
enum class CreateDeviceFlag : u32 { test = 1 };

struct CreateDevice {  // KVM_CREATE_DEVICE
    DeviceType type;   //  0, in
    u32 fd;            //  4, out
    u32 flags;         //  8, in, Flags<CreateDeviceFlag>
};
static_assert(sizeof(CreateDevice) == 12);

struct DeviceAttr {  // KVM_(SET|GET|HAS)_DEVICE_ATTR
    u32 flags;       //  0
    u32 group;       //  4
    u64 attr;        //  8
    u64 addr;        // 16, host address of the attribute's value
};
static_assert(sizeof(DeviceAttr) == 24);

struct GuestDebugHeader {  // the head of KVM_SET_GUEST_DEBUG's argument on every architecture
    u32 control;           //  0
    u32 pad;               //  4
};
static_assert(sizeof(GuestDebugHeader) == 8);

}  // namespace kvm

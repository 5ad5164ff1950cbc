// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/abi/common.hpp>

/// The structures of linux/kvm.h about private memory, the dirty ring and statistics.
namespace kvm {

struct MemoryAttributes {  // KVM_SET_MEMORY_ATTRIBUTES
    u64 address;           //  0, page-aligned
    u64 size;              //  8, bytes
    u64 attributes;        // 16, Flags<MemoryAttribute>
    u64 flags;             // 24
};
static_assert(sizeof(MemoryAttributes) == 32);

struct CreateGuestMemfd {  // KVM_CREATE_GUEST_MEMFD
    u64 size;              //  0, bytes, page-aligned
    u64 flags;             //  8, Flags<GuestMemfdFlag>
    u64 reserved[6];       // 16
};
static_assert(sizeof(CreateGuestMemfd) == 64);

struct PreFaultMemory {  // KVM_PRE_FAULT_MEMORY
    u64 gpa;             //  0, in and out: where to go on
    u64 size;            //  8, in and out: what is left, bytes
    u64 flags;           // 16
    u64 padding[5];      // 24
};
static_assert(sizeof(PreFaultMemory) == 64);

/// Bits of DirtyGfn::flags: KVM_DIRTY_GFN_F_*.
enum class DirtyGfnFlag : u32 { dirty = 1, reset = 2 };

struct DirtyGfn {  // an entry of the dirty ring
    u32 flags;     //  0, Flags<DirtyGfnFlag>
    u32 slot;      //  4, address space << 16 | id
    u64 offset;    //  8, in pages from the slot's start
};
static_assert(sizeof(DirtyGfn) == 16);

/// KVM_DIRTY_LOG_PAGE_OFFSET on x86_64, aarch64 and riscv64.
inline constexpr u64 dirty_log_page_offset = 64;

/// KVM_STATS_TYPE_*: how a value changes. The kernel's bits of StatsDescHeader::flags, as are the
/// next.
enum class StatsType : u32 { cumulative = 0, instant = 1, peak = 2, linear_hist = 3, log_hist = 4 };
/// KVM_STATS_UNIT_*.
enum class StatsUnit : u32 {
    none = 0 << 4,
    bytes = 1 << 4,
    seconds = 2 << 4,
    cycles = 3 << 4,
    boolean = 4 << 4,
};
/// KVM_STATS_BASE_*: the value is in units of base to the power of the exponent.
enum class StatsBase : u32 { pow10 = 0 << 8, pow2 = 1 << 8 };

inline constexpr u32 stats_type_mask = 0xf << 0;
inline constexpr u32 stats_unit_mask = 0xf << 4;
inline constexpr u32 stats_base_mask = 0xf << 8;

struct StatsHeader {  // at the start of a statistics descriptor
    u32 flags;        //  0
    u32 name_size;    //  4, bytes of each descriptor's name, with its 0
    u32 num_desc;     //  8
    u32 id_offset;    // 12
    u32 desc_offset;  // 16
    u32 data_offset;  // 20
};
static_assert(sizeof(StatsHeader) == 24);

struct StatsDescHeader {  // char name[StatsHeader::name_size] follows
    u32 flags;            //  0, StatsType | StatsUnit | StatsBase
    s16 exponent;         //  4
    u16 size;             //  6, 64-bit values
    u32 offset;           //  8, bytes from data_offset
    u32 bucket_size;      // 12
};
static_assert(sizeof(StatsDescHeader) == 16);

struct RegList {  // KVM_GET_REG_LIST; u64[n] follows
    u64 n;        //  0
};
static_assert(sizeof(RegList) == 8);

}  // namespace kvm

// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/abi/x86_64_table.hpp>
#include <kvm/flex_array.hpp>
#include <kvm/ioctl.hpp>

/// The variable-length arguments of x86_64's ioctls.
namespace kvm::x86_64 {

/// KVM_GET_SUPPORTED_CPUID, KVM_SET_CPUID2 and the like.
using CpuidList = FlexArray<Cpuid2, CpuidEntry2, &Cpuid2::nent>;
/// KVM_GET_MSR_INDEX_LIST, KVM_GET_MSR_FEATURE_INDEX_LIST.
using MsrIndexList = FlexArray<MsrList, u32, &MsrList::nmsrs>;

/// KVM_SET_CPUID, the old form of KVM_SET_CPUID2.
using OldCpuidList = FlexArray<Cpuid, CpuidEntry, &Cpuid::nent>;
/// KVM_SET_PMU_EVENT_FILTER: events, plain or masked.
using PmuEvents = FlexArray<PmuEventFilter, u64, &PmuEventFilter::nevents>;

/// Whether a masked event lets its match count, or takes it out again.
enum class Masked : u64 { include = 0, exclude = 1 };
/// KVM_PMU_ENCODE_MASKED_ENTRY: an entry of PmuEvents with PmuEventFlag::masked_events: the events
/// of `select` (12 bits) whose unit mask, of the bits of `mask`, is `match`.
constexpr u64 masked_pmu_event(u32 select, u8 mask, u8 match, Masked masked = Masked::include) {
    return (select & 0xff) | u64(select & 0xf00) << 24 | u64(mask) << 56 | u64(match) << 8 |
           static_cast<u64>(masked) << 55;
}

/// KVM_GET_XSAVE2's area: Xsave and what cap::xsave2 says follows it, as 32-bit words.
class Xsave2 {
public:
    /// Zeroes, `bytes` long, at least 4096. Errors: ENOMEM.
    static Result<Xsave2> with_size(std::size_t bytes);
    Xsave2(Xsave2&& other) noexcept : words_(other.words_), bytes_(other.bytes_) {
        other.words_ = nullptr;
        other.bytes_ = 0;
    }
    Xsave2& operator=(Xsave2&& other) noexcept;
    ~Xsave2() { std::free(words_); }

    /// The XSAVE area in its standard format, laid out as CPUID leaf 0xd says.
    std::span<u32> words() { return {words_, bytes_ / sizeof(u32)}; }
    std::span<const u32> words() const { return {words_, bytes_ / sizeof(u32)}; }
    std::size_t size_bytes() const { return bytes_; }

private:
    Xsave2(u32* words, std::size_t bytes) : words_(words), bytes_(bytes) {}

    u32* words_;
    std::size_t bytes_;
};

}  // namespace kvm::x86_64

namespace kvm::detail {

/// KVM_GET_MSRS or KVM_SET_MSRS over any number of entries, in the kernel's portions, without a
/// heap block. An Error's `detail` is the index of the entry that was refused.
Result<void> get_msrs(FdRef fd, std::span<x86_64::MsrEntry> entries);
Result<void> set_msrs(FdRef fd, std::span<const x86_64::MsrEntry> entries);

/// KVM_GET_SUPPORTED_HV_CPUID of the system or of a vCPU.
Result<x86_64::CpuidList> supported_hv_cpuid(FdRef fd);

}  // namespace kvm::detail

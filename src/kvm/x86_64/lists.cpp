// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <kvm/vcpu.hpp>
#include <kvm/x86_64/system.hpp>

namespace kvm::x86_64 {

namespace {

constexpr std::size_t usual_cpuid_entries = 128;
constexpr std::size_t usual_msr_indices = 256;

/// An MSR ioctl's argument on the stack: the kernel takes 255 at a time, we fewer.
struct Portion {
    static constexpr std::size_t most = 32;
    Msrs header;
    MsrEntry entries[most];
};

/// Runs `op` over `entries` by portions. `after` sees each portion's entries once the kernel has.
template <class Op, class Entry, class After>
Result<void> by_portions(FdRef fd, const Op& op, std::span<Entry> entries, After after) {
    for (std::size_t done = 0; done < entries.size();) {
        const std::size_t n = std::min(entries.size() - done, Portion::most);
        Portion portion;
        portion.header = {static_cast<u32>(n), 0};
        std::memcpy(portion.entries, entries.data() + done, n * sizeof(MsrEntry));
        const long count = kvm::detail::raw_ioctl(fd, op.request, &portion);
        if (count < 0) {
            return kvm::detail::answer<void>(op.name, count, static_cast<u32>(done));
        }
        const std::size_t good = std::min(static_cast<std::size_t>(count), n);
        after(done, good, portion);
        done += good;
        if (good < n) {
            return kvm::detail::answer<void>(op.name, -EINVAL, static_cast<u32>(done));
        }
    }
    return {};
}

}  // namespace

Result<CpuidList> KvmOps::supported_cpuid() const {
    return kvm::detail::grow_until_filled<CpuidList>(usual_cpuid_entries, [&](Cpuid2& list) {
        return call(fd_, op::x86_64::get_supported_cpuid, list);
    });
}

Result<CpuidList> KvmOps::emulated_cpuid() const {
    return kvm::detail::grow_until_filled<CpuidList>(usual_cpuid_entries, [&](Cpuid2& list) {
        return call(fd_, op::x86_64::get_emulated_cpuid, list);
    });
}

Result<MsrIndexList> KvmOps::msr_index_list() const {
    return kvm::detail::grow_until_filled<MsrIndexList>(usual_msr_indices, [&](MsrList& list) {
        return call(fd_, op::x86_64::get_msr_index_list, list);
    });
}

Result<MsrIndexList> KvmOps::msr_feature_index_list() const {
    return kvm::detail::grow_until_filled<MsrIndexList>(usual_msr_indices, [&](MsrList& list) {
        return call(fd_, op::x86_64::get_msr_feature_index_list, list);
    });
}

}  // namespace kvm::x86_64

namespace kvm::detail {

Result<void> get_msrs(FdRef fd, std::span<x86_64::MsrEntry> entries) {
    return x86_64::by_portions(fd, op::x86_64::get_msrs, entries,
                               [&](std::size_t at, std::size_t n, const x86_64::Portion& portion) {
                                   std::memcpy(entries.data() + at, portion.entries,
                                               n * sizeof(x86_64::MsrEntry));
                               });
}

Result<void> set_msrs(FdRef fd, std::span<const x86_64::MsrEntry> entries) {
    return x86_64::by_portions(fd, op::x86_64::set_msrs, entries,
                               [](std::size_t, std::size_t, const x86_64::Portion&) {});
}

Result<x86_64::CpuidList> supported_hv_cpuid(FdRef fd) {
    return grow_until_filled<x86_64::CpuidList>(32, [&](x86_64::Cpuid2& list) {
        return call(fd, op::x86_64::get_supported_hv_cpuid, list);
    });
}

}  // namespace kvm::detail

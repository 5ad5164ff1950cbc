// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstdint>
#include <kvm/types.hpp>
#include <vector>

namespace vmm {

/// `size` bytes of guest memory from `address`.
struct GuestRange {
    kvm::Gpa address{};
    std::uint64_t size = 0;

    friend bool operator==(const GuestRange&, const GuestRange&) = default;
};

/// Where it is known from what the guest wrote. `log`: KVM keeps a bitmap. `ring`: KVM fills a
/// DirtyRing for each vCPU, and those who harvest them call GuestMemory::mark_dirty_page().
enum class DirtySource : std::uint8_t { log, ring };

/// The pages of one region that were written.
struct DirtyPages {
    kvm::Gpa address;
    std::uint64_t size;
    /// A bit for each page of 4096 bytes, the lowest first; none beyond the region's end.
    std::vector<std::uint64_t> bitmap;

    /// How many there are.
    std::uint64_t count() const;
    /// The same as ranges, in order, none next to another.
    std::vector<GuestRange> ranges() const;
};

}  // namespace vmm

// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <vmm/x86_64/layout.hpp>

namespace vmm::x86_64 {

std::vector<Region> ram_regions(std::uint64_t bytes) {
    const std::uint64_t low = std::min(bytes, layout::hole.value());
    std::vector<Region> regions;
    if (low > 0) {
        regions.push_back({kvm::Gpa(0), low});
    }
    if (bytes > low) {
        regions.push_back({layout::hole_end, bytes - low});
    }
    return regions;
}

}  // namespace vmm::x86_64

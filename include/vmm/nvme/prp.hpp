// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <vmm/memory/buffers.hpp>
#include <vmm/nvme/spec.hpp>

namespace vmm::nvme {

/// The `length` bytes, at most most_transfer, that a command's PRP entries say: in `out`, which was
/// empty, neighbours in one. Base Specification 1.4, 4.3. They may be anywhere, memory or not. Not
/// success: invalid_prp_offset (not at a page's start, or not a multiple of 4), data_transfer_error
/// (a list that is no memory).
Status collect_prps(const GuestMemory& memory, std::uint64_t prp1, std::uint64_t prp2,
                    std::uint64_t length, std::vector<GuestBuffer>& out);

/// The longest that a command may transfer: Identify's MDTS. So long, a list has its end.
inline constexpr std::uint64_t most_transfer = page_size << 9;

}  // namespace vmm::nvme

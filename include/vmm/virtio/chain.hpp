// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstdint>
#include <vector>
#include <vmm/memory/buffers.hpp>

namespace vmm::virtio {

using Buffer = GuestBuffer;

/// What a driver made available at once: buffers that the device reads, then those that it writes.
/// virtio 1.2, 2.6.
struct Chain {
    std::uint16_t id = 0;     ///< the descriptor table's index (split), or the buffer id (packed)
    std::uint16_t slots = 0;  ///< of the ring that it takes: what Queue::push() wants to know
    std::vector<Buffer> readable;
    std::vector<Buffer> writable;

    std::uint64_t readable_bytes() const;
    std::uint64_t writable_bytes() const;
};

}  // namespace vmm::virtio

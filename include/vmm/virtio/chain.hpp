// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstdint>
#include <kvm/types.hpp>
#include <span>
#include <sys/uio.h>
#include <vector>
#include <vmm/memory/guest_memory.hpp>

namespace vmm::virtio {

/// A piece of guest memory that a driver offers. It may be anywhere, memory or not, and of any
/// length.
struct Buffer {
    kvm::Gpa address{};
    std::uint32_t length = 0;

    friend bool operator==(const Buffer&, const Buffer&) = default;
};

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

/// Copies `to.size()` bytes, from the `offset`-th of the buffers' on. Errors: EFAULT (not all of it
/// is RAM), ENODATA (the buffers are shorter).
Result<void> read(const GuestMemory& memory, std::span<const Buffer> from, std::uint64_t offset,
                  std::span<std::byte> to);
/// The other way. Errors: the same, and EROFS; what was written before it was found stays.
Result<void> write(const GuestMemory& memory, std::span<const Buffer> to, std::uint64_t offset,
                   std::span<const std::byte> from);
/// Appends what readv(2) (Access::read_write) or writev(2) (Access::read_only) takes for `length`
/// bytes from the `offset`-th on. What is then written there is told to GuestMemory::mark_dirty().
/// Errors, `out` being as it was: see read(), EROFS.
Result<void> iovecs(const GuestMemory& memory, std::span<const Buffer> buffers,
                    std::uint64_t offset, std::uint64_t length, Access access,
                    std::vector<iovec>& out);
/// Says that `length` bytes from the `offset`-th on were written by others. Beyond the end: none.
void mark_dirty(const GuestMemory& memory, std::span<const Buffer> buffers, std::uint64_t offset,
                std::uint64_t length);

}  // namespace vmm::virtio

// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstdint>
#include <kvm/types.hpp>
#include <span>
#include <sys/uio.h>
#include <vector>
#include <vmm/memory/guest_memory.hpp>

namespace vmm {

/// A piece of guest memory that a driver offers. It may be anywhere, memory or not, and of any
/// length.
struct GuestBuffer {
    kvm::Gpa address{};
    std::uint32_t length = 0;

    friend bool operator==(const GuestBuffer&, const GuestBuffer&) = default;
};

/// How many bytes they are.
std::uint64_t total(std::span<const GuestBuffer> buffers);

/// Copies `to.size()` bytes, from the `offset`-th of the buffers' on. Errors: EFAULT (not all of it
/// is RAM), ENODATA (the buffers are shorter).
Result<void> read(const GuestMemory& memory, std::span<const GuestBuffer> from,
                  std::uint64_t offset, std::span<std::byte> to);
/// The other way. Errors: the same, and EROFS; what was written before it was found stays.
Result<void> write(const GuestMemory& memory, std::span<const GuestBuffer> to, std::uint64_t offset,
                   std::span<const std::byte> from);
/// Appends what readv(2) (Access::read_write) or writev(2) (Access::read_only) takes for `length`
/// bytes from the `offset`-th on. What is then written there is told to GuestMemory::mark_dirty().
/// Errors, `out` being as it was: see read(), EROFS.
Result<void> iovecs(const GuestMemory& memory, std::span<const GuestBuffer> buffers,
                    std::uint64_t offset, std::uint64_t length, Access access,
                    std::vector<iovec>& out);
/// Says that `length` bytes from the `offset`-th on were written by others. Beyond the end: none.
void mark_dirty(const GuestMemory& memory, std::span<const GuestBuffer> buffers,
                std::uint64_t offset, std::uint64_t length);

}  // namespace vmm

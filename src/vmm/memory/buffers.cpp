// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <cerrno>
#include <fmt/format.h>
#include <numeric>
#include <vmm/memory/buffers.hpp>

namespace vmm {

std::uint64_t total(std::span<const GuestBuffer> buffers) {
    return std::accumulate(buffers.begin(), buffers.end(), std::uint64_t(0),
                           [](std::uint64_t sum, const GuestBuffer& b) { return sum + b.length; });
}

namespace {

[[gnu::cold]] std::unexpected<Error> too_short(std::span<const GuestBuffer> buffers,
                                               std::uint64_t offset, std::uint64_t length) {
    return fail(fmt::format("buffers of {} bytes: there are no {} from offset {} on",
                            total(buffers), length, offset),
                ENODATA);
}

/// Calls step(address, length, bytes done) for the pieces of `length` bytes from the `offset`-th
/// on, until one fails. Errors: its, ENODATA.
template <class Step>
Result<void> for_pieces(std::span<const GuestBuffer> buffers, std::uint64_t offset,
                        std::uint64_t length, Step step) {
    std::uint64_t skip = offset;
    std::uint64_t done = 0;
    for (const GuestBuffer& buffer : buffers) {
        if (done == length) {
            break;
        }
        if (skip >= buffer.length) {
            skip -= buffer.length;
            continue;
        }
        const std::uint64_t here = std::min(length - done, buffer.length - skip);
        if (Result<void> stepped = step(buffer.address + skip, here, done); !stepped) {
            return stepped;
        }
        skip = 0;
        done += here;
    }
    return done == length ? Result<void>() : too_short(buffers, offset, length);
}

}  // namespace

Result<void> read(const GuestMemory& memory, std::span<const GuestBuffer> from,
                  std::uint64_t offset, std::span<std::byte> to) {
    return for_pieces(from, offset, to.size(),
                      [&](kvm::Gpa address, std::uint64_t length, std::uint64_t done) {
                          return memory.read(address, to.subspan(done, length));
                      });
}

Result<void> write(const GuestMemory& memory, std::span<const GuestBuffer> to, std::uint64_t offset,
                   std::span<const std::byte> from) {
    return for_pieces(to, offset, from.size(),
                      [&](kvm::Gpa address, std::uint64_t length, std::uint64_t done) {
                          return memory.write(address, from.subspan(done, length));
                      });
}

Result<void> iovecs(const GuestMemory& memory, std::span<const GuestBuffer> buffers,
                    std::uint64_t offset, std::uint64_t length, Access access,
                    std::vector<iovec>& out) {
    const std::size_t before = out.size();
    auto made = for_pieces(buffers, offset, length,
                           [&](kvm::Gpa address, std::uint64_t size, std::uint64_t) {
                               return memory.iovecs(address, size, access, out);
                           });
    if (!made) {
        out.resize(before);
    }
    return made;
}

void mark_dirty(const GuestMemory& memory, std::span<const GuestBuffer> buffers,
                std::uint64_t offset, std::uint64_t length) {
    (void)for_pieces(buffers, offset, length,  // what is beyond the end is no error here
                     [&](kvm::Gpa address, std::uint64_t size, std::uint64_t) {
                         memory.mark_dirty(address, size);
                         return Result<void>();
                     });
}

}  // namespace vmm

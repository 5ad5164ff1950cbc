// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/fd.hpp>
#include <vmm/error.hpp>
#include <vmm/memory/region.hpp>

namespace vmm::detail {

inline constexpr std::uint64_t page_size = 4096;
inline constexpr std::uint64_t huge_page_size = 2 << 20;

/// What mmap(2) is told to get a region's memory.
struct Source {
    int protection;
    int flags;
    kvm::Fd fd{-1};
    std::uint64_t offset = 0;
    /// The size of the pages that it can be divided into.
    std::uint64_t granule = page_size;

    /// Whether other processes see what is written.
    bool is_shared() const;
    bool can_write() const;
};

/// Makes or opens what the region is made of. Errors name the region and the cause.
Result<Source> open_source(const Region& region);
/// "…: mmap: cause", and what can be done about it.
std::unexpected<Error> fail_to_map(const Region& region, int code);
/// What fstat(2) says that a mapping of the file needs: it is regular and long enough. `name`
/// begins the message.
Result<void> check_file(const std::string& name, int fd, std::uint64_t offset,
                        std::uint64_t length);

/// Puts other memory in the place of `size` bytes at `place`, which are mapped: all or nothing. A
/// thread that touches them meanwhile finds the one or the other. The errno, or 0.
int replace(std::byte* place, std::uint64_t size, const Source& source, std::uint64_t offset);

/// One region's host memory, with inaccessible pages before and after it: a bug that runs off its
/// end faults. It lies within a huge page as its guest address does: only so does KVM map huge
/// pages. The addresses are its own until it ends. Move-only.
class Mapping {
public:
    static Result<Mapping> create(const Region& region);

    Mapping(Mapping&& other) noexcept;
    Mapping& operator=(Mapping&& other) noexcept;
    ~Mapping();

    std::byte* ram() const { return ram_; }
    const Source& source() const { return source_; }

    /// Maps other memory over all of it from now on; what was there is gone. The errno, or 0.
    int set_source(Source source);
    /// Puts the source back, where something else is mapped. The errno, or 0.
    int restore(std::uint64_t offset, std::uint64_t length) const;
    /// Gives the memory back to the host; reads find zeroes and writes go nowhere that anybody
    /// reads. For those who still have an address of it.
    void bury();
    /// Gives the memory back but keeps the addresses, inaccessible, for ever.
    void retire();

private:
    Mapping(std::byte* base, std::size_t reserved, std::uint64_t size, Source source)
        : base_(base), reserved_(reserved), size_(size), source_(std::move(source)) {}

    std::byte* base_;
    std::size_t reserved_;
    std::uint64_t size_;
    std::byte* ram_ = nullptr;
    Source source_;
};

}  // namespace vmm::detail

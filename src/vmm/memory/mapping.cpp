// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <kvm/try.hpp>
#include <vmm/memory/mapping.hpp>

namespace vmm::detail {

bool Source::is_shared() const { return (flags & MAP_SHARED) != 0; }
bool Source::can_write() const { return (protection & PROT_WRITE) != 0; }

namespace {

void* map(void* place, std::uint64_t size, const Source& source, std::uint64_t offset,
          int more_flags) {
    const bool file = source.fd.valid();
    return ::mmap(place, size, source.protection, source.flags | more_flags, source.fd.number(),
                  file ? static_cast<off_t>(source.offset + offset) : 0);
}

/// A wish: kernels without huge pages refuse it, and nothing is lost.
void wish_for_huge_pages(std::byte* place, std::uint64_t size) {
    (void)::madvise(place, size, MADV_HUGEPAGE);
}

}  // namespace

int replace(std::byte* place, std::uint64_t size, const Source& source, std::uint64_t offset) {
    // Not MAP_FIXED at once: where that fails, it may leave a hole, for others to be mapped in.
    void* fresh = map(nullptr, size, source, offset, 0);
    if (fresh == MAP_FAILED) {
        return errno;
    }
    if (::mremap(fresh, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, place) == MAP_FAILED) {
        const int code = errno;
        ::munmap(fresh, size);
        return code;
    }
    wish_for_huge_pages(place, size);
    return 0;
}

Result<Mapping> Mapping::create(const Region& region) {
    Source source = KVM_TRY(open_source(region));
    const std::uint64_t align = std::max(huge_page_size, source.granule);
    const std::size_t reserved = region.size + align + 2 * page_size;
    void* base =
        ::mmap(nullptr, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) {
        return fail_to_map(region, errno);
    }
    Mapping mapping(static_cast<std::byte*>(base), reserved, region.size, std::move(source));
    const auto first = reinterpret_cast<std::uintptr_t>(base) + page_size;
    mapping.ram_ = mapping.base_ + page_size + (region.address.value() - first) % align;
    if (map(mapping.ram_, region.size, mapping.source_, 0, MAP_FIXED) == MAP_FAILED) {
        return fail_to_map(region, errno);
    }
    wish_for_huge_pages(mapping.ram_, region.size);
    return mapping;
}

Mapping::Mapping(Mapping&& other) noexcept
    : base_(std::exchange(other.base_, nullptr)), reserved_(other.reserved_), size_(other.size_),
      ram_(other.ram_), source_(std::move(other.source_)) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
    std::swap(base_, other.base_);
    std::swap(reserved_, other.reserved_);
    std::swap(size_, other.size_);
    std::swap(ram_, other.ram_);
    std::swap(source_, other.source_);
    return *this;
}

Mapping::~Mapping() {
    if (base_) {
        ::munmap(base_, reserved_);
    }
}

int Mapping::set_source(Source source) {
    const int code = replace(ram_, size_, source, 0);
    if (code == 0) {
        source_ = std::move(source);
    }
    return code;
}

int Mapping::restore(std::uint64_t offset, std::uint64_t length) const {
    return replace(ram_ + offset, length, source_, offset);
}

void Mapping::bury() {
    // If this fails, the host gets the memory back when this ends, not now.
    (void)set_source({.protection = PROT_READ | PROT_WRITE,
                      .flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE});
}

void Mapping::retire() {
    // If these fail, the guest keeps memory that is nobody else's.
    (void)::mprotect(base_, reserved_, PROT_NONE);
    (void)::madvise(base_, reserved_, MADV_DONTNEED);
    base_ = nullptr;
}

}  // namespace vmm::detail

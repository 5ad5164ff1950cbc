// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>

#include <algorithm>
#include <cerrno>
#include <kvm/vm.hpp>
#include <optional>
#include <vmm/memory/guest_memory.hpp>

namespace vmm {

namespace {

constexpr std::uint64_t page_size = 4096;
constexpr std::uint64_t huge_page_size = 2 << 20;
constexpr std::uint64_t address_limit = std::uint64_t(1) << 52;  // x86_64 and arm64 have no more

std::string describe(const Region& region) {
    return fmt::format("guest memory {:#x}..{:#x}", region.address.value(),
                       region.address.value() + region.size - 1);
}

/// "guest address 0x1000, 4 bytes: cause" on its way out.
std::unexpected<Error> bad_access(kvm::Gpa address, std::uint64_t length, const char* cause) {
    return fail(fmt::format("guest address {:#x}, {} {}: {}", address.value(), length,
                            length == 1 ? "byte" : "bytes", cause),
                EFAULT);
}

Result<void> check(std::span<const Region> regions) {
    std::uint64_t total = 0;
    std::uint64_t end = 0;
    for (const Region& region : regions) {
        const std::uint64_t start = region.address.value();
        if (region.size == 0) {
            return fail(fmt::format("guest memory at {:#x}: 0 bytes", start), EINVAL);
        }
        if (start % page_size != 0 || region.size % page_size != 0) {
            return fail(fmt::format("guest memory at {:#x}, {:#x} bytes: not in pages of {} bytes",
                                    start, region.size, page_size),
                        EINVAL);
        }
        if (start >= address_limit || region.size > address_limit - start) {
            return fail(fmt::format("guest memory at {:#x}, {:#x} bytes: ends beyond 52 bits",
                                    start, region.size),
                        EINVAL);
        }
        if (start < end) {
            return fail(describe(region) + ": overlaps the region before it, or is out of order",
                        EINVAL);
        }
        end = start + region.size;
        total += region.size;
    }
    if (regions.empty()) {
        return fail("guest memory: 0 bytes", EINVAL);
    }
    if (const std::uint64_t host = host_memory_size(); total > host) {
        return fail(fmt::format("guest memory: {} wanted, the host has {}", describe_size(total),
                                describe_size(host)),
                    ENOMEM);
    }
    return {};
}

}  // namespace

/// One region's host memory, with inaccessible pages before and after it: a bug that runs off its
/// end faults. It lies within a huge page as its guest address does: only so does KVM map huge
/// pages.
class GuestMemory::Mapping {
public:
    static Result<Mapping> create(const Region& region) {
        const std::size_t reserved = region.size + huge_page_size + 2 * page_size;
        void* base = ::mmap(nullptr, reserved, PROT_NONE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (base == MAP_FAILED) {
            return fail_errno(describe(region) + ": mmap", errno);
        }
        Mapping mapping(static_cast<std::byte*>(base), reserved);
        const auto first = reinterpret_cast<std::uintptr_t>(base) + page_size;
        const std::uint64_t shift = (region.address.value() - first) % huge_page_size;
        mapping.ram_ = mapping.base_ + page_size + shift;
        if (::mprotect(mapping.ram_, region.size, PROT_READ | PROT_WRITE) != 0) {
            return fail_errno(describe(region) + ": mprotect", errno);
        }
        // A wish: kernels without huge pages refuse it, and nothing is lost.
        (void)::madvise(mapping.ram_, region.size, MADV_HUGEPAGE);
        return mapping;
    }

    Mapping(Mapping&& other) noexcept
        : base_(std::exchange(other.base_, nullptr)), reserved_(other.reserved_), ram_(other.ram_) {
    }
    Mapping& operator=(Mapping&& other) noexcept {
        std::swap(base_, other.base_);
        std::swap(reserved_, other.reserved_);
        std::swap(ram_, other.ram_);
        return *this;
    }
    ~Mapping() {
        if (base_) {
            ::munmap(base_, reserved_);
        }
    }

    std::byte* ram() const { return ram_; }
    /// Gives the memory back but keeps the addresses, inaccessible, for ever.
    void retire() {
        // If these fail, the guest keeps memory that is nobody else's.
        (void)::mprotect(base_, reserved_, PROT_NONE);
        (void)::madvise(base_, reserved_, MADV_DONTNEED);
        base_ = nullptr;
    }

private:
    Mapping(std::byte* base, std::size_t reserved) : base_(base), reserved_(reserved) {}

    std::byte* base_;
    std::size_t reserved_;
    std::byte* ram_ = nullptr;
};

/// The VM, kept alive so that its slots can be taken back before their memory is unmapped.
struct GuestMemory::Attachment {
    kvm::Vm vm;
    std::vector<kvm::Memslot> slots;
};

GuestMemory::GuestMemory() = default;
GuestMemory::GuestMemory(GuestMemory&&) noexcept = default;
GuestMemory::~GuestMemory() { detach(); }

GuestMemory& GuestMemory::operator=(GuestMemory&& other) noexcept {
    if (this != &other) {
        detach();
        regions_ = std::move(other.regions_);
        mappings_ = std::move(other.mappings_);
        windows_ = std::move(other.windows_);
        size_ = std::exchange(other.size_, 0);
        attachment_ = std::move(other.attachment_);
    }
    return *this;
}

void GuestMemory::detach() {
    if (!attachment_) {
        return;
    }
    for (std::size_t i = 0; i < attachment_->slots.size(); ++i) {
        // The kernel refuses to delete a slot for want of its own memory alone. The guest may then
        // reach these addresses as long as it lives, so nothing else may ever be mapped there.
        if (!attachment_->vm.remove_memory(std::move(attachment_->slots[i]))) {
            mappings_[i].retire();
        }
    }
    attachment_.reset();
}

Result<GuestMemory> GuestMemory::create(std::span<const Region> regions) {
    if (auto good = check(regions); !good) {
        return std::unexpected(std::move(good).error());
    }
    GuestMemory memory;
    for (const Region& region : regions) {
        auto mapping = Mapping::create(region);
        if (!mapping) {
            return std::unexpected(std::move(mapping).error());
        }
        memory.windows_.push_back({region.address.value(), region.size, mapping->ram()});
        memory.mappings_.push_back(std::move(*mapping));
        memory.regions_.push_back(region);
        memory.size_ += region.size;
    }
    return memory;
}

Result<void> GuestMemory::attach(const kvm::Vm& vm) {
    if (attachment_) {
        return fail("guest memory: a VM has it already", EBUSY);
    }
    auto fd = vm.fd().duplicate();
    if (!fd) {
        return fail("guest memory: " + Error(fd.error()).message, fd.error().code);
    }
    attachment_ = std::make_unique<Attachment>(kvm::Vm(std::move(*fd), vm.vcpu_mmap_size()),
                                               std::vector<kvm::Memslot>());
    for (std::size_t i = 0; i < windows_.size(); ++i) {
        const std::span<std::byte> ram(windows_[i].host, windows_[i].size);
        auto slot = attachment_->vm.add_memory(kvm::Slot(i), regions_[i].address, ram);
        if (!slot) {
            detach();
            return fail(describe(regions_[i]) + ": " + Error(slot.error()).message,
                        slot.error().code);
        }
        attachment_->slots.push_back(std::move(*slot));
    }
    return {};
}

bool GuestMemory::contains(kvm::Gpa address, std::uint64_t length) const {
    std::uint64_t at = address.value();
    while (length > 0) {
        const Window* window = window_of(at);
        if (!window) {
            return false;
        }
        const std::uint64_t here = std::min(length, window->size - (at - window->start));
        at += here;
        length -= here;
    }
    return true;
}

/// Calls step(host, size, bytes done) for each piece within one region, if all of it is RAM.
template <class Step>
Result<void> GuestMemory::walk(kvm::Gpa address, std::uint64_t length, Step step) const {
    if (length == 0) {
        return {};
    }
    if (std::byte* host = find(address, length)) [[likely]] {
        step(host, length, std::uint64_t(0));
        return {};
    }
    if (!contains(address, length)) {
        return bad_access(address, length, "not all RAM");
    }
    for (std::uint64_t done = 0; done < length;) {
        const std::uint64_t at = address.value() + done;
        const Window& window = *window_of(at);
        const std::uint64_t here = std::min(length - done, window.size - (at - window.start));
        step(window.host + (at - window.start), here, done);
        done += here;
    }
    return {};
}

Result<void> GuestMemory::read(kvm::Gpa address, std::span<std::byte> to) const {
    return walk(address, to.size(),
                [&](const std::byte* host, std::uint64_t size, std::uint64_t done) {
                    detail::copy_from_guest(to.data() + done, host, size);
                });
}

Result<void> GuestMemory::write(kvm::Gpa address, std::span<const std::byte> from) const {
    return walk(address, from.size(), [&](std::byte* host, std::uint64_t size, std::uint64_t done) {
        detail::copy_to_guest(host, from.data() + done, size);
    });
}

Result<void> GuestMemory::fill(kvm::Gpa address, std::uint64_t length, std::byte value) const {
    return walk(address, length, [&](std::byte* host, std::uint64_t size, std::uint64_t) {
        detail::fill_guest(host, value, size);
    });
}

Result<std::span<std::byte>> GuestMemory::host_span(kvm::Gpa address, std::uint64_t length) const {
    std::byte* host = find(address, length);
    if (!host) {
        return bad_access(address, length, "not all in one region of RAM");
    }
    return std::span<std::byte>(host, length);
}

std::uint64_t host_memory_size() {
    struct sysinfo info{};
    if (::sysinfo(&info) != 0) {
        return ~std::uint64_t(0);  // cannot happen; then mmap decides
    }
    return std::uint64_t(info.totalram) * info.mem_unit;
}

std::string describe_size(std::uint64_t bytes) {
    constexpr struct {
        unsigned shift;
        const char* name;
    } units[] = {{40, "TiB"}, {30, "GiB"}, {20, "MiB"}, {10, "KiB"}};
    for (const auto& [shift, name] : units) {
        const std::uint64_t unit = std::uint64_t(1) << shift;
        if (bytes >= unit && bytes % unit == 0) {
            return fmt::format("{} {}", bytes >> shift, name);
        }
        if (bytes >= unit && shift >= 20) {
            return fmt::format("{:.1f} {}", double(bytes) / double(unit), name);
        }
    }
    return fmt::format("{} {}", bytes, bytes == 1 ? "byte" : "bytes");
}

}  // namespace vmm

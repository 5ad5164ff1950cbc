// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <kvm/try.hpp>
#include <optional>
#include <vmm/memory/guest_memory.hpp>
#include <vmm/memory/mapping.hpp>

namespace vmm {

namespace {

std::string name_of(const backing::File& file) {
    return file.path.empty() ? fmt::format("descriptor {}", file.fd) : file.path;
}

std::string kind_of(const Backing& backing) {
    struct Names {
        std::string operator()(const backing::Anonymous&) const { return {}; }
        std::string operator()(const backing::Memfd&) const { return " (memfd)"; }
        std::string operator()(const backing::File& file) const {
            return fmt::format(" (file {})", name_of(file));
        }
        std::string operator()(const backing::HugeTlb& huge) const {
            return fmt::format(" (huge pages of {})",
                               describe_size(static_cast<std::uint64_t>(huge.page)));
        }
        std::string operator()(const backing::GuestMemfd&) const { return " (guest_memfd)"; }
    };
    return std::visit(Names(), backing);
}

}  // namespace

std::string describe(const Region& region) {
    return fmt::format("guest memory {:#x}..{:#x}{}", region.address.value(),
                       region.address.value() + region.size - 1, kind_of(region.backing));
}

namespace detail {

namespace {

constexpr int read_write = PROT_READ | PROT_WRITE;

/// A file of memory, `region.size` bytes long and fixed at that.
Result<kvm::Fd> make_memfd(const Region& region, const char* name, unsigned flags) {
    kvm::Fd fd(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | flags));
    if (!fd.valid()) {
        return fail_errno(describe(region) + ": memfd_create", errno);
    }
    if (::ftruncate(fd.number(), static_cast<off_t>(region.size)) != 0) {
        return fail_errno(describe(region) + ": ftruncate", errno);
    }
    if (::fcntl(fd.number(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0) {
        return fail_errno(describe(region) + ": F_ADD_SEALS", errno);
    }
    return fd;
}

struct Open {
    const Region& region;

    Result<Source> operator()(const backing::Anonymous&) const {
        return Source{.protection = read_write,
                      .flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE};
    }

    Result<Source> operator()(const backing::Memfd& memfd) const {
        return Source{.protection = read_write,
                      .flags = MAP_SHARED | MAP_NORESERVE,
                      .fd = KVM_TRY(make_memfd(region, memfd.name.c_str(), 0))};
    }

    Result<Source> operator()(const backing::File& file) const {
        const bool shared = file.sharing == Sharing::shared;
        const bool sealed = shared && region.access == Access::read_only;
        // O_NONBLOCK: so that a FIFO is refused rather than waited for.
        kvm::Fd fd(file.fd >= 0
                       ? ::fcntl(file.fd, F_DUPFD_CLOEXEC, 0)
                       : ::open(file.path.c_str(), (shared && !sealed ? O_RDWR : O_RDONLY) |
                                                       O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
        if (!fd.valid()) {
            return fail_errno(describe(region), errno);
        }
        KVM_TRY(check_file(describe(region), fd.number(), file.offset, region.size));
        return Source{.protection = sealed ? PROT_READ : read_write,
                      .flags = (shared ? MAP_SHARED : MAP_PRIVATE) | MAP_NORESERVE,
                      .fd = std::move(fd),
                      .offset = file.offset};
    }

    Result<Source> operator()(const backing::HugeTlb& huge) const {
        const auto granule = static_cast<std::uint64_t>(huge.page);
        if (granule != static_cast<std::uint64_t>(HugePage::mib_2) &&
            granule != static_cast<std::uint64_t>(HugePage::gib_1)) {
            return fail(describe(region) + ": huge pages are of 2 MiB or of 1 GiB", EINVAL);
        }
        if (region.address.value() % granule != 0 || region.size % granule != 0) {
            return fail(describe(region) + ": address and size are no multiples of the huge page's",
                        EINVAL);
        }
        const int size = std::countr_zero(granule) << MAP_HUGE_SHIFT;
        if (huge.sharing == Sharing::private_copy) {
            return Source{.protection = read_write,
                          .flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | size,
                          .granule = granule};
        }
        auto fd = make_memfd(region, "guest-memory", MFD_HUGETLB | static_cast<unsigned>(size));
        if (!fd) {
            return std::unexpected(std::move(fd).error());
        }
        return Source{.protection = read_write,
                      .flags = MAP_SHARED,
                      .fd = std::move(*fd),
                      .granule = granule};
    }

    /// Until there is a VM, and beside what the guest keeps private.
    Result<Source> operator()(const backing::GuestMemfd&) const {
        return (*this)(backing::Anonymous());
    }
};

/// A number in a file of sysfs.
std::optional<std::uint64_t> read_number(const std::string& path) {
    std::ifstream file(path);
    std::uint64_t number = 0;
    return file >> number ? std::optional(number) : std::nullopt;
}

/// What there is of huge pages, and how to get more.
std::string explain(const Region& region, const backing::HugeTlb& huge) {
    const auto bytes = static_cast<std::uint64_t>(huge.page);
    const std::string directory =
        fmt::format("/sys/kernel/mm/hugepages/hugepages-{}kB/", bytes >> 10);
    const auto free = read_number(directory + "free_hugepages");
    if (!free) {
        return fmt::format(": this host has no pages of {}", describe_size(bytes));
    }
    return fmt::format(": {} of {} wanted, {} free; echo {} > {}nr_hugepages reserves more",
                       region.size / bytes, describe_size(bytes), *free,
                       read_number(directory + "nr_hugepages").value_or(0) + region.size / bytes -
                           std::min(*free, region.size / bytes),
                       directory);
}

}  // namespace

Result<Source> open_source(const Region& region) {
    return std::visit(Open{region}, region.backing);
}

std::unexpected<Error> fail_to_map(const Region& region, int code) {
    auto error = fail_errno(describe(region) + ": mmap", code);
    if (const auto* huge = std::get_if<backing::HugeTlb>(&region.backing)) {
        error.error().message += explain(region, *huge);
    }
    return error;
}

Result<void> check_file(const std::string& name, int fd, std::uint64_t offset,
                        std::uint64_t length) {
    struct stat status{};
    if (::fstat(fd, &status) != 0) {
        return fail_errno(name, errno);
    }
    if (!S_ISREG(status.st_mode)) {
        return fail(name + ": not a regular file", EINVAL);
    }
    if (offset % page_size != 0) {
        return fail(
            fmt::format("{}: offset {:#x} is not in pages of {} bytes", name, offset, page_size),
            EINVAL);
    }
    // The rest of the last page is mapped, too: zeroes.
    const std::uint64_t end =
        (static_cast<std::uint64_t>(status.st_size) + page_size - 1) & ~(page_size - 1);
    if (offset > end || length > end - offset) {
        return fail(fmt::format("{}: {:#x} bytes from offset {:#x} wanted, the file has {:#x}",
                                name, length, offset, status.st_size),
                    EINVAL);
    }
    return {};
}

}  // namespace detail

}  // namespace vmm

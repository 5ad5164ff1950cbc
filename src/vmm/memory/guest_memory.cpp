// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <fmt/format.h>
#include <sys/sysinfo.h>

#include <algorithm>
#include <cerrno>
#include <vmm/memory/state.hpp>

namespace vmm {

namespace detail {

std::unexpected<Error> fail_at(kvm::Gpa address, std::uint64_t length, const char* cause,
                               int code) {
    return fail(fmt::format("guest address {:#x}, {} {}: {}", address.value(), length,
                            length == 1 ? "byte" : "bytes", cause),
                code);
}

std::unexpected<Error> fail_for(const Region& region, const kvm::Error& error) {
    return fail(describe(region) + ": " + Error(error).message, error.code);
}

}  // namespace detail

std::unexpected<Error> GuestMemory::bad_access(kvm::Gpa address, std::uint64_t length) const {
    return contains(address, length) ? detail::fail_at(address, length, "read-only memory", EROFS)
                                     : detail::fail_at(address, length, "not all RAM", EFAULT);
}

std::unexpected<Error> GuestMemory::bad_word(kvm::Gpa address, std::uint64_t length,
                                             Access access) const {
    const bool there = access == Access::read_only ? find(address, length) != nullptr
                                                   : find_writable(address, length) != nullptr;
    if (there || address.value() % length != 0) {
        return detail::fail_at(address, length, "not aligned", EINVAL);
    }
    return bad_access(address, length);
}

template <GuestMemory::Want want>
bool GuestMemory::all(const Window* table, kvm::Gpa address, std::uint64_t length) {
    std::uint64_t at = address.value();
    while (length > 0) {
        const Window* window = window_of<want>(table, at);
        if (!window) {
            return false;
        }
        const std::uint64_t here = std::min(length, window->size[want] - (at - window->start));
        at += here;
        length -= here;
    }
    return true;
}

bool GuestMemory::contains(kvm::Gpa address, std::uint64_t length) const {
    return all<to_read>(table(), address, length);
}

/// Calls step(host, size, bytes done) for each piece within one window, if all of it is there.
template <GuestMemory::Want want, class Step>
Result<void> GuestMemory::walk(kvm::Gpa address, std::uint64_t length, Step step) const {
    if (length == 0) {
        return {};
    }
    const Window* table = this->table();
    if (std::byte* host = find_in<want>(table, address, length)) [[likely]] {
        step(host, length, std::uint64_t(0));
        return {};
    }
    if (!all<want>(table, address, length)) {
        return bad_access(address, length);
    }
    for (std::uint64_t done = 0; done < length;) {
        const std::uint64_t at = address.value() + done;
        const Window& window = *window_of<want>(table, at);
        const std::uint64_t here = std::min(length - done, window.size[want] - (at - window.start));
        step(window.host + (at - window.start), here, done);
        done += here;
    }
    return {};
}

Result<void> GuestMemory::read_pieces(kvm::Gpa address, std::span<std::byte> to) const {
    return walk<to_read>(address, to.size(),
                         [&](const std::byte* host, std::uint64_t size, std::uint64_t done) {
                             detail::copy_from_guest(to.data() + done, host, size);
                         });
}

Result<void> GuestMemory::write_pieces(kvm::Gpa address, std::span<const std::byte> from) const {
    auto done = walk<to_write>(address, from.size(),
                               [&](std::byte* host, std::uint64_t size, std::uint64_t at) {
                                   detail::copy_to_guest(host, from.data() + at, size);
                               });
    note_write(address, from.size());
    return done;
}

Result<void> GuestMemory::fill(kvm::Gpa address, std::uint64_t length, std::byte value) const {
    auto done =
        walk<to_write>(address, length, [&](std::byte* host, std::uint64_t size, std::uint64_t) {
            detail::fill_guest(host, value, size);
        });
    note_write(address, length);
    return done;
}

Result<void> GuestMemory::load(kvm::Gpa address, std::span<const std::byte> from) const {
    auto done = walk<to_load>(address, from.size(),
                              [&](std::byte* host, std::uint64_t size, std::uint64_t at) {
                                  detail::copy_to_guest(host, from.data() + at, size);
                              });
    note_write(address, from.size());
    return done;
}

Result<std::span<std::byte>> GuestMemory::host_span(kvm::Gpa address, std::uint64_t length) const {
    if (std::byte* host = find_writable(address, length)) {
        return std::span<std::byte>(host, length);
    }
    if (find(address, length)) {
        return detail::fail_at(address, length, "read-only memory", EROFS);
    }
    return detail::fail_at(address, length, "not all in one region of RAM", EFAULT);
}

Result<std::span<const std::byte>> GuestMemory::host_view(kvm::Gpa address,
                                                          std::uint64_t length) const {
    if (const std::byte* host = find(address, length)) {
        return std::span<const std::byte>(host, length);
    }
    return detail::fail_at(address, length, "not all in one region of RAM", EFAULT);
}

Result<void> GuestMemory::iovecs(kvm::Gpa address, std::uint64_t length, Access access,
                                 std::vector<iovec>& out) const {
    const auto append = [&](std::byte* host, std::uint64_t size, std::uint64_t) {
        out.push_back({host, size});
    };
    return access == Access::read_only ? walk<to_read>(address, length, append)
                                       : walk<to_write>(address, length, append);
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

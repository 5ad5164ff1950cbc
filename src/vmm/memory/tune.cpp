// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <kvm/try.hpp>
#include <kvm/vcpu.hpp>
#include <vmm/memory/state.hpp>

/// What the host does with the memory: prefault, lock, advise, sync, balloon.
namespace vmm {

namespace {

// Newer than Debian 12's headers.
constexpr int madv_collapse = 25;

Result<void> answer(int done, const Region& region, const char* what) {
    if (done != 0) {
        return fail_errno(fmt::format("{}: {}", describe(region), what), errno);
    }
    return {};
}

}  // namespace

template <class Act>
Result<void> GuestMemory::State::for_pieces(kvm::Gpa address, std::uint64_t length, Act act) {
    if (address.value() % detail::page_size != 0 || length % detail::page_size != 0) {
        return detail::fail_at(address, length, "not in pages", EINVAL);
    }
    const auto first = std::ranges::find_if(
        areas, [&](const auto& area) { return address.value() < area->end(); });
    std::uint64_t covered = address.value();
    auto end = first;
    for (; end != areas.end() && covered - address.value() < length; ++end) {
        if ((*end)->start() > covered) {
            break;
        }
        covered = (*end)->end();
    }
    if (covered - address.value() < length) {
        return detail::fail_at(address, length, "not all RAM", EFAULT);
    }
    for (auto at = first; at != end; ++at) {
        Area& area = **at;
        const std::uint64_t last =
            std::min(area.end() - address.value(), length) + address.value() - area.start();
        std::uint64_t offset = std::max(address.value(), area.start()) - area.start();
        while (offset < last) {
            auto next = area.parts.upper_bound(offset);
            const Area::Part* part = nullptr;
            if (next != area.parts.begin() && std::prev(next)->second.end > offset) {
                part = &std::prev(next)->second;
            }
            const std::uint64_t until = std::min(last, part                       ? part->end
                                                       : next != area.parts.end() ? next->first
                                                                                  : last);
            KVM_TRY(act(area, Piece{offset, until - offset, part}));
            offset = until;
        }
    }
    return {};
}

namespace {

/// Touches each page as a write or a read would, and changes nothing.
void touch(std::byte* host, std::uint64_t size, bool writable) {
    using Byte [[gnu::may_alias]] = volatile unsigned char;
    for (std::uint64_t at = 0; at < size; at += detail::page_size) {
        auto* byte = reinterpret_cast<Byte*>(host + at);
        unsigned char value = __atomic_load_n(byte, __ATOMIC_RELAXED);
        if (writable) {
            // Compilers make a load, or nothing, of a simpler write that changes nothing.
            __atomic_compare_exchange_n(byte, &value, value, false, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED);
        }
    }
}

Result<void> populate(const Region& region, std::byte* host, std::uint64_t size, bool writable) {
    while (::madvise(host, size, writable ? MADV_POPULATE_WRITE : MADV_POPULATE_READ) != 0) {
        if (errno == EINVAL) {  // Linux before 5.14
            touch(host, size, writable);
            break;
        }
        if (errno != EINTR && errno != EAGAIN) {
            return fail_errno(describe(region) + ": MADV_POPULATE", errno);
        }
    }
    return {};
}

}  // namespace

Result<void> GuestMemory::prefault(kvm::Gpa address, std::uint64_t length,
                                   const std::function<bool(std::uint64_t)>& progress) const {
    constexpr std::uint64_t at_once = 64 << 20;
    if (!contains(address, length)) {
        return detail::fail_at(address, length, "not all RAM", EFAULT);
    }
    for (std::uint64_t done = 0; done < length;) {
        const std::uint64_t size = std::min(at_once, length - done);
        {
            const std::lock_guard lock(state_->mutex);
            KVM_TRY(state_->for_pieces(address + done, size, [](Area& area, State::Piece piece) {
                const bool writable = piece.part ? piece.part->access == Access::read_write
                                                 : area.mapping.source().can_write();
                return populate(area.region, piece.host(area), piece.size, writable);
            }));
        }
        done += size;
        if (progress && !progress(done)) {
            return detail::fail_at(address, length, "prefaulting was cancelled", ECANCELED);
        }
    }
    return {};
}

Result<void> GuestMemory::prefault(kvm::Gpa address, std::uint64_t length, kvm::Vcpu& vcpu) const {
    if (!contains(address, length)) {
        return detail::fail_at(address, length, "not all RAM", EFAULT);
    }
    // A signal ends it before its end.
    for (std::uint64_t left = length; left > 0;) {
        const auto rest = vcpu.pre_fault_memory(address + (length - left), left);
        if (!rest) {
            return detail::fail_at(address, length, Error(rest.error()).message.c_str(),
                                   rest.error().code);
        }
        left = *rest;
    }
    return {};
}

Result<void> GuestMemory::lock(kvm::Gpa address, std::uint64_t length, Locking when) const {
    const std::lock_guard guard(state_->mutex);
    return state_->for_pieces(address, length, [&](Area& area, State::Piece piece) {
        auto done = answer(
            ::mlock2(piece.host(area), piece.size, when == Locking::on_touch ? MLOCK_ONFAULT : 0),
            area.region, "mlock2");
        if (!done) {
            struct rlimit limit{};
            ::getrlimit(RLIMIT_MEMLOCK, &limit);
            done.error().message += fmt::format(
                ": RLIMIT_MEMLOCK is {}",
                limit.rlim_cur == RLIM_INFINITY ? "not the cause" : describe_size(limit.rlim_cur));
        }
        return done;
    });
}

Result<void> GuestMemory::unlock(kvm::Gpa address, std::uint64_t length) const {
    const std::lock_guard guard(state_->mutex);
    return state_->for_pieces(address, length, [](Area& area, State::Piece piece) {
        return answer(::munlock(piece.host(area), piece.size), area.region, "munlock");
    });
}

Result<void> GuestMemory::advise(kvm::Gpa address, std::uint64_t length, Advice advice) const {
    static constexpr struct {
        int number;
        const char* name;
    } table[] = {
        {MADV_FREE, "MADV_FREE"},           {MADV_COLD, "MADV_COLD"},
        {MADV_PAGEOUT, "MADV_PAGEOUT"},     {MADV_WILLNEED, "MADV_WILLNEED"},
        {MADV_MERGEABLE, "MADV_MERGEABLE"}, {MADV_UNMERGEABLE, "MADV_UNMERGEABLE"},
        {MADV_HUGEPAGE, "MADV_HUGEPAGE"},   {MADV_NOHUGEPAGE, "MADV_NOHUGEPAGE"},
        {madv_collapse, "MADV_COLLAPSE"},   {MADV_DONTDUMP, "MADV_DONTDUMP"},
        {MADV_DODUMP, "MADV_DODUMP"},       {MADV_DONTFORK, "MADV_DONTFORK"},
        {MADV_DOFORK, "MADV_DOFORK"},
    };
    const auto& [number, name] = table[static_cast<std::size_t>(advice)];
    const std::lock_guard guard(state_->mutex);
    return state_->for_pieces(address, length, [&](Area& area, State::Piece piece) {
        return answer(::madvise(piece.host(area), piece.size, number), area.region, name);
    });
}

Result<void> GuestMemory::sync(kvm::Gpa address, std::uint64_t length, Sync how) const {
    const std::lock_guard guard(state_->mutex);
    return state_->for_pieces(address, length, [&](Area& area, State::Piece piece) {
        return answer(::msync(piece.host(area), piece.size, how == Sync::wait ? MS_SYNC : MS_ASYNC),
                      area.region, "msync");
    });
}

namespace {

Result<void> punch_hole(const Region& region, const kvm::Fd& fd, std::uint64_t offset,
                        std::uint64_t size) {
    return answer(::fallocate(fd.number(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                              static_cast<off_t>(offset), static_cast<off_t>(size)),
                  region, "fallocate(FALLOC_FL_PUNCH_HOLE)");
}

}  // namespace

Result<void> GuestMemory::inflate(kvm::Gpa address, std::uint64_t length) const {
    const std::lock_guard guard(state_->mutex);
    const auto done =
        state_->for_pieces(address, length, [](Area& area, State::Piece piece) -> Result<void> {
            const detail::Source& source = area.mapping.source();
            if (area.region.access == Access::read_only) {
                return fail(describe(area.region) + ": read-only, so no balloon's", EROFS);
            }
            if (!piece.part && source.is_shared()) {
                return punch_hole(area.region, source.fd, source.offset + piece.offset, piece.size);
            }
            if (!piece.part && area.guest_memfd) {
                KVM_TRY(punch_hole(area.region, area.guest_memfd->fd(), piece.offset, piece.size));
            }
            return answer(::madvise(piece.host(area), piece.size, MADV_DONTNEED), area.region,
                          "MADV_DONTNEED");
        });
    note_write(address, length);
    return done;
}

Result<void> GuestMemory::deflate(kvm::Gpa address, std::uint64_t length) const {
    const std::lock_guard guard(state_->mutex);
    return state_->for_pieces(address, length, [](Area& area, State::Piece piece) -> Result<void> {
        if (!std::holds_alternative<backing::HugeTlb>(area.region.backing) || piece.part) {
            return {};
        }
        return populate(area.region, piece.host(area), piece.size, true);
    });
}

}  // namespace vmm

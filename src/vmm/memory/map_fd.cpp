// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>

#include <cerrno>
#include <kvm/try.hpp>
#include <vmm/memory/state.hpp>

/// Files over parts of regions.
namespace vmm {

GuestMemory::Area::Parts GuestMemory::Area::cut(Parts& parts, std::uint64_t from,
                                                std::uint64_t to) {
    Parts out;
    auto at = parts.lower_bound(from);
    if (at != parts.begin() && std::prev(at)->second.end > from) {
        --at;
    }
    while (at != parts.end() && at->first < to) {
        const auto [start, part] = *at;
        at = parts.erase(at);
        if (start < from) {
            parts.insert({start, {from, part.access}});
        }
        if (part.end > to) {
            parts.insert({to, part});
        }
        out.insert({std::max(start, from), {std::min(part.end, to), part.access}});
    }
    return out;
}

Result<GuestMemory::Area*> GuestMemory::State::area_of(kvm::Gpa address, std::uint64_t length) {
    const std::uint64_t start = address.value();
    for (const auto& area : areas) {
        if (start < area->start() || start >= area->end()) {
            continue;
        }
        if (length > area->end() - start) {
            break;
        }
        const std::uint64_t granule = area->mapping.source().granule;
        if (start % granule != 0 || length % granule != 0) {
            return fail(fmt::format("{}: {:#x} bytes at {:#x} are not in its pages, of {} bytes",
                                    describe(area->region), length, start, granule),
                        EINVAL);
        }
        return area.get();
    }
    return detail::fail_at(address, length, "not all in one region of RAM", EFAULT);
}

Result<void> GuestMemory::map_fd(kvm::Gpa address, const FilePart& part) const {
    const std::lock_guard lock(state_->mutex);
    Area& area = *KVM_TRY(state_->area_of(address, part.length));
    const bool sealed = part.access == Access::read_only;
    const std::string name =
        fmt::format("{}: descriptor {}", describe(area.region), part.fd.number());
    if (std::holds_alternative<backing::GuestMemfd>(area.region.backing)) {
        return fail(name + ": guest_memfd takes no files", EOPNOTSUPP);
    }
    detail::Source source{
        .protection = sealed ? PROT_READ : PROT_READ | PROT_WRITE,
        .flags = (part.sharing == Sharing::shared ? MAP_SHARED : MAP_PRIVATE) | MAP_NORESERVE,
        .fd = kvm::Fd(::fcntl(part.fd.number(), F_DUPFD_CLOEXEC, 0)),
        .offset = part.offset};
    if (!source.fd.valid()) {
        return fail_errno(name, errno);
    }
    KVM_TRY(detail::check_file(name, source.fd.number(), part.offset, part.length));
    if (part.length == 0) {
        return {};
    }
    const std::uint64_t offset = address.value() - area.start();
    Area::Parts before = area.parts;
    Area::cut(area.parts, offset, offset + part.length);
    area.parts.insert({offset, {offset + part.length, part.access}});
    // Nothing may be allowed to be written that is read-only.
    if (sealed) {
        state_->publish(table_);
    }
    const int code = detail::replace(area.mapping.ram() + offset, part.length, source, 0);
    if (code != 0) {
        area.parts = std::move(before);
    }
    state_->publish(table_);
    if (code != 0) {
        return fail_errno(name + ": mmap", code);
    }
    note_write(address, part.length);
    return {};
}

Result<void> GuestMemory::unmap_fd(kvm::Gpa address, std::uint64_t length) const {
    const std::lock_guard lock(state_->mutex);
    Area& area = *KVM_TRY(state_->area_of(address, length));
    const std::uint64_t offset = address.value() - area.start();
    Area::Parts kept = area.parts;
    for (const auto& [start, part] : Area::cut(kept, offset, offset + length)) {
        if (const int code = area.mapping.restore(start, part.end - start)) {
            return fail_errno(describe(area.region) + ": mmap", code);
        }
        Area::cut(area.parts, start, part.end);
        state_->publish(table_);
        note_write(area.region.address + start, part.end - start);
    }
    return {};
}

}  // namespace vmm

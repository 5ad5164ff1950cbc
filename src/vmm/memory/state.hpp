// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <vmm/memory/guest_memory.hpp>
#include <vmm/memory/mapping.hpp>

namespace vmm {

/// A region and all that belongs to it. Lives from add_region() to reclaim(), so that accesses and
/// windows may point to it.
struct GuestMemory::Area {
    Area(const Region& r, detail::Mapping m) : region(r), mapping(std::move(m)) {}

    std::uint64_t start() const { return region.address.value(); }
    std::uint64_t end() const { return start() + region.size; }
    /// Its slot's.
    kvm::Flags<kvm::MemFlag> flags(Log log) const {
        return region.access == Access::read_only ? kvm::MemFlag::readonly
               : log == Log::on                   ? kvm::MemFlag::log_dirty_pages
                                                  : kvm::Flags<kvm::MemFlag>();
    }
    std::size_t dirty_words() const { return (region.size / detail::page_size + 63) / 64; }
    /// Makes the bitmap, once, and clears it.
    void clear_dirty();
    void mark(std::uint64_t first_page, std::uint64_t end_page);

    /// What map_fd() put over the memory from an offset (the key) on.
    struct Part {
        std::uint64_t end;
        Access access;
    };
    using Parts = std::map<std::uint64_t, Part>;
    /// Forgets the parts between two offsets, cutting those that reach beyond; what was there.
    static Parts cut(Parts& parts, std::uint64_t from, std::uint64_t to);

    Region region;
    detail::Mapping mapping;
    Parts parts;
    std::optional<kvm::Slot> slot;
    std::optional<kvm::GuestMemfd> guest_memfd;
    std::unique_ptr<std::atomic<std::uint64_t>[]> dirty;  // from the first tracking on
};

/// What the methods share that are not for speed. The mutex is for all of it.
struct GuestMemory::State {
    State() = default;
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    /// The memory of a slot that cannot be given back is kept from everyone.
    ~State();

    std::mutex mutex;
    std::vector<std::unique_ptr<Area>> areas;       // in order of their addresses
    std::vector<std::unique_ptr<Area>> removed;     // until reclaim()
    std::vector<std::unique_ptr<Window[]>> tables;  // until reclaim(); the last is the current one
    std::shared_ptr<MemorySlots> slots;
    DirtySource dirty_source = DirtySource::log;

    /// All or nothing.
    Result<void> fill_slot(Area& area, Log log);
    /// Starts or ends logging in all slots; the first failure.
    Result<void> log_writes(Log wanted);
    /// The lowest that is free.
    Result<kvm::Slot> free_slot(const Region& region);
    /// Makes a table of the areas as they are now. Accesses that begin later find them so.
    void publish(std::atomic<const Window*>& table);
    /// Gives the slots back, and forgets the VM if none is left.
    void release_slots();
    /// The area that has all `length` bytes from `address`. Errors: EINVAL (not in its pages),
    /// EFAULT.
    Result<Area*> area_of(kvm::Gpa address, std::uint64_t length);
    /// Calls act(Area&, Piece) for each part of the range that is of one kind, until one fails.
    /// Errors: EINVAL (not in pages), EFAULT (not all RAM); none was called then.
    struct Piece {
        std::uint64_t offset;
        std::uint64_t size;
        const Area::Part* part;  // null: the region's own

        std::byte* host(const Area& area) const { return area.mapping.ram() + offset; }
    };
    template <class Act>
    Result<void> for_pieces(kvm::Gpa address, std::uint64_t length, Act act);
};

namespace detail {

/// "guest address 0x1000, 4 bytes: cause" on its way out.
std::unexpected<Error> fail_at(kvm::Gpa address, std::uint64_t length, const char* cause, int code);
/// "region: KVM_X: cause" on its way out.
std::unexpected<Error> fail_for(const Region& region, const kvm::Error& error);

}  // namespace detail

}  // namespace vmm

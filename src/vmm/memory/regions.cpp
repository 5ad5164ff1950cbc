// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <kvm/try.hpp>
#include <kvm/vm.hpp>
#include <numeric>
#include <vmm/memory/state.hpp>

/// Regions: made, given to a VM, added and removed.
namespace vmm {

namespace {

constexpr std::uint64_t address_limit = std::uint64_t(1) << 52;  // x86_64 and arm64 have no more

Result<void> check(const Region& region) {
    const std::uint64_t start = region.address.value();
    if (region.size == 0) {
        return fail(fmt::format("guest memory at {:#x}: 0 bytes", start), EINVAL);
    }
    if (start % detail::page_size != 0 || region.size % detail::page_size != 0) {
        return fail(fmt::format("guest memory at {:#x}, {:#x} bytes: not in pages of {} bytes",
                                start, region.size, detail::page_size),
                    EINVAL);
    }
    if (start >= address_limit || region.size > address_limit - start) {
        return fail(fmt::format("guest memory at {:#x}, {:#x} bytes: ends beyond 52 bits", start,
                                region.size),
                    EINVAL);
    }
    return {};
}

/// How much of the host's memory it may come to use; files and reserved pages are there already.
std::uint64_t memory_use(const Region& region) {
    const bool other = std::holds_alternative<backing::File>(region.backing) ||
                       std::holds_alternative<backing::HugeTlb>(region.backing);
    return other ? 0 : region.size;
}

Result<void> check_total(std::uint64_t total) {
    if (const std::uint64_t host = host_memory_size(); total > host) {
        return fail(fmt::format("guest memory: {} wanted, the host has {}", describe_size(total),
                                describe_size(host)),
                    ENOMEM);
    }
    return {};
}

Result<void> check(std::span<const Region> regions) {
    std::uint64_t total = 0;
    std::uint64_t end = 0;
    for (const Region& region : regions) {
        KVM_TRY(check(region));
        if (region.address.value() < end) {
            return fail(describe(region) + ": overlaps the region before it, or is out of order",
                        EINVAL);
        }
        end = region.address.value() + region.size;
        total += memory_use(region);
    }
    if (regions.empty()) {
        return fail("guest memory: 0 bytes", EINVAL);
    }
    return check_total(total);
}

bool is_zero(std::span<const std::byte> page) {
    return page[0] == std::byte(0) && std::memcmp(&page[0], &page[1], page.size() - 1) == 0;
}

/// Makes the region's memory the VM's own, with what is in it; maps it here if it can be.
Result<kvm::GuestMemfd> move_to_guest_memfd(const Region& region, detail::Mapping& mapping,
                                            MemorySlots& slots) {
    const auto flags = std::get<backing::GuestMemfd>(region.backing).flags;
    auto memory = slots.create_guest_memfd(region.size, flags);
    if (!memory) {
        return detail::fail_for(region, memory.error());
    }
    if (!flags.has(kvm::GuestMemfdFlag::mmap)) {
        return std::move(*memory);
    }
    auto mapped = memory->map(0, region.size);
    if (!mapped) {
        return detail::fail_for(region, mapped.error());
    }
    for (std::uint64_t at = 0; at < region.size; at += detail::page_size) {
        const std::span page(mapping.ram() + at, detail::page_size);
        if (!is_zero(page)) {
            std::memcpy(&mapped->bytes()[at], page.data(), page.size());
        }
    }
    auto fd = memory->fd().duplicate();
    if (!fd) {
        return detail::fail_for(region, fd.error());
    }
    if (const int code = mapping.set_source(
            {.protection = PROT_READ | PROT_WRITE, .flags = MAP_SHARED, .fd = std::move(*fd)})) {
        return detail::fail_to_map(region, code);
    }
    return std::move(*memory);
}

}  // namespace

void GuestMemory::State::publish(std::atomic<const Window*>& table) {
    std::vector<Window> windows;
    for (const auto& area : areas) {
        const bool rom = area->region.access == Access::read_only;
        const bool can_load = area->mapping.source().can_write();
        const auto add = [&](std::uint64_t from, std::uint64_t to, bool write, bool load) {
            if (const std::uint64_t size = to - from; size > 0) {
                windows.push_back({area->start() + from,
                                   {size, write ? size : 0, load ? size : 0},
                                   area->mapping.ram() + from,
                                   area.get()});
            }
        };
        std::uint64_t from = 0;
        for (const auto& [start, part] : area->parts) {
            if (part.access == Access::read_only) {
                add(from, start, !rom, can_load);
                add(start, part.end, false, false);
                from = part.end;
            }
        }
        add(from, area->region.size, !rom, can_load);
    }
    windows.push_back(nothing);
    if (std::equal(windows.begin(), windows.end(), table.load())) {
        return;
    }
    auto fresh = std::make_unique<Window[]>(windows.size());
    std::ranges::copy(windows, fresh.get());
    tables.push_back(std::move(fresh));
    table.store(tables.back().get(), std::memory_order_release);
}

Result<kvm::Slot> GuestMemory::State::free_slot(const Region& region) {
    const auto limit = slots->limit();
    if (!limit) {
        return detail::fail_for(region, limit.error());
    }
    std::vector<std::uint32_t> used;
    for (const auto& area : areas) {
        if (area->slot) {
            used.push_back(static_cast<std::uint32_t>(*area->slot));
        }
    }
    std::ranges::sort(used);
    std::uint32_t slot = 0;
    for (auto at = used.begin(); at != used.end() && *at == slot; ++at) {
        ++slot;
    }
    if (slot >= *limit) {
        return fail(
            fmt::format("{}: all {} memory slots of the VM are in use", describe(region), *limit),
            ENOSPC);
    }
    return kvm::Slot(slot);
}

Result<void> GuestMemory::State::fill_slot(Area& area, Log log) {
    const kvm::Slot slot = KVM_TRY(free_slot(area.region));
    std::optional<kvm::GuestMemfd> own;
    if (std::holds_alternative<backing::GuestMemfd>(area.region.backing)) {
        own = KVM_TRY(move_to_guest_memfd(area.region, area.mapping, *slots));
    }
    const auto done = slots->add({.slot = slot,
                                  .address = area.region.address,
                                  .memory = {area.mapping.ram(), area.region.size},
                                  .flags = area.flags(log),
                                  .guest_memfd = own ? &*own : nullptr});
    if (!done) {
        return detail::fail_for(area.region, done.error());
    }
    area.slot = slot;
    area.guest_memfd = std::move(own);
    return {};
}

void GuestMemory::State::release_slots() {
    for (const auto& area : areas) {
        if (area->slot && slots->remove(*area->slot)) {
            area->slot.reset();
        }
    }
    if (std::ranges::none_of(areas, [](const auto& area) { return area->slot.has_value(); })) {
        slots.reset();
    }
}

GuestMemory::State::~State() {
    release_slots();
    for (const auto& area : areas) {
        // The kernel refuses to delete a slot for want of its own memory alone. The guest may then
        // reach these addresses as long as it lives, so nothing else may ever be mapped there.
        if (area->slot) {
            area->mapping.retire();
        }
    }
}

constinit const GuestMemory::Window GuestMemory::nothing{};

GuestMemory::GuestMemory() : table_(&nothing), state_(std::make_unique<State>()) {}

GuestMemory::GuestMemory(GuestMemory&& other) noexcept
    : table_(other.table_.exchange(&nothing)), tracking_(other.tracking_.load()),
      state_(std::move(other.state_)) {}

GuestMemory& GuestMemory::operator=(GuestMemory&& other) noexcept {
    if (this != &other) {
        table_ = other.table_.exchange(&nothing);
        tracking_ = other.tracking_.load();
        state_ = std::move(other.state_);
    }
    return *this;
}

GuestMemory::~GuestMemory() = default;

Result<GuestMemory> GuestMemory::create(std::span<const Region> regions) {
    KVM_TRY(check(regions));
    GuestMemory memory;
    for (const Region& region : regions) {
        auto mapping = KVM_TRY(detail::Mapping::create(region));
        memory.state_->areas.push_back(std::make_unique<Area>(region, std::move(mapping)));
    }
    memory.state_->publish(memory.table_);
    return memory;
}

Result<void> GuestMemory::attach(const kvm::Vm& vm) {
    auto slots = kvm_slots(vm);
    if (!slots) {
        return fail("guest memory: " + Error(slots.error()).message, slots.error().code);
    }
    return attach(std::move(*slots));
}

Result<void> GuestMemory::attach(std::shared_ptr<MemorySlots> slots) {
    const std::lock_guard lock(state_->mutex);
    if (state_->slots) {
        return fail("guest memory: a VM has it already", EBUSY);
    }
    state_->slots = std::move(slots);
    const Log log = tracking_ ? Log::on : Log::off;
    for (const auto& area : state_->areas) {
        if (auto done = state_->fill_slot(*area, log); !done) {
            state_->release_slots();
            return done;
        }
    }
    return {};
}

Result<void> GuestMemory::add_region(const Region& region) {
    KVM_TRY(check(region));
    const std::lock_guard lock(state_->mutex);
    auto& areas = state_->areas;
    std::uint64_t total = memory_use(region);
    for (const auto& area : areas) {
        if (region.address.value() < area->end() &&
            area->start() < region.address.value() + region.size) {
            return fail(describe(region) + ": overlaps " + describe(area->region), EEXIST);
        }
        total += memory_use(area->region);
    }
    KVM_TRY(check_total(total));
    auto area = std::make_unique<Area>(region, KVM_TRY(detail::Mapping::create(region)));
    if (tracking_) {
        area->clear_dirty();
        area->mark(0, region.size / detail::page_size);
    }
    if (state_->slots) {
        KVM_TRY(state_->fill_slot(*area, tracking_ ? Log::on : Log::off));
    }
    areas.insert(std::ranges::upper_bound(areas, region.address, {},
                                          [](const auto& a) { return a->region.address; }),
                 std::move(area));
    state_->publish(table_);
    return {};
}

Result<void> GuestMemory::remove_region(kvm::Gpa address) {
    const std::lock_guard lock(state_->mutex);
    auto& areas = state_->areas;
    const auto found =
        std::ranges::find(areas, address, [](const auto& area) { return area->region.address; });
    if (found == areas.end()) {
        return fail(fmt::format("guest address {:#x}: no region starts there", address.value()),
                    ENOENT);
    }
    if (const auto slot = (*found)->slot) {
        if (const auto done = state_->slots->remove(*slot); !done) {
            return detail::fail_for((*found)->region, done.error());
        }
    }
    Area& area = *state_->removed.emplace_back(std::move(*found));
    areas.erase(found);
    state_->publish(table_);
    area.mapping.bury();
    area.guest_memfd.reset();
    return {};
}

void GuestMemory::reclaim() {
    const std::lock_guard lock(state_->mutex);
    state_->removed.clear();
    state_->tables.erase(state_->tables.begin(), state_->tables.end() - 1);
}

std::vector<Region> GuestMemory::regions() const {
    const std::lock_guard lock(state_->mutex);
    std::vector<Region> regions;
    for (const auto& area : state_->areas) {
        regions.push_back(area->region);
    }
    return regions;
}

std::vector<SharedRegion> GuestMemory::shared_regions() const {
    const std::lock_guard lock(state_->mutex);
    std::vector<SharedRegion> shared;
    for (const auto& area : state_->areas) {
        const detail::Source& source = area->mapping.source();
        if (source.is_shared()) {
            shared.push_back({area->region.address, area->region.size, area->mapping.ram(),
                              source.fd, source.offset});
        }
    }
    return shared;
}

std::uint64_t GuestMemory::size() const {
    const std::lock_guard lock(state_->mutex);
    return std::transform_reduce(state_->areas.begin(), state_->areas.end(), std::uint64_t(0),
                                 std::plus(), [](const auto& area) { return area->region.size; });
}

}  // namespace vmm

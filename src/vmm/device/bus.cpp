// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <cerrno>
#include <fmt/format.h>
#include <tuple>
#include <vmm/device/bus.hpp>

namespace vmm {

void ByteDevice::read(std::uint64_t offset, std::span<std::byte> data) {
    for (std::byte& byte : data) {
        byte = std::byte(read_byte(offset++));
    }
}

void ByteDevice::write(std::uint64_t offset, std::span<const std::byte> data) {
    for (const std::byte byte : data) {
        write_byte(offset++, std::to_integer<std::uint8_t>(byte));
    }
}

Bus::Entry& Bus::append(std::uint64_t size, BusDevice& device, std::string_view name) {
    auto entry = std::make_unique<Entry>();
    entry->base = nowhere;
    entry->size = size;
    entry->device = &device;
    entry->name = name;
    entries_.push_back(std::move(entry));
    places_ = std::make_unique<Place[]>(entries_.size());
    publish();
    return *entries_.back();
}

Result<void> Bus::check(const Entry& entry, std::uint64_t base) const {
    const std::uint64_t last = base + entry.size - 1;
    if (entry.size == 0 || last < base || base == nowhere) {
        return fail(fmt::format("{}: {} bytes at {:#x} are no range", entry.name, entry.size, base),
                    EINVAL);
    }
    for (const auto& other : entries_) {
        const std::uint64_t end = other->base + other->size - 1;
        if (other.get() != &entry && other->base != nowhere && other->base <= last && base <= end) {
            return fail(fmt::format("{}: {:#x} to {:#x} overlaps {}, {:#x} to {:#x}", entry.name,
                                    base, last, other->name, other->base, end),
                        EEXIST);
        }
    }
    return {};
}

void Bus::publish() {
    std::vector<Entry*> placed;
    for (const auto& entry : entries_) {
        if (entry->base != nowhere) {
            placed.push_back(entry.get());
        }
    }
    std::ranges::sort(placed, {}, &Entry::base);
    // As a seqlock has it: the fields are not stored before the odd number is.
    const std::uint32_t sequence = sequence_.load(std::memory_order_relaxed);
    sequence_.exchange(sequence + 1, std::memory_order_acq_rel);
    for (std::size_t i = 0; i < placed.size(); ++i) {
        places_[i].base.store(placed[i]->base, std::memory_order_release);
        places_[i].last.store(placed[i]->base + placed[i]->size - 1, std::memory_order_release);
        places_[i].entry.store(placed[i], std::memory_order_release);
    }
    count_.store(placed.size(), std::memory_order_release);
    sequence_.store(sequence + 2, std::memory_order_release);
}

Result<void> Bus::add(std::uint64_t base, std::uint64_t size, BusDevice& device,
                      std::string_view name) {
    const std::lock_guard lock(mutex_);
    Entry& entry = append(size, device, name);
    if (auto free = check(entry, base); !free) {
        entries_.pop_back();
        return free;
    }
    entry.base = base;
    publish();
    return {};
}

Bus::Movable Bus::add_movable(std::uint64_t size, BusDevice& device, std::string_view name) {
    const std::lock_guard lock(mutex_);
    (void)append(size, device, name);
    return Movable(entries_.size() - 1);
}

Result<void> Bus::place(Movable device, std::uint64_t base) {
    const std::lock_guard lock(mutex_);
    Entry& entry = *entries_[static_cast<std::size_t>(device)];
    auto free = check(entry, base);
    entry.base = free ? base : nowhere;
    publish();
    return free;
}

void Bus::take_away(Movable device) {
    const std::lock_guard lock(mutex_);
    entries_[static_cast<std::size_t>(device)]->base = nowhere;
    publish();
}

Bus::Found Bus::search(std::uint64_t address) const {
    std::size_t low = 0, high = count_.load(std::memory_order_acquire);
    while (low < high) {  // the first whose last byte is not before the address
        const std::size_t middle = (low + high) / 2;
        if (places_[middle].last.load(std::memory_order_acquire) < address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == count_.load(std::memory_order_acquire)) {
        return {};
    }
    const Place& place = places_[low];
    const Found found{place.entry.load(std::memory_order_acquire),
                      place.base.load(std::memory_order_acquire),
                      place.last.load(std::memory_order_acquire)};
    return found.base <= address ? found : Found{};
}

/// Looks again when something moved meanwhile. Loads that acquire are plain ones on x86_64.
Bus::Found Bus::find(std::uint64_t address) const {
    for (;;) {
        const std::uint32_t before = sequence_.load(std::memory_order_acquire);
        if (before % 2 == 0) {
            const Found found = search(address);
            if (sequence_.load(std::memory_order_relaxed) == before) {
                return found;
            }
        }
    }
}

void Bus::read(std::uint64_t address, std::span<std::byte> data) {
    if (data.empty()) {
        return;
    }
    std::fill(data.begin(), data.end(), std::byte{0xff});
    if (const Found found = find(address); found.entry) {
        const auto within = std::min<std::uint64_t>(data.size() - 1, found.last - address);
        found.entry->reads.fetch_add(1, std::memory_order_relaxed);
        found.entry->device->read(address - found.base, data.first(within + 1));
        return;
    }
    unhandled_.count_read(address);
}

void Bus::write(std::uint64_t address, std::span<const std::byte> data) {
    if (data.empty()) {
        return;
    }
    if (const Found found = find(address); found.entry) {
        const auto within = std::min<std::uint64_t>(data.size() - 1, found.last - address);
        found.entry->writes.fetch_add(1, std::memory_order_relaxed);
        found.entry->device->write(address - found.base, data.first(within + 1));
        return;
    }
    unhandled_.count_write(address);
}

std::vector<BusUsage> Bus::usage() const {
    const std::lock_guard lock(mutex_);
    std::vector<BusUsage> all;
    for (const auto& entry : entries_) {
        all.push_back({entry->name, entry->base, entry->reads.load(std::memory_order_relaxed),
                       entry->writes.load(std::memory_order_relaxed)});
    }
    std::ranges::sort(all, {}, [](const BusUsage& use) { return std::tie(use.base, use.name); });
    return all;
}

void UnhandledCounter::tell(Log log, std::string_view what) {
    log_ = std::move(log);
    what_ = what;
}

void UnhandledCounter::count(std::uint64_t address, std::uint64_t Unhandled::* kind) {
    bool is_first = false;
    bool is_rest = false;
    {
        const std::lock_guard lock(mutex_);
        Unhandled& counts = at(address);
        is_first = counts.reads == 0 && counts.writes == 0;
        is_rest = &counts == &rest_;
        ++(counts.*kind);
    }
    if (is_first && log_.wants(LogLevel::info)) {
        log_.info("machine", fmt::format("{} {:#x}: {}{}", what_, address,
                                         kind == &Unhandled::reads ? "read" : "written",
                                         is_rest ? "; of others no more is said" : ""));
    }
}

Unhandled& UnhandledCounter::at(std::uint64_t address) {
    const auto found =
        std::lower_bound(counts_.begin(), counts_.end(), address,
                         [](const Unhandled& u, std::uint64_t a) { return u.address < a; });
    if (found != counts_.end() && found->address == address) {
        return *found;
    }
    if (counts_.size() == capacity) {
        return rest_;
    }
    return *counts_.insert(found, {address, 0, 0});
}

std::vector<Unhandled> UnhandledCounter::list() const {
    const std::lock_guard lock(mutex_);
    std::vector<Unhandled> all = counts_;
    if (rest_.reads || rest_.writes) {
        all.push_back(rest_);
    }
    return all;
}

}  // namespace vmm

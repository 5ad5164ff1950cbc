// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <cerrno>
#include <fmt/format.h>
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

Result<void> Bus::add(std::uint64_t base, std::uint64_t size, BusDevice& device,
                      std::string_view name) {
    const std::uint64_t last = base + size - 1;
    if (size == 0 || last < base) {
        return fail(fmt::format("{}: {} bytes at {:#x} are no range", name, size, base), EINVAL);
    }
    const auto next = std::lower_bound(ranges_.begin(), ranges_.end(), base,
                                       [](const Range& r, std::uint64_t a) { return r.last < a; });
    if (next != ranges_.end() && next->base <= last) {
        return fail(fmt::format("{}: {:#x} to {:#x} overlaps {}, {:#x} to {:#x}", name, base, last,
                                next->name, next->base, next->last),
                    EEXIST);
    }
    ranges_.insert(next, {base, last, &device, std::string(name), std::make_unique<Counts>()});
    return {};
}

const Bus::Range* Bus::find(std::uint64_t address) const {
    const auto range = std::lower_bound(ranges_.begin(), ranges_.end(), address,
                                        [](const Range& r, std::uint64_t a) { return r.last < a; });
    return range != ranges_.end() && range->base <= address ? &*range : nullptr;
}

void Bus::read(std::uint64_t address, std::span<std::byte> data) {
    if (data.empty()) {
        return;
    }
    std::fill(data.begin(), data.end(), std::byte{0xff});
    if (const Range* range = find(address)) {
        const auto within = std::min<std::uint64_t>(data.size() - 1, range->last - address);
        range->counts->reads.fetch_add(1, std::memory_order_relaxed);
        range->device->read(address - range->base, data.first(within + 1));
        return;
    }
    unhandled_.count_read(address);
}

void Bus::write(std::uint64_t address, std::span<const std::byte> data) {
    if (data.empty()) {
        return;
    }
    if (const Range* range = find(address)) {
        const auto within = std::min<std::uint64_t>(data.size() - 1, range->last - address);
        range->counts->writes.fetch_add(1, std::memory_order_relaxed);
        range->device->write(address - range->base, data.first(within + 1));
        return;
    }
    unhandled_.count_write(address);
}

std::vector<BusUsage> Bus::usage() const {
    std::vector<BusUsage> all;
    for (const Range& range : ranges_) {
        all.push_back({range.name, range.base, range.counts->reads.load(std::memory_order_relaxed),
                       range.counts->writes.load(std::memory_order_relaxed)});
    }
    return all;
}

void UnhandledCounter::count_read(std::uint64_t address) {
    const std::lock_guard lock(mutex_);
    ++at(address).reads;
}

void UnhandledCounter::count_write(std::uint64_t address) {
    const std::lock_guard lock(mutex_);
    ++at(address).writes;
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

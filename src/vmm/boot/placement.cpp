// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "placement.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <kvm/try.hpp>
#include <vmm/x86_64/layout.hpp>

namespace vmm::boot {

namespace {

namespace layout = x86_64::layout;

constexpr std::uint64_t page_size = 0x1000;

constexpr std::uint64_t page_down(std::uint64_t n) { return n / page_size * page_size; }
constexpr std::uint64_t page_up(std::uint64_t n) { return page_down(n + page_size - 1); }

Range range_of(const Reserved& reserved) {
    const std::uint64_t begin = reserved.address.value();
    return {begin, begin + std::min(reserved.size, UINT64_MAX - begin)};
}

/// `ranges` without `hole`.
void cut(std::vector<MapEntry>& map, Range hole) {
    std::vector<MapEntry> left;
    for (const MapEntry& entry : map) {
        const Range whole{entry.address, entry.address + entry.size};
        for (const Range part : {Range{whole.begin, std::min(whole.end, hole.begin)},
                                 Range{std::max(whole.begin, hole.end), whole.end}}) {
            if (part.begin < part.end) {
                left.push_back({part.begin, part.size(), entry.type});
            }
        }
    }
    map = std::move(left);
}

}  // namespace

std::string describe(Range range) {
    return fmt::format("{:#x}..{:#x}", range.begin, range.end - 1);
}

Result<void> check_placement(const Target& target, Range range, const std::string& what) {
    if (range.begin < layout::high_ram.value()) {
        return fail(what + " starts below 1 MiB, where the loader's own structures are", EINVAL);
    }
    if (range.end > layout::identity_mapped ||
        !target.memory.host_span(kvm::Gpa(range.begin), range.size())) {
        return fail(fmt::format("{} is not all RAM below 4 GiB (the guest has {})", what,
                                describe_size(target.memory.size())),
                    ENOMEM);
    }
    for (const Reserved& reserved : target.inputs.reserved) {
        if (range.overlaps(range_of(reserved))) {
            return fail(fmt::format("{} overlaps {}, which the machine keeps for itself", what,
                                    describe(range_of(reserved))),
                        ENOMEM);
        }
    }
    return {};
}

FreeRam::FreeRam(const Target& target, Range kernel) {
    for (const Region& region : target.memory.regions()) {
        if (region.access == Access::read_only) {
            continue;
        }
        const Range usable{std::max(region.address.value(), layout::high_ram.value()),
                           std::min(region.address.value() + region.size, layout::identity_mapped)};
        if (usable.begin < usable.end) {
            free_.push_back(usable);
        }
    }
    take(kernel);
    for (const Reserved& reserved : target.inputs.reserved) {
        take(range_of(reserved));
    }
}

void FreeRam::take(Range range) {
    std::vector<Range> left;
    for (const Range& free : free_) {
        for (const Range part :
             {Range{free.begin, std::min(free.end, page_down(range.begin))},
              Range{std::max(free.begin,
                             range.end > UINT64_MAX - page_size ? UINT64_MAX : page_up(range.end)),
                    free.end}}) {
            if (part.begin < part.end) {
                left.push_back(part);
            }
        }
    }
    free_ = std::move(left);
}

std::optional<Range> FreeRam::take_highest(std::uint64_t size, std::uint64_t limit) {
    for (auto free = free_.rbegin(); free != free_.rend(); ++free) {
        const std::uint64_t end = std::min(free->end, limit < UINT64_MAX ? limit + 1 : limit);
        if (end <= free->begin || end - free->begin < size) {
            continue;
        }
        const std::uint64_t begin = page_down(end - size);
        if (begin >= free->begin) {
            const Range taken{begin, begin + size};
            take(taken);
            return taken;
        }
    }
    return std::nullopt;
}

std::optional<Range> FreeRam::take_lowest(std::uint64_t size) {
    for (const Range& free : free_) {
        if (free.size() >= size) {
            const Range taken{free.begin, free.begin + size};
            take(taken);
            return taken;
        }
    }
    return std::nullopt;
}

std::vector<MapEntry> memory_map(const Target& target) {
    std::vector<MapEntry> map;
    for (const Region& region : target.memory.regions()) {
        map.push_back(
            {region.address.value(), region.size,
             region.access == Access::read_only ? MemoryType::reserved : MemoryType::ram});
    }
    const auto reserve = [&](Range range, MemoryType type) {
        if (range.begin < range.end) {
            cut(map, range);
            map.push_back({range.begin, range.size(), type});
        }
    };
    reserve({layout::low_ram_end.value(), layout::high_ram.value()}, MemoryType::reserved);
    for (const Reserved& reserved : target.inputs.reserved) {
        reserve(range_of(reserved), reserved.type);
    }
    std::ranges::sort(map, {}, &MapEntry::address);
    std::vector<MapEntry> merged;
    for (const MapEntry& entry : map) {
        if (!merged.empty() && merged.back().type == entry.type &&
            merged.back().address + merged.back().size == entry.address) {
            merged.back().size += entry.size;
        } else {
            merged.push_back(entry);
        }
    }
    return merged;
}

Result<Range> load_file(const Target& target, FreeRam& ram, const std::string& path, Place place,
                        std::uint64_t limit, Range kernel) {
    const Image file = KVM_TRY(Image::open(path));
    const auto range = place == Place::highest ? ram.take_highest(file.size(), limit)
                                               : ram.take_lowest(file.size());
    if (!range) {
        return fail(
            fmt::format("{}: {} do not fit into the guest's {} of RAM, beside the kernel "
                        "({}) and below {:#x}",
                        path, describe_size(file.size()), describe_size(target.memory.size()),
                        describe(kernel), std::min(limit, layout::identity_mapped - 1)),
            ENOMEM);
    }
    KVM_TRY(file.load(target.memory, kvm::Gpa(range->begin), 0, file.size(), "content"));
    return *range;
}

Result<void> put_command_line(const Target& target, const std::string& line, const Image& image,
                              std::uint64_t most) {
    most = std::min(most, layout::command_line_room - 1);
    if (line.size() > most) {
        return about_setting("cmdline", Error(fmt::format("{} bytes, but {} takes {} at most",
                                                          line.size(), image.path(), most),
                                              E2BIG));
    }
    if (line.find('\0') != std::string::npos) {
        return about_setting("cmdline", Error("has a NUL in it", EINVAL));
    }
    return target.memory.write(layout::command_line,
                               std::as_bytes(std::span(line.c_str(), line.size() + 1)));
}

}  // namespace vmm::boot

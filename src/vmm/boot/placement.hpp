// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>
#include <vmm/boot/boot.hpp>

/// Where things go in guest memory, and the map of it that the guest gets: for all protocols.
namespace vmm::boot {

/// A range of addresses, or of a file's bytes, without `end`.
struct Range {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;

    std::uint64_t size() const { return end - begin; }
    bool overlaps(Range other) const { return begin < other.end && other.begin < end; }
};

/// "0x1000000..0x1ffffff"
std::string describe(Range range);

/// Guest memory, and what the machine says about it.
struct Target {
    const GuestMemory& memory;
    const BootInputs& inputs;

    void note(std::string text) const {
        inputs.log.info("boot", text);
        if (inputs.notes) {
            inputs.notes->push_back(std::move(text));
        }
    }
};

/// Fails unless `range` is RAM that a loader may use: in one region, from 1 MiB to 4 GiB, not
/// reserved. `what` is the message's begin.
Result<void> check_placement(const Target& target, Range range, const std::string& what);

/// RAM from 1 MiB to 4 GiB that nobody has taken yet.
class FreeRam {
public:
    FreeRam(const Target& target, Range kernel);

    /// The highest pages that hold `size` > 0 bytes, the last of them at most at `limit`.
    std::optional<Range> take_highest(std::uint64_t size, std::uint64_t limit);
    /// The lowest.
    std::optional<Range> take_lowest(std::uint64_t size);

private:
    void take(Range range);

    std::vector<Range> free_;  // ascending, of whole pages
};

struct MapEntry {
    std::uint64_t address;
    std::uint64_t size;
    MemoryType type;
};

/// The memory map: RAM without what is reserved, and that; what lies between 640 KiB and 1 MiB is.
/// Ascending, without overlaps.
std::vector<MapEntry> memory_map(const Target& target);

/// Where initrds and modules go.
enum class Place { highest, lowest };

/// Copies a file to RAM that is free, below `limit`. Errors name it.
Result<Range> load_file(const Target& target, FreeRam& ram, const std::string& path, Place place,
                        std::uint64_t limit, Range kernel);

/// Fails if `line`, which is for `image`, is longer than `most` bytes or has a NUL in it; else
/// writes it to the layout's place.
Result<void> put_command_line(const Target& target, const std::string& line, const Image& image,
                              std::uint64_t most);

}  // namespace vmm::boot

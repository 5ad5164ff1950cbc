// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "placement.hpp"

/// ELF executables for x86, of 32 and of 64 bits.
namespace vmm::boot {

/// A segment that is to be loaded (PT_LOAD).
struct ElfSegment {
    std::uint64_t offset, vaddr, paddr, filesz, memsz;
    std::string name;  // "vmlinux: segment 2 (program header at 0xb0)"

    Range memory() const { return {paddr, paddr + memsz}; }
};

struct Elf {
    int bits = 0;                        // 32 or 64
    std::uint64_t entry = 0;             // e_entry
    std::vector<ElfSegment> segments{};  // at least one, in the file's order
    bool is_linux = false;               // by its notes
    std::optional<std::uint64_t> pvh_entry{};
    Range memory{};  // from the first segment to the last
};

/// Reads all that `image`, an ELF file, says of itself, and checks that its segments lie in the
/// file and in RAM.
Result<Elf> read_elf(const Target& target, const Image& image);

/// Fails unless `entry` is in a segment, by physical addresses. `field` is where it comes from.
Result<void> check_entry(const Image& image, const Elf& elf, std::uint64_t entry,
                         const std::string& field);

/// Copies the segments to their physical addresses and clears what the file has not got of them.
Result<void> load_segments(const Target& target, const Image& image, const Elf& elf);

}  // namespace vmm::boot

// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "linux.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <kvm/try.hpp>
#include <vector>
#include <vmm/x86_64/layout.hpp>

namespace vmm::boot {

namespace {

namespace layout = x86_64::layout;

/// An entry of the BIOS' memory map. zero-page.rst, e820_table.
struct E820Entry {
    std::uint64_t address;
    std::uint64_t size;
    std::uint32_t type;
};
constexpr std::size_t e820_entry_size = 20;
constexpr std::uint32_t e820_ram = 1;
constexpr std::uint32_t e820_reserved = 2;

std::vector<E820Entry> memory_map(std::span<const Region> regions) {
    const std::uint64_t firmware = layout::low_ram_end.value();
    const std::uint64_t firmware_end = layout::high_ram.value();
    std::vector<E820Entry> map;
    const auto add_ram = [&](std::uint64_t begin, std::uint64_t end) {
        if (begin < end) {
            map.push_back({begin, end - begin, e820_ram});
        }
    };
    for (const Region& region : regions) {
        const std::uint64_t begin = region.address.value();
        const std::uint64_t end = begin + region.size;
        add_ram(begin, std::min(end, firmware));
        add_ram(std::max(begin, firmware_end), end);
    }
    const auto above = std::ranges::find_if(
        map, [&](const E820Entry& entry) { return entry.address >= firmware; });
    map.insert(above, {firmware, firmware_end - firmware, e820_reserved});
    return map;
}

Result<void> put_memory_map(const GuestMemory& memory, ZeroPage& page) {
    const auto map = memory_map(memory.regions());
    if (map.size() > zero_page::e820_max) {
        return fail(fmt::format("guest memory: {} regions, but Linux's zero page takes {}",
                                map.size(), zero_page::e820_max),
                    E2BIG);
    }
    page.put(zero_page::e820_entries, static_cast<std::uint8_t>(map.size()));
    std::size_t at = zero_page::e820_table;
    for (const E820Entry& entry : map) {
        page.put(at, entry.address);
        page.put(at + 8, entry.size);
        page.put(at + 16, entry.type);
        at += e820_entry_size;
    }
    return {};
}

/// The highest page in RAM from which `size` bytes fit, below the limit and beside the kernel; 0 if
/// none.
std::uint64_t find_initrd_place(const GuestMemory& memory, const LoadedKernel& kernel,
                                std::uint64_t size) {
    constexpr std::uint64_t page = 0x1000;
    const auto highest = [&](std::uint64_t begin, std::uint64_t end) -> std::uint64_t {
        begin = std::max(begin, layout::high_ram.value());
        end = std::min(end, kernel.initrd_max + 1);
        if (begin >= end || end - begin < size) {
            return 0;
        }
        const std::uint64_t place = (end - size) / page * page;
        return place >= begin ? place : 0;
    };
    std::uint64_t best = 0;
    for (const Region& region : memory.regions()) {
        const std::uint64_t begin = region.address.value();
        const std::uint64_t end = begin + region.size;
        best = std::max({best, highest(begin, std::min(end, kernel.memory.begin)),
                         highest(std::max(begin, kernel.memory.end), end)});
    }
    return best;
}

Result<void> load_initrd(const GuestMemory& memory, const std::string& path, LoadedKernel& kernel) {
    const Image initrd = KVM_TRY(Image::open(path));
    const std::uint64_t place = find_initrd_place(memory, kernel, initrd.size());
    if (place == 0) {
        return fail(fmt::format("{}: {} do not fit into the guest's {} of RAM, beside the kernel "
                                "({}) and below {:#x}",
                                path, describe_size(initrd.size()), describe_size(memory.size()),
                                describe(kernel.memory), kernel.initrd_max),
                    ENOMEM);
    }
    KVM_TRY(initrd.load(memory, kvm::Gpa(place), 0, initrd.size(), "the initrd"));
    ZeroPage& page = kernel.zero_page;
    page.put(zero_page::ramdisk_image, static_cast<std::uint32_t>(place));
    page.put(zero_page::ext_ramdisk_image, static_cast<std::uint32_t>(place >> 32));
    page.put(zero_page::ramdisk_size, static_cast<std::uint32_t>(initrd.size()));
    page.put(zero_page::ext_ramdisk_size, static_cast<std::uint32_t>(initrd.size() >> 32));
    return {};
}

Result<void> put_command_line(const GuestMemory& memory, const std::string& line,
                              const Image& image, LoadedKernel& kernel) {
    const std::uint64_t most = std::min(kernel.cmdline_max, layout::command_line_room - 1);
    if (line.size() > most) {
        return fail(fmt::format("cmdline: {} bytes, but {} takes {} at most", line.size(),
                                image.path(), most),
                    E2BIG);
    }
    if (line.find('\0') != std::string::npos) {
        return fail("cmdline: has a NUL in it", EINVAL);
    }
    KVM_TRY(memory.write(layout::command_line,
                         std::as_bytes(std::span(line.c_str(), line.size() + 1))));
    kernel.zero_page.put(zero_page::cmd_line_ptr,
                         static_cast<std::uint32_t>(layout::command_line.value()));
    kernel.zero_page.put(zero_page::ext_cmd_line_ptr, std::uint32_t(0));
    return {};
}

}  // namespace

std::string describe(Range range) {
    return fmt::format("{:#x}..{:#x}", range.begin, range.end - 1);
}

Result<void> check_placement(const GuestMemory& memory, Range range, const std::string& what) {
    if (range.begin < layout::high_ram.value()) {
        return fail(what + " starts below 1 MiB, where the loader's own structures are", EINVAL);
    }
    const std::uint64_t length = range.end - range.begin;
    if (range.end > layout::identity_mapped || !memory.host_span(kvm::Gpa(range.begin), length)) {
        return fail(fmt::format("{} is not all RAM below 4 GiB (the guest has {})", what,
                                describe_size(memory.size())),
                    ENOMEM);
    }
    return {};
}

Result<x86_64::BootState> finish_linux(const GuestMemory& memory, const BootConfig& config,
                                       const Image& image, LoadedKernel& kernel) {
    if (!memory.contains(kvm::Gpa(0), layout::low_ram_end.value())) {
        return fail(image.path() + ": Linux needs RAM in the first 640 KiB", ENOMEM);
    }
    ZeroPage& page = kernel.zero_page;
    page.put(zero_page::type_of_loader, loader_undefined);
    page.put(zero_page::ramdisk_image, std::uint64_t(0));  // and ramdisk_size
    page.put(zero_page::setup_data, std::uint64_t(0));
    KVM_TRY(put_command_line(memory, config.cmdline.value_or(default_cmdline), image, kernel));
    if (!config.initrd.empty()) {
        KVM_TRY(load_initrd(memory, config.initrd, kernel));
    }
    KVM_TRY(put_memory_map(memory, page));
    KVM_TRY(memory.write(layout::zero_page, page.bytes));

    x86_64::BootState state;
    KVM_TRY(x86_64::prepare_long_mode(memory, state));
    state.rip = kernel.entry;
    state.rsp = layout::boot_stack.value();
    state.rsi = layout::zero_page.value();
    return state;
}

}  // namespace vmm::boot

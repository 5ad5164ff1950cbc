// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <kvm/try.hpp>
#include <vmm/x86_64/layout.hpp>

#include "kernels.hpp"

namespace vmm::boot {

namespace {

namespace layout = x86_64::layout;

// Multiboot Specification version 0.6.96, 3.1 and 3.3. What it says of its structures' offsets is
// in the order of the fields.
constexpr std::uint32_t header_magic = 0x1badb002;
constexpr std::uint64_t searched = 8192;
constexpr std::uint32_t wants_video = 1 << 2;
constexpr std::uint32_t has_addresses = 1 << 16;
constexpr std::uint32_t must_understand = 0xffff;  // the flags that a loader may not pass over
constexpr std::uint32_t understood = 3;            // modules in pages, memory information
constexpr std::uint32_t loader_magic = 0x2badb002;

struct Header {
    std::uint32_t magic, flags, checksum;
    std::uint32_t header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr;
};
constexpr std::uint64_t short_header = 12;  // without addresses

struct Info {
    std::uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4],
        mmap_length, mmap_addr, drives_length, drives_addr, config_table, boot_loader_name;
};
static_assert(sizeof(Info) == 68);
constexpr std::uint32_t info_memory = 1 << 0, info_cmdline = 1 << 2, info_modules = 1 << 3,
                        info_memory_map = 1 << 6, info_loader_name = 1 << 9;

struct Module {
    std::uint32_t start, end, text, reserved;
};

struct [[gnu::packed]] MapRecord {
    std::uint32_t size;  // of what follows
    std::uint64_t address, length;
    std::uint32_t type;
};
static_assert(sizeof(MapRecord) == 24);

std::unexpected<Error> bad(const Image& image, std::uint64_t at, const char* field,
                           std::string cause) {
    return fail(
        fmt::format("{}: Multiboot header: {} at {:#x}: {}", image.path(), field, at, cause),
        EINVAL);
}

Result<void> check_flags(const Image& image, std::uint64_t at, std::uint32_t flags) {
    if (flags & wants_video) {
        return bad(image, at + 4, "flags",
                   fmt::format("{:#x}: it wants a video mode, but there is no screen", flags));
    }
    if (flags & must_understand & ~understood) {
        return bad(image, at + 4, "flags",
                   fmt::format("{:#x}: it needs something that Multiboot 1 does not know", flags));
    }
    return {};
}

/// A kernel in memory.
struct Loaded {
    Range memory;
    std::uint64_t entry;
};

/// An image whose header says which of its bytes go where.
Result<Loaded> load_by_addresses(const Target& target, const Image& image, std::uint64_t at) {
    Header h;
    KVM_TRY(image.read(at, std::as_writable_bytes(std::span(&h, 1)), "the Multiboot header"));
    if (h.load_addr > h.header_addr || h.header_addr - h.load_addr > at) {
        return bad(
            image, at + 16, "load_addr",
            fmt::format("{:#x} is not within the file, whose byte {:#x} is header_addr {:#x}",
                        h.load_addr, at, h.header_addr));
    }
    const std::uint64_t offset = at - (h.header_addr - h.load_addr);
    std::uint64_t length = image.size() - offset;
    if (h.load_end_addr != 0) {
        if (h.load_end_addr < h.load_addr || h.load_end_addr - h.load_addr > length) {
            return bad(image, at + 20, "load_end_addr",
                       fmt::format("{:#x} is not from load_addr {:#x} to the file's end",
                                   h.load_end_addr, h.load_addr));
        }
        length = h.load_end_addr - h.load_addr;
    }
    Range memory{h.load_addr, h.load_addr + length};
    if (h.bss_end_addr != 0) {
        if (h.bss_end_addr < memory.end) {
            return bad(image, at + 24, "bss_end_addr",
                       fmt::format("{:#x} is below what is loaded, up to {:#x}", h.bss_end_addr,
                                   memory.end));
        }
        memory.end = h.bss_end_addr;
    }
    if (h.entry_addr < memory.begin || h.entry_addr >= memory.end) {
        return bad(image, at + 28, "entry_addr",
                   fmt::format("{:#x} is not within {}", h.entry_addr, describe(memory)));
    }
    KVM_TRY(check_placement(target, memory,
                            fmt::format("{}: its place ({}: the Multiboot header's addresses)",
                                        image.path(), describe(memory))));
    KVM_TRY(image.load(target.memory, kvm::Gpa(memory.begin), offset, length, "the code"));
    KVM_TRY(
        target.memory.fill(kvm::Gpa(memory.begin + length), memory.size() - length, std::byte(0)));
    return Loaded{memory, h.entry_addr};
}

/// An ELF file. Its entry may be a virtual address, as GRUB and QEMU have it.
Result<Loaded> load_by_segments(const Target& target, const Image& image) {
    const Elf elf = KVM_TRY(read_elf(target, image));
    std::uint64_t entry = elf.entry;
    if (!check_entry(image, elf, entry, "")) {
        for (const ElfSegment& segment : elf.segments) {
            if (entry >= segment.vaddr && entry - segment.vaddr < segment.memsz) {
                entry = entry - segment.vaddr + segment.paddr;
                break;
            }
        }
    }
    KVM_TRY(check_entry(image, elf, entry, "ELF header: e_entry at 0x18"));
    KVM_TRY(load_segments(target, image, elf));
    return Loaded{elf.memory, entry};
}

/// How much RAM follows `address` without a hole, in KiB.
std::uint32_t kib_from(std::span<const MapEntry> map, std::uint64_t address) {
    for (const MapEntry& entry : map) {
        if (entry.type == MemoryType::ram && entry.address <= address &&
            address - entry.address < entry.size) {
            return static_cast<std::uint32_t>(std::min(
                (entry.size - (address - entry.address)) >> 10, std::uint64_t(UINT32_MAX)));
        }
    }
    return 0;
}

Result<void> put_modules(const Target& target, const BootConfig& config, Range kernel,
                         BootInfo& room, Info& info) {
    FreeRam ram(target, kernel);
    std::vector<Module> modules;
    for (const BootModule& module : all_modules(config)) {
        const auto place = load_file(target, ram, module.path, Place::lowest, UINT32_MAX, kernel);
        if (!place) {
            return about_setting(module_setting(config, modules.size()), place.error());
        }
        const auto text = KVM_TRY(room.add_text(module.arguments));
        modules.push_back({static_cast<std::uint32_t>(place->begin),
                           static_cast<std::uint32_t>(place->end), static_cast<std::uint32_t>(text),
                           0});
    }
    info.mods_count = static_cast<std::uint32_t>(modules.size());
    info.mods_addr = static_cast<std::uint32_t>(
        KVM_TRY(room.add(std::as_bytes(std::span(modules)), "the modules")));
    info.flags |= info_modules;
    return {};
}

Result<void> put_memory(const Target& target, BootInfo& room, Info& info) {
    const auto map = memory_map(target);
    std::vector<MapRecord> records;
    for (const MapEntry& entry : map) {
        records.push_back({sizeof(MapRecord) - sizeof(MapRecord::size), entry.address, entry.size,
                           static_cast<std::uint32_t>(entry.type)});
    }
    info.mem_lower = kib_from(map, 0);
    info.mem_upper = kib_from(map, layout::high_ram.value());
    info.mmap_length = static_cast<std::uint32_t>(records.size() * sizeof(MapRecord));
    info.mmap_addr = static_cast<std::uint32_t>(
        KVM_TRY(room.add(std::as_bytes(std::span(records)), "the memory map")));
    info.flags |= info_memory | info_memory_map;
    return {};
}

}  // namespace

Result<std::uint64_t> BootInfo::add(std::span<const std::byte> bytes, const char* what) {
    if (bytes.size() > layout::boot_info_room - used_) {
        return fail(fmt::format("guest memory: {} take {} bytes, but the loader's structures have "
                                "room for {}",
                                what, bytes.size(), layout::boot_info_room - used_),
                    E2BIG);
    }
    const kvm::Gpa at = layout::boot_info + used_;
    KVM_TRY(target_.memory.write(at, bytes));
    used_ = std::min((used_ + bytes.size() + 7) / 8 * 8, layout::boot_info_room);
    return at.value();
}

Result<std::uint64_t> BootInfo::add_text(const std::string& text) {
    if (text.find('\0') != std::string::npos) {
        return about_setting("module", Error("has a NUL in its arguments", EINVAL));
    }
    return add(std::as_bytes(std::span(text.c_str(), text.size() + 1)), "the modules' arguments");
}

std::vector<BootModule> all_modules(const BootConfig& config) {
    std::vector<BootModule> modules;
    if (!config.initrd.empty()) {
        modules.push_back({config.initrd, config.initrd});
    }
    modules.insert(modules.end(), config.modules.begin(), config.modules.end());
    return modules;
}

std::string_view module_setting(const BootConfig& config, std::size_t number) {
    return number == 0 && !config.initrd.empty() ? "initrd" : "module";
}

Result<std::optional<std::uint64_t>> find_multiboot_header(const Image& image) {
    std::vector<std::uint32_t> words(std::min(image.size(), searched) / 4);
    KVM_TRY(image.read(0, std::as_writable_bytes(std::span(words)), "the first 8 KiB"));
    for (std::size_t i = 0; i + short_header / 4 <= words.size(); ++i) {
        if (words[i] == header_magic && words[i] + words[i + 1] + words[i + 2] == 0) {
            return std::optional<std::uint64_t>(i * 4);
        }
    }
    return std::optional<std::uint64_t>();
}

Result<x86_64::BootState> boot_multiboot(const Target& target, const BootConfig& config,
                                         const Image& image, std::uint64_t header) {
    std::uint32_t flags = 0;
    KVM_TRY(image.read(header + 4, std::as_writable_bytes(std::span(&flags, 1)),
                       "the Multiboot header"));
    KVM_TRY(check_flags(image, header, flags));
    const Loaded kernel = KVM_TRY(flags & has_addresses ? load_by_addresses(target, image, header)
                                                        : load_by_segments(target, image));
    // The first word of the command line is the file, as boot loaders have it.
    std::string line = config.kernel;
    if (config.cmdline && !config.cmdline->empty()) {
        line += ' ' + *config.cmdline;
    }
    KVM_TRY(put_command_line(target, line, image, UINT64_MAX));

    BootInfo room(target);
    Info info{};
    info.flags = info_cmdline | info_loader_name;
    info.cmdline = static_cast<std::uint32_t>(layout::command_line.value());
    info.boot_loader_name = static_cast<std::uint32_t>(KVM_TRY(room.add_text("kvmxx")));
    KVM_TRY(put_modules(target, config, kernel.memory, room, info));
    KVM_TRY(put_memory(target, room, info));

    x86_64::BootState state;
    KVM_TRY(x86_64::prepare(target.memory, x86_64::CpuMode::protected_32, state));
    state.rip = kernel.entry;
    state.rsp = layout::boot_stack.value();
    state.rax = loader_magic;
    state.rbx = KVM_TRY(room.add(std::as_bytes(std::span(&info, 1)), "the Multiboot information"));
    return state;
}

}  // namespace vmm::boot

// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <fmt/format.h>

#include <cerrno>
#include <kvm/try.hpp>
#include <vmm/x86_64/layout.hpp>

#include "kernels.hpp"
#include "linux.hpp"

namespace vmm::boot {

namespace {

namespace layout = x86_64::layout;

// Xen's public/arch-x86/hvm/start_info.h, version 1.
struct StartInfo {
    std::uint32_t magic = 0x336ec578, version = 1, flags = 0, nr_modules = 0;
    std::uint64_t modlist_paddr = 0, cmdline_paddr = 0, rsdp_paddr = 0, memmap_paddr = 0;
    std::uint32_t memmap_entries = 0, reserved = 0;
};
static_assert(sizeof(StartInfo) == 56);

struct ModuleEntry {
    std::uint64_t paddr, size, cmdline_paddr, reserved;
};
struct MemmapEntry {
    std::uint64_t address, size;
    std::uint32_t type, reserved;
};

}  // namespace

Result<x86_64::BootState> boot_pvh(const Target& target, const BootConfig& config,
                                   const Image& image, const Elf& elf) {
    KVM_TRY(check_entry(image, elf, *elf.pvh_entry, "the note XEN_ELFNOTE_PHYS32_ENTRY"));
    KVM_TRY(load_segments(target, image, elf));
    KVM_TRY(put_command_line(target, config.cmdline.value_or(elf.is_linux ? default_cmdline : ""),
                             image, elf.is_linux ? linux_cmdline_max : UINT64_MAX));
    BootInfo info(target);
    StartInfo start{.cmdline_paddr = layout::command_line.value()};
    start.rsdp_paddr = target.inputs.rsdp ? target.inputs.rsdp->value() : 0;

    FreeRam ram(target, elf.memory);
    const std::uint64_t limit = elf.is_linux ? linux_initrd_max : UINT64_MAX;
    std::vector<ModuleEntry> modules;
    for (const BootModule& module : all_modules(config)) {
        const auto place = load_file(target, ram, module.path, Place::highest, limit, elf.memory);
        if (!place) {
            return about_setting(module_setting(config, modules.size()), place.error());
        }
        const std::uint64_t arguments =
            module.arguments.empty() ? 0 : KVM_TRY(info.add_text(module.arguments));
        modules.push_back({place->begin, place->size(), arguments, 0});
    }
    start.nr_modules = static_cast<std::uint32_t>(modules.size());
    start.modlist_paddr =
        modules.empty() ? 0 : KVM_TRY(info.add(std::as_bytes(std::span(modules)), "the modules"));

    std::vector<MemmapEntry> map;
    for (const MapEntry& entry : memory_map(target)) {
        map.push_back({entry.address, entry.size, static_cast<std::uint32_t>(entry.type), 0});
    }
    start.memmap_entries = static_cast<std::uint32_t>(map.size());
    start.memmap_paddr = KVM_TRY(info.add(std::as_bytes(std::span(map)), "the memory map"));

    x86_64::BootState state;
    KVM_TRY(x86_64::prepare(target.memory, x86_64::CpuMode::protected_32, state));
    state.rip = *elf.pvh_entry;
    state.rsp = layout::boot_stack.value();
    state.rbx = KVM_TRY(info.add(std::as_bytes(std::span(&start, 1)), "hvm_start_info"));
    return state;
}

}  // namespace vmm::boot

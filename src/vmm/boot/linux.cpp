// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "linux.hpp"

#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <kvm/try.hpp>
#include <vector>
#include <vmm/x86_64/layout.hpp>

namespace vmm::boot {

namespace {

namespace layout = x86_64::layout;

constexpr std::uint32_t vmlinux_alignment = 0x1000000;
constexpr std::size_t e820_entry_size = 20;
constexpr std::size_t seed_size = 32;  // what Linux takes of it at least

// The types of setup_data, include/uapi/asm/bootparam.h.
constexpr std::uint32_t setup_e820_ext = 1;
constexpr std::uint32_t setup_rng_seed = 9;

/// A vmlinux has no setup header; this says what one would.
void make_up_setup_header(ZeroPage& page, bool has_64bit_entry) {
    page.put(zero_page::boot_flag, boot_flag_value);
    page.put(zero_page::header, header_value);
    page.put(zero_page::version, std::uint16_t(0x020c));
    page.put(zero_page::loadflags, loaded_high);
    page.put(zero_page::initrd_addr_max, static_cast<std::uint32_t>(linux_initrd_max));
    page.put(zero_page::kernel_alignment, vmlinux_alignment);
    page.put(zero_page::xloadflags, has_64bit_entry ? xlf_kernel_64 : std::uint16_t(0));
    page.put(zero_page::cmdline_size, static_cast<std::uint32_t>(linux_cmdline_max));
}

/// The list of setup_data, which grows at its place in guest memory.
class SetupData {
public:
    SetupData(const Target& target, ZeroPage& page) : target_(target), page_(page) {}

    /// Errors: E2BIG (`what` does not fit).
    Result<void> add(std::uint32_t type, std::span<const std::byte> data, const char* what) {
        struct Header {
            std::uint64_t next;
            std::uint32_t type, length;
        };
        const std::uint64_t length = sizeof(Header) + (data.size() + 7) / 8 * 8;
        if (length > layout::setup_data_room - used_) {
            return fail(fmt::format("guest memory: {} take {} bytes of setup_data, which has room "
                                    "for {}",
                                    what, data.size(), layout::setup_data_room - used_),
                        E2BIG);
        }
        const kvm::Gpa at = layout::setup_data + used_;
        const auto next = page_.get<std::uint64_t>(zero_page::setup_data);
        KVM_TRY(
            target_.memory.write(at, Header{next, type, static_cast<std::uint32_t>(data.size())}));
        KVM_TRY(target_.memory.write(at + sizeof(Header), data));
        page_.put(zero_page::setup_data, at.value());
        used_ += length;
        return {};
    }

private:
    const Target& target_;
    ZeroPage& page_;
    std::uint64_t used_ = 0;
};

/// `entries` as the table of an E820 map.
std::vector<std::byte> e820(std::span<const MapEntry> entries) {
    std::vector<std::byte> table(entries.size() * e820_entry_size);
    std::byte* at = table.data();
    for (const MapEntry& entry : entries) {
        std::memcpy(at, &entry.address, 8);
        std::memcpy(at + 8, &entry.size, 8);
        std::memcpy(at + 16, &entry.type, 4);
        at += e820_entry_size;
    }
    return table;
}

Result<void> put_memory_map(const Target& target, ZeroPage& page, SetupData& setup_data) {
    const auto map = memory_map(target);
    const std::size_t here = std::min(map.size(), zero_page::e820_max);
    page.put(zero_page::e820_entries, static_cast<std::uint8_t>(here));
    std::ranges::copy(e820(std::span(map).first(here)), page.bytes.begin() + zero_page::e820_table);
    if (map.size() > here) {
        KVM_TRY(setup_data.add(setup_e820_ext, e820(std::span(map).subspan(here)),
                               "the ranges of its memory map beyond 128"));
    }
    return {};
}

/// What the guest's random numbers begin with (Linux 6.0).
Result<void> put_seed(SetupData& setup_data) {
    std::array<std::byte, seed_size> seed;
    if (::getrandom(seed.data(), seed.size(), 0) != static_cast<ssize_t>(seed.size())) {
        return fail_errno("getrandom", errno);
    }
    return setup_data.add(setup_rng_seed, seed, "random numbers");
}

Result<void> put_initrd(const Target& target, const std::string& path, LoadedKernel& kernel) {
    FreeRam ram(target, kernel.memory);
    const Range place =
        KVM_TRY(load_file(target, ram, path, Place::highest, kernel.initrd_max, kernel.memory));
    ZeroPage& page = kernel.zero_page;
    page.put(zero_page::ramdisk_image, static_cast<std::uint32_t>(place.begin));
    page.put(zero_page::ext_ramdisk_image, static_cast<std::uint32_t>(place.begin >> 32));
    page.put(zero_page::ramdisk_size, static_cast<std::uint32_t>(place.size()));
    page.put(zero_page::ext_ramdisk_size, static_cast<std::uint32_t>(place.size() >> 32));
    return {};
}

}  // namespace

Result<LoadedKernel> load_vmlinux(const Target& target, const Image& image, const Elf& elf,
                                  const Bzimage* bzimage) {
    LoadedKernel kernel;
    KVM_TRY(check_entry(image, elf, elf.entry, "ELF header: e_entry at 0x18"));
    KVM_TRY(load_segments(target, image, elf));
    kernel.memory = elf.memory;
    kernel.mode = elf.bits == 64 ? x86_64::CpuMode::long_64 : x86_64::CpuMode::protected_32;
    kernel.entry = elf.entry;
    if (bzimage) {
        kernel.zero_page = bzimage->zero_page;
    } else {
        make_up_setup_header(kernel.zero_page, elf.bits == 64);
    }
    kernel.initrd_max = kernel.zero_page.get<std::uint32_t>(zero_page::initrd_addr_max);
    kernel.cmdline_max = kernel.zero_page.get<std::uint32_t>(zero_page::cmdline_size);
    return kernel;
}

Result<x86_64::BootState> finish_linux(const Target& target, const BootConfig& config,
                                       const Image& image, LoadedKernel& kernel) {
    if (!config.modules.empty()) {
        return about_setting(
            "module",
            Error("Linux's boot protocol has none but the initrd (" + image.path() + ")", EINVAL));
    }
    ZeroPage& page = kernel.zero_page;
    page.put(zero_page::type_of_loader, loader_undefined);
    page.put(zero_page::ramdisk_image, std::uint64_t(0));  // and ramdisk_size
    page.put(zero_page::setup_data, std::uint64_t(0));
    page.put(zero_page::cmd_line_ptr, static_cast<std::uint32_t>(layout::command_line.value()));
    if (target.inputs.rsdp) {
        page.put(zero_page::acpi_rsdp_addr, target.inputs.rsdp->value());
    }
    KVM_TRY(put_command_line(target, config.cmdline.value_or(default_cmdline), image,
                             kernel.cmdline_max));
    if (!config.initrd.empty()) {
        if (auto done = put_initrd(target, config.initrd, kernel); !done) {
            return about_setting("initrd", std::move(done).error());
        }
    }
    SetupData setup_data(target, page);
    KVM_TRY(put_memory_map(target, page, setup_data));
    KVM_TRY(put_seed(setup_data));
    KVM_TRY(target.memory.write(layout::zero_page, page.bytes));

    x86_64::BootState state;
    KVM_TRY(x86_64::prepare(target.memory, kernel.mode, state));
    state.rip = kernel.entry;
    state.rsp = layout::boot_stack.value();
    state.rsi = layout::zero_page.value();
    return state;
}

}  // namespace vmm::boot

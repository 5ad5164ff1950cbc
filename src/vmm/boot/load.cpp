// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <kvm/try.hpp>
#include <vmm/boot/boot.hpp>
#include <vmm/x86_64/layout.hpp>

#include "kernels.hpp"
#include "linux.hpp"
#include "unpack.hpp"

namespace vmm {

namespace {

namespace layout = x86_64::layout;

using boot::Target;
using Protocol = BootProtocol;

constexpr const char* protocol_names[] = {"auto", "linux64", "linux32", "pvh", "multiboot"};

std::unexpected<Error> not_this_way(const Image& image, Protocol protocol, const char* cause) {
    return fail(fmt::format("{}: {}: cannot be started by protocol {}: {}", image.path(),
                            describe(image.kind()), describe(protocol), cause),
                ENOEXEC);
}

/// What an ELF file is for, if nobody says: docs/boot.md has the rule.
Protocol choose(const boot::Elf& elf, bool has_multiboot_header) {
    if (elf.is_linux) {
        return elf.bits == 64 ? Protocol::linux64 : Protocol::linux32;
    }
    if (elf.pvh_entry) {
        return Protocol::pvh;
    }
    if (has_multiboot_header || elf.bits == 32) {
        return Protocol::multiboot;
    }
    return Protocol::linux64;
}

void say(const Target& target, const Image& image, Protocol protocol) {
    if (target.inputs.log.wants(LogLevel::info)) {
        target.inputs.log.info("boot", fmt::format("{}: {}, started by {}", image.path(),
                                                   describe(image.kind()), describe(protocol)));
    }
}

/// Starts an ELF file, which was in `bzimage` if there is one.
Result<x86_64::BootState> load_elf(const Target& target, const BootConfig& config,
                                   const Image& image, const boot::Bzimage* bzimage = nullptr) {
    const boot::Elf elf = KVM_TRY(boot::read_elf(target, image));
    const auto header = KVM_TRY(boot::find_multiboot_header(image));
    const Protocol protocol =
        config.protocol == Protocol::automatic ? choose(elf, header.has_value()) : config.protocol;
    say(target, image, protocol);
    switch (protocol) {
        case Protocol::pvh:
            if (!elf.pvh_entry) {
                return not_this_way(image, protocol, "no note XEN_ELFNOTE_PHYS32_ENTRY");
            }
            return boot::boot_pvh(target, config, image, elf);
        case Protocol::multiboot:
            if (!header) {
                return not_this_way(image, protocol, "no Multiboot header in its first 8 KiB");
            }
            return boot::boot_multiboot(target, config, image, *header);
        default:
            break;
    }
    if (elf.bits != (protocol == Protocol::linux64 ? 64 : 32)) {
        return not_this_way(image, protocol, "of the other word size");
    }
    auto kernel = KVM_TRY(boot::load_vmlinux(target, image, elf, bzimage));
    return boot::finish_linux(target, config, image, kernel);
}

/// The ELF file in a bzImage, if it has one that can be unpacked.
Result<std::optional<Image>> unpack_bzimage(const Target& target, const BootConfig& config,
                                            const Image& image, const boot::Bzimage& bzimage) {
    if (bzimage.payload.size() == 0) {
        return std::optional<Image>();
    }
    const auto format = KVM_TRY(boot::packing_of(image, bzimage.payload));
    if (!boot::can_unpack(format)) {
        return std::optional<Image>();
    }
    auto elf = KVM_TRY(boot::unpacked_image(target, {image, bzimage.payload, format},
                                            std::min(bzimage.init_size, target.memory.size()),
                                            "its init_size and the guest's memory allow no more",
                                            config.cache.value_or(std::string())));
    return std::optional<Image>(std::move(elf));
}

Result<x86_64::BootState> load_bzimage(const Target& target, const BootConfig& config,
                                       const Image& image) {
    const boot::Bzimage bzimage = KVM_TRY(boot::read_bzimage(image));
    BootConfig wanted = config;
    if (wanted.protocol == Protocol::automatic) {
        wanted.protocol = bzimage.has_64bit_entry ? Protocol::linux64 : Protocol::linux32;
    }
    const Protocol protocol = wanted.protocol;
    if (protocol == Protocol::linux64 && !bzimage.has_64bit_entry) {
        return not_this_way(image, protocol,
                            "no XLF_KERNEL_64 in xloadflags at 0x236: a 32-bit kernel");
    }
    if (protocol == Protocol::multiboot) {
        return not_this_way(image, protocol, "it has no Multiboot header");
    }
    if (protocol == Protocol::pvh ||
        (protocol == Protocol::linux64 && config.unpack == Unpack::host)) {
        if (auto elf = KVM_TRY(unpack_bzimage(target, config, image, bzimage));
            elf && elf->kind() == ImageKind::elf64) {
            return load_elf(target, wanted, *elf, &bzimage);
        }
    }
    if (protocol == Protocol::pvh) {
        return not_this_way(image, protocol, "no ELF file in it that can be unpacked");
    }
    say(target, image, protocol);
    auto kernel = KVM_TRY(boot::load_bzimage(
        target, image, bzimage,
        protocol == Protocol::linux64 ? x86_64::CpuMode::long_64 : x86_64::CpuMode::protected_32));
    return boot::finish_linux(target, config, image, kernel);
}

Result<x86_64::BootState> load_kernel(const Target& target, const BootConfig& config,
                                      const Image& image, int depth = 0) {
    constexpr int most_layers = 2;  // a compressed file in a compressed file
    if (!target.memory.contains(kvm::Gpa(0), layout::low_ram_end.value())) {
        return fail(image.path() + ": a kernel needs RAM in the first 640 KiB", ENOMEM);
    }
    switch (image.kind()) {
        case ImageKind::bzimage:
            return load_bzimage(target, config, image);
        case ImageKind::elf32:
        case ImageKind::elf64:
            return load_elf(target, config, image);
        default:
            break;
    }
    if (is_compressed(image.kind()) && depth < most_layers) {
        const auto unpacked = KVM_TRY(boot::unpacked_image(
            target, {image, {0, image.size()}, image.kind()}, target.memory.size(),
            "the guest's memory", config.cache.value_or(std::string())));
        return load_kernel(target, config, unpacked, depth + 1);
    }
    if (const auto header = KVM_TRY(boot::find_multiboot_header(image))) {
        if (config.protocol != Protocol::automatic && config.protocol != Protocol::multiboot) {
            return not_this_way(image, config.protocol, "it has but a Multiboot header");
        }
        say(target, image, Protocol::multiboot);
        return boot::boot_multiboot(target, config, image, *header);
    }
    return fail(fmt::format("{}: {}, not an x86 kernel (bzImage, ELF or Multiboot)", image.path(),
                            describe(image.kind())),
                ENOEXEC);
}

Result<void> load_flat(const GuestMemory& memory, const Image& image, kvm::Gpa address) {
    if (!memory.host_span(address, image.size())) {
        return fail(fmt::format("{}: flat binary: {} at {:#x} are not all RAM (the guest has {})",
                                image.path(), describe_size(image.size()), address.value(),
                                describe_size(memory.size())),
                    ENOMEM);
    }
    return image.load(memory, address, 0, image.size(), "the code");
}

Result<x86_64::BootState> load_flat16(const GuestMemory& memory, const Image& image,
                                      const Flat16& flat) {
    const kvm::Gpa address(std::uint64_t(flat.segment) * 16 + flat.offset);
    KVM_TRY(load_flat(memory, image, address));
    return x86_64::BootState{.mode = x86_64::CpuMode::real,
                             .segment = flat.segment,
                             .rip = flat.offset,
                             .rsp = flat.offset};
}

Result<x86_64::BootState> load_flat64(const GuestMemory& memory, const Image& image,
                                      const Flat64& flat) {
    const std::uint64_t begin = flat.address.value();
    if (begin < (layout::page_tables + layout::page_tables_size).value()) {
        return fail(
            fmt::format(
                "{}: flat binary: at {:#x} it would lie over the page tables, which end at {:#x}",
                image.path(), begin, (layout::page_tables + layout::page_tables_size).value()),
            EINVAL);
    }
    if (begin > layout::identity_mapped || image.size() > layout::identity_mapped - begin) {
        return fail(
            fmt::format("{}: flat binary: at {:#x} it would lie above 4 GiB, which is not mapped",
                        image.path(), begin),
            EINVAL);
    }
    KVM_TRY(load_flat(memory, image, flat.address));
    x86_64::BootState state;
    KVM_TRY(x86_64::prepare(memory, x86_64::CpuMode::long_64, state));
    state.rip = begin;
    state.rsp = layout::boot_stack.value();
    return state;
}

}  // namespace

const char* describe(BootProtocol protocol) {
    return protocol_names[static_cast<std::size_t>(protocol)];
}

std::optional<BootProtocol> find_boot_protocol(std::string_view name) {
    const auto found = std::ranges::find(protocol_names, name);
    if (found == std::end(protocol_names)) {
        return std::nullopt;
    }
    return static_cast<BootProtocol>(found - std::begin(protocol_names));
}

Result<x86_64::BootState> load(const GuestMemory& memory, const BootConfig& config,
                               const BootInputs& inputs) {
    const Image image = KVM_TRY(Image::open(config.kernel));
    if (std::holds_alternative<KernelImage>(config.format)) {
        return load_kernel({memory, inputs}, config, image);
    }
    if (!config.initrd.empty() || config.cmdline || !config.modules.empty()) {
        return fail(image.path() + ": flat binary: it takes no initrd, modules and command line",
                    EINVAL);
    }
    if (const auto* flat = std::get_if<Flat16>(&config.format)) {
        return load_flat16(memory, image, *flat);
    }
    return load_flat64(memory, image, std::get<Flat64>(config.format));
}

}  // namespace vmm

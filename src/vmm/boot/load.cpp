// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <fmt/format.h>

#include <cerrno>
#include <kvm/try.hpp>
#include <vmm/boot/boot.hpp>
#include <vmm/x86_64/layout.hpp>

#include "linux.hpp"

namespace vmm {

namespace {

namespace layout = x86_64::layout;

Result<x86_64::BootState> load_kernel(const GuestMemory& memory, const BootConfig& config,
                                      const Image& image) {
    boot::LoadedKernel kernel;
    switch (image.kind()) {
        case ImageKind::bzimage:
            kernel = KVM_TRY(boot::load_bzimage(memory, image));
            break;
        case ImageKind::elf64:
            kernel = KVM_TRY(boot::load_elf64(memory, image));
            break;
        default:
            return fail(fmt::format("{}: {}, not an x86_64 kernel (bzImage or ELF64)", image.path(),
                                    describe(image.kind())),
                        ENOEXEC);
    }
    return boot::finish_linux(memory, config, image, kernel);
}

Result<void> load_flat(const GuestMemory& memory, const Image& image, kvm::Gpa address) {
    if (!memory.host_span(address, image.size())) {
        return fail(
            fmt::format("{}: {} at {:#x} are not all RAM (the guest has {})", image.path(),
                        describe_size(image.size()), address.value(), describe_size(memory.size())),
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
            fmt::format("{}: at {:#x} it would lie over the page tables, which end at {:#x}",
                        image.path(), begin,
                        (layout::page_tables + layout::page_tables_size).value()),
            EINVAL);
    }
    if (begin > layout::identity_mapped || image.size() > layout::identity_mapped - begin) {
        return fail(fmt::format("{}: at {:#x} it would lie above 4 GiB, which is not mapped",
                                image.path(), begin),
                    EINVAL);
    }
    KVM_TRY(load_flat(memory, image, flat.address));
    x86_64::BootState state;
    KVM_TRY(x86_64::prepare_long_mode(memory, state));
    state.rip = begin;
    state.rsp = layout::boot_stack.value();
    return state;
}

}  // namespace

Result<x86_64::BootState> load(const GuestMemory& memory, const BootConfig& config) {
    const Image image = KVM_TRY(Image::open(config.kernel));
    if (std::holds_alternative<KernelImage>(config.format)) {
        return load_kernel(memory, config, image);
    }
    if (!config.initrd.empty() || config.cmdline) {
        return fail(image.path() + ": a flat binary takes no initrd and no command line", EINVAL);
    }
    if (const auto* flat = std::get_if<Flat16>(&config.format)) {
        return load_flat16(memory, image, *flat);
    }
    return load_flat64(memory, image, std::get<Flat64>(config.format));
}

}  // namespace vmm

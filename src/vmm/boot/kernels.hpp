// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include "elf.hpp"

/// Kernels that find what their loader says in structures of their own, entered in 32-bit mode.
namespace vmm::boot {

/// What a loader tells a kernel, below 1 MiB: grows as it is added to.
class BootInfo {
public:
    explicit BootInfo(const Target& target) : target_(target) {}

    /// Copies `bytes` to memory and gives their address, a multiple of 8. Errors: E2BIG (`what`
    /// does not fit).
    Result<std::uint64_t> add(std::span<const std::byte> bytes, const char* what);
    /// The same with a text and its NUL.
    Result<std::uint64_t> add_text(const std::string& text);

private:
    const Target& target_;
    std::uint64_t used_ = 0;
};

/// The initrd, whose arguments are its path, and the modules.
std::vector<BootModule> all_modules(const BootConfig& config);
/// Which setting gives the module of that number.
std::string_view module_setting(const BootConfig& config, std::size_t number);

/// Loads an ELF file that has a pvh_entry.
Result<x86_64::BootState> boot_pvh(const Target& target, const BootConfig& config,
                                   const Image& image, const Elf& elf);

/// Where a file says that it can be loaded by Multiboot 1: the header's offset in it.
Result<std::optional<std::uint64_t>> find_multiboot_header(const Image& image);
/// Loads a file whose header is at `header`.
Result<x86_64::BootState> boot_multiboot(const Target& target, const BootConfig& config,
                                         const Image& image, std::uint64_t header);

}  // namespace vmm::boot

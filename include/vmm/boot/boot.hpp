// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstdint>
#include <kvm/types.hpp>
#include <optional>
#include <string>
#include <variant>
#include <vmm/boot/image.hpp>
#include <vmm/error.hpp>
#include <vmm/memory/guest_memory.hpp>
#include <vmm/x86_64/boot_state.hpp>

namespace vmm {

/// The image is a kernel, and its content says of which kind.
struct KernelImage {};

/// The image is 16-bit code, loaded at segment * 16 + offset and started there in real mode with
/// CS, DS, ES and SS at `segment` and SP at `offset`: the stack grows down from the code.
struct Flat16 {
    std::uint16_t segment = 0;
    std::uint16_t offset = 0x1000;
};

/// The image is 64-bit code, loaded at `address` and started there in long mode, with the first 4
/// GiB mapped one to one and RSP at the layout's boot stack.
struct Flat64 {
    kvm::Gpa address{0x100000};
};

/// A kernel's command line where none is given: the serial console; resets by the keyboard
/// controller, also after a panic.
inline constexpr char default_cmdline[] = "console=ttyS0 reboot=k panic=-1";

/// What a guest starts with: plain data.
struct BootConfig {
    std::string kernel{};   ///< a path
    std::string initrd{};   ///< a path, or empty
    /// Without the terminating NUL; default_cmdline if there is none.
    std::optional<std::string> cmdline{};
    std::variant<KernelImage, Flat16, Flat64> format{};
};

/// Loads what `config` names into guest memory and says how the boot processor starts. Before the
/// guest runs. A bzImage and an ELF64 vmlinux start by Linux's 64-bit boot protocol
/// (Documentation/arch/x86/boot.rst). Errors are one line that names the file (or the command line)
/// and the cause.
Result<x86_64::BootState> load(const GuestMemory& memory, const BootConfig& config);

}  // namespace vmm

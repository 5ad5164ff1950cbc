// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstdint>
#include <kvm/types.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>
#include <vmm/boot/image.hpp>
#include <vmm/error.hpp>
#include <vmm/log.hpp>
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

/// How a kernel is handed the machine. docs/boot.md says what each finds.
enum class BootProtocol {
    automatic,  ///< what the image's content asks for
    linux64,    ///< Linux's 64-bit protocol: bzImage, ELF64 vmlinux
    linux32,    ///< Linux's 32-bit protocol: bzImage, ELF32 vmlinux
    pvh,  ///< an ELF file with the note XEN_ELFNOTE_PHYS32_ENTRY; a bzImage that has one in it
    multiboot,  ///< Multiboot 1: ELF, or any file with addresses in its Multiboot header
};
/// "auto", "linux64", "linux32", "pvh", "multiboot".
const char* describe(BootProtocol protocol);
/// The protocol that describe() calls so.
std::optional<BootProtocol> find_boot_protocol(std::string_view name);

/// Who unpacks the compressed kernel in a bzImage.
enum class Unpack {
    host,   ///< the loader, once (see BootConfig::cache): no KASLR
    guest,  ///< the bzImage's own code, each time: it chooses an address if it has KASLR
};

/// A file that a kernel finds in memory, and a text that goes with it.
struct BootModule {
    std::string path{};
    std::string arguments{};
};

/// Linux's command line where none is given: the serial console; resets by the keyboard
/// controller, also after a panic.
inline constexpr char default_cmdline[] = "console=ttyS0 reboot=k panic=-1";

/// What a guest starts with: plain data.
struct BootConfig {
    std::string kernel{};  ///< a path
    std::string initrd{};  ///< a path, or empty
    /// Without the terminating NUL. If there is none: default_cmdline for Linux, else empty.
    std::optional<std::string> cmdline{};
    std::variant<KernelImage, Flat16, Flat64> format{};
    BootProtocol protocol = BootProtocol::automatic;  ///< of a KernelImage
    std::vector<BootModule> modules{};                ///< Multiboot and PVH; after the initrd
    Unpack unpack = Unpack::host;
    /// A directory of unpacked kernels, made if it is missing; none or empty: they are not kept.
    /// Only the user's own files in it, which nobody else can write, are believed.
    std::optional<std::string> cache{};
};

/// What a piece of guest-physical memory is, by the numbers of the BIOS' memory map (e820).
enum class MemoryType : std::uint32_t {
    ram = 1,
    reserved = 2,
    acpi = 3,  ///< tables, RAM once they have been read
    acpi_nvs = 4,
};

/// A range that is not the guest's to use as RAM: the loader puts nothing there, and the memory map
/// says so. It need not be RAM.
struct Reserved {
    kvm::Gpa address{};
    std::uint64_t size = 0;
    MemoryType type = MemoryType::reserved;
};

/// What the machine tells the loader.
struct BootInputs {
    /// To RAM that holds zeroes, an ELF file's BSS and an unpacked kernel's zeroes are not written,
    /// so that the host has no memory for them until the guest needs it.
    RamContent ram = RamContent::any;
    std::optional<kvm::Gpa> rsdp{};    ///< ACPI's root pointer
    std::vector<Reserved> reserved{};  ///< the ACPI tables, PCI's ECAM, ...
    /// Where load() says, a line each, what is not as it should be and does not hinder it.
    std::vector<std::string>* notes = nullptr;
    Log log{};  ///< hears them, too, and what was loaded and how it starts
};

/// Loads what `config` names into guest memory and says how the boot processor starts. Before the
/// guest runs. Errors are one line that names the file (or the setting) and the cause.
Result<x86_64::BootState> load(const GuestMemory& memory, const BootConfig& config,
                               const BootInputs& inputs = {});

/// Where programs keep unpacked kernels:
/// ${KVMXX_CACHE:-${XDG_CACHE_HOME:-~/.cache}/kvmxx}/unpacked; without those variables, root's
/// /var/cache/kvmxx/unpacked; else empty.
std::string default_kernel_cache();

}  // namespace vmm

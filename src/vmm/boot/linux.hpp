// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vmm/boot/boot.hpp>

#include "elf.hpp"
#include "placement.hpp"

/// What the loaders of bzImage and vmlinux share: Linux's boot protocols on x86.
/// Documentation/arch/x86/boot.rst and zero-page.rst, whose names the constants bear.
namespace vmm::boot {

/// Offsets in the zero page; from 0x1f1 on they are a bzImage's file offsets, too.
namespace zero_page {

inline constexpr std::size_t size = 0x1000;
inline constexpr std::size_t acpi_rsdp_addr = 0x070;     // u64
inline constexpr std::size_t ext_ramdisk_image = 0x0c0;  // u32
inline constexpr std::size_t ext_ramdisk_size = 0x0c4;   // u32
inline constexpr std::size_t ext_cmd_line_ptr = 0x0c8;   // u32
inline constexpr std::size_t e820_entries = 0x1e8;       // u8
inline constexpr std::size_t setup_header = 0x1f1;
inline constexpr std::size_t setup_sects = 0x1f1;         // u8, of 512 bytes; 0 is 4
inline constexpr std::size_t syssize = 0x1f4;             // u32, of 16 bytes
inline constexpr std::size_t boot_flag = 0x1fe;           // u16, 0xaa55
inline constexpr std::size_t jump_offset = 0x201;         // u8: the header ends 0x202 + this
inline constexpr std::size_t header = 0x202;              // u32, "HdrS"
inline constexpr std::size_t version = 0x206;             // u16
inline constexpr std::size_t type_of_loader = 0x210;      // u8
inline constexpr std::size_t loadflags = 0x211;           // u8
inline constexpr std::size_t code32_start = 0x214;        // u32
inline constexpr std::size_t ramdisk_image = 0x218;       // u32
inline constexpr std::size_t ramdisk_size = 0x21c;        // u32
inline constexpr std::size_t cmd_line_ptr = 0x228;        // u32
inline constexpr std::size_t initrd_addr_max = 0x22c;     // u32
inline constexpr std::size_t kernel_alignment = 0x230;    // u32
inline constexpr std::size_t relocatable_kernel = 0x234;  // u8
inline constexpr std::size_t xloadflags = 0x236;          // u16
inline constexpr std::size_t cmdline_size = 0x238;        // u32, without the NUL
inline constexpr std::size_t payload_offset = 0x248;      // u32, from the protected-mode code
inline constexpr std::size_t payload_length = 0x24c;      // u32
inline constexpr std::size_t setup_data = 0x250;          // u64
inline constexpr std::size_t pref_address = 0x258;        // u64
inline constexpr std::size_t init_size = 0x260;           // u32
inline constexpr std::size_t setup_header_limit = 0x290;  // other fields follow
inline constexpr std::size_t e820_table = 0x2d0;
inline constexpr std::size_t e820_max = 128;

}  // namespace zero_page

inline constexpr std::uint16_t boot_flag_value = 0xaa55;
inline constexpr std::uint32_t header_value = 0x53726448;  // "HdrS"
inline constexpr std::uint8_t loader_undefined = 0xff;     // no loader with a number of its own
inline constexpr std::uint8_t loaded_high = 1;     // in loadflags: the kernel is above 1 MiB
inline constexpr std::uint16_t xlf_kernel_64 = 1;  // it has an entry at 0x200 for 64-bit mode

/// Bytes with fields at offsets, as the protocol describes its pages.
template <std::size_t Size>
struct Fields {
    std::array<std::byte, Size> bytes{};

    template <class T>
    T get(std::size_t offset) const {
        T value;
        std::memcpy(&value, bytes.data() + offset, sizeof value);
        return value;
    }
    template <class T>
    void put(std::size_t offset, T value) {
        std::memcpy(bytes.data() + offset, &value, sizeof value);
    }
};

using ZeroPage = Fields<zero_page::size>;

/// A kernel that is in guest memory, and what it asks of its loader.
struct LoadedKernel {
    Range memory;  // all that it uses before it knows where RAM is
    x86_64::CpuMode mode = x86_64::CpuMode::long_64;
    std::uint64_t entry = 0;
    std::uint64_t initrd_max = 0;   // the highest address that an initrd's last byte may have
    std::uint64_t cmdline_max = 0;  // bytes, without the NUL
    ZeroPage zero_page;             // its setup header, or what stands for it
};

inline constexpr std::uint64_t linux_initrd_max = 0x7fffffff;  // of a vmlinux, as its bzImage says
inline constexpr std::uint64_t linux_cmdline_max = 2047;       // COMMAND_LINE_SIZE - 1

/// A bzImage, read but for its code.
struct Bzimage {
    ZeroPage zero_page;           // its setup header
    Range code;                   // in the file, of what runs in protected mode
    Range payload;                // in the file, of the compressed kernel; empty if it does not say
    std::uint64_t address = 0;    // where it is loaded
    std::uint64_t init_size = 0;  // how much it needs there, unpacked and all
    bool has_64bit_entry = false;

    std::uint16_t version() const { return zero_page.get<std::uint16_t>(zero_page::version); }
};

Result<Bzimage> read_bzimage(const Image& image);
/// Copies the bzImage's own code to where it starts, in `mode`.
Result<LoadedKernel> load_bzimage(const Target& target, const Image& image, const Bzimage& bzimage,
                                  x86_64::CpuMode mode);
/// Copies a vmlinux, whose setup header is that of the bzImage that it was in, or made up.
Result<LoadedKernel> load_vmlinux(const Target& target, const Image& image, const Elf& elf,
                                  const Bzimage* bzimage);

/// Everything else that Linux finds at its start: initrd, command line, memory map, zero page, the
/// CPU's mode.
Result<x86_64::BootState> finish_linux(const Target& target, const BootConfig& config,
                                       const Image& image, LoadedKernel& kernel);

}  // namespace vmm::boot

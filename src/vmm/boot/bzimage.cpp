// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <kvm/try.hpp>

#include "linux.hpp"

namespace vmm::boot {

namespace {

constexpr std::uint16_t oldest_version = 0x020c;  // xloadflags, and with it the 64-bit entry
constexpr std::size_t header_needed = zero_page::init_size + 4;
constexpr std::uint64_t entry_64 = 0x200;  // from where the protected-mode code is loaded

/// "vmlinuz: setup header, init_size at 0x260: ..." on its way out.
std::unexpected<Error> bad(const Image& image, const char* field, std::size_t offset,
                           std::string cause) {
    return fail(
        fmt::format("{}: setup header: {} at {:#x}: {}", image.path(), field, offset, cause),
        EINVAL);
}

/// Reads the setup header into where it belongs in a zero page, as long as it says it is.
Result<ZeroPage> read_setup_header(const Image& image) {
    ZeroPage page;
    const auto part = [&](std::size_t begin, std::size_t end) {
        return std::span(page.bytes).subspan(begin, end - begin);
    };
    KVM_TRY(image.read(zero_page::setup_header, part(zero_page::setup_header, header_needed),
                       "the setup header"));
    if (const auto flag = page.get<std::uint16_t>(zero_page::boot_flag); flag != boot_flag_value) {
        return bad(image, "boot_flag", zero_page::boot_flag,
                   fmt::format("{:#x}, not {:#x}", flag, boot_flag_value));
    }
    const auto version = page.get<std::uint16_t>(zero_page::version);
    if (version < oldest_version) {
        return bad(image, "version", zero_page::version,
                   fmt::format("boot protocol {}.{:02}, but 64-bit boot needs 2.12 (Linux 3.8)",
                               version >> 8, version & 0xff));
    }
    const std::size_t end = zero_page::header + page.get<std::uint8_t>(zero_page::jump_offset);
    if (end < header_needed || end > zero_page::setup_header_limit) {
        return bad(image, "jump", zero_page::jump_offset,
                   fmt::format("the header would end at {:#x}, not within {:#x}..{:#x}", end,
                               header_needed, zero_page::setup_header_limit));
    }
    if (end > header_needed) {
        KVM_TRY(image.read(header_needed, part(header_needed, end), "the setup header"));
    }
    if (!(page.get<std::uint16_t>(zero_page::xloadflags) & xlf_kernel_64)) {
        return bad(image, "xloadflags", zero_page::xloadflags,
                   "no 64-bit entry (XLF_KERNEL_64): a 32-bit kernel");
    }
    return page;
}

/// Where the protected-mode code is in the file.
Result<Range> find_code(const Image& image, const ZeroPage& page) {
    const unsigned sects = page.get<std::uint8_t>(zero_page::setup_sects);
    const std::uint64_t begin = (std::uint64_t(sects ? sects : 4) + 1) * 512;
    const std::uint64_t length = std::uint64_t(page.get<std::uint32_t>(zero_page::syssize)) * 16;
    if (begin + length > image.size() || begin + entry_64 >= image.size()) {
        return fail(fmt::format("{}: truncated: setup_sects and syssize want {} bytes, but the "
                                "file has {}",
                                image.path(), begin + std::max(length, entry_64 + 1), image.size()),
                    EINVAL);
    }
    return Range{begin, image.size()};
}

}  // namespace

Result<LoadedKernel> load_bzimage(const GuestMemory& memory, const Image& image) {
    LoadedKernel kernel;
    kernel.zero_page = KVM_TRY(read_setup_header(image));
    const ZeroPage& page = kernel.zero_page;
    const Range code = KVM_TRY(find_code(image, page));

    // The kernel unpacks itself at pref_address or above, so below it there is nothing to gain.
    const auto address = page.get<std::uint64_t>(zero_page::pref_address);
    const std::uint64_t length = std::max(
        code.end - code.begin, std::uint64_t(page.get<std::uint32_t>(zero_page::init_size)));
    const auto alignment = page.get<std::uint32_t>(zero_page::kernel_alignment);
    if (!std::has_single_bit(alignment) || address % alignment != 0) {
        return bad(image, "kernel_alignment", zero_page::kernel_alignment,
                   fmt::format("{:#x} does not fit pref_address {:#x}", alignment, address));
    }
    if (address > UINT64_MAX - length) {
        return bad(image, "pref_address", zero_page::pref_address,
                   fmt::format("{:#x}, and {} bytes from there, overflow", address, length));
    }
    kernel.memory = {address, address + length};
    KVM_TRY(check_placement(memory, kernel.memory,
                            fmt::format("{}: its place ({}: pref_address and init_size)",
                                        image.path(), describe(kernel.memory))));
    KVM_TRY(image.load(memory, kvm::Gpa(address), code.begin, code.end - code.begin, "the code"));
    kernel.entry = address + entry_64;
    kernel.initrd_max = page.get<std::uint32_t>(zero_page::initrd_addr_max);
    kernel.cmdline_max = page.get<std::uint32_t>(zero_page::cmdline_size);
    return kernel;
}

}  // namespace vmm::boot

// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <kvm/try.hpp>

#include "linux.hpp"

namespace vmm::boot {

namespace {

constexpr std::uint16_t oldest_version = 0x0202;  // the command line by cmd_line_ptr
constexpr std::uint64_t entry_64 = 0x200;         // from where the protected-mode code is loaded
constexpr std::uint64_t old_address = 0x100000;   // before pref_address
constexpr std::uint32_t old_initrd_max = 0x37ffffff;
constexpr std::uint32_t old_cmdline_max = 255;

/// From which version on the header has a field, which a kernel of an older one finds with what it
/// would have meant.
struct NewField {
    std::uint16_t version;
    std::size_t offset, end;
    std::uint32_t value;  // where it is missing
};
constexpr NewField new_fields[] = {
    {0x0203, zero_page::initrd_addr_max, 0x230, old_initrd_max},
    {0x0205, zero_page::kernel_alignment, 0x236, 0},
    {0x0206, zero_page::cmdline_size, 0x23c, old_cmdline_max},
    {0x0207, 0x23c, 0x248, 0},  // hardware_subarch and its data
    {0x0208, zero_page::payload_offset, 0x250, 0},
    {0x0209, zero_page::setup_data, 0x258, 0},
    {0x020a, zero_page::pref_address, 0x264, old_address},
};
constexpr std::size_t header_needed = 0x264;  // of 2.10 and later
constexpr std::size_t oldest_header_end = 0x22c;

/// "vmlinuz: setup header: init_size at 0x260: ..." on its way out.
std::unexpected<Error> bad(const Image& image, const char* field, std::size_t offset,
                           std::string cause) {
    return fail(
        fmt::format("{}: setup header: {} at {:#x}: {}", image.path(), field, offset, cause),
        EINVAL);
}

Result<void> check_header(const Image& image, const ZeroPage& page) {
    if (const auto flag = page.get<std::uint16_t>(zero_page::boot_flag); flag != boot_flag_value) {
        return bad(image, "boot_flag", zero_page::boot_flag,
                   fmt::format("{:#x}, not {:#x}", flag, boot_flag_value));
    }
    const auto version = page.get<std::uint16_t>(zero_page::version);
    if (version < oldest_version) {
        return bad(image, "version", zero_page::version,
                   fmt::format("boot protocol {}.{:02}, but 2.02 (Linux 2.4) is the oldest known",
                               version >> 8, version & 0xff));
    }
    if (!(page.get<std::uint8_t>(zero_page::loadflags) & loaded_high)) {
        return bad(image, "loadflags", zero_page::loadflags,
                   "no LOADED_HIGH: a zImage, whose place is below 1 MiB");
    }
    return {};
}

/// Reads the setup header into where it belongs in a zero page, as long as it says it is.
Result<ZeroPage> read_setup_header(const Image& image) {
    ZeroPage page;
    const auto part = [&](std::size_t begin, std::size_t end) {
        return std::span(page.bytes).subspan(begin, end - begin);
    };
    KVM_TRY(image.read(zero_page::setup_header, part(zero_page::setup_header, header_needed),
                       "the setup header"));
    KVM_TRY(check_header(image, page));
    const auto version = page.get<std::uint16_t>(zero_page::version);
    std::size_t least = oldest_header_end;
    for (const NewField& field : new_fields) {
        if (version >= field.version) {
            least = field.end;
        } else {
            std::ranges::fill(part(field.offset, field.end), std::byte(0));
            page.put(field.offset, field.value);
        }
    }
    const std::size_t end = zero_page::header + page.get<std::uint8_t>(zero_page::jump_offset);
    if (end < least || end > zero_page::setup_header_limit) {
        return bad(image, "jump", zero_page::jump_offset,
                   fmt::format("the header would end at {:#x}, not within {:#x}..{:#x}", end, least,
                               zero_page::setup_header_limit));
    }
    if (end > header_needed) {
        KVM_TRY(image.read(header_needed, part(header_needed, end), "the setup header"));
    }
    return page;
}

/// Where the protected-mode code is in the file.
Result<Range> find_code(const Image& image, const ZeroPage& page) {
    const unsigned sects = page.get<std::uint8_t>(zero_page::setup_sects);
    const std::uint64_t begin = (std::uint64_t(sects ? sects : 4) + 1) * 512;
    const std::uint64_t length = std::uint64_t(page.get<std::uint32_t>(zero_page::syssize)) * 16;
    // syssize is rounded up, and not every file is.
    if (begin + length >= image.size() + 16 || begin + entry_64 >= image.size()) {
        return bad(image, "syssize", zero_page::syssize,
                   fmt::format("truncated: with setup_sects at {:#x} the code ends at {}, but the "
                               "file has {} bytes",
                               zero_page::setup_sects, begin + std::max(length, entry_64 + 1),
                               image.size()));
    }
    return Range{begin, image.size()};
}

Result<Range> find_payload(const Image& image, const Bzimage& bzimage) {
    const auto length = bzimage.zero_page.get<std::uint32_t>(zero_page::payload_length);
    const auto offset = bzimage.zero_page.get<std::uint32_t>(zero_page::payload_offset);
    if (length == 0) {
        return Range{};
    }
    if (offset > bzimage.code.size() || length > bzimage.code.size() - offset) {
        return bad(image, "payload_offset", zero_page::payload_offset,
                   fmt::format("{:#x}, and payload_length {:#x} from there, end beyond the file's "
                               "{:#x} bytes",
                               offset, length, image.size()));
    }
    return Range{bzimage.code.begin + offset, bzimage.code.begin + offset + length};
}

}  // namespace

Result<Bzimage> read_bzimage(const Image& image) {
    Bzimage bzimage;
    bzimage.zero_page = KVM_TRY(read_setup_header(image));
    const ZeroPage& page = bzimage.zero_page;
    bzimage.code = KVM_TRY(find_code(image, page));
    bzimage.payload = KVM_TRY(find_payload(image, bzimage));
    bzimage.has_64bit_entry = bzimage.version() >= 0x020c &&
                              (page.get<std::uint16_t>(zero_page::xloadflags) & xlf_kernel_64) != 0;
    // The kernel unpacks itself at pref_address or above, so below it there is nothing to gain.
    bzimage.address = page.get<std::uint64_t>(zero_page::pref_address);
    bzimage.init_size =
        std::max(bzimage.code.size(), std::uint64_t(page.get<std::uint32_t>(zero_page::init_size)));
    const auto alignment = page.get<std::uint32_t>(zero_page::kernel_alignment);
    if (bzimage.version() >= 0x020a &&
        (!std::has_single_bit(alignment) || bzimage.address % alignment != 0)) {
        return bad(
            image, "kernel_alignment", zero_page::kernel_alignment,
            fmt::format("{:#x} does not fit pref_address {:#x}", alignment, bzimage.address));
    }
    if (bzimage.address > UINT64_MAX - bzimage.init_size) {
        return bad(image, "pref_address", zero_page::pref_address,
                   fmt::format("{:#x}, and {} bytes from there, overflow", bzimage.address,
                               bzimage.init_size));
    }
    return bzimage;
}

Result<LoadedKernel> load_bzimage(const Target& target, const Image& image, const Bzimage& bzimage,
                                  x86_64::CpuMode mode) {
    LoadedKernel kernel;
    kernel.memory = {bzimage.address, bzimage.address + bzimage.init_size};
    KVM_TRY(check_placement(target, kernel.memory,
                            fmt::format("{}: setup header: pref_address at {:#x} and init_size at "
                                        "{:#x}: its place ({})",
                                        image.path(), zero_page::pref_address, zero_page::init_size,
                                        describe(kernel.memory))));
    KVM_TRY(image.load(target.memory, kvm::Gpa(bzimage.address), bzimage.code.begin,
                       bzimage.code.size(), "the code"));
    kernel.zero_page = bzimage.zero_page;
    kernel.zero_page.put(zero_page::code32_start, static_cast<std::uint32_t>(bzimage.address));
    kernel.mode = mode;
    kernel.entry = bzimage.address + (mode == x86_64::CpuMode::long_64 ? entry_64 : 0);
    kernel.initrd_max = bzimage.zero_page.get<std::uint32_t>(zero_page::initrd_addr_max);
    kernel.cmdline_max = bzimage.zero_page.get<std::uint32_t>(zero_page::cmdline_size);
    return kernel;
}

}  // namespace vmm::boot

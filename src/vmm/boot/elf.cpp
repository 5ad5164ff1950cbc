// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "elf.hpp"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <kvm/try.hpp>
#include <string_view>

namespace vmm::boot {

namespace {

constexpr std::uint64_t notes_max = 0x10000;  // a segment of them; Linux has 0x200 bytes

// Xen's public/elfnote.h; and Linux' include/linux/build-salt.h, whose notes are named "Linux".
constexpr std::uint32_t xen_guest_os = 6;
constexpr std::uint32_t xen_phys32_entry = 18;

struct Bits32 {
    using Ehdr = Elf32_Ehdr;
    using Phdr = Elf32_Phdr;
    static constexpr int bits = 32;
};
struct Bits64 {
    using Ehdr = Elf64_Ehdr;
    using Phdr = Elf64_Phdr;
    static constexpr int bits = 64;
};

/// "vmlinux: ELF header: e_machine at 0x12: ..." on its way out.
std::unexpected<Error> bad(const Image& image, const char* field, std::size_t offset,
                           std::string cause) {
    return fail(fmt::format("{}: ELF header: {} at {:#x}: {}", image.path(), field, offset, cause),
                EINVAL);
}

std::string machine_name(unsigned machine) {
    switch (machine) {
        case EM_386:
            return "32-bit x86";
        case EM_ARM:
            return "32-bit Arm";
        case EM_AARCH64:
            return "arm64";
        case EM_RISCV:
            return "RISC-V";
        case EM_PPC64:
            return "64-bit PowerPC";
        case EM_S390:
            return "s390";
        case EM_MIPS:
            return "MIPS";
        default:
            return fmt::format("machine {}", machine);
    }
}

template <class Bits>
Result<typename Bits::Ehdr> read_header(const Image& image) {
    using Ehdr = typename Bits::Ehdr;
    Ehdr header;
    KVM_TRY(image.read(0, std::as_writable_bytes(std::span(&header, 1)), "the ELF header"));
    if (header.e_ident[EI_DATA] != ELFDATA2LSB) {
        return bad(image, "EI_DATA", EI_DATA,
                   header.e_ident[EI_DATA] == ELFDATA2MSB ? "big-endian, but this guest is x86_64"
                                                          : "no byte order");
    }
    // A kernel of 64 bits may come in a file of 32, for boot loaders that know no other.
    if (header.e_machine != EM_X86_64 && !(Bits::bits == 32 && header.e_machine == EM_386)) {
        return bad(image, "e_machine", offsetof(Ehdr, e_machine),
                   fmt::format("for {}, but this guest is x86_64", machine_name(header.e_machine)));
    }
    if (header.e_type != ET_EXEC && header.e_type != ET_DYN) {
        return bad(image, "e_type", offsetof(Ehdr, e_type),
                   fmt::format("{}: not an executable", header.e_type));
    }
    if (header.e_phentsize != sizeof(typename Bits::Phdr)) {
        return bad(image, "e_phentsize", offsetof(Ehdr, e_phentsize),
                   fmt::format("{}, not {}", header.e_phentsize, sizeof(typename Bits::Phdr)));
    }
    if (header.e_phnum == 0 || header.e_phnum == PN_XNUM) {
        return bad(image, "e_phnum", offsetof(Ehdr, e_phnum),
                   fmt::format("{} program headers", header.e_phnum));
    }
    return header;
}

Result<void> check_segment(const Target& target, const Image& image, const ElfSegment& segment) {
    if (segment.filesz > segment.memsz) {
        return fail(fmt::format("{}: p_filesz {:#x} is more than p_memsz {:#x}", segment.name,
                                segment.filesz, segment.memsz),
                    EINVAL);
    }
    if (segment.offset > image.size() || segment.filesz > image.size() - segment.offset) {
        return fail(fmt::format("{}: truncated: p_offset {:#x} and p_filesz {:#x} end beyond the "
                                "file's {:#x} bytes",
                                segment.name, segment.offset, segment.filesz, image.size()),
                    EINVAL);
    }
    if (segment.paddr > UINT64_MAX - segment.memsz) {
        return fail(fmt::format("{}: p_paddr {:#x} and p_memsz {:#x} overflow", segment.name,
                                segment.paddr, segment.memsz),
                    EINVAL);
    }
    return check_placement(target, segment.memory(),
                           fmt::format("{}: its place ({}: p_paddr and p_memsz)", segment.name,
                                       describe(segment.memory())));
}

/// What one note says of the kernel.
void take_note(Elf& elf, std::string_view name, std::uint32_t type, std::span<const char> content) {
    if (name == "Linux") {
        elf.is_linux = true;
    } else if (name == "Xen" && type == xen_guest_os) {
        elf.is_linux |= std::string_view(content.data(), content.size()).starts_with("linux");
    } else if (name == "Xen" && type == xen_phys32_entry &&
               (content.size() == 4 || content.size() == 8)) {
        std::uint64_t entry = 0;
        std::memcpy(&entry, content.data(), content.size());
        elf.pvh_entry = entry;
    }
}

/// The notes of `segment`, "vmlinux: segment 4 (program header at 0x120)".
Result<void> read_notes(const Image& image, Elf& elf, Range file, std::uint64_t alignment,
                        const std::string& segment) {
    if (file.end > image.size()) {
        return fail(fmt::format("{}: truncated: p_offset {:#x} and p_filesz {:#x} end beyond the "
                                "file's {:#x} bytes",
                                segment, file.begin, file.size(), image.size()),
                    EINVAL);
    }
    std::vector<char> notes(std::min(file.size(), notes_max));
    KVM_TRY(image.read(file.begin, std::as_writable_bytes(std::span(notes)), "the notes"));
    const auto padded = [&](std::uint64_t n) {
        const std::uint64_t unit = alignment == 8 ? 8 : 4;
        return (n + unit - 1) / unit * unit;
    };
    std::uint64_t at = 0;
    while (notes.size() - at >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr header;  // of 32 bits it is the same
        std::memcpy(&header, notes.data() + at, sizeof header);
        const std::uint64_t name = at + sizeof header;
        const std::uint64_t content = name + padded(header.n_namesz);
        const std::uint64_t end = content + header.n_descsz;
        if (end > notes.size()) {
            return fail(fmt::format("{}: the note at {:#x} (n_namesz {:#x}, n_descsz {:#x}) ends "
                                    "beyond its segment",
                                    segment, file.begin + at, header.n_namesz, header.n_descsz),
                        EINVAL);
        }
        std::string_view text(notes.data() + name, header.n_namesz);
        take_note(elf, text.substr(0, text.find('\0')), header.n_type,
                  std::span(notes).subspan(content, header.n_descsz));
        at = std::min<std::uint64_t>(padded(end), notes.size());
    }
    return {};
}

template <class Bits>
Result<Elf> read(const Target& target, const Image& image) {
    const auto header = KVM_TRY(read_header<Bits>(image));
    std::vector<typename Bits::Phdr> headers(header.e_phnum);
    const std::uint64_t headers_size = headers.size() * sizeof headers[0];
    if (header.e_phoff > image.size() || headers_size > image.size() - header.e_phoff) {
        return bad(image, "e_phoff", offsetof(typename Bits::Ehdr, e_phoff),
                   fmt::format("truncated: {} program headers from {:#x} end beyond the file's "
                               "{:#x} bytes",
                               header.e_phnum, header.e_phoff, image.size()));
    }
    KVM_TRY(image.read(header.e_phoff, std::as_writable_bytes(std::span(headers)),
                       "the program headers"));
    Elf elf{.bits = Bits::bits, .entry = header.e_entry, .memory = {UINT64_MAX, 0}};
    std::uint64_t bytes = 0;  // of the segments
    for (std::size_t i = 0; i < headers.size(); ++i) {
        const auto& h = headers[i];
        const auto name = fmt::format("{}: ELF segment {} (program header at {:#x})", image.path(),
                                      i, header.e_phoff + i * sizeof h);
        if (h.p_type == PT_INTERP) {
            return fail(name + ": p_type: PT_INTERP: a program for an operating system, no kernel",
                        EINVAL);
        }
        if (h.p_type == PT_LOAD && h.p_memsz != 0) {
            const ElfSegment segment{h.p_offset, h.p_vaddr, h.p_paddr, h.p_filesz, h.p_memsz, name};
            KVM_TRY(check_segment(target, image, segment));
            // Segments may lie over each other, but not so that to load them takes for ever.
            bytes += segment.memsz;
            if (bytes > target.memory.size()) {
                return fail(
                    fmt::format("{}: p_memsz {:#x}: with those before it the segments have "
                                "{:#x} bytes, more than the guest's RAM, {}",
                                name, segment.memsz, bytes, describe_size(target.memory.size())),
                    ENOMEM);
            }
            elf.memory.begin = std::min(elf.memory.begin, segment.memory().begin);
            elf.memory.end = std::max(elf.memory.end, segment.memory().end);
            elf.segments.push_back(segment);
        } else if (h.p_type == PT_NOTE && h.p_filesz <= UINT64_MAX - h.p_offset) {
            const Range file{h.p_offset, std::uint64_t(h.p_offset) + h.p_filesz};
            KVM_TRY(read_notes(image, elf, file, h.p_align, name));
        }
    }
    if (elf.segments.empty()) {
        return bad(
            image, "e_phnum", offsetof(typename Bits::Ehdr, e_phnum),
            fmt::format("{} program headers, none of a segment to load (PT_LOAD)", header.e_phnum));
    }
    return elf;
}

}  // namespace

Result<Elf> read_elf(const Target& target, const Image& image) {
    return image.kind() == ImageKind::elf32 ? read<Bits32>(target, image)
                                            : read<Bits64>(target, image);
}

Result<void> check_entry(const Image& image, const Elf& elf, std::uint64_t entry,
                         const std::string& field) {
    for (const ElfSegment& segment : elf.segments) {
        const Range place = segment.memory();
        if (entry >= place.begin && entry < place.end) {
            return {};
        }
    }
    return fail(
        fmt::format("{}: {}: {:#x} is in no segment (by p_paddr)", image.path(), field, entry),
        EINVAL);
}

Result<void> load_segments(const Target& target, const Image& image, const Elf& elf) {
    // Where segments lie over each other, the later one's zeroes count.
    const bool apart =
        std::ranges::adjacent_find(elf.segments, [](const auto& one, const auto& next) {
            return one.memory().end > next.memory().begin;
        }) == elf.segments.end();
    const RamContent ram = apart ? target.inputs.ram : RamContent::any;
    for (const ElfSegment& segment : elf.segments) {
        const kvm::Gpa address(segment.paddr);
        KVM_TRY(
            image.load(target.memory, address, segment.offset, segment.filesz, "a segment", ram));
        if (ram == RamContent::any) {
            KVM_TRY(target.memory.fill(address + segment.filesz, segment.memsz - segment.filesz,
                                       std::byte(0)));
        }
    }
    return {};
}

}  // namespace vmm::boot

// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <kvm/try.hpp>
#include <vector>

#include "linux.hpp"

namespace vmm::boot {

namespace {

constexpr std::uint64_t linux_initrd_max = 0x7fffffff;  // what its own bzImage would say
constexpr std::uint64_t linux_cmdline_max = 2047;       // COMMAND_LINE_SIZE - 1
constexpr std::uint32_t linux_alignment = 0x1000000;

/// "vmlinux: ELF header, e_machine at 0x12: ..." on its way out.
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

Result<Elf64_Ehdr> read_header(const Image& image) {
    Elf64_Ehdr header;
    KVM_TRY(image.read(0, std::as_writable_bytes(std::span(&header, 1)), "the ELF header"));
    if (header.e_ident[EI_DATA] != ELFDATA2LSB) {
        return bad(image, "EI_DATA", EI_DATA,
                   header.e_ident[EI_DATA] == ELFDATA2MSB ? "big-endian, but this guest is x86_64"
                                                          : "no byte order");
    }
    if (header.e_machine != EM_X86_64) {
        return bad(image, "e_machine", offsetof(Elf64_Ehdr, e_machine),
                   fmt::format("for {}, but this guest is x86_64", machine_name(header.e_machine)));
    }
    if (header.e_type != ET_EXEC && header.e_type != ET_DYN) {
        return bad(image, "e_type", offsetof(Elf64_Ehdr, e_type),
                   fmt::format("{}: not an executable", header.e_type));
    }
    if (header.e_phentsize != sizeof(Elf64_Phdr)) {
        return bad(image, "e_phentsize", offsetof(Elf64_Ehdr, e_phentsize),
                   fmt::format("{}, not {}", header.e_phentsize, sizeof(Elf64_Phdr)));
    }
    if (header.e_phnum == 0 || header.e_phnum == PN_XNUM) {
        return bad(image, "e_phnum", offsetof(Elf64_Ehdr, e_phnum),
                   fmt::format("{} program headers", header.e_phnum));
    }
    return header;
}

/// One segment's program header, and where messages find it.
struct Segment {
    Elf64_Phdr header;
    std::string name;  // "vmlinux: segment 2 (program header at 0xb0)"

    Range memory() const { return {header.p_paddr, header.p_paddr + header.p_memsz}; }
};

Result<void> check(const GuestMemory& memory, const Image& image, const Segment& segment) {
    const Elf64_Phdr& header = segment.header;
    if (header.p_filesz > header.p_memsz) {
        return fail(fmt::format("{}: p_filesz {:#x} is more than p_memsz {:#x}", segment.name,
                                header.p_filesz, header.p_memsz),
                    EINVAL);
    }
    if (header.p_offset > image.size() || header.p_filesz > image.size() - header.p_offset) {
        return fail(fmt::format("{}: truncated: p_offset {:#x} and p_filesz {:#x} end beyond the "
                                "file's {:#x} bytes",
                                segment.name, header.p_offset, header.p_filesz, image.size()),
                    EINVAL);
    }
    if (header.p_paddr > UINT64_MAX - header.p_memsz) {
        return fail(fmt::format("{}: p_paddr {:#x} and p_memsz {:#x} overflow", segment.name,
                                header.p_paddr, header.p_memsz),
                    EINVAL);
    }
    return check_placement(memory, segment.memory(),
                           fmt::format("{}: its place ({}: p_paddr and p_memsz)", segment.name,
                                       describe(segment.memory())));
}

/// The segments that are to be loaded, all of them checked.
Result<std::vector<Segment>> read_segments(const GuestMemory& memory, const Image& image,
                                           const Elf64_Ehdr& elf) {
    std::vector<Elf64_Phdr> headers(elf.e_phnum);
    KVM_TRY(image.read(elf.e_phoff, std::as_writable_bytes(std::span(headers)),
                       "the program headers (e_phoff, e_phnum)"));
    std::vector<Segment> segments;
    for (std::size_t i = 0; i < headers.size(); ++i) {
        if (headers[i].p_type == PT_INTERP) {
            return fail(image.path() + ": a program for an operating system (PT_INTERP), no kernel",
                        EINVAL);
        }
        if (headers[i].p_type != PT_LOAD || headers[i].p_memsz == 0) {
            continue;
        }
        segments.push_back(
            {headers[i], fmt::format("{}: segment {} (program header at {:#x})", image.path(), i,
                                     elf.e_phoff + i * sizeof(Elf64_Phdr))});
        KVM_TRY(check(memory, image, segments.back()));
    }
    if (segments.empty()) {
        return fail(image.path() + ": has no segment to load (PT_LOAD)", EINVAL);
    }
    return segments;
}

/// A vmlinux has no setup header; this says what one would.
void put_setup_header(ZeroPage& page) {
    page.put(zero_page::boot_flag, boot_flag_value);
    page.put(zero_page::header, header_value);
    page.put(zero_page::version, std::uint16_t(0x020c));
    page.put(zero_page::loadflags, loaded_high);
    page.put(zero_page::initrd_addr_max, static_cast<std::uint32_t>(linux_initrd_max));
    page.put(zero_page::kernel_alignment, linux_alignment);
    page.put(zero_page::xloadflags, xlf_kernel_64);
    page.put(zero_page::cmdline_size, static_cast<std::uint32_t>(linux_cmdline_max));
}

}  // namespace

Result<LoadedKernel> load_elf64(const GuestMemory& memory, const Image& image) {
    const Elf64_Ehdr elf = KVM_TRY(read_header(image));
    const auto segments = KVM_TRY(read_segments(memory, image, elf));
    LoadedKernel kernel;
    kernel.memory = {UINT64_MAX, 0};
    bool entry_found = false;
    for (const Segment& segment : segments) {
        const Range place = segment.memory();
        kernel.memory.begin = std::min(kernel.memory.begin, place.begin);
        kernel.memory.end = std::max(kernel.memory.end, place.end);
        entry_found |= elf.e_entry >= place.begin && elf.e_entry < place.end;
    }
    if (!entry_found) {
        return bad(image, "e_entry", offsetof(Elf64_Ehdr, e_entry),
                   fmt::format("{:#x} is in no segment (by p_paddr)", elf.e_entry));
    }
    for (const Segment& segment : segments) {
        const Elf64_Phdr& header = segment.header;
        const kvm::Gpa address(header.p_paddr);
        KVM_TRY(image.load(memory, address, header.p_offset, header.p_filesz, "a segment"));
        KVM_TRY(
            memory.fill(address + header.p_filesz, header.p_memsz - header.p_filesz, std::byte(0)));
    }
    kernel.entry = elf.e_entry;
    kernel.initrd_max = linux_initrd_max;
    kernel.cmdline_max = linux_cmdline_max;
    put_setup_header(kernel.zero_page);
    return kernel;
}

}  // namespace vmm::boot

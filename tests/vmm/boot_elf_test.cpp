// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <fmt/format.h>
#include <vmm/boot_files.hpp>

namespace vmm::test {
namespace {

using Elf = BootTest;

const std::string segment = "ELF segment 0 (program header at 0x40): ";

TEST_F(Elf, IsLoadedByPhysicalAddressesWithItsBssCleared) {
    must(memory.fill(kvm::Gpa(elf64_address), elf64_memsz + 1, std::byte(0x55)));
    const auto state = must(load_kernel(elf64()));
    EXPECT_EQ(state.mode, x86_64::CpuMode::long_64);
    EXPECT_EQ(state.rip, elf64_address);
    EXPECT_EQ(state.rsi, x86_64::layout::zero_page.value());
    EXPECT_EQ(read<std::uint8_t>(elf64_address + elf64_filesz - 1), 0xcc);
    EXPECT_EQ(read<std::uint8_t>(elf64_address + elf64_filesz), 0);
    EXPECT_EQ(read<std::uint8_t>(elf64_address + elf64_memsz - 1), 0);
    EXPECT_EQ(read<std::uint8_t>(elf64_address + elf64_memsz), 0x55);
}

TEST_F(Elf, LeavesItsBssAloneInMemoryThatHoldsZeroes) {
    must(memory.fill(kvm::Gpa(elf64_address), elf64_memsz, std::byte(0x55)));  // so that it shows
    must(load_kernel(elf64(), {}, {.ram = RamContent::zeroes}));
    EXPECT_EQ(read<std::uint8_t>(elf64_address + elf64_filesz - 1), 0xcc);
    EXPECT_EQ(read<std::uint8_t>(elf64_address + elf64_filesz), 0x55);
}

TEST_F(Elf, HasTheLastOfSegmentsThatLieOverEachOtherEvenIfItIsZeroes) {
    // The second is nothing but BSS, over the second half of the 256 bytes.
    Bytes image = elf64();
    image.put(KVMXX_EHDR(e_phnum), std::uint16_t(2));
    const std::size_t second = elf64_headers + sizeof(Elf64_Phdr);
    Elf64_Phdr header{};
    header.p_type = PT_LOAD;
    header.p_paddr = elf64_address + elf64_filesz / 2;
    header.p_memsz = elf64_filesz;
    image.put(second, header);
    must(load_kernel(image, {}, {.ram = RamContent::zeroes}));
    EXPECT_EQ(read<std::uint8_t>(elf64_address), 0xcc);
    EXPECT_EQ(read<std::uint8_t>(elf64_address + elf64_filesz / 2 - 1), 0xcc);
    EXPECT_EQ(read<std::uint8_t>(elf64_address + elf64_filesz / 2), 0);
    EXPECT_EQ(read<std::uint8_t>(elf64_address + elf64_filesz - 1), 0);
}

TEST_F(Elf, IsRefusedWhereverItIsTruncated) {
    const Bytes whole = elf64();
    for (const std::size_t size : {std::size_t(5), sizeof(Elf64_Ehdr) - 1}) {
        EXPECT_EQ(refusal(Bytes(whole).resize(size)),
                  "truncated: the ELF header: 64 bytes from 0x0, but the file has " +
                      std::to_string(size));
    }
    for (const std::size_t size : {sizeof(Elf64_Ehdr), elf64_headers + sizeof(Elf64_Phdr) - 1}) {
        EXPECT_EQ(refusal(Bytes(whole).resize(size)),
                  fmt::format("ELF header: e_phoff at 0x20: truncated: 1 program headers from 0x40 "
                              "end beyond the file's {:#x} bytes",
                              size));
    }
    for (const std::size_t size :
         {elf64_headers + sizeof(Elf64_Phdr), elf64_code, elf64_code + elf64_filesz - 1}) {
        EXPECT_EQ(refusal(Bytes(whole).resize(size)).substr(0, segment.size() + 10),
                  segment + "truncated:");
    }
}

TEST_F(Elf, IsRefusedForOtherMachinesByName) {
    const auto machine = [](std::uint16_t m) { return elf64().put(KVMXX_EHDR(e_machine), m); };
    EXPECT_EQ(refusal(machine(EM_AARCH64)),
              "ELF header: e_machine at 0x12: for arm64, but this guest is x86_64");
    EXPECT_EQ(refusal(machine(EM_RISCV)),
              "ELF header: e_machine at 0x12: for RISC-V, but this guest is x86_64");
    EXPECT_EQ(refusal(machine(0x1234)),
              "ELF header: e_machine at 0x12: for machine 4660, but this guest is x86_64");
    EXPECT_EQ(refusal(elf64().put(EI_DATA, std::uint8_t(ELFDATA2MSB))),
              "ELF header: EI_DATA at 0x5: big-endian, but this guest is x86_64");
    EXPECT_EQ(refusal(elf64().put(EI_DATA, std::uint8_t(0))),
              "ELF header: EI_DATA at 0x5: no byte order");
}

TEST_F(Elf, IsRefusedUnlessItIsAKernel) {
    EXPECT_EQ(refusal(elf64().put(KVMXX_EHDR(e_type), std::uint16_t(ET_REL))),
              "ELF header: e_type at 0x10: 1: not an executable");
    EXPECT_EQ(refusal(elf64().put(KVMXX_PHDR(p_type), std::uint32_t(PT_INTERP))),
              segment + "p_type: PT_INTERP: a program for an operating system, no kernel");
    EXPECT_EQ(
        refusal(elf64().put(KVMXX_PHDR(p_type), std::uint32_t(PT_PHDR))),
        "ELF header: e_phnum at 0x38: 1 program headers, none of a segment to load (PT_LOAD)");
    EXPECT_NE(message(load(memory, {.kernel = "/proc/self/exe"})), "succeeded");
}

TEST_F(Elf, IsRefusedWithProgramHeadersThatAreNone) {
    EXPECT_EQ(refusal(elf64().put(KVMXX_EHDR(e_phnum), std::uint16_t(0))),
              "ELF header: e_phnum at 0x38: 0 program headers");
    EXPECT_EQ(refusal(elf64().put(KVMXX_EHDR(e_phnum), std::uint16_t(0xffff))),
              "ELF header: e_phnum at 0x38: 65535 program headers");
    EXPECT_EQ(refusal(elf64().put(KVMXX_EHDR(e_phentsize), std::uint16_t(57))),
              "ELF header: e_phentsize at 0x36: 57, not 56");
    for (const std::uint64_t offset :
         {std::uint64_t(0x200), ~std::uint64_t(0), ~std::uint64_t(0) - 55}) {
        EXPECT_EQ(refusal(elf64().put(KVMXX_EHDR(e_phoff), offset)).substr(0, 39),
                  "ELF header: e_phoff at 0x20: truncated:");
    }
}

TEST_F(Elf, IsRefusedWhenASegmentIsNotInTheFile) {
    EXPECT_EQ(refusal(elf64().put(KVMXX_PHDR(p_offset), ~std::uint64_t(0))),
              segment +
                  "truncated: p_offset 0xffffffffffffffff and p_filesz 0x100 end beyond the "
                  "file's 0x200 bytes");
    EXPECT_EQ(refusal(elf64().put(KVMXX_PHDR(p_offset), ~std::uint64_t(0) - 0xfe)),
              segment +
                  "truncated: p_offset 0xffffffffffffff01 and p_filesz 0x100 end beyond the "
                  "file's 0x200 bytes");
    EXPECT_EQ(refusal(elf64().put(KVMXX_PHDR(p_filesz), std::uint64_t(0x101))),
              segment +
                  "truncated: p_offset 0x100 and p_filesz 0x101 end beyond the file's 0x200 "
                  "bytes");
    EXPECT_EQ(refusal(elf64().put(KVMXX_PHDR(p_filesz), std::uint64_t(0x1001))),
              segment + "p_filesz 0x1001 is more than p_memsz 0x1000");
}

TEST_F(Elf, IsRefusedWhenASegmentIsNotInRam) {
    EXPECT_EQ(refusal(elf64().put(KVMXX_PHDR(p_paddr), ram - 0xfff)),
              segment +
                  "its place (0x3fff001..0x4000000: p_paddr and p_memsz) is not all RAM below "
                  "4 GiB (the guest has 64 MiB)");
    EXPECT_EQ(refusal(elf64().put(KVMXX_PHDR(p_paddr), ~std::uint64_t(0))),
              segment + "p_paddr 0xffffffffffffffff and p_memsz 0x1000 overflow");
    EXPECT_EQ(refusal(elf64().put(KVMXX_PHDR(p_memsz), ~std::uint64_t(0))),
              segment + "p_paddr 0x1000000 and p_memsz 0xffffffffffffffff overflow");
    EXPECT_EQ(refusal(elf64().put(KVMXX_PHDR(p_paddr), std::uint64_t(0x7000))),
              segment +
                  "its place (0x7000..0x7fff: p_paddr and p_memsz) starts below 1 MiB, where "
                  "the loader's own structures are");
}

TEST_F(Elf, IsRefusedWhenItsSegmentsAreMoreThanRamTogether) {
    // Each is all RAM that there is for it, over the others: to clear it so often takes for ever.
    constexpr std::uint16_t count = 65'000;
    Bytes image = elf64().resize(elf64_headers + count * sizeof(Elf64_Phdr));
    image.put(KVMXX_EHDR(e_phnum), count);
    Elf64_Phdr header{};
    header.p_type = PT_LOAD;
    header.p_paddr = 0x100000;
    header.p_memsz = ram - 0x100000;
    for (std::size_t i = 0; i < count; ++i) {
        image.put(elf64_headers + i * sizeof header, header);
    }
    image.put(KVMXX_EHDR(e_entry), std::uint64_t(0x100000));
    EXPECT_EQ(refusal(image),
              "ELF segment 1 (program header at 0x78): p_memsz 0x3f00000: with those before it the "
              "segments have 0x7e00000 bytes, more than the guest's RAM, 64 MiB");
    EXPECT_EQ(code(load_kernel(image)), ENOMEM);
}

TEST_F(Elf, IsRefusedWhenItsEntryIsInNoSegment) {
    EXPECT_EQ(refusal(elf64().put(KVMXX_EHDR(e_entry), elf64_address + elf64_memsz)),
              "ELF header: e_entry at 0x18: 0x1001000 is in no segment (by p_paddr)");
    EXPECT_EQ(refusal(elf64().put(KVMXX_EHDR(e_entry), std::uint64_t(0xffffffff81000000))),
              "ELF header: e_entry at 0x18: 0xffffffff81000000 is in no segment (by p_paddr)");
}

TEST_F(Elf, IsRefusedWhenANoteIsNotInItsSegment) {
    Bytes image = with_note(elf64(), "Xen", pvh_note, word(0x1000000));
    EXPECT_EQ(refusal(image.put(0x204, std::uint32_t(0xffffffff))),
              "ELF segment 1 (program header at 0x78): the note at 0x200 (n_namesz 0x4, n_descsz "
              "0xffffffff) ends beyond its segment");
    EXPECT_EQ(
        refusal(elf64()
                    .put(KVMXX_PHDR(p_type), std::uint32_t(PT_NOTE))
                    .put(KVMXX_PHDR(p_offset), std::uint64_t(0x1000))),
        segment +
            "truncated: p_offset 0x1000 and p_filesz 0x100 end beyond the file's 0x200 bytes");
}

TEST_F(Elf, IsStartedByWhatItsNotesAndHeadersSay) {
    const Bytes pvh = with_note(elf64(), "Xen", pvh_note, word(0x1000010));
    const auto mode = [&](const Bytes& image, BootProtocol protocol = BootProtocol::automatic) {
        return must(load_kernel(image, {.protocol = protocol})).mode;
    };
    using enum x86_64::CpuMode;
    EXPECT_EQ(mode(elf64()), long_64) << "what else?";
    EXPECT_EQ(mode(pvh), protected_32);
    EXPECT_EQ(mode(with_note(pvh, "Linux", 0x100, "")), long_64);
    EXPECT_EQ(mode(with_note(pvh, "Xen", 6, "linux")), long_64);
    EXPECT_EQ(mode(with_note(pvh, "Xen", 6, "NetBSD")), protected_32);
    EXPECT_EQ(mode(with_note(pvh, "Linux", 0x100, ""), BootProtocol::pvh), protected_32);
    const auto linux32 = must(load_kernel(with_note(elf32(), "Linux", 0x100, "")));
    EXPECT_EQ(linux32.mode, protected_32);
    EXPECT_EQ(linux32.rip, elf32_address);
    EXPECT_EQ(linux32.rsi, x86_64::layout::zero_page.value());
}

TEST_F(Elf, IsNotStartedByWhatItHasNot) {
    const std::string cannot = ": cannot be started by protocol ";
    EXPECT_EQ(refusal(elf64(), {.protocol = BootProtocol::pvh}),
              "an ELF64 file" + cannot + "pvh: no note XEN_ELFNOTE_PHYS32_ENTRY");
    EXPECT_EQ(refusal(elf64(), {.protocol = BootProtocol::multiboot}),
              "an ELF64 file" + cannot + "multiboot: no Multiboot header in its first 8 KiB");
    EXPECT_EQ(refusal(elf32()),
              "an ELF32 file" + cannot + "multiboot: no Multiboot header in its first 8 KiB");
    EXPECT_EQ(refusal(elf32(), {.protocol = BootProtocol::linux64}),
              "an ELF32 file" + cannot + "linux64: of the other word size");
}

TEST_F(Elf, TouchesNoRamWhenAnySegmentIsBad) {
    Elf64_Phdr second{};
    second.p_type = PT_LOAD;
    second.p_paddr = 0x100;
    second.p_memsz = 1;
    Bytes image = elf64().put(elf64_headers + sizeof second, second);
    image.put(KVMXX_EHDR(e_phnum), std::uint16_t(2));
    EXPECT_EQ(refusal(image).substr(0, 13), "ELF segment 1");
    EXPECT_EQ(read<std::uint8_t>(elf64_address), 0);
}

}  // namespace
}  // namespace vmm::test

// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <vmm/boot_files.hpp>

/// By the offsets of the Multiboot Specification 0.6.96.
namespace vmm::test {
namespace {

namespace layout = x86_64::layout;

constexpr std::uint32_t magic = 0x1badb002;

/// `image` with a Multiboot header at `offset`.
Bytes with_header(Bytes image, std::size_t offset, std::uint32_t flags) {
    return image.put(offset, magic).put(offset + 4, flags).put(offset + 8, 0 - magic - flags);
}

/// No ELF: a header with addresses at 0x20 of 0x200 bytes, which are loaded from 0x10 on.
Bytes flat(std::uint32_t load_end = 0, std::uint32_t bss_end = 0) {
    Bytes image = with_header(Bytes(0x200, '\xcc'), 0x20, 0x10003);
    image.put(0x2c, std::uint32_t(0x100010)).put(0x30, std::uint32_t(0x100000));
    return image.put(0x34, load_end).put(0x38, bss_end).put(0x3c, std::uint32_t(0x100040));
}

class Multiboot : public BootTest {
protected:
    static Bytes kernel() { return with_header(elf32(), 0x100, 3); }
    void boot(const Bytes& image, const BootConfig& config = {}) {
        state = must(load_kernel(image, config));
    }
    /// A field of the Multiboot information.
    std::uint32_t info(std::uint64_t offset) { return read<std::uint32_t>(state.rbx + offset); }
    x86_64::BootState state;
};

TEST_F(Multiboot, KernelStartsIn32BitsWithTheMagicInEaxAndTheInformationInEbx) {
    boot(kernel());
    EXPECT_EQ(state.mode, x86_64::CpuMode::protected_32);
    EXPECT_EQ(state.rip, elf32_address);
    EXPECT_EQ(state.rax, 0x2badb002u);
    EXPECT_LT(state.rbx, layout::low_ram_end.value());
    EXPECT_EQ(info(0), 1u | 1u << 2 | 1u << 3 | 1u << 6 | 1u << 9) << "flags";
    EXPECT_EQ(read<std::uint32_t>(elf32_address), magic);
    EXPECT_EQ(read<std::uint8_t>(elf32_address + elf64_memsz - 1), 0);
}

TEST_F(Multiboot, KernelFindsTheMemoryAndItsMap) {
    boot(kernel());
    EXPECT_EQ(info(4), 639u) << "mem_lower, in KiB";
    EXPECT_EQ(info(8), (ram >> 10) - 1024) << "mem_upper, in KiB";
    ASSERT_EQ(info(44), 3u * 24) << "mmap_length";
    const std::uint64_t map = info(48);
    const std::uint64_t want[3][3] = {
        {0, 0x9fc00, 1}, {0x9fc00, 0x60400, 2}, {0x100000, ram - 0x100000, 1}};
    for (std::uint64_t i = 0; i < 3; ++i) {
        EXPECT_EQ(read<std::uint32_t>(map + 24 * i), 20u) << "size";
        EXPECT_EQ(read<std::uint64_t>(map + 24 * i + 4), want[i][0]);
        EXPECT_EQ(read<std::uint64_t>(map + 24 * i + 12), want[i][1]);
        EXPECT_EQ(read<std::uint32_t>(map + 24 * i + 20), want[i][2]);
    }
}

TEST_F(Multiboot, KernelFindsItsFileNameAsTheFirstWordOfItsCommandLine) {
    boot(kernel(), {.cmdline = "a b"});
    EXPECT_EQ(text(info(16)), directory.path() + "/kernel a b");
    boot(kernel());
    EXPECT_EQ(text(info(16)), directory.path() + "/kernel") << "and nothing that is Linux's";
    EXPECT_EQ(text(info(64)), "kvmxx") << "boot_loader_name";
}

TEST_F(Multiboot, KernelFindsTheInitrdAndTheModulesInPagesBehindItself) {
    boot(kernel());
    EXPECT_EQ(info(20), 0u) << "mods_count";
    const std::string initrd = directory.file("initrd", Bytes(5000, 'i'));
    const std::string module = directory.file("m", Bytes(10, 'm'));
    boot(kernel(), {.initrd = initrd, .modules = {{module, module + " x"}}});
    ASSERT_EQ(info(20), 2u);
    const std::uint64_t list = info(24);
    EXPECT_EQ(read<std::uint32_t>(list), elf32_address + elf64_memsz);
    EXPECT_EQ(read<std::uint32_t>(list + 4), elf32_address + elf64_memsz + 5000);
    EXPECT_EQ(text(read<std::uint32_t>(list + 8)), initrd);
    EXPECT_EQ(read<std::uint32_t>(list + 16), elf32_address + elf64_memsz + 0x2000);
    EXPECT_EQ(text(read<std::uint32_t>(list + 24)), module + " x");
    EXPECT_EQ(read<char>(elf32_address + elf64_memsz + 0x2009), 'm');
}

TEST_F(Multiboot, HeaderIsFoundInTheFirst8KiBWithARightChecksum) {
    Bytes image = elf32().resize(0x3000);
    EXPECT_TRUE(load_kernel(with_header(image, 8192 - 12, 0)));
    EXPECT_FALSE(load_kernel(with_header(image, 8192 - 8, 0)));
    EXPECT_FALSE(load_kernel(with_header(image, 0x102, 0))) << "not in words";
    EXPECT_FALSE(load_kernel(with_header(image, 0x100, 0).put(0x108, std::uint32_t(1))));
    // What merely looks like one may come first.
    EXPECT_TRUE(load_kernel(with_header(with_header(image, 0x100, 0).put(0x108, 1), 0x140, 0)));
}

TEST_F(Multiboot, HeaderThatAsksForMoreThanThereIsIsRefused) {
    EXPECT_EQ(refusal(with_header(elf32(), 0x100, 7)),
              "Multiboot header: flags at 0x104: 0x7: it wants a video mode, but there is no "
              "screen");
    EXPECT_EQ(refusal(with_header(elf32(), 0x100, 0x13)),
              "Multiboot header: flags at 0x104: 0x13: it needs something that Multiboot 1 does "
              "not know");
    EXPECT_TRUE(load_kernel(with_header(elf32(), 0x100, 0xffee0003))) << "may be passed over";
}

TEST_F(Multiboot, KernelMayBeOf64BitsInAFileOfEither) {
    Bytes image = kernel();
    EXPECT_TRUE(load_kernel(image.put(offsetof(Elf32_Ehdr, e_machine), std::uint16_t(EM_X86_64))));
    boot(with_header(elf64(), 0x100, 0));
    EXPECT_EQ(state.mode, x86_64::CpuMode::protected_32);
}

TEST_F(Multiboot, EntryMayBeAVirtualAddress) {
    Bytes image = kernel();
    image.put(sizeof(Elf32_Ehdr) + offsetof(Elf32_Phdr, p_vaddr), std::uint32_t(0xc0000000));
    boot(image.put(offsetof(Elf32_Ehdr, e_entry), std::uint32_t(0xc0000010)));
    EXPECT_EQ(state.rip, elf32_address + 0x10);
    EXPECT_EQ(refusal(image.put(offsetof(Elf32_Ehdr, e_entry), std::uint32_t(0xc0001000))),
              "ELF header: e_entry at 0x18: 0xc0001000 is in no segment (by p_paddr)");
}

TEST_F(Multiboot, HeaderMaySayWhereThingsGo) {
    must(memory.fill(kvm::Gpa(0x100000), 0x1000, std::byte(0x55)));
    boot(flat(0x100100, 0x100200));
    EXPECT_EQ(state.rip, 0x100040u);
    EXPECT_EQ(read<std::uint32_t>(0x100010), magic) << "header_addr";
    EXPECT_EQ(read<std::uint8_t>(0x1000ff), 0xcc);
    EXPECT_EQ(read<std::uint8_t>(0x100100), 0) << "load_end_addr";
    EXPECT_EQ(read<std::uint8_t>(0x1001ff), 0);
    EXPECT_EQ(read<std::uint8_t>(0x100200), 0x55) << "bss_end_addr";
    boot(flat());
    EXPECT_EQ(read<std::uint8_t>(0x1001ef), 0xcc) << "the whole file";
    // Also of an ELF file, whose own headers then do not count.
    Bytes elf = with_header(elf32(), 0x100, 0x10003).put(0x10c, std::uint32_t(0x200100));
    elf.put(0x110, std::uint32_t(0x200100)).put(0x114, std::uint64_t(0));
    boot(elf.put(0x11c, std::uint32_t(0x200140)));
    EXPECT_EQ(state.rip, 0x200140u);
    EXPECT_EQ(read<std::uint32_t>(0x200100), magic);
}

TEST_F(Multiboot, HeaderWhoseAddressesDoNotFitIsRefused) {
    const std::string header = "Multiboot header: ";
    EXPECT_EQ(refusal(flat().put(0x30, std::uint32_t(0x100011))),
              header +
                  "load_addr at 0x30: 0x100011 is not within the file, whose byte 0x20 is "
                  "header_addr 0x100010");
    EXPECT_EQ(refusal(flat().put(0x30, std::uint32_t(0xfffef))),
              header +
                  "load_addr at 0x30: 0xfffef is not within the file, whose byte 0x20 is "
                  "header_addr 0x100010");
    EXPECT_EQ(refusal(flat(0x1001f1)),
              header +
                  "load_end_addr at 0x34: 0x1001f1 is not from load_addr 0x100000 to the "
                  "file's end");
    EXPECT_EQ(refusal(flat(0xfffff)),
              header +
                  "load_end_addr at 0x34: 0xfffff is not from load_addr 0x100000 to the "
                  "file's end");
    EXPECT_EQ(refusal(flat(0, 0x1001ef)),
              header + "bss_end_addr at 0x38: 0x1001ef is below what is loaded, up to 0x1001f0");
    EXPECT_EQ(refusal(flat().put(0x3c, std::uint32_t(0x1001f0))),
              header + "entry_addr at 0x3c: 0x1001f0 is not within 0x100000..0x1001ef");
    EXPECT_EQ(refusal(flat(0, 0x4000001)),
              "its place (0x100000..0x4000000: the Multiboot header's addresses) is not all RAM "
              "below 4 GiB (the guest has 64 MiB)");
    EXPECT_EQ(refusal(flat().resize(0x3c)),
              "truncated: the Multiboot header: 32 bytes from 0x20, but the file has 60");
}

TEST_F(Multiboot, FileThatIsNothingElseIsStartedByNothingElse) {
    EXPECT_EQ(refusal(flat(), {.protocol = BootProtocol::pvh}),
              "of no known kind: cannot be started by protocol pvh: it has but a Multiboot header");
    EXPECT_TRUE(load_kernel(flat(), {.protocol = BootProtocol::multiboot}));
}

TEST_F(Multiboot, ModuleThatDoesNotFitIsNamed) {
    const std::string path = directory.file("m", Bytes(64 << 20));
    EXPECT_EQ(refusal(kernel(), {.modules = {{path, ""}}}),
              "module: " + path +
                  ": 64 MiB do not fit into the guest's 64 MiB of RAM, beside the kernel "
                  "(0x100000..0x100fff) and below 0xffffffff");
}

}  // namespace
}  // namespace vmm::test

// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <vmm/boot_files.hpp>

/// What Linux finds at its start, by the offsets of the kernel's Documentation/arch/x86/boot.rst
/// and zero-page.rst.
namespace vmm::test {
namespace {

using Linux = BootTest;
namespace layout = x86_64::layout;

TEST_F(Linux, FindsItsSetupHeaderInAnOtherwiseEmptyZeroPage) {
    must(memory.fill(layout::zero_page, 4096, std::byte(0x55)));
    Bytes image = bzimage().put(0x20e, std::uint16_t(0x1234)).put(0x250, std::uint64_t(0x6666));
    image.put(0x218, std::uint64_t(0x7777777777777777)).put(0x210, std::uint8_t(0x12));
    image.put(0x268, std::uint32_t(0x11223344)).put(0x1f0, std::uint8_t(0x33));
    must(load_kernel(image));
    EXPECT_EQ(zero_page<std::uint8_t>(0x1f1), 4) << "setup_sects";
    EXPECT_EQ(zero_page<std::uint16_t>(0x1fe), 0xaa55) << "boot_flag";
    EXPECT_EQ(zero_page<std::uint32_t>(0x202), 0x53726448u) << "header";
    EXPECT_EQ(zero_page<std::uint16_t>(0x206), 0x20f) << "version";
    EXPECT_EQ(zero_page<std::uint16_t>(0x20e), 0x1234) << "kernel_version";
    EXPECT_EQ(zero_page<std::uint32_t>(0x260), bzimage_init_size) << "init_size";
    EXPECT_EQ(zero_page<std::uint32_t>(0x268), 0x11223344u) << "the header's last field";
    EXPECT_EQ(zero_page<std::uint8_t>(0x210), 0xff) << "type_of_loader";
    EXPECT_EQ(zero_page<std::uint64_t>(0x218), 0u) << "ramdisk_image and ramdisk_size";
    EXPECT_NE(zero_page<std::uint64_t>(0x250), 0x6666u) << "setup_data is not the file's to choose";
    EXPECT_EQ(zero_page<std::uint8_t>(0x1ef), 0) << "sentinel: the rest of the page is valid";
    EXPECT_EQ(zero_page<std::uint8_t>(0x1f0), 0) << "before the header";
    for (std::size_t at = 0x26c; at < 0x2d0; ++at) {
        EXPECT_EQ(zero_page<std::uint8_t>(at), 0) << at;
    }
    EXPECT_EQ(zero_page<std::uint8_t>(4095), 0);
}

TEST_F(Linux, FindsASetupHeaderWhereAVmlinuxHasNone) {
    must(load_kernel(elf64()));
    EXPECT_EQ(zero_page<std::uint16_t>(0x1fe), 0xaa55);
    EXPECT_EQ(zero_page<std::uint32_t>(0x202), 0x53726448u);
    EXPECT_EQ(zero_page<std::uint8_t>(0x210), 0xff);
    EXPECT_EQ(zero_page<std::uint8_t>(0x211), 1) << "loadflags: LOADED_HIGH";
    EXPECT_EQ(zero_page<std::uint32_t>(0x230), 0x1000000u) << "kernel_alignment";
    EXPECT_EQ(zero_page<std::uint16_t>(0x236), 1) << "xloadflags";
}

TEST_F(Linux, FindsItsCommandLine) {
    const std::string line = "console=ttyS0 reboot=k";
    must(load_kernel(bzimage(), {.cmdline = line}));
    const std::uint64_t address =
        zero_page<std::uint32_t>(0x228) | std::uint64_t(zero_page<std::uint32_t>(0x0c8)) << 32;
    EXPECT_EQ(address, layout::command_line.value());
    std::string found(line.size() + 1, 'x');
    must(memory.read(kvm::Gpa(address), std::as_writable_bytes(std::span(found))));
    EXPECT_EQ(found, line + '\0');
}

TEST_F(Linux, FindsACommandLineThatIsEmpty) {
    must(memory.fill(layout::command_line, 16, std::byte('x')));
    must(load_kernel(bzimage(), {.cmdline = ""}));
    EXPECT_EQ(read<std::uint8_t>(zero_page<std::uint32_t>(0x228)), 0);
}

TEST_F(Linux, FindsTheSerialConsoleOnTheCommandLineThatNobodyGave) {
    must(load_kernel(bzimage()));
    std::array<std::byte, sizeof default_cmdline> line;
    must(memory.read(kvm::Gpa(zero_page<std::uint32_t>(0x228)), line));
    EXPECT_STREQ(reinterpret_cast<const char*>(line.data()), default_cmdline);
}

TEST_F(Linux, TakesNoCommandLineLongerThanItSays) {
    const auto with_line = [](std::size_t length) {
        return BootConfig{.cmdline = std::string(length, 'x')};
    };
    const std::string path = directory.path() + "/kernel";
    EXPECT_TRUE(load_kernel(bzimage(), with_line(2047)));
    EXPECT_EQ(refusal(bzimage(), with_line(2048)),
              "cmdline: 2048 bytes, but " + path + " takes 2047 at most");
    EXPECT_EQ(refusal(elf64(), with_line(2048)),
              "cmdline: 2048 bytes, but " + path + " takes 2047 at most");
    const Bytes boastful = bzimage().put(0x238, std::uint32_t(0xffffffff));
    EXPECT_TRUE(load_kernel(boastful, with_line(0xffff)));
    EXPECT_EQ(refusal(boastful, with_line(0x10000)),
              "cmdline: 65536 bytes, but " + path + " takes 65535 at most");
    EXPECT_EQ(refusal(bzimage(), {.cmdline = std::string("a\0b", 3)}), "cmdline: has a NUL in it");
}

struct E820 {
    std::uint64_t address, size;
    std::uint32_t type;
    friend bool operator==(const E820&, const E820&) = default;
    friend std::ostream& operator<<(std::ostream& out, const E820& entry) {
        return out << std::hex << entry.address << '+' << entry.size << " type " << entry.type;
    }
};

std::vector<E820> memory_map(const GuestMemory& memory) {
    const auto field = [&]<class T>(std::size_t offset, T) {
        return must(memory.read<T>(layout::zero_page + offset));
    };
    std::vector<E820> map(field(0x1e8, std::uint8_t()));
    for (std::size_t i = 0; i < map.size(); ++i) {
        const std::size_t at = 0x2d0 + 20 * i;
        map[i] = {field(at, std::uint64_t()), field(at + 8, std::uint64_t()),
                  field(at + 16, std::uint32_t())};
    }
    return map;
}

TEST_F(Linux, FindsTheMemoryMap) {
    must(load_kernel(bzimage()));
    EXPECT_EQ(
        memory_map(memory),
        (std::vector<E820>{{0, 0x9fc00, 1}, {0x9fc00, 0x60400, 2}, {0x100000, ram - 0x100000, 1}}));
}

TEST_F(Linux, FindsRamAbove4GiBInTheMemoryMap) {
    const std::array regions{Region{kvm::Gpa(0), 64 << 20}, Region{layout::hole_end, 16 << 20}};
    memory = must(GuestMemory::create(regions));
    must(load_kernel(bzimage()));
    EXPECT_EQ(memory_map(memory), (std::vector<E820>{{0, 0x9fc00, 1},
                                                     {0x9fc00, 0x60400, 2},
                                                     {0x100000, (64 << 20) - 0x100000, 1},
                                                     {0x100000000, 16 << 20, 1}}));
}

TEST_F(Linux, FindsRomInTheMemoryMapAsWhatIsNotItsToUse) {
    const std::array regions{Region{kvm::Gpa(0), 64 << 20},
                             Region{kvm::Gpa(64 << 20), 1 << 20, {}, Access::read_only}};
    memory = must(GuestMemory::create(regions));
    must(load_kernel(bzimage()));
    EXPECT_EQ(memory_map(memory).back(), (E820{64 << 20, 1 << 20, 2}));
}

TEST_F(Linux, FindsInTheMemoryMapWhatTheMachineReserves) {
    BootInputs inputs;
    inputs.rsdp = kvm::Gpa(0xe0000);
    inputs.reserved = {{kvm::Gpa(0xe0000), 0x20000, MemoryType::acpi},
                       {kvm::Gpa(ram - 0x10000), 0x8000},
                       {kvm::Gpa(0xe0000000), 0x10000000}};
    must(load(memory, {.kernel = directory.file("kernel", bzimage())}, inputs));
    EXPECT_EQ(memory_map(memory), (std::vector<E820>{{0, 0x9fc00, 1},
                                                     {0x9fc00, 0x40400, 2},
                                                     {0xe0000, 0x20000, 3},
                                                     {0x100000, ram - 0x110000, 1},
                                                     {ram - 0x10000, 0x8000, 2},
                                                     {ram - 0x8000, 0x8000, 1},
                                                     {0xe0000000, 0x10000000, 2}}));
    EXPECT_EQ(zero_page<std::uint64_t>(0x070), 0xe0000u) << "acpi_rsdp_addr";
}

TEST_F(Linux, LiesNotOverWhatTheMachineReserves) {
    BootInputs inputs;
    inputs.reserved = {{kvm::Gpa(bzimage_address + 0x8000), 0x1000}};
    const auto refused = load(memory, {.kernel = directory.file("kernel", bzimage())}, inputs);
    EXPECT_EQ(message(refused),
              directory.path() +
                  "/kernel: setup header: pref_address at 0x258 and init_size at 0x260: its place "
                  "(0x200000..0x20ffff) overlaps "
                  "0x208000..0x208fff, which the machine keeps for itself");
}

TEST_F(Linux, NeedsRamInTheFirst640KiB) {
    const std::array regions{Region{kvm::Gpa(0), 0x9f000}, Region{kvm::Gpa(0x100000), 64 << 20}};
    memory = must(GuestMemory::create(regions));
    EXPECT_EQ(refusal(bzimage()), "a kernel needs RAM in the first 640 KiB");
}

/// The content of the setup_data of `type`; empty if there is none.
std::string setup_data(const GuestMemory& memory, std::uint32_t type) {
    auto at = must(memory.read<std::uint64_t>(layout::zero_page + 0x250));
    for (int i = 0; at != 0 && i < 10; ++i) {
        std::string data(must(memory.read<std::uint32_t>(kvm::Gpa(at + 12))), 0);
        must(memory.read(kvm::Gpa(at + 16), std::as_writable_bytes(std::span(data))));
        if (must(memory.read<std::uint32_t>(kvm::Gpa(at + 8))) == type) {
            return data;
        }
        at = must(memory.read<std::uint64_t>(kvm::Gpa(at)));
    }
    return {};
}

TEST_F(Linux, FindsRandomNumbersThatAreNeverTheSame) {
    must(load_kernel(bzimage()));
    const std::string first = setup_data(memory, 9);
    EXPECT_EQ(first.size(), 32u);
    must(load_kernel(bzimage()));
    EXPECT_NE(setup_data(memory, 9), first);
}

TEST_F(Linux, FindsMoreRangesThanItsZeroPageHasInSetupData) {
    std::vector<Region> regions{{kvm::Gpa(0), 64 << 20}};
    for (std::uint64_t i = 0; i < 125; ++i) {
        regions.push_back({layout::hole_end + i * 0x2000, 0x1000});
    }
    memory = must(GuestMemory::create(regions));
    must(load_kernel(bzimage()));
    EXPECT_EQ(memory_map(memory).size(), 128u);
    EXPECT_EQ(setup_data(memory, 1), "");
    regions.push_back({layout::hole_end + 125 * 0x2000, 0x1000});
    memory = must(GuestMemory::create(regions));
    must(load_kernel(bzimage()));
    EXPECT_EQ(memory_map(memory).size(), 128u);
    const std::string more = setup_data(memory, 1);
    ASSERT_EQ(more.size(), 20u);
    std::uint64_t address = 0;
    std::memcpy(&address, more.data(), 8);
    EXPECT_EQ(address, layout::hole_end.value() + 125 * 0x2000);
    EXPECT_EQ(setup_data(memory, 9).size(), 32u);
}

TEST_F(Linux, TakesNoMoreRangesThanThereIsRoomFor) {
    BootInputs inputs;
    for (std::uint64_t i = 0; i < 4000; ++i) {
        inputs.reserved.push_back({kvm::Gpa(0xc0000000 + i * 0x2000), 0x1000});
    }
    const auto refused = load(memory, {.kernel = directory.file("kernel", bzimage())}, inputs);
    EXPECT_EQ(message(refused),
              "guest memory: the ranges of its memory map beyond 128 take 77500 bytes of "
              "setup_data, which has room for 65536");
    EXPECT_EQ(code(refused), E2BIG);
}

class Initrd : public BootTest {
protected:
    Result<x86_64::BootState> load_with(const Bytes& kernel, std::size_t initrd_size) {
        const std::string path =
            directory.file("initrd", Bytes(std::min(initrd_size, std::size_t(8192)), 'i'));
        std::filesystem::resize_file(path, initrd_size);  // with a hole, if it is large
        return load_kernel(kernel, {.initrd = path});
    }
    std::uint64_t address() {
        return zero_page<std::uint32_t>(0x218) | std::uint64_t(zero_page<std::uint32_t>(0x0c0))
                                                     << 32;
    }
};

TEST_F(Initrd, LiesInWholePagesAtTheTopOfRam) {
    must(load_with(bzimage(), 5000));
    EXPECT_EQ(address(), ram - 0x2000);
    EXPECT_EQ(zero_page<std::uint32_t>(0x21c), 5000u) << "ramdisk_size";
    EXPECT_EQ(zero_page<std::uint32_t>(0x0c4), 0u) << "ext_ramdisk_size";
    EXPECT_EQ(read<std::uint8_t>(address()), 'i');
    EXPECT_EQ(read<std::uint8_t>(address() + 4999), 'i');
    EXPECT_EQ(read<std::uint8_t>(address() + 5000), 0);
}

TEST_F(Initrd, LiesBelowWhatTheKernelAllows) {
    must(load_with(bzimage().put(0x22c, std::uint32_t(0x2ffffff)), 4096));
    EXPECT_EQ(address(), 0x2fff000u);
    must(load_with(bzimage().put(0x22c, std::uint32_t(0x2fffffe)), 4096));
    EXPECT_EQ(address(), 0x2ffe000u);
    must(load_with(bzimage().put(0x22c, std::uint32_t(0xffffffff)), 4096));
    EXPECT_EQ(address(), ram - 4096);
}

TEST_F(Initrd, LiesBelowTheHoleEvenIfThereIsRamAboveIt) {
    const std::array regions{Region{kvm::Gpa(0), ram}, Region{layout::hole_end, 16 << 20}};
    memory = must(GuestMemory::create(regions));
    must(load_with(bzimage().put(0x22c, std::uint32_t(0xffffffff)), 4096));
    EXPECT_EQ(address(), ram - 4096);
}

TEST_F(Initrd, LiesBelowTheKernelWhenThereIsNoRoomAbove) {
    must(load_with(elf64()
                       .put(KVMXX_PHDR(p_paddr), std::uint64_t(ram - 0x1000))
                       .put(KVMXX_EHDR(e_entry), std::uint64_t(ram - 0x1000)),
                   4096));
    EXPECT_EQ(address(), ram - 0x2000);
}

TEST_F(Initrd, ThatDoesNotFitIsNamedWithItsSizeAndTheRam) {
    const std::string path = directory.path() + "/initrd";
    EXPECT_EQ(message(load_with(bzimage(), 63 << 20)),
              "initrd: " + path +
                  ": 63 MiB do not fit into the guest's 64 MiB of RAM, beside the kernel "
                  "(0x200000..0x20ffff) and below 0x7fffffff");
    EXPECT_EQ(code(load_with(bzimage(), 63 << 20)), ENOMEM);
    EXPECT_TRUE(load_with(bzimage(), ram - bzimage_address - bzimage_init_size));
    EXPECT_FALSE(load_with(bzimage(), ram - bzimage_address - bzimage_init_size + 1));
    EXPECT_FALSE(load_with(bzimage().put(0x22c, std::uint32_t(0)), 1));
}

TEST_F(Initrd, ThatIsMissingOrEmptyIsNamed) {
    const std::string path = directory.path() + "/none";
    EXPECT_EQ(message(load_kernel(bzimage(), {.initrd = path})),
              "initrd: " + path + ": No such file or directory");
    EXPECT_EQ(message(load_with(bzimage(), 0)),
              "initrd: " + directory.path() + "/initrd: the file is empty");
}

TEST_F(Linux, FindsTheFirst4GiBMappedOneToOne) {
    const auto state = must(load_kernel(bzimage()));
    const auto entry = [&](std::uint64_t table, std::uint64_t index) {
        return read<std::uint64_t>((table & ~0xfffull) + 8 * index);
    };
    for (const std::uint64_t address : {0ull, 0x1fffffull, 0x200000ull, 0x3fffffffull,
                                        0x40000000ull, 0xfee00000ull, 0xffffffffull}) {
        const std::uint64_t pdpt = entry(state.page_tables.value(), address >> 39);
        const std::uint64_t directory_entry = entry(pdpt, address >> 30 & 511);
        const std::uint64_t page = entry(directory_entry, address >> 21 & 511);
        EXPECT_EQ(pdpt & 0xfff, 0x3u);
        EXPECT_EQ(directory_entry & 0xfff, 0x3u);
        EXPECT_EQ(page, (address & ~0x1fffffull) | 0x83) << address;
    }
    EXPECT_EQ(entry(state.page_tables.value(), 1), 0u);
    EXPECT_EQ(entry(entry(state.page_tables.value(), 0), 4), 0u) << "above 4 GiB";
}

TEST_F(Linux, FindsTheDescriptorsOfItsBootProtocol) {
    const auto state = must(load_kernel(bzimage()));
    EXPECT_EQ(state.gdt, layout::gdt);
    EXPECT_EQ(read<std::uint64_t>(state.gdt.value() + 0x10), 0x00af9b000000ffffu) << "__BOOT_CS";
    EXPECT_EQ(read<std::uint64_t>(state.gdt.value() + 0x18), 0x00cf93000000ffffu) << "__BOOT_DS";
}

}  // namespace
}  // namespace vmm::test

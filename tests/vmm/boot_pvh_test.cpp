// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <vmm/boot_files.hpp>

/// By the offsets of Xen's public/arch-x86/hvm/start_info.h.
namespace vmm::test {
namespace {

namespace layout = x86_64::layout;

class Pvh : public BootTest {
protected:
    static Bytes kernel() { return with_note(elf64(), "Xen", pvh_note, word(0x1000010)); }
    /// A field of hvm_start_info.
    template <class T>
    T info(std::uint64_t offset) {
        return read<T>(state.rbx + offset);
    }
    void boot(const Bytes& image, BootConfig config = {}, const BootInputs& inputs = {}) {
        config.kernel = directory.file("kernel", image);
        state = must(load(memory, config, inputs));
    }
    x86_64::BootState state;
};

TEST_F(Pvh, KernelStartsAtItsNotesEntryIn32BitsWithStartInfoInEbx) {
    boot(kernel());
    EXPECT_EQ(state.mode, x86_64::CpuMode::protected_32);
    EXPECT_EQ(state.rip, 0x1000010u);
    EXPECT_EQ(info<std::uint32_t>(0), 0x336ec578u) << "magic";
    EXPECT_EQ(info<std::uint32_t>(4), 1u) << "version";
    EXPECT_EQ(info<std::uint32_t>(8), 0u) << "flags";
    EXPECT_EQ(info<std::uint32_t>(12), 0u) << "nr_modules";
    EXPECT_EQ(info<std::uint64_t>(16), 0u) << "modlist_paddr";
    EXPECT_EQ(info<std::uint64_t>(32), 0u) << "rsdp_paddr";
    EXPECT_EQ(text(info<std::uint64_t>(24)), "") << "it is not Linux";
    EXPECT_EQ(read<std::uint8_t>(elf64_address), 0xcc);
}

TEST_F(Pvh, NoteMayBeOf64BitsAndTheFileOf32) {
    boot(with_note(elf64(), "Xen", pvh_note, word(0x1000020) + word(0)));
    EXPECT_EQ(state.rip, 0x1000020u);
    boot(with_note(elf32(), "Xen", pvh_note, word(0x100030)));
    EXPECT_EQ(state.rip, 0x100030u);
}

TEST_F(Pvh, KernelFindsCommandLineMemoryMapAndRsdp) {
    BootInputs inputs{.rsdp = kvm::Gpa(0xe0000), .reserved = {{kvm::Gpa(0xe0000), 0x20000}}};
    boot(kernel(), {.cmdline = "a b"}, inputs);
    EXPECT_EQ(text(info<std::uint64_t>(24)), "a b");
    EXPECT_EQ(info<std::uint64_t>(32), 0xe0000u);
    ASSERT_EQ(info<std::uint32_t>(48), 3u) << "memmap_entries";
    const auto map = info<std::uint64_t>(40);
    const std::uint64_t want[3][3] = {
        {0, 0x9fc00, 1}, {0x9fc00, 0x60400, 2}, {0x100000, ram - 0x100000, 1}};
    for (std::uint64_t i = 0; i < 3; ++i) {
        EXPECT_EQ(read<std::uint64_t>(map + 24 * i), want[i][0]);
        EXPECT_EQ(read<std::uint64_t>(map + 24 * i + 8), want[i][1]);
        EXPECT_EQ(read<std::uint32_t>(map + 24 * i + 16), want[i][2]);
    }
}

TEST_F(Pvh, KernelFindsTheInitrdAndThenTheModules) {
    BootConfig config{.initrd = directory.file("initrd", Bytes(5000, 'i'))};
    config.modules = {{directory.file("m1", Bytes(10, 'm')), "one two"}};
    boot(kernel(), config);
    ASSERT_EQ(info<std::uint32_t>(12), 2u);
    const auto list = info<std::uint64_t>(16);
    EXPECT_EQ(read<std::uint64_t>(list), ram - 0x2000);
    EXPECT_EQ(read<std::uint64_t>(list + 8), 5000u);
    EXPECT_EQ(read<char>(ram - 0x2000 + 4999), 'i');
    EXPECT_EQ(read<std::uint64_t>(list + 32), ram - 0x3000);
    EXPECT_EQ(read<std::uint64_t>(list + 40), 10u);
    EXPECT_EQ(text(read<std::uint64_t>(list + 48)), "one two");
    EXPECT_EQ(read<char>(ram - 0x3000 + 9), 'm');
}

TEST_F(Pvh, LinuxGetsItsDefaultCommandLineAndItsLimit) {
    const Bytes vmlinux = with_note(kernel(), "Linux", 0x100, "");
    boot(vmlinux, {.protocol = BootProtocol::pvh});
    EXPECT_EQ(text(info<std::uint64_t>(24)), default_cmdline);
    EXPECT_EQ(refusal(vmlinux, {.cmdline = std::string(2048, 'x'), .protocol = BootProtocol::pvh}),
              "cmdline: 2048 bytes, but " + directory.path() + "/kernel takes 2047 at most");
}

TEST_F(Pvh, EntryMustBeInASegment) {
    EXPECT_EQ(refusal(with_note(elf64(), "Xen", pvh_note, word(0x2000000))),
              "the note XEN_ELFNOTE_PHYS32_ENTRY: 0x2000000 is in no segment (by p_paddr)");
}

TEST_F(Pvh, ModulesThatDoNotFitAreNamed) {
    BootConfig config;
    config.modules = {{directory.path() + "/none", ""}};
    EXPECT_EQ(refusal(kernel(), config),
              "module: " + directory.path() + "/none: No such file or directory");
    config.initrd = directory.path() + "/initrd";
    EXPECT_EQ(refusal(kernel(), config),
              "initrd: " + directory.path() + "/initrd: No such file or directory");
    config.initrd.clear();
    config.modules = {{directory.file("m", Bytes(1)), std::string(70000, 'x')}};
    EXPECT_EQ(refusal(kernel(), config),
              "guest memory: the modules' arguments take 70001 bytes, but the loader's structures "
              "have room for 65536");
    config.modules = {{directory.file("m", Bytes(1)), std::string("a\0b", 3)}};
    EXPECT_EQ(refusal(kernel(), config), "module: has a NUL in its arguments");
}

}  // namespace
}  // namespace vmm::test

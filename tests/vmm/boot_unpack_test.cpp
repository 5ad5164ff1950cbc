// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <fstream>
#include <vmm/boot_packing.hpp>

/// Compressed kernels, each format packed by its own library.
namespace vmm::test {
namespace {

class Unpack : public BootTest, public ::testing::WithParamInterface<Packing> {
protected:
    void SetUp() override {
        if (!pack(Bytes(1), GetParam())) {
            GTEST_SKIP() << "the tests were built without the libraries that compress";
        }
    }
    static Bytes packed(const Bytes& content) { return *pack(content, GetParam()); }
    /// As Linux's build has it: the unpacked size behind it.
    static Bytes payload(const Bytes& content) {
        Bytes bytes = packed(content);
        return bytes.resize(bytes.text().size() + 4)
            .put(bytes.text().size() - 4, static_cast<std::uint32_t>(content.text().size()));
    }
};

std::string name_of(const ::testing::TestParamInfo<Packing>& info) {
    constexpr const char* names[] = {"gzip", "xz", "lzma", "lz4", "lz4legacy", "zstd"};
    return names[static_cast<int>(info.param)];
}
INSTANTIATE_TEST_SUITE_P(Of, Unpack, ::testing::ValuesIn(packings), name_of);

TEST_P(Unpack, AKernelInABzimageStartsByItsOwnEntryWithTheBzimagesHeader) {
    const Bytes image = bzimage_of(payload(elf64())).put(0x238, std::uint32_t(99));
    const auto state = must(load_kernel(image));
    EXPECT_EQ(state.mode, x86_64::CpuMode::long_64);
    EXPECT_EQ(state.rip, elf64_address);
    EXPECT_EQ(read<std::uint8_t>(elf64_address + elf64_filesz - 1), 0xcc);
    EXPECT_EQ(zero_page<std::uint32_t>(0x238), 99u) << "cmdline_size";
    EXPECT_EQ(zero_page<std::uint16_t>(0x206), 0x20f) << "version";
    EXPECT_EQ(must(load_kernel(image, {.unpack = ::vmm::Unpack::guest})).rip,
              bzimage_address + 0x200);
    EXPECT_EQ(must(load_kernel(image, {.protocol = BootProtocol::linux32})).rip, bzimage_address);
}

TEST_P(Unpack, AKernelInABzimageStartsByPvhWhenAsked) {
    const Bytes kernel =
        with_note(with_note(elf64(), "Xen", pvh_note, word(0x1000010)), "Linux", 0x100, "");
    const auto state =
        must(load_kernel(bzimage_of(payload(kernel)), {.protocol = BootProtocol::pvh}));
    EXPECT_EQ(state.rip, 0x1000010u);
    EXPECT_EQ(state.mode, x86_64::CpuMode::protected_32);
}

TEST_P(Unpack, AFileStartsAsWhatIsInIt) {
    EXPECT_EQ(must(load_kernel(packed(elf64()))).rip, elf64_address);
    EXPECT_EQ(must(load_kernel(packed(packed(bzimage())))).rip, bzimage_address + 0x200);
    EXPECT_NE(refusal(packed(packed(packed(bzimage())))).find("not an x86 kernel"),
              std::string::npos);
    const std::string path = directory.path() + "/kernel (unpacked): ";
    EXPECT_EQ(message(load_kernel(packed(Bytes(std::string("hello"))))),
              path + "of no known kind, not an x86 kernel (bzImage, ELF or Multiboot)");
}

TEST_P(Unpack, LargeFilesOfManyBlocksComeWhole) {
    Bytes image = elf64().resize(20 << 20);
    std::uint32_t random = 1;
    for (std::size_t at = 0x200; at < image.text().size(); at += 4093) {
        image.put(at, random = random * 1664525 + 1013904223);
    }
    image.put(KVMXX_PHDR(p_filesz), std::uint64_t((20 << 20) - elf64_code));
    image.put(KVMXX_PHDR(p_memsz), std::uint64_t(20 << 20));
    must(load_kernel(packed(image)));
    std::string loaded((20 << 20) - elf64_code, '\0');
    must(memory.read(kvm::Gpa(elf64_address), std::as_writable_bytes(std::span(loaded))));
    EXPECT_TRUE(loaded == image.text().substr(elf64_code));
}

TEST_P(Unpack, WhatIsTruncatedOrBrokenIsNamedWithItsOffset) {
    const Bytes whole = packed(elf64());
    const std::string kind =
        name_of({GetParam(), 0}) == "lz4legacy" ? "lz4" : name_of({GetParam(), 0});
    const std::string prefix = "compressed data (" + kind + "): at 0x";
    for (std::size_t size = 8; size + 4 < whole.text().size(); size += 7) {
        const std::string text = refusal(Bytes(whole).resize(size));
        if (GetParam() == Packing::lz4_legacy && size == 8) {
            continue;  // its magic number, and a size: nothing is in it
        }
        EXPECT_TRUE(text.starts_with(prefix)) << size << ": " << text;
    }
    const auto bad = bzimage_of(Bytes(whole).resize(whole.text().size() / 2));
    EXPECT_TRUE(refusal(bad).starts_with(prefix)) << refusal(bad);
}

TEST_P(Unpack, WhatUnpacksToMoreThanThereIsRoomForIsRefused) {
    const Bytes bomb = packed(Bytes(100 << 20));
    const std::string text = refusal(bomb);
    EXPECT_NE(text.find("unpacks to more than 0x4000000 bytes, the guest's memory"),
              std::string::npos)
        << text;
    EXPECT_NE(refusal(bzimage_of(payload(Bytes(0x200001)), 0x200000))
                  .find("unpacks to more than 0x200000 bytes, its init_size and the guest's "
                        "memory allow no more"),
              std::string::npos);
}

TEST_F(BootTest, PayloadThatIsNotInTheFileIsRefused) {
    EXPECT_EQ(refusal(bzimage().put(0x248, std::uint32_t(0xfff)).put(0x24c, std::uint32_t(2))),
              "setup header: payload_offset at 0x248: 0xfff, and payload_length 0x2 from there, "
              "end beyond the file's 0x1a00 bytes");
    EXPECT_TRUE(
        load_kernel(bzimage().put(0x248, std::uint32_t(0xfff)).put(0x24c, std::uint32_t(1))))
        << "of no known kind: the guest will know";
    EXPECT_EQ(refusal(bzimage(), {.protocol = BootProtocol::pvh}),
              "a Linux bzImage: cannot be started by protocol pvh: no ELF file in it that can be "
              "unpacked");
}

TEST_F(BootTest, PackingsThatNobodyUnpacksAreNamed) {
    using namespace std::literals;
    EXPECT_EQ(refusal(Bytes("BZh91AY"s)),
              "compressed data (bzip2): this kvmxx was built without what unpacks it");
    EXPECT_EQ(refusal(Bytes("\x89LZO\0"s)),
              "compressed data (lzop): this kvmxx was built without what unpacks it");
}

}  // namespace
}  // namespace vmm::test

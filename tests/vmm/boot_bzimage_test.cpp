// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <vmm/boot_files.hpp>

namespace vmm::test {
namespace {

using Bzimage = BootTest;

TEST_F(Bzimage, IsLoadedAtItsPreferredAddressAndEnteredAt0x200FromThere) {
    const auto state = must(load_kernel(bzimage()));
    EXPECT_EQ(state.mode, x86_64::CpuMode::long_64);
    EXPECT_EQ(state.rip, bzimage_address + 0x200);
    EXPECT_EQ(state.rsi, x86_64::layout::zero_page.value());
    EXPECT_EQ(state.rsp, x86_64::layout::boot_stack.value());
    EXPECT_EQ(read<std::uint32_t>(bzimage_address), 0xccccccccu);
    EXPECT_EQ(read<std::uint8_t>(bzimage_address + bzimage_code_size - 1), 0xccu);
    EXPECT_EQ(read<std::uint8_t>(bzimage_address + bzimage_code_size), 0u);
}

TEST_F(Bzimage, WithNoSetupSectorsHasFour) {
    EXPECT_TRUE(load_kernel(bzimage().put(0x1f1, std::uint8_t(0))));
    EXPECT_EQ(read<std::uint32_t>(bzimage_address), 0xccccccccu);
}

TEST_F(Bzimage, IsRefusedWhereverItIsTruncated) {
    const Bytes whole = bzimage();
    // Without "HdrS" whole, nothing says that it is one.
    for (const std::size_t size : {1u, 0x1f0u, 0x1feu, 0x202u, 0x205u}) {
        EXPECT_EQ(refusal(Bytes(whole).resize(size)),
                  "of no known kind, not an x86 kernel (bzImage, ELF or Multiboot)")
            << size;
    }
    for (const std::size_t size : {0x206u, 0x238u, 0x263u}) {
        EXPECT_EQ(refusal(Bytes(whole).resize(size)),
                  "truncated: the setup header: 115 bytes from 0x1f1, but the file has " +
                      std::to_string(size))
            << size;
    }
    EXPECT_EQ(refusal(Bytes(whole).resize(0x26b)),
              "truncated: the setup header: 8 bytes from 0x264, but the file has 619");
    for (const std::size_t size : {std::size_t(0x26c), bzimage_code, bzimage_code + 0x200,
                                   bzimage_code + bzimage_code_size - 16}) {
        EXPECT_EQ(refusal(Bytes(whole).resize(size)),
                  "setup header: syssize at 0x1f4: truncated: with setup_sects at 0x1f1 the code "
                  "ends at 6656, but the file has " +
                      std::to_string(size) + " bytes")
            << size;
    }
    // Nor may it say of itself that it ends before its entry.
    EXPECT_EQ(
        refusal(bzimage().put(0x1f4, std::uint32_t(0)).resize(bzimage_code + 0x200)),
        "setup header: syssize at 0x1f4: truncated: with setup_sects at 0x1f1 the code ends at "
        "3073, but the file has 3072 bytes");
    EXPECT_EQ(refusal(bzimage().put(0x1f4, std::uint32_t(0xffffffff))).substr(0, 42),
              "setup header: syssize at 0x1f4: truncated:");
}

TEST_F(Bzimage, IsRefusedWithoutItsMagic) {
    EXPECT_EQ(refusal(bzimage().put(0x202, "HdrT")),
              "of no known kind, not an x86 kernel (bzImage, ELF or Multiboot)");
    EXPECT_EQ(refusal(bzimage().put(0x1fe, std::uint16_t(0x55aa))),
              "setup header: boot_flag at 0x1fe: 0x55aa, not 0xaa55");
}

TEST_F(Bzimage, Of32BitsStartsWithPagingOffAtItsFirstByte) {
    const auto without = bzimage().put(0x236, std::uint16_t(0xfffe));
    const auto state = must(load_kernel(without));
    EXPECT_EQ(state.mode, x86_64::CpuMode::protected_32);
    EXPECT_EQ(state.rip, bzimage_address);
    EXPECT_EQ(state.rsi, x86_64::layout::zero_page.value());
    EXPECT_EQ(state.rbx, 0u);
    EXPECT_EQ(zero_page<std::uint32_t>(0x214), bzimage_address) << "code32_start";
    EXPECT_EQ(read<std::uint64_t>(state.gdt.value() + 0x10), 0x00cf9b000000ffffu) << "__BOOT_CS";
    EXPECT_EQ(refusal(without, {.protocol = BootProtocol::linux64}),
              "a Linux bzImage: cannot be started by protocol linux64: no XLF_KERNEL_64 in "
              "xloadflags at 0x236: a 32-bit kernel");
    // A kernel of both sizes may be asked for.
    EXPECT_EQ(must(load_kernel(bzimage(), {.protocol = BootProtocol::linux32})).rip,
              bzimage_address);
}

TEST_F(Bzimage, OfAnOldProtocolGetsWhatItsMissingFieldsMeant) {
    // 2.11 has no xloadflags, 2.09 no pref_address, ..., 2.02 no initrd_addr_max.
    const auto of = [](std::uint16_t version) { return bzimage().put(0x206, version); };
    EXPECT_EQ(must(load_kernel(of(0x20b))).rip, bzimage_address);
    EXPECT_EQ(must(load_kernel(of(0x209))).rip, 0x100000u);
    EXPECT_EQ(read<std::uint32_t>(0x100000), 0xccccccccu);
    EXPECT_EQ(zero_page<std::uint32_t>(0x238), 2047u) << "cmdline_size";
    must(load_kernel(of(0x205).put(0x201, std::uint8_t(0x34)), {.cmdline = std::string(255, 'x')}));
    EXPECT_EQ(zero_page<std::uint32_t>(0x238), 255u) << "cmdline_size";
    EXPECT_NE(refusal(of(0x205), {.cmdline = std::string(256, 'x')}), "succeeded");
    EXPECT_EQ(zero_page<std::uint32_t>(0x22c), 0x7fffffffu) << "initrd_addr_max";
    must(load_kernel(of(0x202).put(0x201, std::uint8_t(0x2a))));
    EXPECT_EQ(zero_page<std::uint32_t>(0x22c), 0x37ffffffu) << "initrd_addr_max";
    EXPECT_EQ(refusal(of(0x201)),
              "setup header: version at 0x206: boot protocol 2.01, but 2.02 (Linux 2.4) is the "
              "oldest known");
    EXPECT_EQ(refusal(of(0x202).put(0x211, std::uint8_t(0))),
              "setup header: loadflags at 0x211: no LOADED_HIGH: a zImage, whose place is below 1 "
              "MiB");
}

TEST_F(Bzimage, IsNotStartedByWhatItHasNot) {
    EXPECT_EQ(
        refusal(bzimage(), {.protocol = BootProtocol::multiboot}),
        "a Linux bzImage: cannot be started by protocol multiboot: it has no Multiboot header");
    EXPECT_EQ(
        refusal(bzimage(), {.modules = {{"x", ""}}}),
        "module: Linux's boot protocol has none but the initrd (" + directory.path() + "/kernel)");
}

TEST_F(Bzimage, MustHaveAHeaderThatFitsIntoAZeroPage) {
    EXPECT_EQ(
        refusal(bzimage().put(0x201, std::uint8_t(0xff))),
        "setup header: jump at 0x201: the header would end at 0x301, not within 0x264..0x290");
    EXPECT_EQ(
        refusal(bzimage().put(0x201, std::uint8_t(0x61))),
        "setup header: jump at 0x201: the header would end at 0x263, not within 0x264..0x290");
    EXPECT_TRUE(load_kernel(bzimage().put(0x201, std::uint8_t(0x62))));
    EXPECT_TRUE(load_kernel(bzimage().put(0x201, std::uint8_t(0x8e))));
}

TEST_F(Bzimage, NeedsRamForItselfUnpacked) {
    EXPECT_EQ(refusal(bzimage().put(0x260, std::uint32_t(ram - bzimage_address + 1))),
              "setup header: pref_address at 0x258 and init_size at 0x260: its place ("
              "0x200000..0x4000000) is not all RAM below 4 "
              "GiB (the guest has 64 MiB)");
    EXPECT_TRUE(load_kernel(bzimage().put(0x260, std::uint32_t(ram - bzimage_address))));
    EXPECT_NE(refusal(bzimage().put(0x260, std::uint32_t(0xffffffff))), "succeeded");
}

TEST_F(Bzimage, ThatSaysItNeedsLessThanItsCodeIsNotBelieved) {
    EXPECT_TRUE(load_kernel(bzimage().put(0x260, std::uint32_t(0))));
    const auto image =
        bzimage().put(0x260, std::uint32_t(0)).put(0x258, std::uint64_t(ram - 0x200000));
    EXPECT_TRUE(load_kernel(image));
    EXPECT_EQ(refusal(Bytes(image).resize(0x200000 + bzimage_code + 1)),
              "setup header: pref_address at 0x258 and init_size at 0x260: its place ("
              "0x3e00000..0x4000000) is not all RAM below 4 "
              "GiB (the guest has 64 MiB)");
}

TEST_F(Bzimage, IsRefusedAtAddressesThatAreNotForKernels) {
    EXPECT_EQ(refusal(bzimage().put(0x258, std::uint64_t(0))),
              "setup header: pref_address at 0x258 and init_size at 0x260: its place ("
              "0x0..0xffff) starts below 1 MiB, where the "
              "loader's own structures are");
    EXPECT_EQ(refusal(bzimage().put(0x258, ~std::uint64_t(0) << 21)),
              "setup header: pref_address at 0x258 and init_size at 0x260: its place ("
              "0xffffffffffe00000..0xffffffffffe0ffff) is "
              "not all RAM below 4 GiB (the guest has 64 MiB)");
    EXPECT_EQ(
        refusal(bzimage().put(0x258, ~std::uint64_t(0) << 21).put(0x260, std::uint32_t(0x200000))),
        "setup header: pref_address at 0x258: 0xffffffffffe00000, and 2097152 bytes from "
        "there, overflow");
    EXPECT_EQ(
        refusal(bzimage().put(0x258, std::uint64_t(0x201000))),
        "setup header: kernel_alignment at 0x230: 0x200000 does not fit pref_address 0x201000");
    EXPECT_EQ(refusal(bzimage().put(0x230, std::uint32_t(0))),
              "setup header: kernel_alignment at 0x230: 0x0 does not fit pref_address 0x200000");
}

}  // namespace
}  // namespace vmm::test

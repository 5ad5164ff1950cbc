// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <vmm/boot_files.hpp>

namespace vmm::test {
namespace {

class Flat : public BootTest {
protected:
    Result<x86_64::BootState> load_flat(decltype(BootConfig::format) format,
                                        std::size_t size = 16) {
        return load_kernel(Bytes(size, '\xf4'), {.format = format});
    }
    std::string refusal_of(decltype(BootConfig::format) format, std::size_t size = 16) {
        return refusal(Bytes(size, '\xf4'), {.format = format});
    }
};

TEST_F(Flat, CodeOf16BitsStartsInRealModeWhereItIsTold) {
    const auto state = must(load_flat(Flat16{.segment = 0x1000, .offset = 0x100}));
    EXPECT_EQ(state,
              (x86_64::BootState{
                  .mode = x86_64::CpuMode::real, .segment = 0x1000, .rip = 0x100, .rsp = 0x100}));
    EXPECT_EQ(read<std::uint8_t>(0x10100), 0xf4);
    EXPECT_EQ(read<std::uint8_t>(0x100ff), 0);
    EXPECT_EQ(read<std::uint8_t>(0x10110), 0);
}

TEST_F(Flat, CodeOf16BitsNeedsNoMoreRamThanItself) {
    memory = must(GuestMemory::create(std::array{Region{kvm::Gpa(0x1000), 0x1000}}));
    EXPECT_TRUE(load_flat(Flat16{}));
    EXPECT_EQ(refusal_of(Flat16{}, 0x1001),
              "flat binary: 4097 bytes at 0x1000 are not all RAM (the guest has 4 KiB)");
    EXPECT_EQ(refusal_of(Flat16{.segment = 0xffff, .offset = 0xffff}),
              "flat binary: 16 bytes at 0x10ffef are not all RAM (the guest has 4 KiB)");
}

TEST_F(Flat, CodeOf64BitsStartsInLongModeWhereItIsTold) {
    const auto state = must(load_flat(Flat64{kvm::Gpa(0x123456)}));
    EXPECT_EQ(state.mode, x86_64::CpuMode::long_64);
    EXPECT_EQ(state.rip, 0x123456u);
    EXPECT_EQ(state.rsp, x86_64::layout::boot_stack.value());
    EXPECT_EQ(state.rsi, 0u);
    EXPECT_EQ(state.page_tables, x86_64::layout::page_tables);
    EXPECT_EQ(read<std::uint8_t>(0x123456), 0xf4);
}

TEST_F(Flat, CodeOf64BitsLiesBesideThePageTablesAndWhereTheyMap) {
    EXPECT_TRUE(load_flat(Flat64{kvm::Gpa(0xf000)}));
    EXPECT_EQ(refusal_of(Flat64{kvm::Gpa(0xefff)}),
              "flat binary: at 0xefff it would lie over the page tables, which end at 0xf000");
    EXPECT_EQ(refusal_of(Flat64{kvm::Gpa(0x100000000)}),
              "flat binary: at 0x100000000 it would lie above 4 GiB, which is not mapped");
    EXPECT_EQ(refusal_of(Flat64{kvm::Gpa(~std::uint64_t(0))}),
              "flat binary: at 0xffffffffffffffff it would lie above 4 GiB, which is not mapped");
    EXPECT_EQ(refusal_of(Flat64{kvm::Gpa(ram - 8)}),
              "flat binary: 16 bytes at 0x3fffff8 are not all RAM (the guest has 64 MiB)");
}

TEST_F(Flat, CodeMayHaveAnyContent) {
    for (const Bytes& content : {bzimage(), elf64()}) {
        EXPECT_TRUE(load_kernel(content, {.format = Flat16{}}));
    }
}

TEST_F(Flat, CodeTakesNoInitrdAndNoCommandLine) {
    const std::string no = "flat binary: it takes no initrd, modules and command line";
    EXPECT_EQ(refusal(Bytes(16), {.initrd = "x", .format = Flat16{}}), no);
    EXPECT_EQ(refusal(Bytes(16), {.cmdline = "x", .format = Flat64{}}), no);
    EXPECT_EQ(refusal(Bytes(16), {.format = Flat64{}, .modules = {{"x", ""}}}), no);
}

}  // namespace
}  // namespace vmm::test

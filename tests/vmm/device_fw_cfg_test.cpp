// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <gtest/gtest.h>
#include <random>
#include <vmm/device/fw_cfg.hpp>
#include <vmm/device_fixture.hpp>
#include <vmm/result.hpp>

namespace vmm {
namespace {

using test::bytes;
using test::in;
using test::must;

std::vector<std::byte> content(std::string_view text) {
    const auto b = bytes(text);
    return {b.begin(), b.end()};
}

/// `value` in `Size` bytes, the most significant first.
template <std::size_t Size>
std::array<std::byte, Size> big(std::uint64_t value) {
    std::array<std::byte, Size> result;
    for (std::size_t i = 0; i < Size; ++i) {
        result[i] = std::byte(value >> (8 * (Size - 1 - i)));
    }
    return result;
}

class FwCfgTest : public ::testing::Test {
protected:
    static constexpr std::uint64_t selector = 0, data = 1, dma = 4;
    static constexpr std::uint64_t ram = 0x10000;
    static constexpr kvm::Gpa descriptor{0x1000};

    void select(std::uint16_t key) { device->write(selector, std::as_bytes(std::span(&key, 1))); }
    std::string read(std::size_t size) {
        std::string text;
        for (std::size_t i = 0; i < size; ++i) {
            text += static_cast<char>(in(*device, data));
        }
        return text;
    }
    std::uint64_t number(std::uint16_t key, int size) {
        select(key);
        std::uint64_t value = 0;
        for (int i = 0; i < size; ++i) {
            value |= std::uint64_t(in(*device, data)) << (8 * i);
        }
        return value;
    }
    /// Starts a DMA transfer and returns its control word afterwards.
    std::uint32_t transfer(std::uint32_t control, std::uint32_t length, std::uint64_t address,
                           kvm::Gpa at = descriptor) {
        must(memory.write(at, std::span<const std::byte>(big<4>(control))));
        must(memory.write(at + 4, std::span<const std::byte>(big<4>(length))));
        must(memory.write(at + 8, std::span<const std::byte>(big<8>(address))));
        device->write(dma, big<4>(at.value() >> 32));
        device->write(dma + 4, big<4>(at.value()));
        return std::byteswap(must(memory.read<std::uint32_t>(at)));
    }

    GuestMemory memory = must(GuestMemory::create(std::array{Region{kvm::Gpa(0), ram}}));
    std::unique_ptr<FwCfg> device = must(FwCfg::create(
        memory, {.memory_bytes = 0x123456789a,
                 .cpus = 3,
                 .kernel = content("kernel"),
                 .files = {{"opt/z", content("last")}, {"opt/a", content("first")}}}));
};

TEST_F(FwCfgTest, SaysWhatItIsHowMuchRamAndHowManyCpusThereAre) {
    EXPECT_EQ(read(4), "QEMU") << "selected from the start";
    select(0);
    EXPECT_EQ(read(4), "QEMU");
    EXPECT_EQ(read(1), std::string(1, '\0')) << "zeros behind the end";
    EXPECT_EQ(number(1, 4), 3u);
    EXPECT_EQ(number(3, 8), 0x123456789au);
    EXPECT_EQ(number(5, 2), 3u);
    EXPECT_EQ(number(0xf, 2), 3u);
    EXPECT_EQ(number(8, 4), 6u);
    select(0x11);
    EXPECT_EQ(read(6), "kernel");
    EXPECT_EQ(number(0x7777, 4), 0u) << "no such item";
}

TEST_F(FwCfgTest, HasADirectoryOfFilesInOrderOfTheirNames) {
    select(0x19);
    EXPECT_EQ(read(4), std::string("\0\0\0\2", 4));
    const std::string first = read(64), second = read(64);
    EXPECT_EQ(first.substr(0, 8), std::string("\0\0\0\5\0\x20\0\0", 8));
    EXPECT_STREQ(first.c_str() + 8, "opt/a");
    EXPECT_EQ(second.substr(0, 8), std::string("\0\0\0\4\0\x21\0\0", 8));
    select(0x20);
    EXPECT_EQ(read(5), "first");
    select(0x21);
    EXPECT_EQ(read(4), "last");
}

TEST_F(FwCfgTest, TransfersByDma) {
    std::array<std::byte, 8> signature{};
    device->read(dma, signature);
    EXPECT_EQ(std::memcmp(signature.data(), "QEMU CFG", 8), 0);
    must(memory.fill(kvm::Gpa(0x2000), 8, std::byte{0xee}));
    EXPECT_EQ(transfer(0x0020'000a, 8, 0x2000), 0u) << "select and read";
    std::array<std::byte, 8> got{};
    must(memory.read(kvm::Gpa(0x2000), got));
    EXPECT_EQ(std::memcmp(got.data(), "first\0\0\0", 8), 0) << "zeros behind the end";
    EXPECT_EQ(transfer(0x0020'000c, 2, 0), 0u) << "select and skip";
    EXPECT_EQ(transfer(2, 3, 0x2000), 0u) << "read on";
    must(memory.read(kvm::Gpa(0x2000), got));
    EXPECT_EQ(std::memcmp(got.data(), "rst", 3), 0);
}

TEST_F(FwCfgTest, RefusesTransfersThatItCannotDo) {
    EXPECT_EQ(transfer(0x0020'0018, 1, 0x2000), 1u) << "a write";
    EXPECT_EQ(transfer(0x0020'000a, 2, ram - 1), 1u) << "beyond RAM";
    EXPECT_EQ(transfer(0x0020'000a, 0xffffffff, 0), 1u);
    EXPECT_EQ(transfer(0x0020'000a, 1, ~0ull), 1u);
    device->write(dma, big<4>(0xffffffff));
    device->write(dma + 4, big<4>(0xffffffff));  // a descriptor nowhere
    EXPECT_EQ(transfer(0x0020'000a, 1, 0x2000, kvm::Gpa(ram - 16)), 0u) << "and it goes on";
    EXPECT_EQ(transfer(0x0020'000c, 0xffffffff, 0), 0u) << "a skip beyond the end";
    EXPECT_EQ(read(2), std::string(2, '\0'));
}

TEST_F(FwCfgTest, RefusesFilesThatHaveNoName) {
    for (const std::string& name : {std::string(), std::string(56, 'x'), std::string("a\0b", 3)}) {
        EXPECT_EQ(test::code(FwCfg::create(memory, {.files = {{name, {}}}})), EINVAL) << name;
    }
    EXPECT_EQ(test::code(FwCfg::create(memory, {.files = {{"a", {}}, {"b", {}}, {"a", {}}}})),
              EINVAL);
    EXPECT_TRUE(FwCfg::create(memory, {.files = {{std::string(55, 'x'), {}}}}));
}

TEST_F(FwCfgTest, SurvivesAnyAccess) {
    std::mt19937_64 random(2);
    for (int i = 0; i < 200'000; ++i) {
        auto value = std::bit_cast<std::array<std::byte, 8>>(random());
        const auto part = std::span(value).first(1 + random() % 8);
        const std::uint64_t offset = random() % 4 ? random() % 14 : random();
        if (random() % 64 == 0) {
            transfer(static_cast<std::uint32_t>(random() & 0x003f'001f),
                     static_cast<std::uint32_t>(random() % (2 * ram)), random() % (2 * ram),
                     kvm::Gpa(random() % (ram - 16)));
        } else if (random() % 2) {
            device->write(offset, part);
        } else {
            device->read(offset, part);
        }
    }
}

}  // namespace
}  // namespace vmm

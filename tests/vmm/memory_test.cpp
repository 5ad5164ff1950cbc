// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "memory_fixture.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <thread>
#include <vmm/x86_64/layout.hpp>

namespace vmm::test {
namespace {

struct Pair {
    std::uint32_t a, b;
    friend bool operator==(const Pair&, const Pair&) = default;
};
struct Padded {
    std::uint8_t a;
    std::uint32_t b;
};
enum class Colour : std::uint16_t { red = 7 };

// Misuse that does not compile.
static_assert(GuestValue<std::uint64_t> && GuestValue<Pair> && GuestValue<Colour>);
static_assert(!GuestValue<Padded>, "its padding would show the guest the host's stack");
static_assert(!GuestValue<bool>, "2 is no bool");
static_assert(!GuestValue<int*> && !GuestValue<std::string> && !GuestValue<std::string_view>);
static_assert(!GuestValue<std::span<const std::byte>> && !GuestValue<std::span<std::byte, 4>> &&
                  !GuestValue<std::array<std::byte, 4>>,
              "bytes are written by their content, never by their address");
static_assert(!std::is_copy_constructible_v<GuestMemory>);
static_assert(std::is_nothrow_move_constructible_v<GuestMemory>);

TEST(GuestMemory, HoldsWhatWasWrittenAndIsZeroBefore) {
    const auto memory = make({{0x1000_gpa, 8_KiB}});
    EXPECT_EQ(must(memory.read<std::uint64_t>(0x1000_gpa)), 0u);
    must(memory.write(0x1008_gpa, std::uint64_t(0x1122334455667788)));
    EXPECT_EQ(must(memory.read<std::uint64_t>(0x1008_gpa)), 0x1122334455667788u);
    EXPECT_EQ(must(memory.read<std::uint8_t>(0x1008_gpa)), 0x88u);
    EXPECT_EQ(must(memory.read<std::uint16_t>(0x100e_gpa)), 0x1122u);
    must(memory.write(0x1010_gpa, Pair{1, 2}));
    EXPECT_EQ(must(memory.read<Pair>(0x1010_gpa)), (Pair{1, 2}));
    must(memory.write(0x1020_gpa, Colour::red));
    EXPECT_EQ(must(memory.read<Colour>(0x1020_gpa)), Colour::red);
}

TEST(GuestMemory, TakesValuesAtAddressesThatAreNotAligned) {
    const auto memory = make({{0_gpa, 4_KiB}});
    for (std::uint64_t at = 1; at < 8; ++at) {
        must(memory.write(kvm::Gpa(at), std::uint64_t(0x0102030405060708)));
        EXPECT_EQ(must(memory.read<std::uint64_t>(kvm::Gpa(at))), 0x0102030405060708u);
    }
}

TEST(GuestMemory, RefusesAccessesOutsideItsRegionsByName) {
    const auto memory = make({{0x1000_gpa, 4_KiB}});
    EXPECT_TRUE(memory.read<std::uint8_t>(0x1fff_gpa));
    EXPECT_EQ(message(memory.read<std::uint8_t>(0xfff_gpa)),
              "guest address 0xfff, 1 byte: not all RAM");
    EXPECT_EQ(message(memory.read<std::uint8_t>(0x2000_gpa)),
              "guest address 0x2000, 1 byte: not all RAM");
    EXPECT_EQ(message(memory.write(0x1ffd_gpa, std::uint32_t(1))),
              "guest address 0x1ffd, 4 bytes: not all RAM");
    EXPECT_EQ(code(memory.read<std::uint64_t>(kvm::Gpa(~0ull))), EFAULT);
}

TEST(GuestMemory, TouchesNothingWhenARangeIsNotAllRam) {
    const auto memory = make({{0_gpa, 4_KiB}, {0x2000_gpa, 4_KiB}});
    std::array<std::byte, 0x2000> bytes;
    bytes.fill(std::byte(0x55));
    EXPECT_EQ(code(memory.write(0x800_gpa, bytes)), EFAULT);
    EXPECT_EQ(must(memory.read<std::uint8_t>(0x800_gpa)), 0);
    EXPECT_EQ(must(memory.read<std::uint8_t>(0x2000_gpa)), 0);
    EXPECT_EQ(code(memory.read(0x800_gpa, std::span(bytes))), EFAULT);
    EXPECT_EQ(bytes[0], std::byte(0x55));
    EXPECT_EQ(code(memory.fill(0_gpa, 0x3000, std::byte(1))), EFAULT);
    EXPECT_EQ(must(memory.read<std::uint8_t>(0_gpa)), 0);
}

TEST(GuestMemory, CrossesFromOneRegionToItsNeighbour) {
    const auto memory = make({{0_gpa, 4_KiB}, {0x1000_gpa, 4_KiB}, {0x2000_gpa, 4_KiB}});
    must(memory.write(0xffc_gpa, std::uint64_t(0x1122334455667788)));
    EXPECT_EQ(must(memory.read<std::uint64_t>(0xffc_gpa)), 0x1122334455667788u);
    EXPECT_EQ(must(memory.read<std::uint32_t>(0x1000_gpa)), 0x11223344u);

    std::array<std::byte, 0x2000> bytes;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        bytes[i] = std::byte(i * 7);
    }
    must(memory.write(0x800_gpa, bytes));
    std::array<std::byte, 0x2000> back;
    must(memory.read(0x800_gpa, std::span(back)));
    EXPECT_EQ(back, bytes);
    must(memory.fill(0x800_gpa, 0x2000, std::byte(3)));
    EXPECT_EQ(must(memory.read<std::uint8_t>(0x27ff_gpa)), 3);
    EXPECT_EQ(must(memory.read<std::uint8_t>(0x2800_gpa)), 0);
    EXPECT_TRUE(memory.contains(0_gpa, 12_KiB));
    EXPECT_FALSE(memory.contains(0_gpa, 12_KiB + 1));
}

TEST(GuestMemory, DoesNotOverflowAtTheEndOfTheAddressSpace) {
    const auto memory = make({{0_gpa, 4_KiB}});
    const std::uint64_t last = ~std::uint64_t(0);
    EXPECT_FALSE(memory.contains(0x10_gpa, last));
    EXPECT_FALSE(memory.contains(0_gpa, last));
    EXPECT_FALSE(memory.contains(kvm::Gpa(last), 1));
    EXPECT_FALSE(memory.contains(kvm::Gpa(last), 2));
    EXPECT_FALSE(memory.contains(kvm::Gpa(last - 7), 16));
    EXPECT_FALSE(memory.contains(kvm::Gpa(last), last));
    EXPECT_EQ(code(memory.fill(0x10_gpa, last, std::byte(1))), EFAULT);
    EXPECT_EQ(code(memory.fill(kvm::Gpa(last - 15), 32, std::byte(1))), EFAULT);
    EXPECT_EQ(code(memory.host_span(0x10_gpa, last)), EFAULT);
    EXPECT_EQ(code(memory.host_span(kvm::Gpa(last), 2)), EFAULT);
    EXPECT_EQ(code(memory.read<std::uint32_t>(kvm::Gpa(last - 1))), EFAULT);
}

TEST(GuestMemory, HasNoBytesEverywhere) {
    const auto memory = make({{0_gpa, 4_KiB}});
    EXPECT_TRUE(memory.contains(0x123456_gpa, 0));
    EXPECT_TRUE(memory.read(0x123456_gpa, std::span<std::byte>()));
    EXPECT_TRUE(memory.write(0x123456_gpa, std::span<const std::byte>()));
    EXPECT_TRUE(memory.fill(0x123456_gpa, 0, std::byte(1)));
}

TEST(GuestMemory, ShowsTheHostsMemoryWithinOneRegionOnly) {
    const auto memory = make({{0_gpa, 4_KiB}, {0x1000_gpa, 4_KiB}});
    const auto span = must(memory.host_span(0x1010_gpa, 16));
    EXPECT_EQ(span.size(), 16u);
    span[0] = std::byte(9);
    EXPECT_EQ(must(memory.read<std::uint8_t>(0x1010_gpa)), 9);
    EXPECT_EQ(message(memory.host_span(0xfff_gpa, 2)),
              "guest address 0xfff, 2 bytes: not all in one region of RAM");
}

TEST(GuestMemory, LiesWithinHugePagesAsTheGuestSeesIt) {
    const auto memory = make({{0x3000_gpa, 4_MiB}, {kvm::Gpa(4_GiB), 4_MiB}});
    for (const Region& region : memory.regions()) {
        const auto host =
            reinterpret_cast<std::uintptr_t>(must(memory.host_span(region.address, 1)).data());
        EXPECT_EQ(host % 2_MiB, region.address.value() % 2_MiB);
    }
}

TEST(GuestMemoryDeathTest, FaultsWhereABugRunsOffItsEnds) {
    const auto memory = make({{0x1000_gpa, 4_KiB}});
    volatile std::byte* first = must(memory.host_span(0x1000_gpa, 1)).data();
    EXPECT_DEATH(first[4096] = std::byte(1), "");
    EXPECT_DEATH(first[-1] = std::byte(1), "");
}

TEST(GuestMemory, RefusesNoMemory) {
    EXPECT_EQ(message(GuestMemory::create({})), "guest memory: 0 bytes");
    EXPECT_EQ(message(GuestMemory::create(x86_64::ram_regions(0))), "guest memory: 0 bytes");
    EXPECT_EQ(refusal({{0_gpa, 4_KiB}, {0x1000_gpa, 0}}), "guest memory at 0x1000: 0 bytes");
}

TEST(GuestMemory, RefusesRegionsThatAreNotInPages) {
    EXPECT_EQ(refusal({{0_gpa, 4097}}),
              "guest memory at 0x0, 0x1001 bytes: not in pages of 4096 bytes");
    EXPECT_EQ(refusal({{0x800_gpa, 4_KiB}}),
              "guest memory at 0x800, 0x1000 bytes: not in pages of 4096 bytes");
}

TEST(GuestMemory, RefusesRegionsThatOverlapOrDescend) {
    EXPECT_EQ(refusal({{0_gpa, 8_KiB}, {0x1000_gpa, 4_KiB}}),
              "guest memory 0x1000..0x1fff: overlaps the region before it, or is out of order");
    EXPECT_EQ(refusal({{0x1000_gpa, 4_KiB}, {0_gpa, 4_KiB}}),
              "guest memory 0x0..0xfff: overlaps the region before it, or is out of order");
    EXPECT_NE(refusal({{0_gpa, 4_KiB}, {0_gpa, 4_KiB}}), "succeeded");
}

TEST(GuestMemory, RefusesRegionsBeyondWhatACpuCanAddress) {
    const std::uint64_t limit = std::uint64_t(1) << 52;
    EXPECT_EQ(refusal({{kvm::Gpa(limit), 4_KiB}}),
              "guest memory at 0x10000000000000, 0x1000 bytes: ends beyond 52 bits");
    EXPECT_NE(refusal({{kvm::Gpa(limit - 4096), 8_KiB}}), "succeeded");
    EXPECT_NE(refusal({{0x1000_gpa, ~std::uint64_t(0) & ~4095ull}}), "succeeded");
    EXPECT_EQ(refusal({{kvm::Gpa(limit - 4096), 4_KiB}}), "succeeded");
}

TEST(GuestMemory, RefusesMoreThanTheHostHas) {
    const std::uint64_t host = host_memory_size();
    const std::uint64_t half = (host / 2 + 4096) & ~4095ull;
    const auto refused =
        GuestMemory::create(std::array{Region{0_gpa, half}, Region{kvm::Gpa(1ull << 45), half}});
    EXPECT_EQ(code(refused), ENOMEM);
    EXPECT_EQ(message(GuestMemory::create(std::array{Region{0_gpa, 1ull << 46}})),
              "guest memory: 64 TiB wanted, the host has " + describe_size(host));
}

TEST(GuestMemory, CanBeMovedAndItsAddressesStay) {
    auto memory = make({{0_gpa, 4_KiB}});
    must(memory.write(0_gpa, std::uint8_t(1)));
    const auto* before = must(memory.host_span(0_gpa, 1)).data();
    GuestMemory moved = std::move(memory);
    EXPECT_EQ(must(moved.host_span(0_gpa, 1)).data(), before);
    auto other = make({{0x5000_gpa, 4_KiB}});
    other = std::move(moved);
    EXPECT_EQ(must(other.read<std::uint8_t>(0_gpa)), 1);
    EXPECT_EQ(other.size(), 4_KiB);
    EXPECT_EQ(other.regions().size(), 1u);
    EXPECT_FALSE(other.contains(0x5000_gpa, 1));
}

TEST(GuestMemory, MayBeWrittenByTwoThreadsAtOnceAsAGuestMakesDevicesDo) {
    const auto memory = make({{0_gpa, 64_KiB}});
    const auto hammer = [&](unsigned char value) {
        std::array<std::byte, 3000> bytes;
        bytes.fill(std::byte(value));
        for (int i = 0; i < 200; ++i) {
            must(memory.write(0x10_gpa, bytes));
            must(memory.read(0x20_gpa, std::span(bytes).first(1000)));
            must(memory.write(0x1000_gpa, std::uint64_t(value)));
            (void)must(memory.read<std::uint64_t>(0x1000_gpa));
            must(memory.fill(0x400_gpa, 100, std::byte(value)));
        }
    };
    std::thread other(hammer, 1);
    hammer(2);
    other.join();
    const auto last = must(memory.read<std::uint64_t>(0x1000_gpa));
    EXPECT_TRUE(last == 1 || last == 2);
}

TEST(DescribeSize, IsForPeople) {
    EXPECT_EQ(describe_size(0), "0 bytes");
    EXPECT_EQ(describe_size(1), "1 byte");
    EXPECT_EQ(describe_size(4097), "4097 bytes");
    EXPECT_EQ(describe_size(4_KiB), "4 KiB");
    EXPECT_EQ(describe_size(512_MiB), "512 MiB");
    EXPECT_EQ(describe_size(1_MiB + 512_KiB), "1.5 MiB");
    EXPECT_EQ(describe_size(25233297408), "23.5 GiB");
    EXPECT_EQ(describe_size(1ull << 46), "64 TiB");
}

TEST(RamRegions, LeaveOutTheHoleBelow4GiB) {
    using x86_64::ram_regions;
    EXPECT_EQ(ram_regions(512_MiB), (std::vector{Region{0_gpa, 512_MiB}}));
    EXPECT_EQ(ram_regions(3_GiB), (std::vector{Region{0_gpa, 3_GiB}}));
    EXPECT_EQ(ram_regions(3_GiB + 4_KiB),
              (std::vector{Region{0_gpa, 3_GiB}, Region{kvm::Gpa(4_GiB), 4_KiB}}));
    EXPECT_EQ(ram_regions(8_GiB),
              (std::vector{Region{0_gpa, 3_GiB}, Region{kvm::Gpa(4_GiB), 5_GiB}}));
}

TEST(RamRegions, OfAFileFollowEachOtherInIt) {
    using x86_64::ram_regions;
    EXPECT_EQ(
        ram_regions(4_GiB, backing::File{.path = "x", .offset = 4_KiB}),
        (std::vector{
            Region{0_gpa, 3_GiB, backing::File{.path = "x", .offset = 4_KiB}},
            Region{kvm::Gpa(4_GiB), 1_GiB, backing::File{.path = "x", .offset = 3_GiB + 4_KiB}},
        }));
    EXPECT_EQ(ram_regions(1_GiB, backing::Memfd{}),
              (std::vector{Region{0_gpa, 1_GiB, backing::Memfd{}}}));
}

}  // namespace
}  // namespace vmm::test

// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <array>
#include <bit>
#include <cerrno>
#include <gtest/gtest.h>
#include <vmm/device/bus.hpp>

namespace vmm {
namespace {

/// Remembers its last access.
struct Probe final : BusDevice {
    void read(std::uint64_t at, std::span<std::byte> data) override {
        offset = at;
        size = data.size();
        for (std::byte& byte : data) {
            byte = std::byte(answer++);
        }
    }
    void write(std::uint64_t at, std::span<const std::byte> data) override {
        offset = at;
        size = data.size();
        last = data[0];
    }
    std::uint64_t offset = ~0ull;
    std::size_t size = 0;
    std::uint8_t answer = 1;
    std::byte last{};
};

using Bytes = std::array<std::byte, 8>;

constexpr Bytes numbers(std::uint64_t value) { return std::bit_cast<Bytes>(value); }

TEST(Bus, GivesAnAccessToTheDeviceAtItsAddressWithTheOffset) {
    Bus bus;
    Probe low, high;
    ASSERT_TRUE(bus.add(0x60, 5, low, "low"));
    ASSERT_TRUE(bus.add(0x3f8, 8, high, "high"));
    const Bytes data = numbers(0x42);
    bus.write(0x3fd, std::span(data).first(1));
    EXPECT_EQ(high.offset, 5u);
    EXPECT_EQ(high.size, 1u);
    EXPECT_EQ(high.last, std::byte{0x42});
    EXPECT_EQ(low.size, 0u);
    Bytes got{};
    bus.read(0x64, std::span(got).first(1));
    EXPECT_EQ(low.offset, 4u);
    EXPECT_EQ(got[0], std::byte{1});
    EXPECT_TRUE(bus.unhandled().empty());
}

TEST(Bus, ReadsAllOnesWhereNothingIsAndCounts) {
    Bus bus;
    Probe probe;
    ASSERT_TRUE(bus.add(0x100, 4, probe, "probe"));
    for (const std::uint64_t address : {0xffull, 0x104ull, 0ull, ~0ull}) {
        Bytes got{};
        bus.read(address, got);
        EXPECT_EQ(got, numbers(~0ull)) << address;
    }
    bus.write(0x104, numbers(1));
    EXPECT_EQ(probe.size, 0u);
    const std::vector<Unhandled> expected{{0, 1, 0}, {0xff, 1, 0}, {0x104, 1, 1}, {~0ull, 1, 0}};
    EXPECT_EQ(bus.unhandled(), expected);
}

TEST(Bus, DoesNotPassTheEndOfADeviceOnToTheNextOne) {
    Bus bus;
    Probe first, second;
    ASSERT_TRUE(bus.add(0x100, 2, first, "first"));
    ASSERT_TRUE(bus.add(0x102, 2, second, "second"));
    Bytes got{};
    bus.read(0x101, got);
    EXPECT_EQ(first.offset, 1u);
    EXPECT_EQ(first.size, 1u);
    EXPECT_EQ(second.size, 0u);
    EXPECT_EQ(got, numbers(0xffffffffffffff01));
}

TEST(Bus, CountsWhatEachDeviceWasAsked) {
    Bus bus;
    Probe low, high;
    ASSERT_TRUE(bus.add(0x3f8, 8, high, "high"));
    ASSERT_TRUE(bus.add(0x60, 5, low, "low"));
    Bytes data{};
    bus.read(0x60, std::span(data).first(4));
    bus.write(0x3f8, std::span(data).first(1));
    bus.write(0x3ff, std::span(data).first(1));
    bus.write(0x50, std::span(data).first(1));
    EXPECT_EQ(bus.usage(), (std::vector<BusUsage>{{"low", 0x60, 1, 0}, {"high", 0x3f8, 0, 2}}));
}

TEST(Bus, ReachesTheLastAddressThereIs) {
    Bus bus;
    Probe probe;
    ASSERT_TRUE(bus.add(~0ull - 1, 2, probe, "top"));
    Bytes got{};
    bus.read(~0ull, got);
    EXPECT_EQ(probe.offset, 1u);
    EXPECT_EQ(probe.size, 1u);
}

TEST(Bus, RefusesRangesThatOverlapAndNamesBoth) {
    Bus bus;
    Probe probe;
    ASSERT_TRUE(bus.add(0x100, 0x10, probe, "serial"));
    for (const auto& [base, size] : {std::pair{0x100ull, 0x10ull},
                                     {0xf0ull, 0x11ull},
                                     {0x10full, 1ull},
                                     {0x0ull, 0x1000ull},
                                     {0x108ull, 1ull}}) {
        const auto added = bus.add(base, size, probe, "clock");
        ASSERT_FALSE(added) << base;
        EXPECT_EQ(added.error().code, EEXIST);
        EXPECT_NE(added.error().message.find("clock"), std::string::npos);
        EXPECT_NE(added.error().message.find("serial"), std::string::npos);
    }
    EXPECT_TRUE(bus.add(0x110, 1, probe, "after"));
    EXPECT_TRUE(bus.add(0xff, 1, probe, "before"));
}

TEST(Bus, RefusesRangesWithoutBytesOrBeyondTheEndOfAddresses) {
    Bus bus;
    Probe probe;
    for (const auto& [base, size] :
         {std::pair{0x100ull, 0ull}, {~0ull, 2ull}, {2ull, ~0ull}, {~0ull, ~0ull}}) {
        const auto added = bus.add(base, size, probe, "probe");
        ASSERT_FALSE(added) << base;
        EXPECT_EQ(added.error().code, EINVAL);
    }
}

TEST(Bus, CountsABoundedNumberOfAddressesApart) {
    Bus bus;
    const std::size_t tried = UnhandledCounter::capacity + 100;
    for (std::size_t i = 0; i < tried; ++i) {
        bus.write(i * 8, numbers(i));
    }
    const auto list = bus.unhandled();
    ASSERT_EQ(list.size(), UnhandledCounter::capacity + 1);
    EXPECT_EQ(list.back(), (Unhandled{~0ull, 0, 100}));
    bus.write(0, numbers(0));
    EXPECT_EQ(bus.unhandled().front(), (Unhandled{0, 0, 2}));
}

TEST(ByteDevice, SplitsAWideAccessIntoItsRegisters) {
    struct Registers final : ByteDevice {
        std::uint8_t read_byte(std::uint64_t offset) override {
            return static_cast<std::uint8_t>(0x10 + offset);
        }
        void write_byte(std::uint64_t offset, std::uint8_t value) override {
            written.emplace_back(offset, value);
        }
        std::vector<std::pair<std::uint64_t, std::uint8_t>> written;
    } registers;
    Bytes got{};
    static_cast<BusDevice&>(registers).read(2, std::span(got).first(4));
    EXPECT_EQ(got, numbers(0x15141312));
    const Bytes data = numbers(0xbbaa);
    static_cast<BusDevice&>(registers).write(6, std::span(data).first(2));
    const decltype(registers.written) expected{{6, 0xaa}, {7, 0xbb}};
    EXPECT_EQ(registers.written, expected);
}

}  // namespace
}  // namespace vmm

// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <array>
#include <gtest/gtest.h>
#include <vmm/acpi/aml.hpp>
#include <vmm/acpi/resources.hpp>

namespace vmm::acpi::aml {
namespace {

using Numbers = std::vector<unsigned>;

Numbers numbers(std::span<const std::byte> bytes) {
    Numbers all;
    for (const std::byte byte : bytes) {
        all.push_back(std::to_integer<unsigned>(byte));
    }
    return all;
}

Numbers numbers(const Code& code) { return numbers(code.bytes()); }

TEST(Aml, EncodesIntegersAsShortAsTheyAre) {
    EXPECT_EQ(numbers(integer(0)), (Numbers{0x00}));
    EXPECT_EQ(numbers(integer(1)), (Numbers{0x01}));
    EXPECT_EQ(numbers(integer(2)), (Numbers{0x0a, 2}));
    EXPECT_EQ(numbers(integer(0x1234)), (Numbers{0x0b, 0x34, 0x12}));
    EXPECT_EQ(numbers(integer(0x12345678)), (Numbers{0x0c, 0x78, 0x56, 0x34, 0x12}));
    EXPECT_EQ(numbers(integer(0x100000000)), (Numbers{0x0e, 0, 0, 0, 0, 1, 0, 0, 0}));
}

TEST(Aml, EncodesHardwareIdsAsNumbersWhereTheyHaveThatForm) {
    EXPECT_EQ(numbers(hardware_id("PNP0501")), (Numbers{0x0c, 0x41, 0xd0, 0x05, 0x01}));
    EXPECT_EQ(numbers(hardware_id("AB")), (Numbers{0x0d, 'A', 'B', 0}));
    EXPECT_EQ(numbers(hardware_id("ACPI0013")).front(), 0x0du) << "eight characters";
    EXPECT_EQ(numbers(hardware_id("PNPX501")).front(), 0x0du) << "X is no digit";
}

TEST(Aml, EncodesPathsByTheNumberOfTheirNames) {
    EXPECT_EQ(numbers(reference("A")), (Numbers{'A', '_', '_', '_'}));
    EXPECT_EQ(numbers(reference("\\")), (Numbers{'\\', 0}));
    EXPECT_EQ(numbers(reference("^^PWRB")), (Numbers{'^', '^', 'P', 'W', 'R', 'B'}));
    EXPECT_EQ(numbers(reference("\\_SB.PCI0")),
              (Numbers{'\\', 0x2e, '_', 'S', 'B', '_', 'P', 'C', 'I', '0'}));
    EXPECT_EQ(numbers(reference("A.B.C")),
              (Numbers{0x2f, 3, 'A', '_', '_', '_', 'B', '_', '_', '_', 'C', '_', '_', '_'}));
}

TEST(Aml, NumbersNamesInHexadecimal) {
    EXPECT_EQ(numbered('C', 0), "C000");
    EXPECT_EQ(numbered('V', 0xa3f), "VA3F");
}

TEST(Aml, CountsTheLengthOfAPackageWithItself) {
    // The contents are 4 bytes of name and what is in the device.
    const auto length = [](std::size_t bytes) {
        const Code filler(std::vector<std::byte>(bytes - 4));
        return numbers(device("D", filler));
    };
    EXPECT_EQ(length(4)[2], 5u);
    EXPECT_EQ(length(0x3e)[2], 0x3fu) << "the longest of one byte";
    EXPECT_EQ(length(0x3f)[2], 0x41u) << "0x41 in two bytes: 1 | one more";
    EXPECT_EQ(length(0x3f)[3], 0x04u);
    EXPECT_EQ(length(0xffd)[2], 0x4fu) << "0xfff";
    EXPECT_EQ(length(0xffd)[3], 0xffu);
    EXPECT_EQ(length(0xffe)[2], 0x81u) << "0x1001 in three";
    EXPECT_EQ(length(0xffe)[3], 0x00u);
    EXPECT_EQ(length(0xffe)[4], 0x01u);
}

TEST(Aml, NestsTermsAsInAsl) {
    EXPECT_EQ(numbers(package({integer(5), integer(0)})), (Numbers{0x12, 5, 2, 0x0a, 5, 0}));
    EXPECT_EQ(numbers(method("M", 1, Serialized::yes, return_value(argument(0)))),
              (Numbers{0x14, 8, 'M', '_', '_', '_', 9, 0xa4, 0x68}));
    EXPECT_EQ(numbers(if_then(equal(local(1), integer(1)), notify("D", integer(0x80)))),
              (Numbers{0xa0, 11, 0x93, 0x61, 1, 0x86, 'D', '_', '_', '_', 0x0a, 0x80}));
    EXPECT_EQ(numbers(store(bit_and(argument(6), integer(1)), local(7))),
              (Numbers{0x70, 0x7b, 0x6e, 1, 0, 0x67}));
    EXPECT_EQ(numbers(field("R", Access::byte, {{"A", 8}, {"", 4}})),
              (Numbers{0x5b, 0x81, 13, 'R', '_', '_', '_', 1, 'A', '_', '_', '_', 8, 0, 4}));
}

Numbers resource(const Resource& r) {
    const auto all = numbers(resource_template({&r, 1}));
    EXPECT_EQ(all.front(), 0x11u);
    EXPECT_EQ(all[all.size() - 2], 0x79u) << "the end tag";
    return {all.begin() + 4, all.end() - 2};  // without BufferOp, PkgLength, the size in a byte
}

TEST(ResourceTemplate, HasPortsMemoryAndInterrupts) {
    EXPECT_EQ(resource(IoPorts{0x3f8, 8}), (Numbers{0x47, 1, 0xf8, 3, 0xf8, 3, 1, 8}));
    EXPECT_EQ(resource(Memory32{0xd0000000, 0x1000}),
              (Numbers{0x86, 9, 0, 1, 0, 0, 0, 0xd0, 0, 0x10, 0, 0}));
    EXPECT_EQ(resource(Interrupt{5, Trigger::edge, Sharing::exclusive}),
              (Numbers{0x89, 6, 0, 3, 1, 5, 0, 0, 0}));
    EXPECT_EQ(resource(Interrupt{16, Trigger::level, Sharing::shared}),
              (Numbers{0x89, 6, 0, 9, 1, 16, 0, 0, 0}));
}

TEST(ResourceTemplate, HasWindowsAsNarrowAsTheirAddresses) {
    using enum Window::Kind;
    EXPECT_EQ(resource(Window{bus, 0, 0xff}),
              (Numbers{0x88, 13, 0, 2, 0x0c, 0, 0, 0, 0, 0, 0xff, 0, 0, 0, 0, 1}));
    const auto io_window = resource(Window{io, 0x1000, 0xffff});
    EXPECT_EQ(io_window.front(), 0x88u);
    EXPECT_EQ(io_window[3], 1u);
    const auto low = resource(Window{memory, 0xc0000000, 0xcfffffff});
    EXPECT_EQ(low.front(), 0x87u);
    EXPECT_EQ(low.size(), 3u + 3 + 5 * 4);
    const auto high = resource(Window{prefetchable_memory, 0x100000000, 0x1ffffffff});
    EXPECT_EQ(high.front(), 0x8au);
    EXPECT_EQ(high.size(), 3u + 3 + 5 * 8);
}

}  // namespace
}  // namespace vmm::acpi::aml

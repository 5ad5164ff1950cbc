// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// The nouns: addresses, ids, flags, capabilities.

#include <concepts>
#include <gtest/gtest.h>
#include <kvm/abi/cap.hpp>
#include <kvm/memslot.hpp>
#include <kvm/object.hpp>
#include <set>
#include <string>
#include <type_traits>

namespace kvm::test {
namespace {

template <class A, class B>
concept adds = requires(A a, B b) { a + b; };
template <class A, class B>
concept subtracts = requires(A a, B b) { a - b; };
template <class A, class B>
concept compares = requires(A a, B b) { a < b; };

TEST(Address, AddsBytesAndSubtractsAddresses) {
    static_assert(0x1000_gpa + 4_KiB == 0x2000_gpa);
    static_assert(0x3000_gpa - 0x1000_gpa == 8_KiB);
    static_assert(0x1000_gpa < 0x1001_gpa && 0x1000_gva >= 0x1000_gva);
    static_assert(Gpa().value() == 0);
    static_assert(std::is_same_v<decltype(0x2_gpa - 0x1_gpa), std::uint64_t>);
}

TEST(Address, MixesWithNothingElse) {
    static_assert(!adds<Gpa, Gpa>);
    static_assert(!adds<Gpa, Gva>);
    static_assert(!subtracts<Gpa, Gva>);
    static_assert(!subtracts<Gpa, std::uint64_t>);
    static_assert(!compares<Gpa, Gva> && !compares<Gpa, std::uint64_t>);
    static_assert(!std::is_convertible_v<std::uint64_t, Gpa>);
    static_assert(!std::is_convertible_v<Gpa, std::uint64_t>);
    static_assert(!std::is_convertible_v<Gva, Gpa>);
    static_assert(!std::is_convertible_v<Gsi, Slot> && !std::is_convertible_v<int, Port>);
}

TEST(Address, WeighsNoMoreThanANumber) {
    static_assert(sizeof(Gpa) == 8 && std::is_trivially_copyable_v<Gpa>);
}

TEST(Literals, CountBytes) {
    static_assert(1_KiB == 1024 && 64_KiB == 0x10000);
    static_assert(2_MiB == 0x20'0000 && 4_GiB == 0x1'0000'0000);
}

TEST(Flags, AreASetOfBits) {
    constexpr Flags<MemFlag> both = MemFlag::readonly | MemFlag::log_dirty_pages;
    static_assert(both.bits() == 3);
    static_assert(both.has(MemFlag::readonly) && both.has(both));
    static_assert(!Flags<MemFlag>(MemFlag::readonly).has(both));
    static_assert((both & MemFlag::readonly) == MemFlag::readonly);
    static_assert((both - MemFlag::readonly) == MemFlag::log_dirty_pages);
    static_assert(Flags<MemFlag>().empty() && !both.empty());
    static_assert(both.has({}), "the empty set is in every set");
    Flags<MemFlag> growing;
    growing |= MemFlag::readonly;
    EXPECT_EQ(growing.bits(), 2u);
}

TEST(Flags, KeepTheBitsThatTheyHaveNoNameFor) {
    constexpr Flags<MemFlag> newer(0x8000'0000u);
    static_assert((newer | MemFlag::readonly).bits() == 0x8000'0002);
    static_assert((newer - MemFlag::readonly).bits() == 0x8000'0000);
}

TEST(Flags, AreAsWideAsTheKernelsWord) {
    static_assert(sizeof(Flags<MemFlag>) == 4 && sizeof(Flags<MemoryAttribute>) == 8);
    static_assert(sizeof(Flags<RunFlag>) == 2);
}

TEST(Flags, DoNotMixWithNumbersAndOtherFlags) {
    static_assert(!std::is_convertible_v<unsigned, Flags<MemFlag>>);
    static_assert(!std::is_convertible_v<Flags<MemFlag>, unsigned>);
    static_assert(!std::is_constructible_v<Flags<MemFlag>, ClockFlag>);
}

TEST(IoAddress, IsAPortOrAnAddress) {
    static_assert(IoAddress(Port(0x3f8)).is_port() && IoAddress(Port(0x3f8)).value() == 0x3f8);
    static_assert(!IoAddress(0x3f8_gpa).is_port() && IoAddress(0x3f8_gpa).value() == 0x3f8);
    static_assert(!std::is_constructible_v<IoAddress, int>);
}

template <class T>
concept matches = requires(T value) { Datamatch::value(value); };

TEST(Datamatch, TakesOnlyTheFourUnsignedTypes) {
    static_assert(matches<u8> && matches<u16> && matches<u32> && matches<u64>);
    static_assert(!matches<int> && !matches<bool> && !matches<char> && !matches<char16_t>);
    static_assert(!matches<float> && !matches<Port>);
}

TEST(Cap, AllHasEachOnceInOrder) {
    std::set<std::string> names;
    int last = -1;
    for (const auto& any : cap::all) {
        EXPECT_GT(any.number, last) << any.name;
        last = any.number;
        EXPECT_TRUE(names.insert(any.name).second) << any.name;
    }
    EXPECT_EQ(names.size(), 244u);
    EXPECT_EQ(cap::irqchip.number, 0);
    EXPECT_EQ(cap::irqfd.number, 32);
    EXPECT_EQ(cap::immediate_exit.number, 136);
    EXPECT_EQ(cap::xsave2.number, 208);
    EXPECT_EQ(cap::guest_memfd.number, 234);
}

TEST(CapArgument, IsTheKernelsWord) {
    static_assert(detail::cap_arg(7u) == 7);
    static_assert(detail::cap_arg(Switch::on) == 1);
    static_assert(detail::cap_arg(FdNumber(3)) == 3);
    static_assert(detail::cap_arg(DisableExit::hlt | DisableExit::pause) == 6);
}

}  // namespace
}  // namespace kvm::test

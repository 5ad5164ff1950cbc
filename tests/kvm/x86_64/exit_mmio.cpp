// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <support/guest.hpp>

KVMXX_GUEST(mmio)

namespace kvm::test {
namespace {

class ExitMmio : public WithKvm {};

constexpr u64 reply = 0x8877'6655'4433'2211;

/// Answers with the low bytes of `reply`.
void answer(const exit::MmioRead& read) { std::memcpy(read.data.data(), &reply, read.data.size()); }

TEST_F(ExitMmio, WritesAndReadsOfEachSizeHaveTheirAddressAndBytes) {
    Guest guest(kvm());
    guest.load_long(guests::mmio());
    guest.change_regs([](Regs& regs) {
        regs.rax = 0x1122'3344'5566'7788;
        regs.rdi = layout::mmio + 0x100;
        regs.rsi = layout::mmio + 0x200;
    });
    for (const unsigned size : {1u, 2u, 4u, 8u}) {
        const auto write = guest.run_to<exit::MmioWrite>();
        EXPECT_EQ(write.address, Gpa(layout::mmio + 0x100));
        ASSERT_EQ(write.data.size(), size);
        EXPECT_EQ(number_of(write.data), 0x1122'3344'5566'7788 & (~u64(0) >> (64 - 8 * size)));
    }
    for (const unsigned size : {1u, 2u, 4u, 8u}) {
        const auto read = guest.run_to<exit::MmioRead>();
        EXPECT_EQ(read.address, Gpa(layout::mmio + 0x200));
        ASSERT_EQ(read.data.size(), size);
        answer(read);
    }
    guest.run_to<exit::Hlt>();
    const Regs regs = guest.regs();
    EXPECT_EQ(regs.r8, 0xffff'ffff'ffff'ff11u);
    EXPECT_EQ(regs.r9, 0xffff'ffff'ffff'2211u);
    EXPECT_EQ(regs.r10, 0x4433'2211u) << "a load of 32 bits clears the upper half";
    EXPECT_EQ(regs.r11, reply);
}

TEST_F(ExitMmio, AWriteToReadOnlyMemoryIsAnExitAndAReadIsNone) {
    REQUIRE_CAP(kvm(), cap::readonly_mem);
    Guest guest(kvm());
    guest.load_long(guests::store());
    const auto rom = guest.memory().subspan(layout::data, 0x1000);
    rom[8] = std::byte(0x99);
    const auto slot =
        must(guest.vm().add_memory(Slot(1), Gpa(layout::mmio), rom, MemFlag::readonly));
    EXPECT_EQ(slot.flags(), MemFlag::readonly);
    guest.change_regs([](Regs& regs) {
        regs.rax = 0x5a;
        regs.rdi = layout::mmio + 8;
    });
    const auto write = guest.run_to<exit::MmioWrite>();
    EXPECT_EQ(write.address, Gpa(layout::mmio + 8));
    EXPECT_EQ(number_of(write.data), 0x5au);
    guest.run_to<exit::Hlt>();
    EXPECT_EQ(guest.regs().rbx & 0xff, 0x99u) << "the write was dropped";
}

/// A guest about to load 16 bytes from where there is no memory and to store them at layout::data.
void prepare_wide(Guest& guest) {
    guest.load_long(guests::copy16());
    guest.change_regs([](Regs& regs) {
        regs.rsi = layout::mmio;
        regs.rdi = layout::data;
    });
}

TEST_F(ExitMmio, AReadOfSixteenBytesIsTwoExits) {
    Guest guest(kvm());
    prepare_wide(guest);
    const auto low = guest.run_to<exit::MmioRead>();
    EXPECT_EQ(low.address, Gpa(layout::mmio));
    EXPECT_EQ(low.data.size(), 8u);
    answer(low);
    const auto high = guest.run_to<exit::MmioRead>();
    EXPECT_EQ(high.address, Gpa(layout::mmio + 8));
    answer(high);
    guest.run_to<exit::Hlt>();
    EXPECT_EQ(guest.read<u64>(layout::data), reply);
    EXPECT_EQ(guest.read<u64>(layout::data + 8), reply);
}

}  // namespace
}  // namespace kvm::test

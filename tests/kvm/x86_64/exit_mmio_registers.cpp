// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <support/guest.hpp>

KVMXX_GUEST(mmio)

namespace kvm::test {
namespace {

class ExitMmioX86 : public WithKvm {};

constexpr u64 reply = 0x8877'6655'4433'2211;

/// Answers with the low bytes of `reply`.
void answer(const exit::MmioRead& read) { std::memcpy(read.data.data(), &reply, read.data.size()); }

TEST_F(ExitMmioX86, RepliesLeaveTheRestOfARegisterAloneButForThoseOf32Bits) {
    Guest guest(kvm());
    guest.load_long(guests::mmio());
    guest.change_regs([](Regs& regs) { regs.rdi = regs.rsi = layout::mmio; });
    for (int i = 0; i < 4; ++i) {
        guest.run_to<exit::MmioWrite>();
    }
    for (int i = 0; i < 4; ++i) {
        answer(guest.run_to<exit::MmioRead>());
    }
    guest.run_to<exit::Hlt>();
    const Regs regs = guest.regs();
    EXPECT_EQ(regs.r8, 0xffff'ffff'ffff'ff11u);
    EXPECT_EQ(regs.r9, 0xffff'ffff'ffff'2211u);
    EXPECT_EQ(regs.r10, 0x4433'2211u) << "a load of 32 bits clears the upper half";
    EXPECT_EQ(regs.r11, reply);
}

/// A guest about to load 16 bytes from where there is no memory and to store them at layout::data.
void prepare_wide(Guest& guest) {
    guest.load_long(guests::copy16());
    guest.change_regs([](Regs& regs) {
        regs.rsi = layout::mmio;
        regs.rdi = layout::data;
    });
}

TEST_F(ExitMmioX86, AReadOfSixteenBytesIsTwoExits) {
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

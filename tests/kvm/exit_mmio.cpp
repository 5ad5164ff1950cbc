// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "script.hpp"

namespace kvm::test {
namespace {

class ExitMmio : public WithKvm {};

constexpr u64 number = 0x8877'6655'4433'2211;
constexpr u64 low_bytes(unsigned size) { return number & (~u64(0) >> (64 - 8 * size)); }

TEST_F(ExitMmio, AWriteOfEachSizeHasItsAddressAndBytes) {
    Guest guest(kvm());
    constexpr u64 address = layout::mmio + 0x100;
    load_script(guest, {{store1, address, number},
                        {store2, address, number},
                        {store4, address, number},
                        {store8, address, number}});
    for (const unsigned size : {1u, 2u, 4u, 8u}) {
        const auto write = guest.run_to<exit::MmioWrite>();
        EXPECT_EQ(write.address, Gpa(address));
        ASSERT_EQ(write.data.size(), size);
        EXPECT_EQ(number_of(write.data), low_bytes(size));
    }
    guest.run_to_stop();
}

TEST_F(ExitMmio, AReadOfEachSizeHasItsAddressAndTakesItsReply) {
    Guest guest(kvm());
    constexpr u64 address = layout::mmio + 0x200;
    load_script(guest, {{load1, address}, {load2, address}, {load4, address}, {load8, address}});
    for (const unsigned size : {1u, 2u, 4u, 8u}) {
        const auto read = guest.run_to<exit::MmioRead>();
        EXPECT_EQ(read.address, Gpa(address));
        ASSERT_EQ(read.data.size(), size);
        std::memcpy(read.data.data(), &number, size);
    }
    guest.run_to_stop();
    EXPECT_EQ(loaded(guest, 0), low_bytes(1));
    EXPECT_EQ(loaded(guest, 1), low_bytes(2));
    EXPECT_EQ(loaded(guest, 2), low_bytes(4));
    EXPECT_EQ(loaded(guest, 3), low_bytes(8));
}

TEST_F(ExitMmio, AWriteToReadOnlyMemoryIsAnExitAndAReadIsNone) {
    REQUIRE_CAP(kvm(), cap::readonly_mem);
    Guest guest(kvm());
    const Pages rom(1);
    rom.bytes()[8] = std::byte(0x99);
    const auto slot =
        must(guest.vm().add_memory(Slot(1), Gpa(layout::mmio), rom.bytes(), MemFlag::readonly));
    EXPECT_EQ(slot.flags(), MemFlag::readonly);
    load_script(guest, {{store1, layout::mmio + 8, 0x5a}, {load1, layout::mmio + 8}});
    EXPECT_EQ(guest.run_to_write(layout::mmio + 8), 0x5au);
    guest.run_to_stop();
    EXPECT_EQ(loaded(guest, 1), 0x99u) << "the write was dropped";
}

TEST_F(ExitMmio, MemoryThatTheHostHasNotIsAFaultWithItsAddressOrAnError) {
    Guest guest(kvm());
    const Pages none(16);
    ASSERT_EQ(mprotect(none.bytes().data(), none.bytes().size(), PROT_NONE), 0);
    const auto slot = must(guest.vm().add_memory(Slot(1), Gpa(layout::mmio), none.bytes()));
    load_script(guest, {{store1, layout::mmio + 0x3000, 1}});
    const auto exit = guest.vcpu().run();
    if (exit && exit->reason() == ExitReason::mmio) {
        GTEST_SKIP() << "needs faults: this KVM takes memory that the host has not for MMIO";
    }
    if (exit) {
        const auto fault = guest.payload<exit::MemoryFault>(*exit);
        EXPECT_EQ(fault.gpa.value() & ~u64(0xfff), layout::mmio + 0x3000);
        EXPECT_GE(fault.size, 1u);
    } else {
        EXPECT_ERRNO(exit, EFAULT);
        EXPECT_STREQ(exit.error().what, "KVM_RUN");
    }
    EXPECT_TRUE(slot.valid());
}

TEST_F(ExitMmio, AGuestThatMakesNoExitFailsInsteadOfHanging) {
    Guest guest(kvm());
    guest.load(guests::spin());
    EXPECT_THROW((void)guest.run(std::chrono::milliseconds(300)), std::runtime_error);
}

}  // namespace
}  // namespace kvm::test

// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "script.hpp"

#include <atomic>
#include <support/pages.hpp>
#include <support/result.hpp>
#include <thread>

namespace kvm::test {
namespace {

/// Memory slots beside the guest's own, which is slot 0 at address 0.
class VmMemory : public WithKvm {
protected:
    static constexpr Gpa above = Gpa(layout::memory_size);
    Pages pages_{4};
};

/// An error must name the slot.
template <class T>
void expect_error(const Result<T>& result, int code, u32 slot) {
    ASSERT_ERRNO(result, code);
    EXPECT_EQ(result.error().detail, slot);
}

TEST_F(VmMemory, TheGuestReadsAndWritesWhatIsAdded) {
    Guest guest(kvm());
    must(guest.vm().add_memory(Slot(1), above, pages_.bytes()));
    pages_.bytes()[0x1005] = std::byte(0x77);
    load_script(guest, {{load1, layout::memory_size + 0x1005, 0},
                        {store4, layout::memory_size + 0x2000, 0x12345678}});
    guest.run_to_stop();
    EXPECT_EQ(loaded(guest, 0), 0x77u);
    EXPECT_EQ(number_of(pages_.bytes().subspan(0x2000, 4)), 0x12345678u);
}

TEST_F(VmMemory, WhatIsRemovedIsMmioAgainAndItsSlotMayBeReused) {
    Guest guest(kvm());
    Memslot slot = must(guest.vm().add_memory(Slot(1), above, pages_.bytes()));
    load_script(guest, {{store1, layout::memory_size, 1},
                        {},
                        {store1, layout::memory_size, 2},
                        {store1, layout::memory_size, 3}});
    guest.run_to_stop();
    ASSERT_OK(guest.vm().remove_memory(std::move(slot)));
    EXPECT_FALSE(slot.valid());
    const auto write = guest.run_to<exit::MmioWrite>();
    EXPECT_EQ(write.address, above);
    EXPECT_EQ(number_of(write.data), 2u);
    EXPECT_EQ(pages_.bytes()[0], std::byte(1));
    slot = must(guest.vm().add_memory(Slot(1), above, pages_.bytes().first(0x1000)));
    EXPECT_TRUE(slot.valid());
    guest.run_to_stop();
    EXPECT_EQ(pages_.bytes()[0], std::byte(3));
}

TEST_F(VmMemory, MovesToAnotherAddress) {
    Guest guest(kvm());
    Memslot slot = must(guest.vm().add_memory(Slot(1), above, pages_.bytes()));
    ASSERT_OK(guest.vm().move_memory(slot, above + 1_MiB));
    EXPECT_EQ(slot.address(), above + 1_MiB);
    load_script(guest,
                {{store1, layout::memory_size, 1}, {store1, layout::memory_size + 1_MiB, 2}});
    EXPECT_EQ(guest.run_to<exit::MmioWrite>().address, above);
    guest.run_to_stop();
    EXPECT_EQ(pages_.bytes()[0], std::byte(2));
    expect_error(guest.vm().move_memory(slot, 0x1000_gpa), EEXIST, 1);
    expect_error(guest.vm().move_memory(slot, above + 1), EINVAL, 1);
    EXPECT_EQ(slot.address(), above + 1_MiB) << "a move that failed changes nothing";
    EXPECT_OK(guest.vm().remove_memory(std::move(slot)));
}

TEST_F(VmMemory, AddressesThatOverlapAreRefused) {
    Guest guest(kvm());
    expect_error(guest.vm().add_memory(Slot(1), Gpa(layout::memory_size - 0x1000), pages_.bytes()),
                 EEXIST, 1);
    expect_error(guest.vm().add_memory(Slot(1), 0_gpa, pages_.bytes()), EEXIST, 1);
    EXPECT_OK(guest.vm().add_memory(Slot(1), above, pages_.bytes()));
}

TEST_F(VmMemory, ASlotInUseIsRefusedEvenForTheSameMemory) {
    Guest guest(kvm());
    for (const u32 n : {1u, 63u, 64u, 200u}) {
        const Gpa at = above + n * 64_KiB;
        Memslot slot = must(guest.vm().add_memory(Slot(n), at, pages_.bytes()));
        expect_error(guest.vm().add_memory(Slot(n), at, pages_.bytes()), EEXIST, n);
        expect_error(guest.vm().add_memory(Slot(n), at + 32_KiB, pages_.bytes()), EEXIST, n);
        ASSERT_OK(guest.vm().remove_memory(std::move(slot)));
        slot = must(guest.vm().add_memory(Slot(n), at + 32_KiB, pages_.bytes()));
        EXPECT_OK(guest.vm().remove_memory(std::move(slot)));
    }
}

TEST_F(VmMemory, WhatIsNotPageAlignedIsRefused) {
    Guest guest(kvm());
    const auto bytes = pages_.bytes();
    expect_error(guest.vm().add_memory(Slot(1), above + 8, bytes), EINVAL, 1);
    expect_error(guest.vm().add_memory(Slot(1), above, bytes.first(0x1001)), EINVAL, 1);
    expect_error(guest.vm().add_memory(Slot(1), above, bytes.subspan(8, 0x1000)), EINVAL, 1);
    expect_error(guest.vm().add_memory(Slot(1), above, {}), EINVAL, 1);
    EXPECT_OK(guest.vm().add_memory(Slot(1), above, bytes)) << "failures leave the slot free";
}

TEST_F(VmMemory, SlotsEndAtNrMemslots) {
    Guest guest(kvm());
    const u32 slots = static_cast<u32>(must(guest.vm().check(cap::nr_memslots)));
    ASSERT_GE(slots, 32u);
    EXPECT_OK(guest.vm().add_memory(Slot(slots - 1), above, pages_.bytes()));
    expect_error(guest.vm().add_memory(Slot(slots), above + 1_MiB, pages_.bytes()), EINVAL, slots);
    expect_error(guest.vm().add_memory(Slot(0xffff0000), above + 1_MiB, pages_.bytes()), EINVAL,
                 0xffff0000);
}

TEST_F(VmMemory, WritesToReadOnlyMemoryExit) {
    REQUIRE_CAP(kvm(), cap::readonly_mem);
    Guest guest(kvm());
    pages_.bytes()[3] = std::byte(0x33);
    Memslot slot = must(guest.vm().add_memory(Slot(1), above, pages_.bytes(), MemFlag::readonly));
    load_script(guest,
                {{load1, layout::memory_size + 3, 0}, {store2, layout::memory_size, 0x1122}});
    const auto write = guest.run_to<exit::MmioWrite>();
    EXPECT_EQ(write.address, above);
    EXPECT_EQ(number_of(write.data), 0x1122u);
    EXPECT_EQ(loaded(guest, 0), 0x33u);
    EXPECT_EQ(pages_.bytes()[0], std::byte(0));
    expect_error(guest.vm().set_memory_flags(slot, {}), EINVAL, 1);
    EXPECT_EQ(slot.flags(), Flags(MemFlag::readonly));
}

TEST_F(VmMemory, AnUnknownFlagIsRefused) {
    Guest guest(kvm());
    Memslot slot = must(guest.vm().add_memory(Slot(1), above, pages_.bytes()));
    expect_error(guest.vm().set_memory_flags(slot, Flags<MemFlag>(0x80)), EINVAL, 1);
    EXPECT_TRUE(slot.flags().empty());
}

TEST_F(VmMemory, ATokenIsOfNoUseToAnotherVm) {
    Vm one = must(kvm().create_vm()), two = must(kvm().create_vm());
    Memslot slot = must(one.add_memory(Slot(1), above, pages_.bytes(), MemFlag::log_dirty_pages));
    u64 bitmap[1] = {};
    expect_error(two.dirty_log(slot, bitmap), EBADF, 1);
    expect_error(two.clear_dirty_log(slot, 0, 4, bitmap), EBADF, 1);
    expect_error(two.set_memory_flags(slot, {}), EBADF, 1);
    expect_error(two.move_memory(slot, above + 1_MiB), EBADF, 1);
    expect_error(two.remove_memory(std::move(slot)), EBADF, 1);
    EXPECT_TRUE(slot.valid()) << "what failed used nothing up";
    const int number = one.fd().number();
    one = std::move(two);  // the first VM ends; the next may get its descriptor's number
    Vm three = must(kvm().create_vm());
    EXPECT_EQ(three.fd().number(), number);
    expect_error(three.dirty_log(slot, bitmap), EBADF, 1);
}

TEST_F(VmMemory, AUsedUpTokenIsOfNoUse) {
    Vm vm = must(kvm().create_vm());
    Memslot slot = must(vm.add_memory(Slot(1), above, pages_.bytes(), MemFlag::log_dirty_pages));
    Memslot moved = std::move(slot);
    u64 bitmap[1] = {};
    expect_error(vm.dirty_log(slot, bitmap), EBADF, 1);  // NOLINT(bugprone-use-after-move)
    EXPECT_OK(vm.dirty_log(moved, bitmap));
    EXPECT_OK(vm.remove_memory(std::move(moved)));
    expect_error(vm.dirty_log(moved, bitmap), EBADF, 1);  // NOLINT(bugprone-use-after-move)
    expect_error(vm.remove_memory(std::move(moved)), EBADF, 1);
    expect_error(vm.set_memory_flags(moved, {}), EBADF, 1);
}

TEST_F(VmMemory, ATokenStaysGoodWhenTheVmMoves) {
    Vm first = must(kvm().create_vm());
    Memslot slot = must(first.add_memory(Slot(70), above, pages_.bytes()));
    Vm second = std::move(first);
    expect_error(second.add_memory(Slot(70), above + 1_MiB, pages_.bytes()), EEXIST, 70);
    EXPECT_OK(second.move_memory(slot, above + 1_MiB));
    EXPECT_OK(second.remove_memory(std::move(slot)));
    Vm third = must(kvm().create_vm());
    third = std::move(second);
    EXPECT_OK(third.add_memory(Slot(70), above, pages_.bytes()));
}

TEST_F(VmMemory, TheIoctlItselfWorksToo) {
    Guest guest(kvm());
    const u64 memory = reinterpret_cast<u64>(pages_.bytes().data());
    EXPECT_OK(guest.vm().set_user_memory_region({1, 0, above.value(), 0x1000, memory}));
    EXPECT_OK(guest.vm().set_user_memory_region({1, 0, above.value(), 0, 0}));
    expect_error(guest.vm().set_user_memory_region({1, 0, 7, 0x1000, memory}), EINVAL, 1);
}

TEST_F(VmMemory, TheIoctlsSecondVersionWorksToo) {
    REQUIRE_CAP(kvm(), cap::user_memory2);
    Guest guest(kvm());
    const u64 memory = reinterpret_cast<u64>(pages_.bytes().data());
    UserspaceMemoryRegion2 region = {};
    region.slot = 1;
    region.guest_phys_addr = above.value();
    region.memory_size = 0x1000;
    region.userspace_addr = memory;
    EXPECT_OK(guest.vm().set_user_memory_region2(region));
    load_script(guest, {{store1, layout::memory_size, 9}});
    guest.run_to_stop();
    EXPECT_EQ(pages_.bytes()[0], std::byte(9));
    region.guest_phys_addr = 7;
    region.slot = 2;
    expect_error(guest.vm().set_user_memory_region2(region), EINVAL, 2);
}

TEST_F(VmMemory, SlotsComeAndGoWhileTheGuestRuns) {
    Guest guest(kvm());
    std::vector<Operation> script;
    for (u64 i = 0; i < 256; ++i) {
        script.push_back({store1, layout::mmio, i});
    }
    script.push_back({go_to, operation_at(0)});
    load_script(guest, script);
    std::atomic<bool> done{false};
    std::thread changer([&] {
        for (int i = 0; i < 50; ++i) {
            auto slot = guest.vm().add_memory(Slot(1), above, pages_.bytes());
            EXPECT_OK(slot);
            if (slot) {
                EXPECT_OK(guest.vm().remove_memory(std::move(*slot)));
            }
        }
        done = true;
    });
    u64 expected = 0;
    while (!done) {
        EXPECT_EQ(guest.run_to_write(layout::mmio), expected++ & 0xff);
    }
    changer.join();
    EXPECT_EQ(guest.run_to_write(layout::mmio), expected & 0xff);
}

}  // namespace
}  // namespace kvm::test

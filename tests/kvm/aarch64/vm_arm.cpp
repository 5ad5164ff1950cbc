// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <support/guest.hpp>

#include <cerrno>
#include <support/pages.hpp>

namespace kvm::test {
namespace {

using Bitmap = std::vector<u64>;
constexpr Gpa base = 0x40000000_gpa;

class VmArm : public WithKvm {};

TEST_F(VmArm, HasSoManyAddressBitsAsItsTypeSays) {
    EXPECT_ERRNO(kvm().create_vm(ipa_size(31)), EINVAL) << "32 at least";
    EXPECT_ERRNO(kvm().create_vm(VmType(u64(1) << 20)), EINVAL);
    const int most = must(kvm().check(cap::arm_vm_ipa_size));
    if (most == 0) {
        GTEST_SKIP() << lacks("ARM_VM_IPA_SIZE");
    }
    EXPECT_GE(most, 32);
    EXPECT_ERRNO(kvm().create_vm(ipa_size(static_cast<u32>(most) + 1)), EINVAL);
    EXPECT_OK(kvm().create_vm(ipa_size(static_cast<u32>(most))));
    const Vm vm = must(kvm().create_vm(ipa_size(32)));
    Pages pages(1);
    EXPECT_ERRNO(vm.add_memory(Slot(0), Gpa(u64(1) << 32), pages.bytes()), EFAULT)
        << "beyond the guest's 32 bits";
    EXPECT_OK(vm.add_memory(Slot(0), Gpa((u64(1) << 32) - 4096), pages.bytes()));
}

TEST_F(VmArm, AVcpuHasAnIdOfItsOwn) {
    const Vm vm = must(kvm().create_vm());
    const Vcpu vcpu = must(vm.create_vcpu(VcpuId(1)));
    EXPECT_ERRNO(vm.create_vcpu(VcpuId(1)), EEXIST);
    EXPECT_ERRNO(vm.create_vcpu(VcpuId(1u << 30)), EINVAL);
}

TEST_F(VmArm, SlotsDoNotOverlapAndAreAligned) {
    const Vm vm = must(kvm().create_vm());
    Pages pages(4);
    Memslot slot = must(vm.add_memory(Slot(1), base, pages.bytes()));
    EXPECT_ERRNO(vm.add_memory(Slot(2), base + 0x1000, pages.bytes()), EEXIST);
    EXPECT_ERRNO(vm.add_memory(Slot(1), base + 0x100000, pages.bytes()), EEXIST);
    EXPECT_ERRNO(vm.add_memory(Slot(2), base + 0x100001, pages.bytes()), EINVAL);
    EXPECT_ERRNO(vm.add_memory(Slot(2), base + 0x100000, pages.bytes().first(100)), EINVAL);
    EXPECT_ERRNO(vm.add_memory(Slot(60000), base + 0x100000, pages.bytes()), EINVAL);
    ASSERT_OK(vm.move_memory(slot, base + 0x100000));
    ASSERT_OK(vm.remove_memory(std::move(slot)));
    EXPECT_ERRNO(vm.set_memory_flags(slot, {}), EBADF);
    EXPECT_OK(vm.add_memory(Slot(1), base, pages.bytes()));
}

/// Has the guest write to `count` pages from `first` on.
void touch(Guest& guest, Gpa first, u64 count) {
    guest.load(guests::touch());
    guest.set(x(0), 0x55);
    guest.set(x(1), first.value());
    guest.set(x(2), count);
    guest.set(x(3), layout::mmio);
    guest.run_to_write(layout::mmio);
}

TEST_F(VmArm, TheDirtyLogNamesExactlyThePagesWritten) {
    Guest guest(kvm());
    Pages pages(130);
    Memslot slot =
        must(guest.vm().add_memory(Slot(1), base, pages.bytes(), MemFlag::log_dirty_pages));
    touch(guest, base + 3 * 4096, 2);
    touch(guest, base + 129 * 4096, 1);
    Bitmap bitmap(3, 0xdead);
    ASSERT_OK(guest.vm().dirty_log(slot, bitmap));
    EXPECT_EQ(bitmap, (Bitmap{3u << 3, 0, 2}));
    ASSERT_OK(guest.vm().dirty_log(slot, bitmap));
    EXPECT_EQ(bitmap, (Bitmap{0, 0, 0}));
    touch(guest, base + 64 * 4096, 1);
    ASSERT_OK(guest.vm().dirty_log(slot, bitmap));
    EXPECT_EQ(bitmap, (Bitmap{0, 1, 0}));
    EXPECT_ERRNO(guest.vm().dirty_log(slot, std::span(bitmap).first(2)), EMSGSIZE);
    ASSERT_OK(guest.vm().set_memory_flags(slot, {}));
    EXPECT_ERRNO(guest.vm().dirty_log(slot, bitmap), ENOENT);
}

TEST_F(VmArm, WithManualProtectTheLogStaysUntilItIsCleared) {
    REQUIRE_CAP(kvm(), cap::manual_dirty_log_protect2, ManualDirtyLogFlag::enable);
    Guest guest(kvm());
    must(guest.vm().enable(cap::manual_dirty_log_protect2, ManualDirtyLogFlag::enable));
    Pages pages(130);
    Memslot slot =
        must(guest.vm().add_memory(Slot(1), base, pages.bytes(), MemFlag::log_dirty_pages));
    touch(guest, base + 63 * 4096, 2);
    Bitmap bitmap(3);
    ASSERT_OK(guest.vm().dirty_log(slot, bitmap));
    ASSERT_OK(guest.vm().dirty_log(slot, bitmap));
    EXPECT_EQ(bitmap, (Bitmap{u64(1) << 63, 1, 0})) << "reading clears nothing";
    const u64 one[] = {1};
    ASSERT_OK(guest.vm().clear_dirty_log(slot, 64, 64, one));
    ASSERT_OK(guest.vm().dirty_log(slot, bitmap));
    EXPECT_EQ(bitmap, (Bitmap{u64(1) << 63, 0, 0}));
    EXPECT_ERRNO(guest.vm().clear_dirty_log(slot, 1, 64, bitmap), EINVAL);
}

/// Has the guest write `value`, `value` + 1, ... to `address`, + `step`, ...: `count` 4-byte
/// writes, and a last one to layout::mmio.
void store(Guest& guest, u32 value, u64 address, u64 count, u64 step) {
    guest.load(guests::store());
    guest.set(x(0), value);
    guest.set(x(1), address);
    guest.set(x(2), count);
    guest.set(x(3), layout::mmio);
    guest.set(x(4), step);
}

TEST_F(VmArm, CoalescedWritesAreQueuedInOrder) {
    REQUIRE_CAP(kvm(), cap::coalesced_mmio);
    Guest guest(kvm());
    CoalescedRing ring =
        must(CoalescedRing::map(guest.vcpu(), must(guest.vm().check(cap::coalesced_mmio))));
    constexpr u64 zone = layout::mmio + 0x1000;
    ASSERT_OK(guest.vm().register_coalesced_mmio(Gpa(zone), 0x100));
    store(guest, 7, zone, 3, 4);
    guest.run_to_write(layout::mmio);
    CoalescedMmio entry;
    for (u32 i = 0; i < 3; ++i) {
        ASSERT_TRUE(ring.pop(entry));
        EXPECT_EQ(entry.phys_addr, zone + i * 4);
        EXPECT_EQ(entry.len, 4u);
        EXPECT_EQ(number_of(std::as_bytes(std::span(entry.data)).first(4)), 7 + i);
    }
    EXPECT_FALSE(ring.pop(entry));
    ASSERT_OK(guest.vm().unregister_coalesced_mmio(Gpa(zone), 0x100));
    store(guest, 7, zone, 1, 4);
    EXPECT_EQ(guest.run_to_write(zone), 7u);
}

TEST_F(VmArm, AnIoeventfdTakesTheWritesThatMatch) {
    REQUIRE_CAP(kvm(), cap::ioeventfd);
    Guest guest(kvm());
    const EventFd event = must(EventFd::create(0, EventFdFlag::nonblock));
    constexpr u64 doorbell = layout::mmio + 0x2000;
    const auto match = Datamatch::value(std::uint32_t(8));
    ASSERT_OK(guest.vm().add_ioeventfd(event, Gpa(doorbell), match));
    EXPECT_ERRNO(guest.vm().add_ioeventfd(event, Gpa(doorbell), match), EEXIST);
    store(guest, 7, doorbell, 3, 0);
    EXPECT_EQ(guest.run_to_write(doorbell), 7u);
    EXPECT_EQ(guest.run_to_write(doorbell), 9u);
    EXPECT_EQ(must(event.read()), 1u);
    ASSERT_OK(guest.vm().remove_ioeventfd(event, Gpa(doorbell), match));
    EXPECT_ERRNO(guest.vm().remove_ioeventfd(event, Gpa(doorbell), match), ENOENT);
}

TEST_F(VmArm, StatisticsDescribeThemselves) {
    REQUIRE_CAP(kvm(), cap::binary_stats_fd);
    Guest guest(kvm());
    Stats stats = must(guest.vcpu().stats());
    const StatsDesc* exits = stats.find("exits");
    ASSERT_NE(exits, nullptr);
    ASSERT_OK(stats.update());
    const u64 before = stats.values(*exits)[0];
    store(guest, 1, layout::mmio, 10, 4);
    for (int i = 0; i < 10; ++i) {
        guest.run_to<exit::MmioWrite>();
    }
    ASSERT_OK(stats.update());
    EXPECT_GE(stats.values(*exits)[0], before + 10);
    EXPECT_FALSE(must(guest.vm().stats()).descriptors().empty());
}

TEST_F(VmArm, MemoryTagsNeedTheCapability) {
    Guest guest(kvm());
    std::vector<u8> tags(256);
    if (!must(kvm().check(cap::arm_mte))) {
        EXPECT_ERRNO(guest.vm().copy_mte_tags_from(0_gpa, tags), EINVAL);
        GTEST_SKIP() << lacks("ARM_MTE");
    }
    const Vm vm = must(kvm().create_vm());
    ASSERT_OK(vm.enable(cap::arm_mte));
    Pages pages(1);
    must(vm.add_memory(Slot(0), 0_gpa, pages.bytes()));
    tags[3] = 5;
    EXPECT_EQ(must(vm.copy_mte_tags_to(0_gpa, tags)), 4096u);
    std::vector<u8> back(256);
    EXPECT_EQ(must(vm.copy_mte_tags_from(0_gpa, back)), 4096u);
    EXPECT_EQ(back, tags);
    EXPECT_ERRNO(vm.copy_mte_tags_from(8_gpa, back), EINVAL);
}

}  // namespace
}  // namespace kvm::test

// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "script.hpp"

#include <cerrno>
#include <sys/mman.h>

namespace kvm::test {
namespace {

class PrivateMemory : public WithKvm {};

constexpr u64 size = 64 * 1024;

TEST_F(PrivateMemory, IsAsLongAsItWasAskedFor) {
    REQUIRE_CAP(kvm(), cap::guest_memfd);
    const Vm vm = must(kvm().create_vm());
    const GuestMemfd memory = must(vm.create_guest_memfd(size));
    EXPECT_EQ(memory.size(), size);
    EXPECT_GE(memory.fd().number(), 0);
    EXPECT_ERRNO(vm.create_guest_memfd(0), EINVAL);
    EXPECT_ERRNO(vm.create_guest_memfd(size + 1), EINVAL);
}

TEST_F(PrivateMemory, IsMappedWhereTheKernelCan) {
    REQUIRE_CAP(kvm(), cap::guest_memfd_flags, GuestMemfdFlag::mmap);
    const Vm vm = must(kvm().create_vm());
    const auto flags = GuestMemfdFlag::mmap | GuestMemfdFlag::init_shared;
    const GuestMemfd memory = must(vm.create_guest_memfd(size, flags));
    const auto mapping = must(memory.map(4096, size - 4096));
    ASSERT_EQ(mapping.bytes().size(), size - 4096);
    mapping.bytes()[0] = std::byte{42};
    EXPECT_EQ(must(memory.map(0, size)).bytes()[4096], std::byte{42});
    EXPECT_ERRNO(memory.map(0, size + 4096), EINVAL);
    EXPECT_ERRNO(memory.map(size, 4096), EINVAL);
    EXPECT_ERRNO(memory.map(~u64(0), 4096), EINVAL);
    EXPECT_ERRNO(memory.map(0, 0), EINVAL);
}

TEST_F(PrivateMemory, TakesANumaPolicyWhereTheKernelCan) {
    REQUIRE_CAP(kvm(), cap::guest_memfd_flags, GuestMemfdFlag::mmap);
    const Vm vm = must(kvm().create_vm());
    const auto flags = GuestMemfdFlag::mmap | GuestMemfdFlag::init_shared;
    const GuestMemfd memory = must(vm.create_guest_memfd(size, flags));
    const auto mapping = must(memory.map(0, size));
    constexpr int bind = 2;
    const unsigned long first_node = 1;
    const auto done = mapping.set_numa_policy(bind, {&first_node, 1});
    if (!done && done.error().code == ENOSYS) {
        GTEST_SKIP() << "this kernel knows no NUMA";
    }
    EXPECT_OK(done);
    EXPECT_ERRNO(mapping.set_numa_policy(12345, {&first_node, 1}), EINVAL);
}

TEST_F(PrivateMemory, CannotBeMappedUnlessItWasMadeSo) {
    REQUIRE_CAP(kvm(), cap::guest_memfd);
    const Vm vm = must(kvm().create_vm());
    EXPECT_ERRNO(must(vm.create_guest_memfd(size)).map(0, size), ENODEV);
}

TEST_F(PrivateMemory, BacksAGuestThatSharesItWithTheHost) {
    REQUIRE_CAP(kvm(), cap::guest_memfd_flags, GuestMemfdFlag::mmap | GuestMemfdFlag::init_shared);
    Guest guest(kvm());
    const auto flags = GuestMemfdFlag::mmap | GuestMemfdFlag::init_shared;
    const GuestMemfd memory = must(guest.vm().create_guest_memfd(size, flags));
    const auto mapping = must(memory.map(0, size));
    const auto slot = guest.vm().add_memory(Slot{1}, Gpa(0x800000), mapping.bytes(), memory, 0);
    ASSERT_OK(slot);
    load_script(guest, {{store1, 0x800000, 0x5a}, {store1, 0x802000, 0x5a}});
    guest.run_to_stop();
    EXPECT_EQ(mapping.bytes()[0], std::byte{0x5a});
    EXPECT_EQ(mapping.bytes()[8192], std::byte{0x5a});
    EXPECT_EQ(mapping.bytes()[12288], std::byte{0});
}

TEST_F(PrivateMemory, HasAttributesWhereTheVmHas) {
    Vm vm = must(kvm().create_vm());
    if (must(vm.check(cap::memory_attributes)).empty()) {
        EXPECT_FALSE(vm.set_memory_attributes(Gpa(0), 4096, MemoryAttribute::private_memory));
        GTEST_SKIP() << lacks("MEMORY_ATTRIBUTES");
    }
    EXPECT_OK(vm.set_memory_attributes(Gpa(0), 4096, MemoryAttribute::private_memory));
    EXPECT_OK(vm.set_memory_attributes(Gpa(0), 4096, {}));
    EXPECT_ERRNO(vm.set_memory_attributes(Gpa(1), 4096, {}), EINVAL);
}

TEST_F(PrivateMemory, IsMappedBeforeTheGuestTouchesIt) {
    REQUIRE_CAP(kvm(), cap::pre_fault_memory);
    Guest guest(kvm());
    EXPECT_EQ(must(guest.vcpu().pre_fault_memory(Gpa(0), layout::memory_size)), 0u);
    EXPECT_FALSE(guest.vcpu().pre_fault_memory(Gpa(layout::mmio), 4096));
    EXPECT_ERRNO(guest.vcpu().pre_fault_memory(Gpa(1), 4096), EINVAL);
}

}  // namespace
}  // namespace kvm::test

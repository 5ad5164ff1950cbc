// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <support/guest.hpp>
#include <support/pages.hpp>

namespace kvm::test {
namespace {

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

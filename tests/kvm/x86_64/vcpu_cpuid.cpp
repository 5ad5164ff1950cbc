// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <cerrno>
#include <support/guest.hpp>

KVMXX_GUEST(cpuid)

namespace kvm::test {
namespace {

class VcpuCpuid : public WithKvm {};

CpuidEntry2& leaf(CpuidList& list, u32 function) {
    const auto found = std::ranges::find(list, function, &CpuidEntry2::function);
    if (found == list.end()) {
        throw std::runtime_error("no such CPUID leaf");
    }
    return *found;
}

TEST_F(VcpuCpuid, ReadsBackTheLeavesThatWereSet) {
    Guest guest(kvm());
    const auto set = must(CpuidList::from(std::array{CpuidEntry2{.function = 0,
                                                                 .index = 0,
                                                                 .flags = 0,
                                                                 .eax = 1,
                                                                 .ebx = 'k',
                                                                 .ecx = 'v',
                                                                 .edx = 'm',
                                                                 .padding = {}},
                                                     CpuidEntry2{.function = 1,
                                                                 .index = 0,
                                                                 .flags = 0,
                                                                 .eax = 0x600,
                                                                 .ebx = 0,
                                                                 .ecx = 0,
                                                                 .edx = 0x2000,
                                                                 .padding = {}}}));
    ASSERT_OK(guest.vcpu().set_cpuid2(set));
    auto now = must(guest.vcpu().cpuid2());
    EXPECT_EQ(leaf(now, 0).ebx, u32('k'));
    EXPECT_EQ(leaf(now, 1).eax, 0x600u);
}

TEST_F(VcpuCpuid, HasNoLeavesThatNobodySet) {
    Guest guest(kvm());
    const auto leaves = must(guest.vcpu().cpuid2());
    EXPECT_EQ(std::ranges::count(leaves, 0u, &CpuidEntry2::function), 1)
        << "of " << leaves.size() << " leaves";
}

TEST_F(VcpuCpuid, TheGuestSeesTheLeavesThatWereSet) {
    Guest guest(kvm());
    auto leaves = must(kvm().supported_cpuid());
    CpuidEntry2& vendor = leaf(leaves, 0x8000'0002);
    vendor.eax = 0x6d76'6b41;
    vendor.ebx = 0x1234'5678;
    ASSERT_OK(guest.vcpu().set_cpuid2(leaves));
    guest.load_long(guests::cpuid());
    guest.change_regs([](Regs& regs) { regs.rax = 0x8000'0002; });
    guest.run_to<exit::Hlt>();
    const Regs regs = guest.regs();
    EXPECT_EQ(regs.rax, 0x6d76'6b41u);
    EXPECT_EQ(regs.rbx, 0x1234'5678u);
}

TEST_F(VcpuCpuid, TakesTheSameLeavesAgainOnceTheVcpuHasRun) {
    Guest guest(kvm());
    guest.load_real(guests::halt());
    guest.run_to<exit::Hlt>();
    EXPECT_OK(guest.vcpu().set_cpuid2(must(guest.vcpu().cpuid2())));
}

TEST_F(VcpuCpuid, RefusesOtherLeavesOnceTheVcpuHasRun) {
    Guest guest(kvm());
    guest.load_real(guests::halt());
    guest.run_to<exit::Hlt>();
    auto leaves = must(guest.vcpu().cpuid2());
    leaf(leaves, 1).eax ^= 0x10;
    const auto done = guest.vcpu().set_cpuid2(leaves);
    ASSERT_ERRNO(done, EINVAL);
    EXPECT_TRUE(std::string_view(explain(done.error())).starts_with("the vCPU has run"));
}

TEST_F(VcpuCpuid, RefusesMoreLeavesThanTheKernelTakes) {
    Guest guest(kvm());
    auto leaves = must(CpuidList::with_capacity(300));
    leaves.set_size(300);
    EXPECT_ERRNO(guest.vcpu().set_cpuid2(leaves), E2BIG);
}

}  // namespace
}  // namespace kvm::test

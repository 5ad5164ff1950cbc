// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <support/guest.hpp>

namespace kvm::test {
namespace {

class VcpuRunX86 : public WithKvm {};

TEST_F(VcpuRunX86, CompletingPendingIoBringsTheReplyIntoTheRegisters) {
    REQUIRE_CAP(kvm(), cap::immediate_exit);
    Guest guest(kvm());
    guest.load_real(guests::echo());
    const auto in = guest.run_to<exit::IoIn>();
    in.data[0] = std::byte(0x42);
    ASSERT_OK(guest.vcpu().complete_pending_io());
    const Regs regs = guest.regs();
    EXPECT_EQ(regs.rax & 0xff, 0x42u);
    EXPECT_EQ(regs.rip, layout::real_code + guests::echo_between());
    EXPECT_EQ(number_of(guest.run_to<exit::IoOut>().data), 0x42u);
}

TEST_F(VcpuRunX86, CompletingNothingLeavesTheGuestAlone) {
    REQUIRE_CAP(kvm(), cap::immediate_exit);
    Guest guest(kvm());
    guest.load_real(guests::hello());
    ASSERT_OK(guest.vcpu().complete_pending_io());
    EXPECT_EQ(guest.regs().rip, layout::real_code);
    guest.run_to<exit::IoOut>();
}

TEST_F(VcpuRunX86, TheRestOfAnInstructionIsToldWhenCompleting) {
    REQUIRE_CAP(kvm(), cap::immediate_exit);
    Guest guest(kvm());
    guest.load_long(guests::copy16());
    guest.change_regs([](Regs& regs) {
        regs.rsi = layout::mmio;
        regs.rdi = layout::data;
    });
    guest.run_to<exit::MmioRead>().data[0] = std::byte(0x11);
    auto rest = must(guest.vcpu().complete_pending_io());
    const auto second = guest.payload<exit::MmioRead>(rest);
    EXPECT_EQ(second.address, Gpa(layout::mmio + 8));
    std::memset(second.data.data(), 0x22, second.data.size());
    rest = must(guest.vcpu().complete_pending_io());
    guest.payload<exit::Interrupted>(rest);
    guest.run_to<exit::Hlt>();
    EXPECT_EQ(guest.read<u8>(layout::data), 0x11);
    EXPECT_EQ(guest.read<u64>(layout::data + 8), 0x2222'2222'2222'2222u);
}

TEST_F(VcpuRunX86, EnablesACapabilityOfTheVcpu) {
    REQUIRE_CAP(kvm(), cap::enforce_pv_feature_cpuid);
    Guest guest(kvm());
    EXPECT_OK(guest.vcpu().enable(cap::enforce_pv_feature_cpuid, Switch::on));
}

}  // namespace
}  // namespace kvm::test

// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <support/guest.hpp>

namespace kvm::test {
namespace {

class VcpuRegisters : public WithKvm {};

TEST_F(VcpuRegisters, ReadsBackTheGeneralRegistersThatWereSet) {
    Guest guest(kvm());
    Regs regs = {};
    u64 value = 0x1111'2222'3333'0000;
    for (u64 Regs::* reg : {&Regs::rax, &Regs::rbx, &Regs::rcx, &Regs::rdx, &Regs::rsi, &Regs::rdi,
                            &Regs::rsp, &Regs::rbp, &Regs::r8, &Regs::r9, &Regs::r10, &Regs::r11,
                            &Regs::r12, &Regs::r13, &Regs::r14, &Regs::r15, &Regs::rip}) {
        regs.*reg = ++value;
    }
    regs.rflags = 0x246;
    ASSERT_OK(guest.vcpu().set_regs(regs));
    EXPECT_EQ(bytes_of(must(guest.vcpu().regs())), bytes_of(regs));
}

TEST_F(VcpuRegisters, ReadsBackTheSystemRegistersThatWereSet) {
    Guest guest(kvm());
    guest.load_long(guests::halt());
    Sregs sregs = must(guest.vcpu().sregs());
    EXPECT_EQ(sregs.cr3, layout::page_tables);
    EXPECT_EQ(sregs.efer & 0x500, 0x500u);
    EXPECT_EQ(sregs.gdt.base, layout::gdt);
    EXPECT_EQ(sregs.cs.l, 1);
    sregs.cr2 = 0x1234'5000;
    sregs.fs.base = 0x7fff'1234'5678;
    sregs.gs.base = 0xffff'8000'0000'1000;
    sregs.idt = {.base = 0x5000, .limit = 0x1ff, .padding = {}};
    ASSERT_OK(guest.vcpu().set_sregs(sregs));
    EXPECT_EQ(bytes_of(must(guest.vcpu().sregs())), bytes_of(sregs));
}

TEST_F(VcpuRegisters, RefusesLongModeWithoutPae) {
    Guest guest(kvm());
    guest.load_long(guests::halt());
    Sregs sregs = must(guest.vcpu().sregs());
    sregs.cr4 = 0;
    EXPECT_ERRNO(guest.vcpu().set_sregs(sregs), EINVAL);
}

TEST_F(VcpuRegisters, ReadsBackTheSecondFormOfTheSystemRegisters) {
    REQUIRE_CAP(kvm(), cap::sregs2);
    Guest guest(kvm());
    guest.load_long(guests::halt());
    Sregs2 sregs = must(guest.vcpu().sregs2());
    EXPECT_EQ(sregs.cr3, layout::page_tables);
    EXPECT_EQ(sregs.flags, 0u) << "PDPTRs are PAE's, not long mode's";
    sregs.cr2 = 0x4321'0000;
    sregs.es.base = 0x1000;
    ASSERT_OK(guest.vcpu().set_sregs2(sregs));
    EXPECT_EQ(bytes_of(must(guest.vcpu().sregs2())), bytes_of(sregs));
}

TEST_F(VcpuRegisters, RefusesUnknownFlagsOfTheSecondForm) {
    REQUIRE_CAP(kvm(), cap::sregs2);
    Guest guest(kvm());
    Sregs2 sregs = must(guest.vcpu().sregs2());
    sregs.flags = 0x80;
    EXPECT_ERRNO(guest.vcpu().set_sregs2(sregs), EINVAL);
}

TEST_F(VcpuRegisters, ReadsBackTheFpuThatWasSet) {
    Guest guest(kvm());
    Fpu fpu = must(guest.vcpu().fpu());
    fpu.fcw = 0x27f;
    for (u8 i = 0; i < 16; ++i) {
        fpu.xmm[i][0] = u8(i + 1);
        fpu.xmm[i][15] = u8(0xf0 + i);
    }
    fpu.fpr[2][4] = 0x77;
    ASSERT_OK(guest.vcpu().set_fpu(fpu));
    const Fpu now = must(guest.vcpu().fpu());
    EXPECT_EQ(now.fcw, fpu.fcw);
    EXPECT_EQ(bytes_of(now.xmm), bytes_of(fpu.xmm));
    EXPECT_EQ(bytes_of(now.fpr), bytes_of(fpu.fpr));
}

TEST_F(VcpuRegisters, ReadsBackTheDebugRegistersThatWereSet) {
    REQUIRE_CAP(kvm(), cap::debugregs);
    Guest guest(kvm());
    Debugregs regs = must(guest.vcpu().debugregs());
    for (u64 i = 0; i < 4; ++i) {
        regs.db[i] = 0x1000 * (i + 1);
    }
    regs.dr7 = 0x402;
    ASSERT_OK(guest.vcpu().set_debugregs(regs));
    EXPECT_EQ(bytes_of(must(guest.vcpu().debugregs())), bytes_of(regs));
}

TEST_F(VcpuRegisters, RefusesUnknownFlagsOfTheDebugRegisters) {
    REQUIRE_CAP(kvm(), cap::debugregs);
    Guest guest(kvm());
    Debugregs regs = must(guest.vcpu().debugregs());
    regs.flags = 1;
    EXPECT_ERRNO(guest.vcpu().set_debugregs(regs), EINVAL);
}

TEST_F(VcpuRegisters, TranslatesAMappedAddress) {
    Guest guest(kvm());
    guest.load_long(guests::halt());
    // The second page of virtual 2 MiB is physical 1 MiB's, to see that the tables are walked.
    guest.write<u64>(layout::page_tables + 0x2000 + 8, 0x87);
    const auto translation = must(guest.vcpu().translate(Gva(0x301234)));
    EXPECT_EQ(translation.valid, 1);
    EXPECT_EQ(translation.physical_address, 0x101234u);
    EXPECT_EQ(translation.linear_address, 0x301234u);
}

TEST_F(VcpuRegisters, SaysThatAnAddressIsUnmapped) {
    Guest guest(kvm());
    guest.load_long(guests::halt());
    EXPECT_EQ(must(guest.vcpu().translate(Gva(5_GiB))).valid, 0);
}

}  // namespace
}  // namespace kvm::test

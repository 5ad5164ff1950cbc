// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <cerrno>
#include <support/guest.hpp>

namespace kvm::test {
namespace {

class VcpuXsave : public WithKvm {};

// Words of the XSAVE area's standard format.
constexpr std::size_t mxcsr = 6, xmm0 = 40, xstate_bv = 128;

/// Whether the guest's CPUID has XSAVE.
bool has_xsave(Vcpu& vcpu) {
    const auto cpuid = must(vcpu.cpuid2());
    return std::ranges::any_of(
        cpuid, [](const CpuidEntry2& e) { return e.function == 1 && (e.ecx & 1u << 26); });
}

TEST_F(VcpuXsave, HoldsTheSseRegistersThatTheGuestLoaded) {
    REQUIRE_CAP(kvm(), cap::xsave);
    Guest guest(kvm());
    guest.load_long(guests::copy16());
    guest.write<u64>(layout::data, 0x1122'3344'5566'7788);
    guest.change_regs([](Regs& regs) {
        regs.rsi = layout::data;
        regs.rdi = layout::data + 16;
    });
    guest.run_to<exit::Hlt>();
    const auto area = must(guest.vcpu().xsave());
    EXPECT_EQ(area.region[xmm0], 0x5566'7788u);
    EXPECT_EQ(area.region[xstate_bv] & 2, 2u);
    EXPECT_EQ(guest.read<u64>(layout::data + 16), 0x1122'3344'5566'7788u);
}

TEST_F(VcpuXsave, GivesTheGuestTheSseRegistersThatWereSet) {
    REQUIRE_CAP(kvm(), cap::xsave);
    Guest guest(kvm());
    guest.load_long(guests::copy16());
    auto area = must(guest.vcpu().xsave());
    area.region[xmm0] = 0xcafe;
    area.region[mxcsr] = 0x1f80;
    area.region[xstate_bv] |= 2;
    ASSERT_OK(guest.vcpu().set_xsave(guest.vm(), area));
    guest.change_regs([](Regs& regs) {
        regs.rip += guests::copy16_store();
        regs.rdi = layout::data;
    });
    guest.run_to<exit::Hlt>();
    EXPECT_EQ(guest.read<u32>(layout::data), 0xcafeu);
}

TEST_F(VcpuXsave, SetsTheSseRegistersThatTheFpuCallReads) {
    REQUIRE_CAP(kvm(), cap::xsave);
    Guest guest(kvm());
    auto area = must(guest.vcpu().xsave());
    area.region[xmm0] = 0xa5;
    area.region[mxcsr] = 0x1f80;
    area.region[xstate_bv] |= 2;
    ASSERT_OK(guest.vcpu().set_xsave(guest.vm(), area));
    EXPECT_EQ(must(guest.vcpu().fpu()).xmm[0][0], 0xa5);
}

TEST_F(VcpuXsave, TheWholeAreaIsAsLongAsTheCapabilitySays) {
    REQUIRE_CAP(kvm(), cap::xsave2);
    Guest guest(kvm());
    const auto area = must(guest.vcpu().xsave2(guest.vm()));
    EXPECT_EQ(area.size_bytes(),
              static_cast<std::size_t>(std::max(4096, must(guest.vm().check(cap::xsave2)))));
}

TEST_F(VcpuXsave, ReadsBackTheWholeAreaThatWasSet) {
    REQUIRE_CAP(kvm(), cap::xsave2);
    Guest guest(kvm());
    auto area = must(guest.vcpu().xsave2(guest.vm()));
    area.words()[xmm0 + 3] = 0xdecade;
    area.words()[mxcsr] = 0x1f80;
    area.words()[xstate_bv] |= 2;
    ASSERT_OK(guest.vcpu().set_xsave2(guest.vm(), area));
    const auto now = must(guest.vcpu().xsave2(guest.vm()));
    EXPECT_EQ(now.words()[xmm0 + 3], 0xdecadeu);
}

TEST_F(VcpuXsave, RefusesAnAreaThatTheKernelWouldReadBeyond) {
    REQUIRE_CAP(kvm(), cap::xsave2);
    Guest guest(kvm());
    if (must(guest.vm().check(cap::xsave2)) <= 4096) {
        GTEST_SKIP() << "needs an XSAVE area of more than 4096 bytes, which this KVM's guests lack";
    }
    EXPECT_ERRNO(guest.vcpu().set_xsave2(guest.vm(), must(Xsave2::with_size(4096))), EMSGSIZE);
    EXPECT_ERRNO(guest.vcpu().set_xsave(guest.vm(), Xsave{}), EMSGSIZE);
}

TEST_F(VcpuXsave, ReadsBackTheExtendedControlRegisterThatWasSet) {
    REQUIRE_CAP(kvm(), cap::xcrs);
    Guest guest(kvm());
    if (!has_xsave(guest.vcpu())) {
        GTEST_SKIP() << "needs XSAVE in the guest's CPUID, which this KVM does not support";
    }
    Xcrs xcrs = must(guest.vcpu().xcrs());
    ASSERT_EQ(xcrs.nr_xcrs, 1u);
    EXPECT_EQ(xcrs.xcrs[0].xcr, 0u);
    EXPECT_EQ(xcrs.xcrs[0].value, 1u) << "x87 alone after reset";
    xcrs.xcrs[0].value = 3;
    ASSERT_OK(guest.vcpu().set_xcrs(xcrs));
    EXPECT_EQ(must(guest.vcpu().xcrs()).xcrs[0].value, 3u);
}

TEST_F(VcpuXsave, RefusesAnExtendedControlRegisterWithoutX87) {
    REQUIRE_CAP(kvm(), cap::xcrs);
    Guest guest(kvm());
    Xcrs xcrs = must(guest.vcpu().xcrs());
    xcrs.nr_xcrs = 1;
    xcrs.xcrs[0] = {.xcr = 0, .reserved = 0, .value = 2};
    EXPECT_ERRNO(guest.vcpu().set_xcrs(xcrs), EINVAL);
}

}  // namespace
}  // namespace kvm::test

// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <support/guest.hpp>

namespace kvm::test {
namespace {

class VcpuTime : public WithKvm {};

constexpr u32 tsc = 0x10;

TEST_F(VcpuTime, TheTscHasAFrequency) {
    REQUIRE_CAP(kvm(), cap::get_tsc_khz);
    Guest guest(kvm());
    EXPECT_GT(must(guest.vcpu().tsc_khz()), 1000u);
}

TEST_F(VcpuTime, TakesTheFrequencyThatItHas) {
    REQUIRE_CAP(kvm(), cap::get_tsc_khz);
    Guest guest(kvm());
    const u32 khz = must(guest.vcpu().tsc_khz());
    ASSERT_OK(guest.vcpu().set_tsc_khz(khz));
    EXPECT_EQ(must(guest.vcpu().tsc_khz()), khz);
}

TEST_F(VcpuTime, TakesHalfItsFrequencyWhereTheHostCanScale) {
    REQUIRE_CAP(kvm(), cap::tsc_control);
    Guest guest(kvm());
    const u32 half = must(guest.vcpu().tsc_khz()) / 2;
    ASSERT_OK(guest.vcpu().set_tsc_khz(half));
    EXPECT_EQ(must(guest.vcpu().tsc_khz()), half);
}

/// Adds `ticks` to the offset; false if this KVM takes that and does nothing.
bool add_tsc_offset(Vcpu& vcpu, u64 ticks) {
    const u64 offset = must(vcpu.attr(tsc_offset));
    must(vcpu.set_attr(tsc_offset, offset + ticks));
    return must(vcpu.attr(tsc_offset)) == offset + ticks;
}

TEST_F(VcpuTime, TheTscOffsetIsAnAttribute) {
    REQUIRE_CAP(kvm(), cap::vcpu_attributes);
    Guest guest(kvm());
    ASSERT_TRUE(must(guest.vcpu().has_attr(tsc_offset)));
    EXPECT_OK(guest.vcpu().attr(tsc_offset));
}

TEST_F(VcpuTime, ALargerOffsetIsALaterTsc) {
    REQUIRE_CAP(kvm(), cap::vcpu_attributes);
    Guest guest(kvm());
    const u64 before = must(guest.vcpu().msr(tsc));
    if (!add_tsc_offset(guest.vcpu(), u64(1) << 50)) {
        GTEST_SKIP() << "needs a TSC with an offset: this KVM takes KVM_VCPU_TSC_OFFSET and "
                        "ignores it";
    }
    EXPECT_GE(must(guest.vcpu().msr(tsc)) - before, u64(1) << 50);
}

TEST_F(VcpuTime, AnAttributeThatDoesNotExistIsAnswerOrError) {
    REQUIRE_CAP(kvm(), cap::vcpu_attributes);
    Guest guest(kvm());
    constexpr Attr<u64> none{0, 4711, "none"};
    EXPECT_FALSE(must(guest.vcpu().has_attr(none)));
    EXPECT_ERRNO(guest.vcpu().attr(none), ENXIO);
    EXPECT_ERRNO(guest.vcpu().set_attr(none, 1), ENXIO);
}

TEST_F(VcpuTime, AGuestWithoutKvmclockCannotBeToldOfAPause) {
    REQUIRE_CAP(kvm(), cap::kvmclock_ctrl);
    Guest guest(kvm());
    EXPECT_ERRNO(guest.vcpu().kvmclock_ctrl(), EINVAL);
}

}  // namespace
}  // namespace kvm::test

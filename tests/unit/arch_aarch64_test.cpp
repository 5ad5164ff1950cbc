// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// What unit_tests have on aarch64 only: numbers as Documentation/virt/kvm/api.rst has them.

#include "run_page.hpp"
#include <kvm/aarch64/gic.hpp>
#include <kvm/aarch64/one_reg.hpp>
#include <kvm/kvm.hpp>

namespace kvm::test {
namespace {

TEST(ExitArm, DebugHasTheSyndromeAndTheAddress) {
    RunPage page(4);
    page.at(0, u32{0xf2000123}).at(4, u32{1}).at(8, u64{0x1234'5678'9abc});
    page.expect<exit::Debug>([](const exit::Debug& e) {
        EXPECT_EQ(e.arch.hsr, 0xf2000123u);
        EXPECT_EQ(e.arch.hsr_high, 1u);
        EXPECT_EQ(e.arch.far, 0x1234'5678'9abcu);
    });
}

TEST(RegistersArm, HaveTheKernelsIds) {
    static_assert(x(0).value() == 0x6030'0000'0010'0000);
    static_assert(x(30).value() == 0x6030'0000'0010'003c);
    static_assert(sp.value() == 0x6030'0000'0010'003e);
    static_assert(pc.value() == 0x6030'0000'0010'0040);
    static_assert(pstate.value() == 0x6030'0000'0010'0042);
    static_assert(v(0).value() == 0x6040'0000'0010'0054);
    static_assert(v(31).value() == 0x6040'0000'0010'00d0);
    static_assert(fpsr.value() == 0x6020'0000'0010'00d4);
    static_assert(fpcr.value() == 0x6020'0000'0010'00d5);
    static_assert(mpidr_el1.value() == 0x6030'0000'0013'c005);
    static_assert(timer_cnt.value() == 0x6030'0000'0013'df1a);
    static_assert(timer_cval.value() == 0x6030'0000'0013'df02);
    static_assert(psci_version.value() == 0x6030'0000'0014'0000);
    static_assert(z(0).value() == 0x6080'0000'0015'0000);
    static_assert(p(0).value() == 0x6050'0000'0015'0400);
    static_assert(ffr().value() == 0x6050'0000'0015'0600);
    static_assert(sve_vls.value() == 0x6060'0000'0015'ffff);
    static_assert(std_bmap.value() == 0x6030'0000'0016'0000);
}

TEST(RegistersArm, AnIdOfAnotherSizeIsRefused) {
    EXPECT_EQ(RegId<u32>::make(pc.value()).error().code, EMSGSIZE);
    EXPECT_EQ(RegId<u64>::make(pc.value()).value().value(), pc.value());
}

TEST(InterruptsArm, AreNumberedAsTheIrqLineWantsThem) {
    static_assert(static_cast<u32>(spi(40)) == 0x0100'0028);
    static_assert(static_cast<u32>(ppi(1, 27)) == 0x0201'001b);
    static_assert(static_cast<u32>(ppi(0x3ff, 27)) == 0x32ff'001b);
    static_assert(static_cast<u32>(cpu_line(2, 1)) == 0x0002'0001);
}

TEST(FeaturesArm, AreBitsByNumber) {
    VcpuInit init = {};
    init.set(VcpuFeature::psci_0_2);
    init.set(VcpuFeature::sve);
    EXPECT_EQ(init.features[0], 0x14u);
}

}  // namespace
}  // namespace kvm::test

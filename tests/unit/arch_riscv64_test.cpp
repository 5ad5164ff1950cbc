// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// What unit_tests have on riscv64 only: numbers as Documentation/virt/kvm/api.rst has them.

#include "run_page.hpp"
#include <kvm/kvm.hpp>
#include <kvm/riscv64/aia.hpp>
#include <kvm/riscv64/one_reg.hpp>

namespace kvm::test {
namespace {

TEST(RegistersRiscv, HaveTheKernelsIds) {
    static_assert(isa.value() == 0x8030'0000'0100'0000);
    static_assert(pc.value() == 0x8030'0000'0200'0000);
    static_assert(x(1).value() == 0x8030'0000'0200'0001);
    static_assert(x(31).value() == 0x8030'0000'0200'001f);
    static_assert(riscv64::mode.value() == 0x8030'0000'0200'0020);
    static_assert(sstatus.value() == 0x8030'0000'0300'0000);
    static_assert(satp.value() == 0x8030'0000'0300'0008);
    static_assert(timer_frequency.value() == 0x8030'0000'0400'0000);
    static_assert(f32(0).value() == 0x8020'0000'0500'0000);
    static_assert(f64(0).value() == 0x8030'0000'0600'0000);
    static_assert(fcsr.value() == 0x8020'0000'0600'0020);
    static_assert(isa_ext(IsaExt::a).value() == 0x8030'0000'0700'0000);
    static_assert(isa_ext(IsaExt::zicboz).value() == 0x8030'0000'0700'000c);
    static_assert(isa_multi_dis(1).value() == 0x8030'0000'0702'0001);
    static_assert(sbi_ext(SbiExt::pmu).value() == 0x8030'0000'0800'0006);
    static_assert(sbi_fwft(2).value() == 0x8030'0000'0a01'0002);
    static_assert(timer_state.value() == 0x8030'0000'0400'0003);
}

TEST(RegistersRiscv, AnIdOfAnotherSizeIsRefused) {
    EXPECT_EQ(RegId<u32>::make(pc.value()).error().code, EMSGSIZE);
    EXPECT_EQ(RegId<u64>::make(pc.value()).value().value(), pc.value());
}

}  // namespace
}  // namespace kvm::test

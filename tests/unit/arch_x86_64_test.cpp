// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// What unit_tests have on x86_64 only.

#include "run_page.hpp"
#include <kvm/kvm.hpp>

namespace kvm::test {
namespace {

TEST(ExitX86, DebugHasTheArchitecturesState) {
    RunPage page(4);
    page.at(0, u32{1}).at(8, u64{0x1234}).at(16, u64{0x4000}).at(24, u64{0x400});
    page.expect<exit::Debug>([](const exit::Debug& e) {
        EXPECT_EQ(e.arch.exception, 1u);
        EXPECT_EQ(e.arch.pc, 0x1234u);
        EXPECT_EQ(e.arch.dr6, 0x4000u);
        EXPECT_EQ(e.arch.dr7, 0x400u);
    });
}

TEST(FlagsX86, RunFlagsAreSixteenBits) {
    static_assert((Flags<RunFlag>(RunFlag::smm) | RunFlag::guest_mode).bits() == 5);
}

TEST(PmuEventsX86, AMaskedEventHasItsPartsWhereTheKernelLooksForThem) {
    static_assert(masked_pmu_event(0x1c2, 0xff, 0x01) == 0xff00'0001'0000'01c2);
    static_assert(masked_pmu_event(0xffff'f0c2, 0, 0) == 0xc2, "12 bits select");
    static_assert(masked_pmu_event(0, 0, 0, Masked::exclude) == u64{1} << 55);
}

}  // namespace
}  // namespace kvm::test

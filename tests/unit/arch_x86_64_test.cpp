// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// What unit_tests have on x86_64 only.

#include "run_page.hpp"

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

}  // namespace
}  // namespace kvm::test

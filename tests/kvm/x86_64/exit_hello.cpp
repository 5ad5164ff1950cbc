// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <support/guest.hpp>

namespace kvm::test {
namespace {

class Hello : public WithKvm {};

TEST_F(Hello, WritesTheSumThenANewlineThenHalts) {
    Guest guest(kvm());
    guest.load_real(guests::hello());
    guest.change_regs([](Regs& regs) {
        regs.rax = 2;
        regs.rbx = 3;
    });
    const auto sum = guest.run_to<exit::IoOut>();
    EXPECT_EQ(sum.port, Port(0x3f8));
    EXPECT_EQ(bytes_of(sum.data), "5");
    const auto newline = guest.run_to<exit::IoOut>();
    EXPECT_EQ(bytes_of(newline.data), "\n");
    guest.run_to<exit::Hlt>();
}

TEST_F(Hello, HaltsInLongModeToo) {
    Guest guest(kvm());
    guest.load_long(guests::halt());
    guest.run_to<exit::Hlt>();
    EXPECT_EQ(guest.regs().rip, layout::long_code + 1);
}

}  // namespace
}  // namespace kvm::test

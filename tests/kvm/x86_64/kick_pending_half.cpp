// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "script.hpp"

namespace kvm::test {
namespace {

class PendingIoX86 : public WithKvm {};

TEST_F(PendingIoX86, TheSecondHalfOfAnAccessIsAnExitToAnswer) {
    Guest guest(kvm());
    load_script(guest, {{store8, layout::mmio + 0xffc, 0x1122334455667788}, {out1, 0xe0, 1}});
    const auto first = guest.run_to<exit::MmioWrite>();
    EXPECT_EQ(first.address, Gpa(layout::mmio + 0xffc));
    ASSERT_EQ(number_of(first.data), 0x55667788u);
    const Exit exit = must(guest.vcpu().complete_pending_io());
    const auto second = guest.payload<exit::MmioWrite>(exit);
    EXPECT_EQ(second.address, Gpa(layout::mmio + 0x1000));
    EXPECT_EQ(number_of(second.data), 0x11223344u);
    EXPECT_EQ(must(guest.vcpu().complete_pending_io()).reason(), ExitReason::intr);
    guest.run_to<exit::IoOut>();
}

}  // namespace
}  // namespace kvm::test

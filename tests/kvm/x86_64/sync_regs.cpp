// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <support/guest.hpp>

namespace kvm::test {
namespace {

class SyncRegisters : public WithKvm {};

TEST_F(SyncRegisters, HoldAfterAnExitWhatTheCallsWouldGive) {
    REQUIRE_CAP(kvm(), cap::sync_regs, SyncReg::regs | SyncReg::sregs | SyncReg::events);
    Guest guest(kvm());
    guest.load_real(guests::count());
    guest.change_regs([](Regs& regs) { regs.rbx = 0x1234; });
    guest.vcpu().set_sync_valid(SyncReg::regs | SyncReg::sregs | SyncReg::events);
    guest.run_to<exit::IoOut>();
    const SyncRegs& sync = guest.vcpu().sync_regs();
    EXPECT_EQ(sync.regs.rbx, 0x1234u);
    EXPECT_EQ(bytes_of(sync.regs), bytes_of(guest.regs()));
    EXPECT_EQ(bytes_of(sync.sregs), bytes_of(must(guest.vcpu().sregs())));
    EXPECT_EQ(bytes_of(sync.events), bytes_of(must(guest.vcpu().vcpu_events())));
}

TEST_F(SyncRegisters, AreLeftAloneIfNotAskedFor) {
    REQUIRE_CAP(kvm(), cap::sync_regs, SyncReg::regs);
    Guest guest(kvm());
    guest.load_real(guests::count());
    guest.vcpu().sync_regs().regs.rbx = 0xabad1dea;
    guest.run_to<exit::IoOut>();
    EXPECT_EQ(guest.vcpu().sync_regs().regs.rbx, 0xabad1deau);
}

TEST_F(SyncRegisters, AreTakenAtTheNextEntryOnce) {
    REQUIRE_CAP(kvm(), cap::sync_regs, SyncReg::regs);
    Guest guest(kvm());
    guest.load_real(guests::count());
    guest.vcpu().set_sync_valid(SyncReg::regs);
    guest.run_to<exit::IoOut>();
    guest.vcpu().sync_regs().regs.rax = 0x70;
    guest.vcpu().set_sync_dirty(SyncReg::regs);
    EXPECT_EQ(number_of(guest.run_to<exit::IoOut>().data), 0x71u);
    guest.vcpu().sync_regs().regs.rax = 0;
    EXPECT_EQ(number_of(guest.run_to<exit::IoOut>().data), 0x72u) << "not dirty any more";
}

TEST_F(SyncRegisters, UnknownOnesAreRefused) {
    REQUIRE_CAP(kvm(), cap::sync_regs);
    Guest guest(kvm());
    guest.load_real(guests::halt());
    guest.vcpu().raw().kvm_valid_regs = u64(1) << 63;
    EXPECT_ERRNO(guest.vcpu().run(), EINVAL);
}

}  // namespace
}  // namespace kvm::test

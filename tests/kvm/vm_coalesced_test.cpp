// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "script.hpp"

#include <support/result.hpp>

namespace kvm::test {
namespace {

/// The ring takes at most one write fewer than it has room for: (4096 - 8) / 24 - 1. Before
/// Linux 6.12 it is full at odd times, at first after 85: KVM computes modulo 170 with numbers
/// modulo 2^32.
constexpr u64 ring_holds = 169;

class VmCoalesced : public WithKvm {
protected:
    CoalescedRing ring(Guest& guest) {
        return must(CoalescedRing::map(guest.vcpu(), must(guest.vm().check(cap::coalesced_mmio))));
    }
};

TEST_F(VmCoalesced, WritesAreQueuedInOrderInsteadOfExiting) {
    REQUIRE_CAP(kvm(), cap::coalesced_mmio);
    Guest guest(kvm());
    CoalescedRing writes = ring(guest);
    ASSERT_OK(guest.vm().register_coalesced_mmio(Gpa(layout::mmio), 0x100));
    load_script(guest, {{store1, layout::mmio, 0x11},
                        {store2, layout::mmio + 0x10, 0x2222},
                        {store4, layout::mmio + 0x20, 0x33333333},
                        {store8, layout::mmio + 0xf8, 0x4444444444444444},
                        {store1, layout::mmio + 0x100, 0x55}});
    EXPECT_EQ(guest.run_to<exit::MmioWrite>().address, Gpa(layout::mmio + 0x100));
    const u64 values[] = {0x11, 0x2222, 0x33333333, 0x4444444444444444};
    const u64 offsets[] = {0, 0x10, 0x20, 0xf8};
    CoalescedMmio write;
    for (int i = 0; i < 4; ++i) {
        ASSERT_TRUE(writes.pop(write));
        EXPECT_EQ(write.phys_addr, layout::mmio + offsets[i]);
        EXPECT_EQ(write.len, 1u << i);
        EXPECT_EQ(write.pio, 0u);
        EXPECT_EQ(number_of(std::as_bytes(std::span(write.data)).first(write.len)), values[i]);
    }
    EXPECT_FALSE(writes.pop(write));
    guest.run_to_stop();
}

TEST_F(VmCoalesced, AFullRingExitsAndGoesOnOnceThereIsRoom) {
    REQUIRE_CAP(kvm(), cap::coalesced_mmio);
    Guest guest(kvm());
    CoalescedRing writes = ring(guest);
    ASSERT_OK(guest.vm().register_coalesced_mmio(Gpa(layout::mmio), 0x1000));
    std::vector<Operation> script;
    constexpr u64 rounds = 3;
    for (u64 i = 0; i < rounds * (ring_holds + 1); ++i) {
        script.push_back({store4, layout::mmio + i * 4, i});
    }
    load_script(guest, script);
    u64 next = 0, exits = 0;
    CoalescedMmio write;
    for (;;) {
        const Exit exit = guest.run();
        for (u64 taken = 0; writes.pop(write); ++taken, ++next) {
            ASSERT_LT(taken, ring_holds) << "no ring holds more";
            ASSERT_EQ(write.phys_addr, layout::mmio + next * 4) << "in order";
        }
        if (is_stop(exit)) {
            break;
        }
        ASSERT_EQ(number_of(guest.payload<exit::MmioWrite>(exit).data), next)
            << "what found it full";
        ++next;
        ++exits;
    }
    EXPECT_EQ(next, rounds * (ring_holds + 1)) << "none is lost, across the ring's end";
    EXPECT_GE(exits, rounds);
    EXPECT_LE(exits, 20u);
}

TEST_F(VmCoalesced, AfterUnregisteringWritesExitAgain) {
    REQUIRE_CAP(kvm(), cap::coalesced_mmio);
    Guest guest(kvm());
    CoalescedRing writes = ring(guest);
    ASSERT_OK(guest.vm().register_coalesced_mmio(Gpa(layout::mmio), 0x100));
    ASSERT_OK(guest.vm().register_coalesced_mmio(Gpa(layout::mmio + 0x1000), 0x100));
    ASSERT_OK(guest.vm().unregister_coalesced_mmio(Gpa(layout::mmio), 0x100));
    load_script(guest, {{store1, layout::mmio + 0x1000, 1}, {store1, layout::mmio, 2}});
    EXPECT_EQ(guest.run_to<exit::MmioWrite>().address, Gpa(layout::mmio));
    CoalescedMmio write;
    EXPECT_TRUE(writes.pop(write));
    EXPECT_FALSE(writes.pop(write));
}

TEST_F(VmCoalesced, AZoneIsUnregisteredByBytesWithinIt) {
    REQUIRE_CAP(kvm(), cap::coalesced_mmio);
    Guest guest(kvm());
    CoalescedRing writes = ring(guest);
    ASSERT_OK(guest.vm().register_coalesced_mmio(Gpa(layout::mmio), 0x100));
    EXPECT_OK(guest.vm().unregister_coalesced_mmio(Gpa(layout::mmio), 0x200)) << "no zone has them";
    load_script(guest, {{store1, layout::mmio, 1}, {}, {store1, layout::mmio, 2}});
    guest.run_to_stop();
    CoalescedMmio write;
    EXPECT_TRUE(writes.pop(write));
    EXPECT_OK(guest.vm().unregister_coalesced_mmio(Gpa(layout::mmio + 0x10), 8));
    guest.run_to<exit::MmioWrite>();
}

TEST_F(VmCoalesced, TheRingIsMappedFromItsOwnPageOnlyAndMoves) {
    REQUIRE_CAP(kvm(), cap::coalesced_mmio);
    Guest guest(kvm());
    EXPECT_ERRNO(CoalescedRing::map(guest.vcpu(), 0), EINVAL);
    EXPECT_ERRNO(CoalescedRing::map(guest.vcpu(), -1), EINVAL);
    EXPECT_ERRNO(CoalescedRing::map(guest.vcpu(), 1000), EINVAL);
    CoalescedRing first = ring(guest);
    CoalescedRing second = std::move(first);
    CoalescedMmio write;
    EXPECT_FALSE(first.pop(write));  // NOLINT(bugprone-use-after-move)
    ASSERT_OK(guest.vm().register_coalesced_mmio(Gpa(layout::mmio), 0x100));
    load_script(guest, {{store1, layout::mmio, 1}});
    guest.run_to_stop();
    first = std::move(second);
    EXPECT_TRUE(first.pop(write));
}

TEST_F(VmCoalesced, TheRingHasOneOwnerAtATime) {
    REQUIRE_CAP(kvm(), cap::coalesced_mmio);
    Guest guest(kvm());
    const int page = must(guest.vm().check(cap::coalesced_mmio));
    const Vcpu other = must(guest.vm().create_vcpu(VcpuId(1)));
    {
        const CoalescedRing owner = ring(guest);
        EXPECT_ERRNO(CoalescedRing::map(guest.vcpu(), page), EBUSY);
        EXPECT_ERRNO(CoalescedRing::map(other, page), EBUSY);
        Guest elsewhere(kvm());
        EXPECT_OK(CoalescedRing::map(elsewhere.vcpu(), page)) << "another VM has a ring of its own";
    }
    EXPECT_OK(CoalescedRing::map(other, page));
}

}  // namespace
}  // namespace kvm::test

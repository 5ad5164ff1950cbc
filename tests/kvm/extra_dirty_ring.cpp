// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "script.hpp"

#include <algorithm>
#include <cerrno>

namespace kvm::test {
namespace {

class DirtyRings : public WithKvm {};

constexpr std::size_t ring_bytes = 64 * 1024;

/// A guest with a second slot, which logs into a ring.
struct RingGuest : Guest {
    RingGuest(const Kvm& kvm, std::size_t bytes)
        : Guest(kvm, [bytes](Vm& vm) { must(vm.enable(dirty_ring_cap, static_cast<u64>(bytes))); }),
          ring(must(DirtyRing::map(vcpu(), bytes))) {
        log = must(vm().add_memory(Slot(1), Gpa(layout::memory_size), pages.bytes(),
                                   MemFlag::log_dirty_pages));
    }
    /// Has the guest write to `count` of the slot's pages from the `first` one on.
    void touch(u64 first, u64 count) {
        std::vector<Operation> script;
        for (u64 page = first; page < first + count; ++page) {
            script.push_back({store1, layout::memory_size + page * 4096, 1});
        }
        load_script(*this, std::move(script));
    }
    /// The slot's pages that were written.
    std::vector<u64> harvest() {
        std::vector<u64> found;
        ring.harvest([&](DirtyRing::Page page) {
            EXPECT_EQ(page.slot, Slot(1));
            found.push_back(page.offset);
        });
        return found;
    }

    Pages pages{256};
    DirtyRing ring;
    std::optional<Memslot> log;
};

TEST_F(DirtyRings, NameThePagesInTheOrderInWhichTheyWereWritten) {
    REQUIRE_CAP(kvm(), dirty_ring_cap);
    RingGuest guest(kvm(), ring_bytes);
    guest.touch(0, 5);
    guest.run_to_stop();
    EXPECT_EQ(guest.harvest(), (std::vector<u64>{0, 1, 2, 3, 4}));
    EXPECT_TRUE(guest.harvest().empty());
}

TEST_F(DirtyRings, NameAPageAgainAfterAReset) {
    REQUIRE_CAP(kvm(), dirty_ring_cap);
    RingGuest guest(kvm(), ring_bytes);
    guest.touch(7, 1);
    guest.run_to_stop();
    EXPECT_EQ(guest.harvest(), (std::vector<u64>{7}));
    EXPECT_GE(must(guest.vm().reset_dirty_rings()), 1u);
    guest.touch(7, 1);
    guest.run_to_stop();
    EXPECT_EQ(guest.harvest(), (std::vector<u64>{7}));
}

TEST_F(DirtyRings, EndARunWhenTheyAreFullAndLoseNothing) {
    REQUIRE_CAP(kvm(), dirty_ring_cap);
    constexpr std::size_t small = 4096;  // 256 entries, of which the kernel keeps some in reserve
    const auto made = [&] {
        Vm vm = must(kvm().create_vm());
        return vm.enable(dirty_ring_cap, static_cast<u64>(small));
    }();
    if (!made) {
        GTEST_SKIP() << "this KVM takes no ring of 4 KiB: " << describe(made.error());
    }
    RingGuest guest(kvm(), small);
    constexpr u64 pages = 250;
    guest.touch(0, pages);
    std::vector<u64> seen;
    int full = 0;
    for (;;) {
        const Exit exit = guest.run();
        const auto some = guest.harvest();
        seen.insert(seen.end(), some.begin(), some.end());
        if (is_stop(exit)) {
            break;
        }
        ASSERT_EQ(exit.reason(), ExitReason::dirty_ring_full) << describe(exit);
        ++full;
        (void)must(guest.vm().reset_dirty_rings());
    }
    std::sort(seen.begin(), seen.end());
    seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
    EXPECT_EQ(seen.size(), pages);
    if (full == 0) {
        GTEST_SKIP() << "this KVM held all " << pages << " pages and did not call the ring full";
    }
}

TEST_F(DirtyRings, TakeTheBitmapsPlace) {
    REQUIRE_CAP(kvm(), dirty_ring_cap);
    RingGuest guest(kvm(), ring_bytes);
    std::vector<u64> bitmap(guest.log->bitmap_words());
    EXPECT_ERRNO(guest.vm().dirty_log(*guest.log, bitmap), ENXIO);
}

TEST_F(DirtyRings, HaveASizeThatIsAPowerOfTwoPages) {
    Guest guest(kvm());
    EXPECT_ERRNO(DirtyRing::map(guest.vcpu(), 0), EINVAL);
    EXPECT_ERRNO(DirtyRing::map(guest.vcpu(), 2048), EINVAL);
    EXPECT_ERRNO(DirtyRing::map(guest.vcpu(), 3 * 4096), EINVAL);
}

TEST_F(DirtyRings, AreAsLongAsTheyWereEnabled) {
    REQUIRE_CAP(kvm(), dirty_ring_cap);
    RingGuest guest(kvm(), ring_bytes);
    EXPECT_ERRNO(DirtyRing::map(guest.vcpu(), ring_bytes / 2), EINVAL);
    EXPECT_ERRNO(DirtyRing::map(guest.vcpu(), ring_bytes * 2), EINVAL);
}

TEST_F(DirtyRings, AreMappedOnceSinceTheKernelGoesOnWhereTheLastOneStopped) {
    REQUIRE_CAP(kvm(), dirty_ring_cap);
    RingGuest guest(kvm(), ring_bytes);
    EXPECT_ERRNO(DirtyRing::map(guest.vcpu(), ring_bytes), EBUSY);
    guest.touch(0, 2);
    guest.run_to_stop();
    EXPECT_EQ(guest.harvest(), (std::vector<u64>{0, 1})) << "the owner is undisturbed";
    {
        const DirtyRing gone = std::move(guest.ring);
    }
    EXPECT_ERRNO(DirtyRing::map(guest.vcpu(), ring_bytes), EBUSY);
}

TEST_F(DirtyRings, AreNotThereUnlessEnabled) {
    Guest guest(kvm());
    EXPECT_ERRNO(DirtyRing::map(guest.vcpu(), ring_bytes), EINVAL);
    EXPECT_ERRNO(guest.vm().reset_dirty_rings(), EINVAL);
}

}  // namespace
}  // namespace kvm::test

// SPDX-License-Identifier: Apache-2.0 OR MIT
// What vm_coalesced_test.cpp and vm_ioeventfd_test.cpp have of addresses, of ports.
#include "script.hpp"

namespace kvm::test {
namespace {

constexpr u64 port = 0x510;

class VmCoalescedPorts : public WithKvm {};

TEST_F(VmCoalescedPorts, AreQueuedToo) {
    REQUIRE_CAP(kvm(), cap::coalesced_pio);
    Guest guest(kvm());
    CoalescedRing writes =
        must(CoalescedRing::map(guest.vcpu(), must(guest.vm().check(cap::coalesced_mmio))));
    ASSERT_OK(guest.vm().register_coalesced_mmio(Port(port), 4));
    load_script(guest, {{out1, port, 1}, {out2, port + 2, 2}, {out1, port + 4, 3}});
    EXPECT_EQ(guest.run_to<exit::IoOut>().port, Port(port + 4));
    CoalescedMmio write;
    ASSERT_TRUE(writes.pop(write));
    EXPECT_EQ(write.phys_addr, port);
    EXPECT_EQ(write.pio, 1u);
    ASSERT_TRUE(writes.pop(write));
    EXPECT_EQ(write.phys_addr, port + 2);
    EXPECT_EQ(write.len, 2u);
    EXPECT_FALSE(writes.pop(write));
    ASSERT_OK(guest.vm().unregister_coalesced_mmio(Port(port), 4));
}

class VmIoeventfdPorts : public WithKvm {
protected:
    EventFd event() { return must(EventFd::create(0, EventFdFlag::nonblock)); }
    static u64 signals(const EventFd& event) {
        const auto count = event.read();
        return count ? *count : 0;
    }
};

constexpr u64 value = 0x44332211;

struct Width {
    u32 bytes;
    Do out, other;
    Datamatch match;
};

TEST_F(VmIoeventfdPorts, AValueMatchesInItsOwnLength) {
    const Width widths[] = {
        {1, out1, out2, Datamatch::value(u8(value))},
        {2, out2, out1, Datamatch::value(u16(value))},
        {4, out4, out1, Datamatch::value(u32(value))},
    };
    for (const Width& width : widths) {
        SCOPED_TRACE(width.bytes);
        Guest guest(kvm());
        const EventFd bell = event();
        ASSERT_OK(guest.vm().add_ioeventfd(bell, Port(port), width.match));
        load_script(guest, {{width.out, port, value},
                            {width.out, port, value ^ 0x80u << (width.bytes * 8 - 8)},
                            {width.other, port, value}});
        EXPECT_EQ(guest.run_to<exit::IoOut>().size, width.bytes);
        EXPECT_EQ(signals(bell), 1u);
        EXPECT_NE(guest.run_to<exit::IoOut>().size, width.bytes);
        guest.run_to_stop();
        EXPECT_EQ(signals(bell), 0u);
    }
}

TEST_F(VmIoeventfdPorts, ALengthTakesAnyValue) {
    Guest guest(kvm());
    const EventFd bell = event();
    ASSERT_OK(guest.vm().add_ioeventfd(bell, Port(port), Datamatch::length(2)));
    load_script(guest, {{out2, port, 1}, {out2, port, 2}, {out1, port, 1}});
    EXPECT_EQ(guest.run_to<exit::IoOut>().size, 1u);
    EXPECT_EQ(signals(bell), 2u);
    guest.run_to_stop();
}

TEST_F(VmIoeventfdPorts, AnyLengthTakesEveryWrite) {
    REQUIRE_CAP(kvm(), cap::ioeventfd_any_length);
    Guest guest(kvm());
    const EventFd bell = event();
    ASSERT_OK(guest.vm().add_ioeventfd(bell, Port(port), Datamatch::any_length()));
    load_script(guest, {{out1, port, 1}, {out2, port, 2}, {out4, port, 3}});
    guest.run_to_stop();
    EXPECT_EQ(signals(bell), 3u);
}

}  // namespace
}  // namespace kvm::test

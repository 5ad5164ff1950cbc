// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "script.hpp"

#include <support/result.hpp>

namespace kvm::test {
namespace {

/// A value of which each of the lower 1, 2, 4 and 8 bytes makes another number.
constexpr u64 value = 0x8877665544332211;
constexpr Gpa place{layout::mmio};

class VmIoeventfd : public WithKvm {
protected:
    EventFd event() { return must(EventFd::create(0, EventFdFlag::nonblock)); }
    /// How often the event was signalled since the last call.
    static u64 signals(const EventFd& event) {
        const auto count = event.read();
        return count ? *count : 0;
    }
};

struct Width {
    u32 bytes;
    Do store;
    Datamatch match;
};

const Width widths[] = {
    {1, store1, Datamatch::value(u8(value))},
    {2, store2, Datamatch::value(u16(value))},
    {4, store4, Datamatch::value(u32(value))},
    {8, store8, Datamatch::value(u64(value))},
};

/// How the matching is tried: at the same place, a write that matches, one that differs in its
/// highest byte, and one that is shorter or longer.
std::vector<Operation> tries(const Width& width, const Width& other) {
    const u64 different = value ^ u64(0x80) << (width.bytes * 8 - 8);
    return {{width.store, layout::mmio, value},
            {width.store, layout::mmio, different},
            {other.store, layout::mmio, value}};
}

TEST_F(VmIoeventfd, AValueMatchesInItsOwnLength) {
    for (const Width& width : widths) {
        SCOPED_TRACE(width.bytes);
        Guest guest(kvm());
        const EventFd bell = event();
        ASSERT_OK(guest.vm().add_ioeventfd(bell, place, width.match));
        load_script(guest, tries(width, widths[width.bytes == 1]));
        EXPECT_NE(number_of(guest.run_to<exit::MmioWrite>().data), value);
        EXPECT_EQ(signals(bell), 1u) << "the first write makes no exit";
        EXPECT_NE(guest.run_to<exit::MmioWrite>().data.size(), width.bytes);
        guest.run_to_stop();
        EXPECT_EQ(signals(bell), 0u);
    }
}

TEST_F(VmIoeventfd, ALengthTakesAnyValue) {
    Guest guest(kvm());
    const EventFd bell = event();
    ASSERT_OK(guest.vm().add_ioeventfd(bell, place, Datamatch::length(2)));
    load_script(guest, tries(widths[1], widths[0]));
    EXPECT_EQ(guest.run_to<exit::MmioWrite>().data.size(), 1u);
    EXPECT_EQ(signals(bell), 2u);
    guest.run_to_stop();
}

TEST_F(VmIoeventfd, AnyLengthTakesEveryWrite) {
    REQUIRE_CAP(kvm(), cap::ioeventfd_any_length);
    Guest guest(kvm());
    const EventFd bell = event();
    ASSERT_OK(guest.vm().add_ioeventfd(bell, place, Datamatch::any_length()));
    load_script(guest, {{store1, layout::mmio, 1},
                        {store2, layout::mmio, 2},
                        {store4, layout::mmio, 3},
                        {store8, layout::mmio, 4}});
    guest.run_to_stop();
    EXPECT_EQ(signals(bell), 4u);
}

TEST_F(VmIoeventfd, ValuesAtOneAddressSignalDifferentEvents) {
    Guest guest(kvm());
    const EventFd one = event(), two = event();
    ASSERT_OK(guest.vm().add_ioeventfd(one, place, Datamatch::value(u16(1))));
    ASSERT_OK(guest.vm().add_ioeventfd(two, place, Datamatch::value(u16(2))));
    load_script(guest, {{store2, layout::mmio, 2},
                        {store2, layout::mmio, 2},
                        {store2, layout::mmio, 1},
                        {store2, layout::mmio, 3}});
    EXPECT_EQ(guest.run_to_write(layout::mmio), 3u);
    EXPECT_EQ(signals(one), 1u);
    EXPECT_EQ(signals(two), 2u);
}

TEST_F(VmIoeventfd, IsRemovedByTheSameMatchOnly) {
    Guest guest(kvm());
    Vm& vm = guest.vm();
    const EventFd bell = event(), other = event();
    const Datamatch match = Datamatch::value(u32(7));
    ASSERT_OK(vm.add_ioeventfd(bell, place, match));
    EXPECT_ERRNO(vm.add_ioeventfd(other, place, match), EEXIST);
    EXPECT_ERRNO(vm.remove_ioeventfd(other, place, match), ENOENT);
    EXPECT_ERRNO(vm.remove_ioeventfd(bell, place, Datamatch::value(u32(8))), ENOENT);
    EXPECT_ERRNO(vm.remove_ioeventfd(bell, place, Datamatch::value(u16(7))), ENOENT);
    EXPECT_ERRNO(vm.remove_ioeventfd(bell, place, Datamatch::length(4)), ENOENT);
    EXPECT_ERRNO(vm.remove_ioeventfd(bell, place + 4, match), ENOENT);
    load_script(guest, {{store4, layout::mmio, 7}, {}, {store4, layout::mmio, 7}});
    guest.run_to_stop();
    EXPECT_EQ(signals(bell), 1u);
    ASSERT_OK(vm.remove_ioeventfd(bell, place, match));
    EXPECT_ERRNO(vm.remove_ioeventfd(bell, place, match), ENOENT);
    guest.run_to<exit::MmioWrite>();
    EXPECT_EQ(signals(bell), 0u);
}

TEST_F(VmIoeventfd, LengthsThatNoWriteHasAreRefused) {
    Vm vm = must(kvm().create_vm());
    const EventFd bell = event();
    for (const u32 bytes : {0u, 3u, 5u, 7u, 9u, 16u, ~0u}) {
        EXPECT_ERRNO(vm.add_ioeventfd(bell, place, Datamatch::length(bytes)), EINVAL);
    }
}

TEST_F(VmIoeventfd, WhatIsNoEventfdIsRefused) {
    Vm vm = must(kvm().create_vm());
    EXPECT_ERRNO(vm.add_ioeventfd(FdRef(-1), place, Datamatch::length(1)), EBADF);
    EXPECT_ERRNO(vm.add_ioeventfd(vm.fd(), place, Datamatch::length(1)), EINVAL);
}

}  // namespace
}  // namespace kvm::test

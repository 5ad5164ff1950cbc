// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "script.hpp"

#include <support/result.hpp>

namespace kvm::test {
namespace {

constexpr u64 port = 0x510;
/// A value of which each of the lower 1, 2, 4 and 8 bytes makes another number.
constexpr u64 value = 0x8877665544332211;

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
    Do store, out;
    Datamatch match;
};

const Width widths[] = {
    {1, store1, out1, Datamatch::value(u8(value))},
    {2, store2, out2, Datamatch::value(u16(value))},
    {4, store4, out4, Datamatch::value(u32(value))},
    {8, store8, stop, Datamatch::value(u64(value))},
};

/// How the matching is tried: at the same place, a write that matches, one that differs in its
/// highest byte, and one that is shorter or longer.
std::vector<Operation> tries(const Width& width, const Width& other, bool mmio) {
    const u64 at = mmio ? layout::mmio : port;
    const u64 different = value ^ u64(0x80) << (width.bytes * 8 - 8);
    return {{mmio ? width.store : width.out, at, value},
            {mmio ? width.store : width.out, at, different},
            {mmio ? other.store : other.out, at, value}};
}

TEST_F(VmIoeventfd, AValueMatchesInItsOwnLengthAtAnAddress) {
    for (const Width& width : widths) {
        SCOPED_TRACE(width.bytes);
        Guest guest(kvm());
        const EventFd bell = event();
        ASSERT_OK(guest.vm().add_ioeventfd(bell, Gpa(layout::mmio), width.match));
        load_script(guest, tries(width, widths[width.bytes == 1], true));
        EXPECT_NE(number_of(guest.run_to<exit::MmioWrite>().data), value);
        EXPECT_EQ(signals(bell), 1u) << "the first write makes no exit";
        EXPECT_NE(guest.run_to<exit::MmioWrite>().data.size(), width.bytes);
        guest.run_to<exit::Hlt>();
        EXPECT_EQ(signals(bell), 0u);
    }
}

TEST_F(VmIoeventfd, AValueMatchesInItsOwnLengthAtAPort) {
    for (const Width& width : std::span(widths).first(3)) {
        SCOPED_TRACE(width.bytes);
        Guest guest(kvm());
        const EventFd bell = event();
        ASSERT_OK(guest.vm().add_ioeventfd(bell, Port(port), width.match));
        load_script(guest, tries(width, widths[width.bytes == 1], false));
        EXPECT_EQ(guest.run_to<exit::IoOut>().size, width.bytes);
        EXPECT_EQ(signals(bell), 1u);
        EXPECT_NE(guest.run_to<exit::IoOut>().size, width.bytes);
        guest.run_to<exit::Hlt>();
        EXPECT_EQ(signals(bell), 0u);
    }
}

TEST_F(VmIoeventfd, ALengthTakesAnyValue) {
    for (const bool mmio : {true, false}) {
        SCOPED_TRACE(mmio);
        Guest guest(kvm());
        const EventFd bell = event();
        const IoAddress at = mmio ? IoAddress(Gpa(layout::mmio)) : IoAddress(Port(port));
        ASSERT_OK(guest.vm().add_ioeventfd(bell, at, Datamatch::length(2)));
        load_script(guest, tries(widths[1], widths[0], mmio));
        const Exit exit = guest.run();
        if (mmio) {
            EXPECT_EQ(guest.payload<exit::MmioWrite>(exit).data.size(), 1u);
        } else {
            EXPECT_EQ(guest.payload<exit::IoOut>(exit).size, 1u);
        }
        EXPECT_EQ(signals(bell), 2u);
        guest.run_to<exit::Hlt>();
    }
}

TEST_F(VmIoeventfd, AnyLengthTakesEveryWrite) {
    REQUIRE_CAP(kvm(), cap::ioeventfd_any_length);
    Guest guest(kvm());
    const EventFd mmio = event(), io = event();
    ASSERT_OK(guest.vm().add_ioeventfd(mmio, Gpa(layout::mmio), Datamatch::any_length()));
    ASSERT_OK(guest.vm().add_ioeventfd(io, Port(port), Datamatch::any_length()));
    load_script(guest, {{store1, layout::mmio, 1},
                        {store2, layout::mmio, 2},
                        {store4, layout::mmio, 3},
                        {store8, layout::mmio, 4},
                        {out1, port, 1},
                        {out2, port, 2},
                        {out4, port, 3}});
    guest.run_to<exit::Hlt>();
    EXPECT_EQ(signals(mmio), 4u);
    EXPECT_EQ(signals(io), 3u);
}

TEST_F(VmIoeventfd, ValuesAtOneAddressSignalDifferentEvents) {
    Guest guest(kvm());
    const EventFd one = event(), two = event();
    ASSERT_OK(guest.vm().add_ioeventfd(one, Port(port), Datamatch::value(u16(1))));
    ASSERT_OK(guest.vm().add_ioeventfd(two, Port(port), Datamatch::value(u16(2))));
    load_script(guest, {{out2, port, 2}, {out2, port, 2}, {out2, port, 1}});
    guest.run_to<exit::Hlt>();
    EXPECT_EQ(signals(one), 1u);
    EXPECT_EQ(signals(two), 2u);
}

TEST_F(VmIoeventfd, IsRemovedByTheSameMatchOnly) {
    Guest guest(kvm());
    Vm& vm = guest.vm();
    const EventFd bell = event(), other = event();
    const Datamatch match = Datamatch::value(u32(7));
    ASSERT_OK(vm.add_ioeventfd(bell, Gpa(layout::mmio), match));
    EXPECT_ERRNO(vm.add_ioeventfd(other, Gpa(layout::mmio), match), EEXIST);
    EXPECT_ERRNO(vm.remove_ioeventfd(other, Gpa(layout::mmio), match), ENOENT);
    EXPECT_ERRNO(vm.remove_ioeventfd(bell, Gpa(layout::mmio), Datamatch::value(u32(8))), ENOENT);
    EXPECT_ERRNO(vm.remove_ioeventfd(bell, Gpa(layout::mmio), Datamatch::value(u16(7))), ENOENT);
    EXPECT_ERRNO(vm.remove_ioeventfd(bell, Gpa(layout::mmio), Datamatch::length(4)), ENOENT);
    EXPECT_ERRNO(vm.remove_ioeventfd(bell, Gpa(layout::mmio + 4), match), ENOENT);
    load_script(guest, {{store4, layout::mmio, 7}, {}, {store4, layout::mmio, 7}});
    guest.run_to<exit::Hlt>();
    EXPECT_EQ(signals(bell), 1u);
    ASSERT_OK(vm.remove_ioeventfd(bell, Gpa(layout::mmio), match));
    EXPECT_ERRNO(vm.remove_ioeventfd(bell, Gpa(layout::mmio), match), ENOENT);
    guest.run_to<exit::MmioWrite>();
    EXPECT_EQ(signals(bell), 0u);
}

TEST_F(VmIoeventfd, LengthsThatNoWriteHasAreRefused) {
    Vm vm = must(kvm().create_vm());
    const EventFd bell = event();
    for (const u32 bytes : {0u, 3u, 5u, 7u, 9u, 16u, ~0u}) {
        EXPECT_ERRNO(vm.add_ioeventfd(bell, Port(port), Datamatch::length(bytes)), EINVAL);
    }
}

TEST_F(VmIoeventfd, WhatIsNoEventfdIsRefused) {
    Vm vm = must(kvm().create_vm());
    EXPECT_ERRNO(vm.add_ioeventfd(FdRef(-1), Port(port), Datamatch::length(1)), EBADF);
    EXPECT_ERRNO(vm.add_ioeventfd(vm.fd(), Port(port), Datamatch::length(1)), EINVAL);
}

}  // namespace
}  // namespace kvm::test

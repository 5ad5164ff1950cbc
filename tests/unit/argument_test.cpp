// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// What the kernel is really given: the system-call hook answers in its place and looks.

#include "hook.hpp"
#include "print.hpp"

#include <cerrno>
#include <cstring>
#include <kvm/kvm.hpp>
#include <vector>

extern "C" bool kvmxx_syscall_hook(long nr, const long (&args)[6], long& result) {
    if (nr != kvm::arch::nr_ioctl || !kvm::test::kernel) {
        return false;
    }
    result =
        kvm::test::kernel(static_cast<std::uint32_t>(args[1]), reinterpret_cast<void*>(args[2]));
    return true;
}

namespace kvm::test {
namespace {

class Argument : public ::testing::Test {
protected:
    Argument() : vm(Fd(-1), 3 * 4096) {}
    ~Argument() override { kernel = nullptr; }

    /// The argument of the one ioctl that `action` makes, which must be `op`.
    template <class Arg, Dir D, class Ret, class Action>
    static Arg of(Ioctl<Arg, D, Ret> op, Action action) {
        Arg seen{};
        int calls = 0;
        kernel = [&](std::uint32_t request, void* argument) {
            EXPECT_EQ(request, op.request) << op.name;
            std::memcpy(&seen, argument, sizeof seen);
            ++calls;
            return 0;
        };
        action();
        EXPECT_EQ(calls, 1) << op.name;
        kernel = nullptr;
        return seen;
    }
    Ioeventfd ioeventfd(IoAddress address, Datamatch match) const {
        return of(op::ioeventfd, [&] { EXPECT_TRUE(vm.add_ioeventfd(FdRef(5), address, match)); });
    }
    Memslot slot(Slot number, Flags<MemFlag> flags = {}) {
        kernel = [](std::uint32_t, void*) { return 0; };
        return vm.add_memory(number, 0x1000_gpa, memory, flags).value();
    }

    Vm vm;
    alignas(4096) std::byte memory[65 * 4096];
};

TEST_F(Argument, OfAnIoeventfdForAnyLength) {
    const Ioeventfd e = ioeventfd(0xfee0'0000_gpa, Datamatch::any_length());
    EXPECT_EQ(e.addr, 0xfee0'0000u);
    EXPECT_EQ(e.len, 0u);
    EXPECT_EQ(e.fd, 5);
    EXPECT_EQ(e.flags, 0u);
}

TEST_F(Argument, OfAnIoeventfdForALengthAndAnyValue) {
    for (const u32 length : {1u, 2u, 4u, 8u}) {
        const Ioeventfd e = ioeventfd(Port(0x3f8), Datamatch::length(length));
        EXPECT_EQ(e.addr, 0x3f8u);
        EXPECT_EQ(e.len, length);
        EXPECT_EQ(e.flags, Flags<IoeventfdFlag>(IoeventfdFlag::pio).bits());
    }
}

TEST_F(Argument, OfAnIoeventfdForAValueIsAsLongAsItsType) {
    const auto length = [&](Datamatch match) {
        const Ioeventfd e = ioeventfd(0x1000_gpa, match);
        EXPECT_EQ(e.flags, Flags<IoeventfdFlag>(IoeventfdFlag::datamatch).bits());
        EXPECT_EQ(e.datamatch, 7u);
        return e.len;
    };
    EXPECT_EQ(length(Datamatch::value(u8{7})), 1u);
    EXPECT_EQ(length(Datamatch::value(u16{7})), 2u);
    EXPECT_EQ(length(Datamatch::value(u32{7})), 4u);
    EXPECT_EQ(length(Datamatch::value(u64{7})), 8u);
}

TEST_F(Argument, OfRemovingAnIoeventfdIsThatOfAddingItAndDeassign) {
    const auto match = Datamatch::value(u16{9});
    const Ioeventfd e =
        of(op::ioeventfd, [&] { EXPECT_TRUE(vm.remove_ioeventfd(FdRef(5), Port(0x60), match)); });
    EXPECT_EQ(e.datamatch, 9u) << "a deassign that loses its datamatch removes another one";
    EXPECT_EQ(e.len, 2u);
    EXPECT_EQ(e.flags,
              (IoeventfdFlag::datamatch | IoeventfdFlag::pio | IoeventfdFlag::deassign).bits());
}

TEST_F(Argument, OfALengthThatNoWriteHasNeverReachesTheKernel) {
    kernel = [](std::uint32_t, void*) -> long {
        ADD_FAILURE() << "an ioctl was made";
        return 0;
    };
    for (const u32 length : {3u, 16u, ~0u}) {
        const auto done = vm.add_ioeventfd(FdRef(5), Port(0x60), Datamatch::length(length));
        ASSERT_FALSE(done);
        EXPECT_EQ(done.error().code, EINVAL);
    }
}

TEST_F(Argument, OfAnIrqfd) {
    const Irqfd plain = of(op::irqfd, [&] { EXPECT_TRUE(vm.add_irqfd(FdRef(6), Gsi(24))); });
    EXPECT_EQ(plain.fd, 6u);
    EXPECT_EQ(plain.gsi, 24u);
    EXPECT_EQ(plain.flags, 0u);
    const Irqfd level =
        of(op::irqfd, [&] { EXPECT_TRUE(vm.add_irqfd(FdRef(6), Gsi(24), FdRef(8))); });
    EXPECT_EQ(level.flags, 2u);
    EXPECT_EQ(level.resamplefd, 8u);
    const Irqfd gone = of(op::irqfd, [&] { EXPECT_TRUE(vm.remove_irqfd(FdRef(6), Gsi(24))); });
    EXPECT_EQ(gone.flags, 1u);
}

TEST_F(Argument, OfEnable) {
    const EnableCap none = of(op::enable_cap, [&] { EXPECT_TRUE(vm.enable(cap::arm_mte)); });
    EXPECT_EQ(none.cap, 205u);
    EXPECT_EQ(none.args[0], 0u);
    const EnableCap number =
        of(op::enable_cap, [&] { EXPECT_TRUE(vm.enable(cap::split_irqchip, 24)); });
    EXPECT_EQ(number.cap, 121u);
    EXPECT_EQ(number.args[0], 24u);
    const EnableCap flags = of(op::enable_cap, [&] {
        EXPECT_TRUE(vm.enable(cap::x86_disable_exits, DisableExit::hlt | DisableExit::pause));
    });
    EXPECT_EQ(flags.args[0], 6u);
    EXPECT_EQ(flags.args[1], 0u);
    const EnableCap parts = of(op::enable_cap, [&] {
        EXPECT_TRUE(vm.enable(cap::x86_notify_vmexit,
                              {7, NotifyVmexitFlag::enabled | NotifyVmexitFlag::user}));
    });
    EXPECT_EQ(parts.args[0], 0x7'0000'0003u);
    EXPECT_EQ(flags.flags, 0u);
}

TEST_F(Argument, OfMemorySlots) {
    const UserspaceMemoryRegion region = of(op::set_user_memory_region, [&] {
        const auto slot = vm.add_memory(Slot(3), 0x10'0000_gpa, memory, MemFlag::log_dirty_pages);
        ASSERT_TRUE(slot);
        EXPECT_EQ(slot->slot(), Slot(3));
        EXPECT_EQ(slot->address(), 0x10'0000_gpa);
        EXPECT_EQ(slot->memory().data(), memory);
        EXPECT_EQ(slot->bitmap_words(), 2u) << "65 pages";
        EXPECT_TRUE(slot->valid());
    });
    EXPECT_EQ(region.slot, 3u);
    EXPECT_EQ(region.flags, 1u);
    EXPECT_EQ(region.guest_phys_addr, 0x10'0000u);
    EXPECT_EQ(region.memory_size, sizeof memory);
    EXPECT_EQ(region.userspace_addr, reinterpret_cast<u64>(memory));
}

TEST_F(Argument, OfRemovingMemoryIsASizeOfZeroAndUsesTheTokenUp) {
    Memslot token = slot(Slot(3));
    const auto region =
        of(op::set_user_memory_region, [&] { EXPECT_TRUE(vm.remove_memory(std::move(token))); });
    EXPECT_EQ(region.slot, 3u);
    EXPECT_EQ(region.memory_size, 0u);
    EXPECT_FALSE(token.valid());
    EXPECT_EQ(vm.remove_memory(std::move(token)).error().code, EBADF) << "a second time";
}

TEST_F(Argument, OfMovingMemoryKeepsAllButTheAddress) {
    Memslot token = slot(Slot(3), MemFlag::log_dirty_pages);
    const auto region =
        of(op::set_user_memory_region, [&] { EXPECT_TRUE(vm.move_memory(token, 0x8000_gpa)); });
    EXPECT_EQ(region.flags, 1u);
    EXPECT_EQ(region.guest_phys_addr, 0x8000u);
    EXPECT_EQ(region.memory_size, sizeof memory);
    EXPECT_EQ(token.address(), 0x8000_gpa);
}

TEST_F(Argument, ATokenThatMovedLeavesNoneBehind) {
    static_assert(!std::is_copy_constructible_v<Memslot> && !std::is_copy_assignable_v<Memslot>);
    Memslot token = slot(Slot(3));
    const Memslot moved = std::move(token);
    EXPECT_TRUE(moved.valid());
    EXPECT_FALSE(token.valid());
    EXPECT_EQ(vm.set_memory_flags(token, {}).error(),
              (Error{"KVM_SET_USER_MEMORY_REGION", EBADF, 3}));
}

TEST_F(Argument, AShortBitmapNeverReachesTheKernel) {
    const Memslot token = slot(Slot(3), MemFlag::log_dirty_pages);
    kernel = [](std::uint32_t, void*) -> long {
        ADD_FAILURE() << "an ioctl was made";
        return 0;
    };
    u64 bitmap[2] = {};
    EXPECT_EQ(vm.dirty_log(token, std::span(bitmap).first(1)).error(),
              (Error{"KVM_GET_DIRTY_LOG", EMSGSIZE, 3}));
    EXPECT_EQ(vm.clear_dirty_log(token, 0, 65, std::span(bitmap).first(1)).error(),
              (Error{"KVM_CLEAR_DIRTY_LOG", EMSGSIZE, 3}));
    const auto log = of(op::get_dirty_log, [&] { EXPECT_TRUE(vm.dirty_log(token, bitmap)); });
    EXPECT_EQ(log.slot, 3u);
    EXPECT_EQ(log.dirty_bitmap, bitmap);
}

TEST_F(Argument, ATokenIsNoneOfAnotherVm) {
    const Memslot token = slot(Slot(3));
    const Vm other(Fd(-1), 3 * 4096);
    u64 bitmap[2] = {};
    EXPECT_EQ(other.dirty_log(token, bitmap).error().code, EBADF);
}

/// What is newer than the library: by number, by the same functions, with the same errors.
class Newer : public Argument {};

struct NewArgument {
    u64 words[2];
};

TEST_F(Newer, ACapabilityIsAskedForByNumber) {
    unsigned long asked = 0;
    kernel = [&](std::uint32_t request, void* argument) -> long {
        asked = reinterpret_cast<unsigned long>(argument);
        return request == op::check_extension.request   ? 7
               : op::get_api_version.request == request ? 12
                                                        : -ENOTTY;
    };
    const Kvm kvm = Kvm::adopt(memory_file(1)).value();
    EXPECT_EQ(kvm.check_extension(4242), 7);
    EXPECT_EQ(asked, 4242u);
    EXPECT_EQ(vm.check_extension(4243), 7);
    EXPECT_EQ(asked, 4243u);
    EXPECT_EQ(vm.check(Cap<int>{4244, "NEW"}), 7) << "or typed";
    EXPECT_EQ(asked, 4244u);
}

TEST_F(Newer, ACapabilityIsEnabledByNumber) {
    const EnableCap cap = of(op::enable_cap, [&] { EXPECT_TRUE(vm.enable_cap(4242, 1, 2, 3, 4)); });
    EXPECT_EQ(cap.cap, 4242u);
    for (u64 i = 0; i < 4; ++i) {
        EXPECT_EQ(cap.args[i], i + 1);
    }
    kernel = [](std::uint32_t, void*) { return -EINVAL; };
    EXPECT_EQ(vm.enable_cap(4242).error(), (Error{"KVM_ENABLE_CAP", EINVAL, 0}));
    EXPECT_EQ(vm.enable(VmCap<bool, u64>{{4242, "NEW"}}, 1).error().code, EINVAL) << "or typed";
}

TEST_F(Newer, AnIoctlIsMadeByItsLine) {
    const NewArgument in = of(abi::iow<NewArgument>(0xfe, "KVM_NEW"), [&] {
        EXPECT_TRUE(call(FdRef(5), abi::iow<NewArgument>(0xfe, "KVM_NEW"), {{1, 2}}));
    });
    EXPECT_EQ(in.words[1], 2u);

    kernel = [](std::uint32_t, void* argument) {
        static_cast<NewArgument*>(argument)->words[0] = 3;
        return 4L;
    };
    EXPECT_EQ(call(FdRef(5), abi::ior<NewArgument>(0xfe, "KVM_NEW"))->words[0], 3u);
    NewArgument both{{8, 9}};
    EXPECT_EQ(call(FdRef(5), abi::iowr<NewArgument, int>(0xfe, "KVM_NEW"), both), 4);
    EXPECT_EQ(both.words[0], 3u);
    kernel = [](std::uint32_t, void* argument) { return reinterpret_cast<long>(argument); };
    EXPECT_EQ(call(FdRef(5), abi::io<int>(0xfe, "KVM_NEW"), 9), 9);

    kernel = [](std::uint32_t, void*) { return -ENOTTY; };
    EXPECT_EQ(call(FdRef(5), abi::io(0xfe, "KVM_NEW")).error(), (Error{"KVM_NEW", ENOTTY, 0}));
}

TEST_F(Newer, AnExitHasItsReasonAndThePage) {
    Vcpu vcpu = vcpu_of(memory_file(3));
    kernel = [&](std::uint32_t, void*) {
        vcpu.raw().exit_reason = 99;
        vcpu.raw().padding[0] = 0x42;
        return 0L;
    };
    const auto exit = vcpu.run();
    ASSERT_TRUE(exit);
    EXPECT_EQ(exit->visit(handlers{[](exit::Other other) { return other.reason; },
                                   [](const auto&) { return 0u; }}),
              99u);
    EXPECT_EQ(exit->raw().padding[0], 0x42);
}

TEST_F(Newer, FlagsTypesAndAttributesAreNumbersToo) {
    const Flags<MemFlag> flag(1u << 30);
    const auto region = of(op::set_user_memory_region,
                           [&] { EXPECT_TRUE(vm.add_memory(Slot(0), 0_gpa, memory, flag)); });
    EXPECT_EQ(region.flags, 1u << 30);

    const auto attribute = of(op::set_device_attr, [&] {
        EXPECT_TRUE(Device(Fd(-1)).set_attr(Attr<u32>{7, 8, "KVM_DEV_NEW"}, 9));
    });
    EXPECT_EQ(attribute.group, 7u);
    EXPECT_EQ(attribute.attr, 8u);

    kernel = [](std::uint32_t request, void* type) {
        return request == op::create_device.request &&
                       static_cast<CreateDevice*>(type)->type == DeviceType(99)
                   ? -ENODEV
                   : -ENOTTY;
    };
    EXPECT_EQ(vm.create_device(DeviceType(99)).error().code, ENODEV);
}

/// What KVM_RUN's errno means depends on the page beside it.
using RunAnswer = Newer;

TEST_F(RunAnswer, ARunThatFailsIsAnExitWhereTheKernelExplainsIt) {
    Vcpu vcpu = vcpu_of(memory_file(3));
    const auto reason_of = [&](int error, ExitReason in_page) -> Result<ExitReason> {
        vcpu.raw().exit_reason = static_cast<u32>(in_page);
        kernel = [error](std::uint32_t, void*) { return -error; };
        const auto exit = vcpu.run();
        return exit ? Result<ExitReason>(exit->reason()) : std::unexpected(exit.error());
    };
    EXPECT_EQ(reason_of(EINTR, ExitReason::io), ExitReason::intr);
    EXPECT_EQ(reason_of(EAGAIN, ExitReason::unknown), ExitReason::intr);
    EXPECT_EQ(reason_of(EFAULT, ExitReason::memory_fault), ExitReason::memory_fault);
    EXPECT_EQ(reason_of(EHWPOISON, ExitReason::memory_fault), ExitReason::memory_fault);
    EXPECT_EQ(reason_of(EFAULT, ExitReason::io).error(), (Error{"KVM_RUN", EFAULT, 0}));
    EXPECT_EQ(reason_of(EHWPOISON, ExitReason::io).error().code, EHWPOISON);
    EXPECT_EQ(reason_of(EIO, ExitReason::memory_fault).error().code, EIO);
}

}  // namespace
}  // namespace kvm::test

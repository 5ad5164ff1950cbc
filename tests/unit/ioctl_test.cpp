// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Requests as the kernel's C headers number them. A C++ compiler that reads linux/kvm.h of Debian
// 12 gets those marked (!) wrong: its empty flexible-array helper has size 1 instead of 0.
// tests/abi compares all of them with an installed header, as C.

#include <gtest/gtest.h>
#include <kvm/abi/table.hpp>
#include <kvm/abi/x86_64_table.hpp>
#include <type_traits>

namespace kvm::test {
namespace {

namespace x86 = op::x86_64;

TEST(Ioctl, NumbersAreThoseOfTheCHeaders) {
    static_assert(op::get_api_version.request == 0xae00);
    static_assert(op::create_vm.request == 0xae01);
    static_assert(op::check_extension.request == 0xae03);
    static_assert(op::get_vcpu_mmap_size.request == 0xae04);
    static_assert(op::create_vcpu.request == 0xae41);
    static_assert(op::get_dirty_log.request == 0x4010ae42);
    static_assert(op::set_user_memory_region.request == 0x4020ae46);
    static_assert(op::set_user_memory_region2.request == 0x40a0ae49);
    static_assert(op::irq_line.request == 0x4008ae61);
    static_assert(op::set_gsi_routing.request == 0x4008ae6a);  // (!)
    static_assert(op::irqfd.request == 0x4020ae76);
    static_assert(op::ioeventfd.request == 0x4040ae79);
    static_assert(op::run.request == 0xae80);
    static_assert(op::set_signal_mask.request == 0x4004ae8b);  // (!)
    static_assert(op::enable_cap.request == 0x4068aea3);
    static_assert(op::signal_msi.request == 0x4020aea5);
    static_assert(op::clear_dirty_log.request == 0xc018aec0);
    static_assert(op::create_device.request == 0xc00caee0);
    static_assert(op::set_device_attr.request == 0x4018aee1);
    static_assert(x86::get_msr_index_list.request == 0xc004ae02);   // (!)
    static_assert(x86::get_supported_cpuid.request == 0xc008ae05);  // (!)
    static_assert(x86::get_emulated_cpuid.request == 0xc008ae09);   // (!)
    static_assert(x86::set_tss_addr.request == 0xae47);
    static_assert(x86::get_irqchip.request == 0xc208ae62);
    static_assert(x86::set_irqchip.request == 0x8208ae63);
    static_assert(x86::get_clock.request == 0x8030ae7c);
    static_assert(x86::get_regs.request == 0x8090ae81);
    static_assert(x86::set_regs.request == 0x4090ae82);
    static_assert(x86::get_sregs.request == 0x8138ae83);
    static_assert(x86::get_msrs.request == 0xc008ae88);  // (!)
    static_assert(x86::set_msrs.request == 0x4008ae89);  // (!)
    static_assert(x86::get_fpu.request == 0x81a0ae8c);
    static_assert(x86::get_lapic.request == 0x8400ae8e);
    static_assert(x86::set_cpuid2.request == 0x4008ae90);  // (!)
    static_assert(x86::set_guest_debug.request == 0x4048ae9b);
    static_assert(x86::get_vcpu_events.request == 0x8040ae9f);
    static_assert(x86::get_xsave.request == 0x9000aea4);
    static_assert(x86::get_xcrs.request == 0x8188aea6);
    static_assert(x86::get_sregs2.request == 0x8140aecc);
    static_assert(x86::get_xsave2.request == 0x9000aecf);
}

TEST(Ioctl, NamesAreTheKernels) {
    EXPECT_STREQ(op::run.name, "KVM_RUN");
    EXPECT_STREQ(x86::get_supported_cpuid.name, "KVM_GET_SUPPORTED_CPUID");
}

template <class Arg, Dir D, class Ret>
constexpr Dir direction(Ioctl<Arg, D, Ret>) {
    return D;
}

TEST(Ioctl, DirectionsAreTheKernelsDeedsAndNotItsBits) {
    static_assert(direction(x86::set_irqchip) == Dir::in, "_IOR, yet the kernel reads");
    static_assert(direction(x86::get_irqchip) == Dir::inout);
    static_assert(direction(op::irq_line_status) == Dir::inout);
    static_assert(direction(x86::reinject_control) == Dir::in, "_IO, yet it takes a structure");
    static_assert(direction(op::run) == Dir::none);
}

struct Newer {
    u64 words[4];
};

TEST(Ioctl, ThatTheLibraryDoesNotKnowTakesOneLine) {
    constexpr auto newer = abi::iow<Newer>(0xd6, "KVM_NEWER");
    static_assert(newer.request == 0x4020aed6);
    static_assert(std::is_same_v<decltype(newer), const Ioctl<Newer, Dir::in, void>>);
}

}  // namespace
}  // namespace kvm::test

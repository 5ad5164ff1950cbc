// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Real and protected mode, string I/O of the wider sizes, and interrupts one after another, as
// other projects' tests ask for them (docs/peer-tests.md).
#include <support/guest.hpp>

KVMXX_GUEST(enter_long)
KVMXX_GUEST(real)
KVMXX_GUEST_LABEL(real, devices)
KVMXX_GUEST_LABEL(real, interrupt)
KVMXX_GUEST_LABEL(real, limit)
KVMXX_GUEST_LABEL(real, handler)
KVMXX_GUEST(string_wide)
KVMXX_GUEST_LABEL(string_wide, outsl)
KVMXX_GUEST_LABEL(string_wide, insw)
KVMXX_GUEST_LABEL(string_wide, insl)

namespace kvm::test {
namespace {

class Modes : public WithKvm {};
class StringIo : public WithKvm {};
class Injection : public WithKvm {};

std::string output(Guest& guest) { return bytes_of(guest.run_to<exit::IoOut>().data); }

TEST_F(Modes, RealModeReachesPortsAndDevices) {
    Guest guest(kvm());
    must(guest.vm().remove_memory(std::move(guest.slot())));
    const auto low [[maybe_unused]] =
        must(guest.vm().add_memory(Slot(0), 0_gpa, guest.memory().first(0xa0000)));
    guest.load_real(guests::real());
    guest.change_regs([](Regs& regs) { regs.rip += guests::real_devices(); });
    EXPECT_EQ(output(guest), "h");
    EXPECT_EQ(output(guest), "i");
    const auto in = guest.run_to<exit::IoIn>();
    EXPECT_EQ(in.port, Port(0x3f9));
    in.data[0] = std::byte(0x5a);
    const auto write = guest.run_to<exit::MmioWrite>();
    EXPECT_EQ(write.address, Gpa(0xd0004));
    EXPECT_EQ(number_of(write.data), 0x5au);
    const auto read = guest.run_to<exit::MmioRead>();
    EXPECT_EQ(read.address, Gpa(0xd0005));
    read.data[0] = std::byte(0xa5);
    guest.run_to<exit::Hlt>();
    EXPECT_EQ(guest.regs().rax & 0xff, 0xa5u);
}

TEST_F(Modes, ASoftwareInterruptInRealModeGoesThroughItsVector) {
    Guest guest(kvm());
    guest.load_real(guests::real());
    guest.write<u32>(0x40 * 4, static_cast<u32>(layout::real_code + guests::real_handler()));
    guest.change_regs([](Regs& regs) { regs.rip += guests::real_interrupt(); });
    EXPECT_EQ(output(guest), "h");
    guest.run_to<exit::Hlt>();
}

TEST_F(Modes, ReadingBeyondASegmentsLimitFaultsInProtectedMode) {
    Guest guest(kvm());
    const Sregs reset = must(guest.vcpu().sregs());
    guest.load_long(guests::halt());  // for its GDT
    must(guest.vcpu().set_sregs(reset));
    guest.load_real(guests::real());
    const u64 handler = layout::real_code + guests::real_handler();
    guest.write<u64>(layout::idt + 13 * 8, handler | u64(layout::code_selector) << 16 |
                                               u64(0x8600) << 32);  // a gate of 16 bits
    Sregs sregs = must(guest.vcpu().sregs());
    sregs.cr0 |= 1;
    sregs.gdt = {.base = layout::gdt, .limit = 0x27, .padding = {}};
    sregs.idt = {.base = layout::idt, .limit = 0x7ff, .padding = {}};
    sregs.cs.selector = layout::code_selector;
    sregs.ss.selector = sregs.ds.selector = layout::data_selector;
    sregs.ds.limit = 0xff;
    ASSERT_OK(guest.vcpu().set_sregs(sregs));
    guest.change_regs([](Regs& regs) { regs.rip += guests::real_limit(); });
    const Exit exit = guest.run();
    if (exit.reason() == ExitReason::hlt) {
        GTEST_SKIP() << "needs segment limits, which the processor below this KVM does not check";
    }
    EXPECT_EQ(bytes_of(guest.payload<exit::IoOut>(exit).data), "h");
}

TEST_F(Modes, TheGuestEntersLongModeByItself) {
    Guest guest(kvm());
    const Sregs reset = must(guest.vcpu().sregs());
    guest.load_long(guests::halt());  // for its page tables and GDT
    must(guest.vcpu().set_sregs(reset));
    guest.load_real(guests::enter_long());
    EXPECT_EQ(output(guest), "L");
    EXPECT_EQ(must(guest.vcpu().sregs()).efer & 0x500, 0x500u);
    EXPECT_EQ(must(guest.vcpu().sregs()).cs.l, 1);
    guest.run_to<exit::Hlt>();
}

void prepare_string(Guest& guest, std::size_t entry) {
    guest.load_long(guests::string_wide());
    guest.change_regs([&](Regs& regs) {
        regs.rip += entry;
        regs.rsi = regs.rdi = layout::data;
        regs.rcx = 3;
    });
}

TEST_F(StringIo, OfFourBytesIsWrittenWhole) {
    Guest guest(kvm());
    prepare_string(guest, guests::string_wide_outsl());
    const std::string text = "twelve bytes";
    guest.write(layout::data, std::as_bytes(std::span(text)));
    std::string written;
    for (Exit exit = guest.run(); exit.reason() != ExitReason::hlt; exit = guest.run()) {
        const auto out = guest.payload<exit::IoOut>(exit);
        EXPECT_EQ(out.size, 4);
        EXPECT_EQ(out.data.size(), 4u * out.count);
        written += bytes_of(out.data);
    }
    EXPECT_EQ(written, text);
}

/// Answers with bytes that count up, to the end.
void answer_string(Guest& guest, u8 size) {
    u8 next = 1;
    for (Exit exit = guest.run(); exit.reason() != ExitReason::hlt; exit = guest.run()) {
        const auto in = guest.payload<exit::IoIn>(exit);
        EXPECT_EQ(in.size, size);
        for (std::byte& byte : in.data) {
            byte = std::byte(next++);
        }
    }
    EXPECT_EQ(guest.regs().rcx, 0u);
}

TEST_F(StringIo, OfTwoBytesIsReadWhole) {
    Guest guest(kvm());
    prepare_string(guest, guests::string_wide_insw());
    answer_string(guest, 2);
    EXPECT_EQ(guest.read<u64>(layout::data), 0x0605'0403'0201u);
}

TEST_F(StringIo, OfFourBytesIsReadWhole) {
    Guest guest(kvm());
    prepare_string(guest, guests::string_wide_insl());
    answer_string(guest, 4);
    EXPECT_EQ(guest.read<u64>(layout::data), 0x0807'0605'0403'0201u);
    EXPECT_EQ(guest.read<u32>(layout::data + 8), 0x0c0b'0a09u);
}

TEST_F(StringIo, EndsWhereTheVmmSaysInTheMiddleOfIt) {
    Guest guest(kvm());
    prepare_string(guest, guests::string_wide_insw());
    guest.change_regs([](Regs& regs) { regs.rcx = 3000; });
    const auto first = guest.run_to<exit::IoIn>();
    EXPECT_GT(first.count, 0u);
    EXPECT_LE(first.data.size(), 4096u);
    EXPECT_EQ(must(guest.vcpu().complete_pending_io()).reason(), ExitReason::intr);
    guest.change_regs([](Regs& regs) { regs.rcx = 1; });
    u32 more = 0;
    for (Exit exit = guest.run(); exit.reason() != ExitReason::hlt; exit = guest.run()) {
        more += guest.payload<exit::IoIn>(exit).count;
        ASSERT_LE(more, 1u);
    }
    EXPECT_EQ(guest.regs().rcx, 0u);
}

TEST_F(Injection, InterruptsComeOneAfterAnother) {
    Guest guest(kvm());
    guest.load_long(guests::handlers());
    guest.set_gate(0x40, guests::handlers_interrupt());
    guest.set_gate(0x41, guests::handlers_exception());
    guest.run_to<exit::Hlt>();
    for (int round = 0; round < 3; ++round) {
        ASSERT_OK(guest.vcpu().interrupt(0x40));
        EXPECT_EQ(output(guest), "i");
        guest.run_to<exit::Hlt>();
        ASSERT_OK(guest.vcpu().interrupt(0x41));
        EXPECT_EQ(output(guest), "x");
        guest.run_to<exit::Hlt>();
    }
}

TEST_F(Injection, AGuestThatTakesInterruptsIsReadyAfterAPortAndAfterADevice) {
    Guest guest(kvm());
    guest.load_real(guests::count());
    guest.change_regs([](Regs& regs) { regs.rflags |= 0x200; });
    guest.run_to<exit::IoOut>();
    EXPECT_EQ(guest.vcpu().raw().ready_for_interrupt_injection, 1);
    EXPECT_EQ(guest.vcpu().raw().if_flag, 1);
    Guest other(kvm());
    other.load_long(guests::store());
    other.change_regs([](Regs& regs) {
        regs.rflags |= 0x200;
        regs.rdi = layout::mmio;
    });
    other.run_to<exit::MmioWrite>();
    EXPECT_EQ(other.vcpu().raw().ready_for_interrupt_injection, 1);
    EXPECT_EQ(other.vcpu().raw().if_flag, 1);
}

TEST_F(Injection, TheShadowAfterLoadingTheStackSegmentIsReadBack) {
    REQUIRE_CAP(kvm(), cap::vcpu_events);
    Guest guest(kvm());
    guest.load_long(guests::halt());
    VcpuEvents events = must(guest.vcpu().vcpu_events());
    if (!Flags<VcpuEventFlag>(events.flags).has(VcpuEventFlag::shadow)) {
        GTEST_SKIP() << "needs the shadow among the events, which this KVM leaves out";
    }
    EXPECT_EQ(events.interrupt.shadow, 0);
    events.interrupt.shadow = 1;  // MOV SS; some hardware makes no difference between it and STI
    events.flags = Flags<VcpuEventFlag>(VcpuEventFlag::shadow).bits();
    ASSERT_OK(guest.vcpu().set_vcpu_events(events));
    EXPECT_NE(must(guest.vcpu().vcpu_events()).interrupt.shadow, 0);
}

}  // namespace
}  // namespace kvm::test

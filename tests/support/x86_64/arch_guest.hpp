// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/x86_64/one_reg.hpp>
#include <support/guest_base.hpp>

KVMXX_GUEST(hello)
KVMXX_GUEST(halt)
KVMXX_GUEST(count)
KVMXX_GUEST(echo)
KVMXX_GUEST_LABEL(echo, between)
KVMXX_GUEST(handlers)
KVMXX_GUEST_LABEL(handlers, nmi)
KVMXX_GUEST_LABEL(handlers, interrupt)
KVMXX_GUEST_LABEL(handlers, exception)
KVMXX_GUEST(msr)
KVMXX_GUEST_LABEL(msr, read)
KVMXX_GUEST_LABEL(msr, write)
KVMXX_GUEST_LABEL(msr, fault)
KVMXX_GUEST(copy16)
KVMXX_GUEST_LABEL(copy16, store)
KVMXX_GUEST(store)

namespace guests {
/// Stops, again at each run.
inline std::span<const std::byte> stop() { return halt(); }
}  // namespace guests

namespace kvm::test {

/// Long mode maps the first 4 GiB one to one, so virtual is the same.
namespace layout {
inline constexpr u64 real_code = 0x1000;    // CS:IP = 0:0x1000, SP = 0x8000
inline constexpr u64 page_tables = 0x2000;  // long mode: 6 pages
inline constexpr u64 gdt = 0x8000;          // null, code64, data, TSS
inline constexpr u64 idt = 0x9000;          // 256 gates, none present
inline constexpr u64 tss = 0xa000;          //
inline constexpr u64 long_code = code;      //
inline constexpr u64 stack_end = 0x80000;   // long mode's stack grows down from here
inline constexpr u16 code_selector = 0x08, data_selector = 0x10, tss_selector = 0x18;
}  // namespace layout

/// What gives a VM dirty rings here.
inline constexpr auto dirty_ring_cap = cap::dirty_log_ring;

/// A register of 64 bits that takes any value.
inline constexpr RegId<u64> some_register = msr_reg(0xc0000081);  // STAR

/// A GuestBase whose vCPU has the host's supported CPUID, ready to load one of
/// tests/guests/x86_64.
class Guest : public GuestBase {
public:
    /// `before_vcpu` is called with the VM before the vCPU is made: for what must be done first.
    explicit Guest(const Kvm& kvm, const std::function<void(Vm&)>& before_vcpu = {});

    /// Puts `code` at layout::real_code and the vCPU into real mode at its start.
    void load_real(Bytes code);
    /// Puts `code` at layout::long_code and the vCPU into 64-bit mode, ring 0, at its start, with
    /// page tables, GDT, TSS and an empty IDT; interrupts are disabled.
    void load_long(Bytes code);
    void load(Bytes code) { load_long(code); }
    /// Long mode: the gate of `vector` goes to `offset` bytes from the code's start.
    void set_gate(u8 vector, std::size_t offset);
    /// Changes the general registers: `guest.change_regs([](Regs& r) { r.rax = 2; });`
    template <class F>
    void change_regs(F change) {
        Regs regs = must(vcpu().regs());
        change(regs);
        must(vcpu().set_regs(regs));
    }
    Regs regs() { return must(vcpu().regs()); }
    u64 program_counter() { return regs().rip; }
    void set_argument(u64 value) {
        change_regs([&](Regs& regs) { regs.rsi = value; });
    }

private:
    void start(Bytes code, u64 address, u64 stack, const Sregs& sregs);
};

}  // namespace kvm::test

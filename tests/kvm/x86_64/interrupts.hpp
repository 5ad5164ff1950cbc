// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include "script.hpp"

KVMXX_GUEST_LABEL(script, interrupt)

namespace kvm::test {

/// A script's handler of interrupts tells this port.
inline constexpr Port interrupted_port{0xe0};
inline constexpr u8 interrupt_vector = 0x45;
inline constexpr u64 lapic_address = 0xfee00000, ioapic_address = 0xfec00000;

enum class Trigger : u64 { edge = 0, level = 1 << 15 };

/// A guest with an interrupt controller in the kernel, of which one line is its own. Where it stops
/// it makes no exit.
class InterruptGuest : public Guest {
public:
    /// Why there can be none; "" if there can.
    static std::string missing(const Kvm& kvm) { return test::missing(kvm, cap::irqchip); }

    explicit InterruptGuest(const Kvm& kvm)
        : Guest(kvm, [](Vm& vm) { must(vm.create_irqchip()); }) {}

    /// The line: one that the I/O APIC has and the PICs have not. For irq_line() and for irqfds.
    static constexpr Gsi line{20}, line_of_irqfd = line;

    /// Has the guest let the line's interrupts in, and then do `script`.
    void load_waiting(const std::vector<Operation>& script, Trigger trigger = Trigger::edge) {
        load_routed(static_cast<u64>(trigger) | interrupt_vector, script);
    }
    /// Has the guest enable its local APIC, write the line's redirection, and then do `script`.
    void load_routed(u64 redirection, const std::vector<Operation>& script) {
        std::vector<Operation> whole = {{store4, lapic_address + 0xf0, 0x1ff},
                                        {store4, ioapic_address, 0x10 + 2 * static_cast<u64>(line)},
                                        {store4, ioapic_address + 0x10, redirection},
                                        {store1, layout::mmio, 1}};
        whole.insert(whole.end(), script.begin(), script.end());
        load_script(*this, whole);
        set_gate(interrupt_vector, guests::script_interrupt());
        run_to_write(layout::mmio);
    }
    /// Runs to the handler's exit.
    void run_to_interrupt() { EXPECT_EQ(run_to<exit::IoOut>().port, interrupted_port); }
};

/// What a VM needs for vCPUs that wait for their start-up.
inline void before_start_up(Vm& vm) { must(vm.create_irqchip()); }
/// A vCPU that waits until another starts it.
inline Vcpu vcpu_before_start_up(const Vm& vm, VcpuId id) { return must(vm.create_vcpu(id)); }

}  // namespace kvm::test

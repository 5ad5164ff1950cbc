// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <chrono>
#include <cstring>
#include <functional>
#include <guests/guests.hpp>
#include <kvm/kvm.hpp>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <support/require.hpp>
#include <support/watchdog.hpp>

namespace kvm::test {

using Bytes = std::span<const std::byte>;

/// `value`'s bytes, for comparing with an exit's data.
template <class T>
std::string bytes_of(const T& value) {
    return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}
inline std::string bytes_of(Bytes bytes) {
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}
/// The number that little-endian bytes are; 0 for none.
inline u64 number_of(Bytes bytes) {
    u64 value = 0;
    std::memcpy(&value, bytes.data(), bytes.size() < 8 ? bytes.size() : 8);
    return value;
}

/// One line: the exit's name and what it carries.
std::string describe(const Exit& exit);

/// Where a Guest keeps what, guest-physical. Long mode maps the first 4 GiB one to one, so virtual
/// is the same.
namespace layout {
inline constexpr u64 real_code = 0x1000;      // CS:IP = 0:0x1000, SP = 0x8000
inline constexpr u64 page_tables = 0x2000;    // long mode: 6 pages
inline constexpr u64 gdt = 0x8000;            // null, code64, data, TSS
inline constexpr u64 idt = 0x9000;            // 256 gates, none present
inline constexpr u64 tss = 0xa000;            //
inline constexpr u64 long_code = 0x10000;     // to 0x20000
inline constexpr u64 stack_end = 0x80000;     // long mode's stack grows down from here
inline constexpr u64 data = 0x100000;         // for the guest's data, to the memory's end
inline constexpr u64 memory_size = 0x200000;  // slot 0, at address 0
inline constexpr u64 mmio = 0x10000000;       // nothing is there
inline constexpr u16 code_selector = 0x08, data_selector = 0x10, tss_selector = 0x18;
}  // namespace layout

/// A VM with 2 MiB of memory at address 0 (slot 0) and a vCPU with the host's supported CPUID,
/// ready to load one of tests/guests. Everything throws Failure on failure, which GoogleTest
/// reports.
class Guest {
public:
    /// `before_vcpu` is called with the VM before the vCPU is made: for what must be done first.
    explicit Guest(const Kvm& kvm, const std::function<void(Vm&)>& before_vcpu = {});
    ~Guest();
    Guest(const Guest&) = delete;
    Guest& operator=(const Guest&) = delete;

    /// Puts `code` at layout::real_code and the vCPU into real mode at its start.
    void load_real(Bytes code);
    /// Puts `code` at layout::long_code and the vCPU into 64-bit mode, ring 0, at its start, with
    /// page tables, GDT, TSS and an empty IDT; interrupts are disabled.
    void load_long(Bytes code);
    /// Long mode: the gate of `vector` goes to `offset` bytes from the code's start.
    void set_gate(u8 vector, std::size_t offset);
    /// Changes the general registers: `guest.change_regs([](Regs& r) { r.rax = 2; });`
    template <class F>
    void change_regs(F change) {
        Regs regs = must(vcpu().regs());
        change(regs);
        must(vcpu().set_regs(regs));
    }

    Vm& vm() { return *vm_; }
    Vcpu& vcpu() { return *vcpu_; }
    std::span<std::byte> memory() { return memory_; }
    Memslot& slot() { return *slot_; }
    Regs regs() { return must(vcpu().regs()); }
    /// The value at a guest-physical address of the guest's memory.
    template <class T>
    T read(u64 address) const {
        T value;
        std::memcpy(&value, at(address, sizeof value), sizeof value);
        return value;
    }
    template <class T>
    void write(u64 address, const T& value) {
        std::memcpy(at(address, sizeof value), &value, sizeof value);
    }
    void write(u64 address, Bytes bytes) {
        std::memcpy(at(address, bytes.size()), bytes.data(), bytes.size());
    }

    /// Runs to the next exit; a guest that makes none within `limit` is a failure, not a hang.
    Exit run(std::chrono::milliseconds limit = std::chrono::seconds(10));
    /// Runs to the next exit, which must be of the kind P, and gives its payload.
    template <class P>
    P run_to(std::chrono::milliseconds limit = std::chrono::seconds(10)) {
        return payload<P>(run(limit));
    }
    /// The exit's payload, which must be a P.
    template <class P>
    P payload(const Exit& exit) {
        std::optional<P> found;
        exit.visit(handlers{[&](const P& p) { found.emplace(p); }, [](const auto&) {}});
        if (!found) {
            unexpected(exit);
        }
        return *found;
    }

private:
    std::byte* at(u64 address, std::size_t size) const;
    [[noreturn]] void unexpected(const Exit& exit);

    std::span<std::byte> memory_;
    std::optional<Vm> vm_;
    std::optional<Memslot> slot_;
    std::optional<Vcpu> vcpu_;
};

}  // namespace kvm::test

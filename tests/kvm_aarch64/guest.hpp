// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <chrono>
#include <cstring>
#include <functional>
#include <guests/define.hpp>
#include <kvm/aarch64/one_reg.hpp>
#include <kvm/kvm.hpp>
#include <optional>
#include <string>
#include <support/require.hpp>
#include <support/watchdog.hpp>
#include <vector>

KVMXX_GUEST(halt)
KVMXX_GUEST(spin)
KVMXX_GUEST(firmware)
KVMXX_GUEST(mmio)
KVMXX_GUEST(touch)
KVMXX_GUEST(store)
KVMXX_GUEST(steps)
KVMXX_GUEST_LABEL(steps, store)
KVMXX_GUEST_LABEL(steps, after)
KVMXX_GUEST(nisv)
KVMXX_GUEST_LABEL(nisv, after)
KVMXX_GUEST(handlers)
KVMXX_GUEST(irq)

namespace kvm::test {

using Bytes = std::span<const std::byte>;

/// The number that little-endian bytes are; 0 for none.
inline u64 number_of(Bytes bytes) {
    u64 value = 0;
    std::memcpy(&value, bytes.data(), bytes.size() < 8 ? bytes.size() : 8);
    return value;
}

/// One line: the exit's name and what it carries.
std::string describe(const Exit& exit);

/// Where a Guest keeps what, guest-physical; the MMU is off.
namespace layout {
inline constexpr u64 code = 0x10000;          // to 0x80000
inline constexpr u64 data = 0x100000;         // for the guest's data, to the memory's end
inline constexpr u64 memory_size = 0x200000;  // slot 0, at address 0
inline constexpr u64 dist = 0x08000000, redist = 0x080a0000, gic_cpu = 0x08010000;
inline constexpr u64 mmio = 0x10000000;  // nothing is there
}  // namespace layout

/// What a Guest is made with beside what every guest has.
struct GuestOptions {
    VmType type{};
    std::vector<VcpuFeature> features;         // beside psci_0_2
    std::function<void(Vm&)> before_vcpu{};    // what must be done before the vCPU is made
    std::function<void(Vcpu&)> before_init{};  // and before it is initialised
};

/// A VM with 2 MiB of memory at address 0 (slot 0) and an initialised vCPU, ready to load one of
/// tests/guests/aarch64. Everything throws Failure on failure, which GoogleTest reports.
class Guest {
public:
    explicit Guest(const Kvm& kvm, const GuestOptions& options = {});
    ~Guest();
    Guest(const Guest&) = delete;
    Guest& operator=(const Guest&) = delete;

    /// Puts `code` at layout::code and the vCPU at its start, in EL1 with all interrupts masked.
    void load(Bytes code);
    /// One register.
    template <class T>
    T get(RegId<T> id) {
        return must(vcpu().one_reg(id));
    }
    template <class T>
    void set(RegId<T> id, const std::type_identity_t<T>& value) {
        must(vcpu().set_one_reg(id, value));
    }

    Vm& vm() { return *vm_; }
    Vcpu& vcpu() { return *vcpu_; }
    Memslot& slot() { return *slot_; }
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

    /// Runs to the next exit; a guest that makes none within `limit` is a failure, not a hang.
    Exit run(std::chrono::milliseconds limit = std::chrono::seconds(20));
    /// Runs to the next exit, which must be of the kind P, and gives its payload.
    template <class P>
    P run_to() {
        return payload<P>(run());
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
    /// Runs to a write to `address`, whose value it gives.
    u64 run_to_write(u64 address);

private:
    std::byte* at(u64 address, std::size_t size) const;
    [[noreturn]] void unexpected(const Exit& exit);

    std::span<std::byte> memory_;
    std::optional<Vm> vm_;
    std::optional<Memslot> slot_;
    std::optional<Vcpu> vcpu_;
    bool ran_ = false;
};

/// What init() is given: the preferred target, PSCI, and `features`.
VcpuInit vcpu_init(const Vm& vm, const std::vector<VcpuFeature>& features = {});

}  // namespace kvm::test

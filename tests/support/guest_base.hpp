// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <chrono>
#include <cstring>
#include <functional>
#include <guests/guests.hpp>
#include <kvm/kvm.hpp>
#include <optional>
#include <ranges>
#include <string>
#include <support/pages.hpp>
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

/// Where a Guest keeps what, guest-physical, on every architecture.
namespace layout {
inline constexpr u64 code = 0x10000;          // to 0x20000: what load() is given
inline constexpr u64 data = 0x100000;         // for the guest's data, to the memory's end
inline constexpr u64 memory_size = 0x200000;  // slot 0, at address 0
inline constexpr u64 mmio = 0x10000000;       // nothing is there
}  // namespace layout

// What each architecture says for itself.

/// The registers that tell where a guest is.
std::string describe_registers(const Vcpu& vcpu);
/// What a Debug exit is about.
std::string describe_debug(const exit::Debug& debug);
/// Whether the guest has stopped: guests::stop() does, and a script (support/script.hpp).
bool is_stop(const Exit& exit);

/// What a Guest is on every architecture: a VM with 2 MiB of memory at address 0 (slot 0), and a
/// vCPU. Everything throws Failure on failure, which GoogleTest reports.
class GuestBase {
public:
    GuestBase(const GuestBase&) = delete;
    GuestBase& operator=(const GuestBase&) = delete;

    Vm& vm() { return *vm_; }
    Vcpu& vcpu() { return *vcpu_; }
    std::span<std::byte> memory() { return memory_.bytes(); }
    Memslot& slot() { return *slot_; }
    /// The value at a guest-physical address of the guest's memory.
    template <class T>
    T read(u64 address) const {
        T value;
        std::memcpy(&value, at(address, sizeof value), sizeof value);
        return value;
    }
    /// A value; a span is not one, nor is any other view.
    template <class T>
        requires(!std::ranges::view<T> && std::is_trivially_copyable_v<T>)
    void write(u64 address, const T& value) {
        write(address, std::as_bytes(std::span(&value, 1)));
    }
    void write(u64 address, Bytes bytes) {
        std::memcpy(at(address, bytes.size()), bytes.data(), bytes.size());
    }

    /// Runs to the next exit; a guest that makes none within `limit` is a failure, not a hang.
    Exit run(std::chrono::milliseconds limit = std::chrono::seconds(20));
    /// Runs to the next exit, which must be of the kind P, and gives its payload.
    template <class P>
    P run_to(std::chrono::milliseconds limit = std::chrono::seconds(20)) {
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
    /// Runs to a write to `address`, whose value it gives.
    u64 run_to_write(u64 address);
    /// Runs to the exit of a guest that stops. At the next run it goes on. (On x86_64 it halts,
    /// which is no exit with an interrupt controller in the kernel.)
    void run_to_stop();

protected:
    explicit GuestBase(const Kvm& kvm, VmType type = {});
    ~GuestBase() = default;
    void set_vcpu(Vcpu vcpu) { vcpu_ = std::move(vcpu); }
    /// Before new code: what the last exit left to be done would be done to that.
    void finish_last_exit();

private:
    std::byte* at(u64 address, std::size_t size) const;
    [[noreturn]] void unexpected(const Exit& exit);

    Pages memory_;
    std::optional<Vm> vm_;
    std::optional<Memslot> slot_;
    std::optional<Vcpu> vcpu_;
    bool ran_ = false;
};

}  // namespace kvm::test

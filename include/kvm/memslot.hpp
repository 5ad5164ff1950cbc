// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <concepts>
#include <cstddef>
#include <kvm/abi/common.hpp>
#include <kvm/types.hpp>
#include <span>

namespace kvm {

/// A slot that Vm::add_memory() filled: what the dirty log and Vm::remove_memory() want. It knows
/// the slot's size, so that a bitmap can be checked against it: the kernel writes by the slot's
/// size, whatever the bitmap's. Move-only; dropping it leaves the slot to the VM's end.
class Memslot {
public:
    Memslot(Memslot&& other) noexcept
        : vm_(other.vm_), slot_(other.slot_), address_(other.address_), memory_(other.memory_),
          flags_(other.flags_) {
        other.vm_ = -1;
    }
    Memslot& operator=(Memslot&& other) noexcept {
        vm_ = other.vm_;
        slot_ = other.slot_;
        address_ = other.address_;
        memory_ = other.memory_;
        flags_ = other.flags_;
        if (this != &other) {
            other.vm_ = -1;
        }
        return *this;
    }

    Slot slot() const { return slot_; }
    Gpa address() const { return address_; }
    std::span<std::byte> memory() const { return memory_; }
    Flags<MemFlag> flags() const { return flags_; }
    /// How many 64-bit words the slot's dirty bitmap has.
    std::size_t bitmap_words() const { return (memory_.size() / page_size + 63) / 64; }
    /// Whether the slot is still there: neither moved from nor removed.
    bool valid() const { return vm_ >= 0; }

    /// The unit of the dirty log.
    static constexpr std::size_t page_size = 4096;

private:
    friend class Vm;
    Memslot(int vm, Slot slot, Gpa address, std::span<std::byte> memory, Flags<MemFlag> flags)
        : vm_(vm), slot_(slot), address_(address), memory_(memory), flags_(flags) {}

    int vm_;  // the VM's descriptor: a slot of one VM is none of another
    Slot slot_;
    Gpa address_;
    std::span<std::byte> memory_;
    Flags<MemFlag> flags_;
};

/// Where I/O happens: a port or a guest-physical address.
class IoAddress {
public:
    constexpr IoAddress(Port port) : value_(static_cast<u16>(port)), is_port_(true) {}
    constexpr IoAddress(Gpa address) : value_(address.value()), is_port_(false) {}

    constexpr u64 value() const { return value_; }
    constexpr bool is_port() const { return is_port_; }

private:
    u64 value_;
    bool is_port_;
};

/// Which writes an ioeventfd takes: by length, and by value if one is given.
class Datamatch {
public:
    /// Writes of any length and value. Needs cap::ioeventfd_any_length.
    static constexpr Datamatch any_length() { return {0, 0, false}; }
    /// Writes of `bytes` bytes (1, 2, 4, 8) with any value; another length is EINVAL.
    static constexpr Datamatch length(u32 bytes) { return {bytes, 0, false}; }
    /// Writes of exactly this value, as long as its type: std::uint8_t, 16_t, 32_t or 64_t.
    template <class T>
        requires std::same_as<T, u8> || std::same_as<T, u16> || std::same_as<T, u32> ||
                 std::same_as<T, u64>
    static constexpr Datamatch value(T value) {
        return {sizeof(T), value, true};
    }

private:
    friend class Vm;
    constexpr Datamatch(u32 length, u64 value, bool has_value)
        : length_(length), value_(value), has_value_(has_value) {}

    u32 length_;
    u64 value_;
    bool has_value_;
};

}  // namespace kvm

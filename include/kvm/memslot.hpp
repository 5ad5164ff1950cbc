// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cerrno>
#include <concepts>
#include <cstddef>
#include <kvm/abi/common.hpp>
#include <kvm/error.hpp>
#include <kvm/types.hpp>
#include <span>

namespace kvm {

/// A slot that Vm::add_memory() filled: what the dirty log and Vm::remove_memory() want. It knows
/// the slot's size, so that a bitmap can be checked against it: the kernel writes by the slot's
/// size, whatever the bitmap's. Move-only; dropping it leaves the slot to the VM's end.
class Memslot {
public:
    Memslot(Memslot&& other) noexcept
        : vm_(other.vm_), slot_(other.slot_), flags_(other.flags_), address_(other.address_),
          memory_(other.memory_) {
        other.vm_ = 0;
    }
    Memslot& operator=(Memslot&& other) noexcept {
        vm_ = other.vm_;
        slot_ = other.slot_;
        address_ = other.address_;
        memory_ = other.memory_;
        flags_ = other.flags_;
        if (this != &other) {
            other.vm_ = 0;
        }
        return *this;
    }

    /// The slot's number.
    Slot slot() const { return slot_; }
    /// Where the guest sees it.
    Gpa address() const { return address_; }
    /// The host's memory that it is. The guest may change it at any time while a vCPU runs.
    std::span<std::byte> memory() const { return memory_; }
    /// The flags that it has.
    Flags<MemFlag> flags() const { return flags_; }
    /// How many 64-bit words the slot's dirty bitmap has.
    std::size_t bitmap_words() const { return (memory_.size() / page_size + 63) / 64; }
    /// Whether the slot is still there: neither moved from nor removed.
    bool valid() const { return vm_ != 0; }

    /// The unit of the dirty log.
    static constexpr std::size_t page_size = 4096;

private:
    friend class Vm;
    Memslot(u64 vm, Slot slot, Gpa address, std::span<std::byte> memory, Flags<MemFlag> flags)
        : vm_(vm), slot_(slot), flags_(flags), address_(address), memory_(memory) {}

    u64 vm_;  // SlotSet::vm(): a slot of one VM is none of another
    Slot slot_;
    Flags<MemFlag> flags_;
    Gpa address_;
    std::span<std::byte> memory_;
};

namespace detail {

/// Which slots of a Vm have a token, so that none has two: KVM_SET_USER_MEMORY_REGION takes a slot
/// that is in use for a wish to move it, and the older token would outlive the slot. The first 64
/// are in a word, the others in blocks on the heap. Every method may be called from several
/// threads.
class SlotSet {
public:
    SlotSet() : vm_(__atomic_add_fetch(&last_vm_, 1, __ATOMIC_RELAXED)) {}
    SlotSet(SlotSet&& other) noexcept : vm_(other.vm_), low_(other.low_), more_(other.more_) {
        other.vm_ = 0;
        other.more_ = nullptr;
    }
    SlotSet& operator=(SlotSet&& other) noexcept;
    ~SlotSet() {
        if (more_) [[unlikely]] {
            free_more();
        }
    }

    /// The VM's number in this process, never used again (a descriptor's is); 0 after a move.
    u64 vm() const { return vm_; }
    /// Takes the slot: 0, EEXIST or ENOMEM.
    int take(Slot slot) {
        const u32 n = static_cast<u32>(slot);
        if (n >= 64) [[unlikely]] {
            return take_more(n);
        }
        const u64 bit = u64(1) << n;
        return __atomic_fetch_or(&low_, bit, __ATOMIC_RELAXED) & bit ? EEXIST : 0;
    }
    /// Gives it back.
    void drop(Slot slot) {
        const u32 n = static_cast<u32>(slot);
        if (n >= 64) [[unlikely]] {
            drop_more(n);
        } else {
            __atomic_fetch_and(&low_, ~(u64(1) << n), __ATOMIC_RELAXED);
        }
    }

private:
    struct Block;
    [[gnu::cold, gnu::noinline]] int take_more(u32 slot);
    [[gnu::cold, gnu::noinline]] void drop_more(u32 slot);
    Block* find(u32 first) const;
    void free_more();

    inline static u64 last_vm_ = 0;
    u64 vm_;
    u64 low_ = 0;
    Block* more_ = nullptr;
};

}  // namespace detail

/// Where I/O happens: a port or a guest-physical address.
class IoAddress {
public:
    /// Either, where one is expected.
    constexpr IoAddress(Port port) : value_(static_cast<u16>(port)), is_port_(true) {}
    constexpr IoAddress(Gpa address) : value_(address.value()), is_port_(false) {}

    /// The port's number or the address.
    constexpr u64 value() const { return value_; }
    /// Whether it is a port.
    constexpr bool is_port() const { return is_port_; }

private:
    u64 value_;
    bool is_port_;
};

/// Which writes an ioeventfd takes: by length, and by value if one is given.
class Datamatch {
public:
    /// Writes of any length and value. Needs cap::ioeventfd_any_length.
    static constexpr Datamatch any_length() { return {Kind::any, 0, 0}; }
    /// Writes of `bytes` bytes (1, 2, 4, 8) with any value; another length is EINVAL.
    static constexpr Datamatch length(u32 bytes) { return {Kind::length, bytes, 0}; }
    /// Writes of exactly this value, as long as its type: std::uint8_t, 16_t, 32_t or 64_t.
    template <class T>
        requires std::same_as<T, u8> || std::same_as<T, u16> || std::same_as<T, u32> ||
                 std::same_as<T, u64>
    static constexpr Datamatch value(T value) {
        return {Kind::value, sizeof(T), value};
    }

private:
    friend class Vm;
    enum class Kind : u32 { any, length, value };
    constexpr Datamatch(Kind kind, u32 length, u64 value)
        : kind_(kind), length_(length), value_(value) {}

    Kind kind_;
    u32 length_;
    u64 value_;
};

}  // namespace kvm

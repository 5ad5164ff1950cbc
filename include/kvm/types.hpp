// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <compare>
#include <cstdint>

/// The nouns of the interface as types of their own, so that a GSI cannot be passed for a slot.
namespace kvm {

/// A global system interrupt: an index into the VM's GSI routing table.
enum class Gsi : std::uint32_t {};
/// A memory slot's number; bits 16 and up are the address space (x86_64: 1 is SMM).
enum class Slot : std::uint32_t {};
/// A vCPU's id, which on x86_64 is its APIC id; at most `cap::max_vcpu_id` - 1.
enum class VcpuId : std::uint32_t {};
/// An x86 I/O port.
enum class Port : std::uint16_t {};
/// The level of an interrupt line.
enum class Level : std::uint32_t { low = 0, high = 1 };

/// An address in one of the guest's address spaces: `address + bytes`, `address - address`, order.
template <class Tag>
class Address {
public:
    constexpr Address() = default;
    constexpr explicit Address(std::uint64_t value) : value_(value) {}

    /// The address as the kernel's number.
    constexpr std::uint64_t value() const { return value_; }

    friend constexpr Address operator+(Address a, std::uint64_t n) { return Address(a.value_ + n); }
    friend constexpr std::uint64_t operator-(Address a, Address b) { return a.value_ - b.value_; }
    friend constexpr auto operator<=>(Address, Address) = default;

private:
    std::uint64_t value_ = 0;
};

/// A guest-physical address.
using Gpa = Address<struct GpaTag>;
/// A guest-virtual address.
using Gva = Address<struct GvaTag>;

inline namespace literals {

/// `0x1000_gpa`, `64_KiB`: addresses, and bytes by powers of 1024.
constexpr Gpa operator""_gpa(unsigned long long v) { return Gpa(v); }
constexpr Gva operator""_gva(unsigned long long v) { return Gva(v); }
constexpr std::uint64_t operator""_KiB(unsigned long long v) { return v << 10; }
constexpr std::uint64_t operator""_MiB(unsigned long long v) { return v << 20; }
constexpr std::uint64_t operator""_GiB(unsigned long long v) { return v << 30; }

}  // namespace literals

}  // namespace kvm

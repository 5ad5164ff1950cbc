// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <type_traits>

namespace kvm {

/// A set of the bits of a scoped enum, as wide as the enum. `Flags<MemFlag> f = MemFlag::readonly;`
/// The kernel may know bits that this library does not: bits() keeps them.
template <class E>
    requires std::is_enum_v<E>
class Flags {
public:
    /// The enum, and the kernel's word for the set.
    using Enum = E;
    using Bits = std::make_unsigned_t<std::underlying_type_t<E>>;

    constexpr Flags() = default;
    constexpr Flags(E bit) : bits_(static_cast<Bits>(bit)) {}
    constexpr explicit Flags(Bits bits) : bits_(bits) {}

    /// The set as the kernel's word.
    constexpr Bits bits() const { return bits_; }
    /// Whether every bit of `other` is in this set.
    constexpr bool has(Flags other) const { return (bits_ & other.bits_) == other.bits_; }
    /// Whether no bit is set.
    constexpr bool empty() const { return bits_ == 0; }

    friend constexpr Flags operator|(Flags a, Flags b) { return Flags(Bits(a.bits_ | b.bits_)); }
    friend constexpr Flags operator&(Flags a, Flags b) { return Flags(Bits(a.bits_ & b.bits_)); }
    friend constexpr Flags operator-(Flags a, Flags b) { return Flags(Bits(a.bits_ & ~b.bits_)); }
    constexpr Flags& operator|=(Flags other) { return *this = *this | other; }
    friend constexpr bool operator==(Flags, Flags) = default;

private:
    Bits bits_ = 0;
};

/// Specialise as true to let `A::x | A::y` make a Flags<A>.
template <class E>
inline constexpr bool is_flag_enum = false;

/// Both bits, where is_flag_enum<E> says that bits of E combine.
template <class E>
    requires is_flag_enum<E>
constexpr Flags<E> operator|(E a, E b) {
    return Flags<E>(a) | b;
}

}  // namespace kvm

// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

/// Copies between the host's own memory and the guest's, which changes while it is copied.
///
/// One aligned word is a relaxed atomic access. Everything else goes through a function that the
/// compiler cannot look into, so that no byte is read again after it was checked. It is memcpy; in
/// builds with the thread sanitizer it is relaxed atomic accesses of single bytes, which tell the
/// sanitizer what is meant: the guest's side may race, the host's side may not.
namespace vmm::detail {

void copy_from_guest(std::byte* to, const std::byte* guest, std::size_t size);
void copy_to_guest(std::byte* guest, const std::byte* from, std::size_t size);
void fill_guest(std::byte* guest, std::byte value, std::size_t size);

template <std::size_t Size>
struct Word;
template <>
struct Word<1> {
    using Type [[gnu::may_alias]] = std::uint8_t;
};
template <>
struct Word<2> {
    using Type [[gnu::may_alias]] = std::uint16_t;
};
template <>
struct Word<4> {
    using Type [[gnu::may_alias]] = std::uint32_t;
};
template <>
struct Word<8> {
    using Type [[gnu::may_alias]] = std::uint64_t;
};

template <std::size_t Size>
inline constexpr bool is_word = Size == 1 || Size == 2 || Size == 4 || Size == 8;

inline bool is_aligned(const std::byte* host, std::size_t size) {
    return (reinterpret_cast<std::uintptr_t>(host) & (size - 1)) == 0;
}

/// Whether load_guest() and store_guest() need no call, or one that is worth it.
template <std::size_t Size>
inline bool is_simple(const std::byte* host) {
    return !is_word<Size> || is_aligned(host, Size);
}

template <std::size_t Size>
inline void load_guest(std::byte* to, const std::byte* guest) {
    if constexpr (is_word<Size>) {
        if (is_aligned(guest, Size)) [[likely]] {
            using W = typename Word<Size>::Type;
            const auto word = __atomic_load_n(reinterpret_cast<const W*>(guest), __ATOMIC_RELAXED);
            std::memcpy(to, &word, Size);
            return;
        }
    }
    copy_from_guest(to, guest, Size);
}

template <std::size_t Size>
inline void store_guest(std::byte* guest, const std::byte* from) {
    if constexpr (is_word<Size>) {
        if (is_aligned(guest, Size)) [[likely]] {
            using W = typename Word<Size>::Type;
            W word;
            std::memcpy(&word, from, Size);
            __atomic_store_n(reinterpret_cast<W*>(guest), word, __ATOMIC_RELAXED);
            return;
        }
    }
    copy_to_guest(guest, from, Size);
}

}  // namespace vmm::detail

// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <vmm/memory/guest_copy.hpp>
#include <vmm/virtio/chain.hpp>

/// The words of rings, and what both kinds have in common. Each word is one atomic access: the
/// guest may change it at any time.
namespace vmm::virtio::ring {

// A descriptor's flags. virtio 1.2, 2.7.5 and 2.8.
inline constexpr std::uint16_t next = 1;
inline constexpr std::uint16_t write_only = 2;
inline constexpr std::uint16_t indirect = 4;
inline constexpr std::uint16_t is_available = 1 << 7;  // packed
inline constexpr std::uint16_t is_used = 1 << 15;      // packed

inline constexpr std::size_t descriptor_size = 16;

template <class T>
T load(const std::byte* word, int order = __ATOMIC_RELAXED) {
    using W = typename vmm::detail::Word<sizeof(T)>::Type;
    return __atomic_load_n(reinterpret_cast<const W*>(word), order);
}

template <class T>
void store(std::byte* word, T value, int order = __ATOMIC_RELAXED) {
    using W = typename vmm::detail::Word<sizeof(T)>::Type;
    __atomic_store_n(reinterpret_cast<W*>(word), value, order);
}

/// A descriptor of either ring; it has two words in the ring, the address and the rest.
struct Descriptor {
    Buffer buffer;
    std::uint16_t flags = 0;
    std::uint16_t other = 0;  // split: the next descriptor's index; packed: the buffer's id

    static Descriptor split(std::uint64_t address, std::uint64_t rest) {
        return {{kvm::Gpa(address), static_cast<std::uint32_t>(rest)},
                static_cast<std::uint16_t>(rest >> 32),
                static_cast<std::uint16_t>(rest >> 48)};
    }
    static Descriptor packed(std::uint64_t address, std::uint64_t rest) {
        return {{kvm::Gpa(address), static_cast<std::uint32_t>(rest)},
                static_cast<std::uint16_t>(rest >> 48),
                static_cast<std::uint16_t>(rest >> 32)};
    }
};

/// A word of an indirect table, which need not be aligned.
inline std::uint64_t load_table(std::span<const std::byte> table, std::size_t offset) {
    std::uint64_t value;
    vmm::detail::load_guest<8>(reinterpret_cast<std::byte*>(&value), table.data() + offset);
    return value;
}

/// False if a readable buffer comes after a writable one.
[[nodiscard]] inline bool append(Chain& chain, const Descriptor& descriptor) {
    if (descriptor.flags & write_only) {
        chain.writable.push_back(descriptor.buffer);
        return true;
    }
    chain.readable.push_back(descriptor.buffer);
    return chain.writable.empty();
}

[[gnu::cold]] std::unexpected<Error> broken(const char* what, int code);
[[gnu::cold]] std::unexpected<Error> misordered();
[[gnu::cold]] std::unexpected<Error> too_long(std::uint32_t most);

}  // namespace vmm::virtio::ring

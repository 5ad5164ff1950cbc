// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <vmm/memory/guest_copy.hpp>

#if defined(__SANITIZE_THREAD__)
#define VMM_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define VMM_THREAD_SANITIZER 1
#endif
#endif

namespace vmm::detail {

#ifdef VMM_THREAD_SANITIZER

namespace {

using Byte [[gnu::may_alias]] = unsigned char;

}  // namespace

void copy_from_guest(std::byte* to, const std::byte* guest, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) {
        to[i] =
            std::byte(__atomic_load_n(reinterpret_cast<const Byte*>(guest + i), __ATOMIC_RELAXED));
    }
}

void copy_to_guest(std::byte* guest, const std::byte* from, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) {
        __atomic_store_n(reinterpret_cast<Byte*>(guest + i), Byte(from[i]), __ATOMIC_RELAXED);
    }
}

void fill_guest(std::byte* guest, std::byte value, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) {
        __atomic_store_n(reinterpret_cast<Byte*>(guest + i), Byte(value), __ATOMIC_RELAXED);
    }
}

#else

void copy_from_guest(std::byte* to, const std::byte* guest, std::size_t size) {
    if (size > 0) {  // no bytes may have no address
        std::memcpy(to, guest, size);
    }
}

void copy_to_guest(std::byte* guest, const std::byte* from, std::size_t size) {
    if (size > 0) {
        std::memcpy(guest, from, size);
    }
}

void fill_guest(std::byte* guest, std::byte value, std::size_t size) {
    if (size > 0) {
        std::memset(guest, std::to_integer<int>(value), size);
    }
}

#endif

}  // namespace vmm::detail

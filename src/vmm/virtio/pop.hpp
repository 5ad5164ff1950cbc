// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <algorithm>
#include <cstring>
#include <kvm/try.hpp>
#include <span>
#include <type_traits>
#include <vmm/virtio/queue.hpp>

/// What devices that do not use serve() have in common.
namespace vmm::virtio {

/// Takes the next chain; where there is none, the driver notifies of the next.
inline Result<bool> pop_or_wait(Queue& queue, Chain& chain) {
    for (;;) {
        if (KVM_TRY(queue.pop(chain))) {
            return true;
        }
        if (!queue.enable_notifications()) {
            return false;
        }
    }
}

/// What read_config() gives of a configuration that is `value`.
template <class T>
void read_part(const T& value, std::uint64_t offset, std::span<std::byte> data) {
    static_assert(std::is_trivially_copyable_v<T>);
    const auto bytes = std::as_bytes(std::span(&value, 1));
    if (offset < bytes.size()) {
        const auto part = bytes.subspan(offset);
        std::memcpy(data.data(), part.data(), std::min(part.size(), data.size()));
    }
}

/// Puts what write_config() got into `value`, as far as it is there.
template <class T>
void write_part(T& value, std::uint64_t offset, std::span<const std::byte> data) {
    static_assert(std::is_trivially_copyable_v<T>);
    const auto bytes = std::as_writable_bytes(std::span(&value, 1));
    if (offset < bytes.size()) {
        const auto part = bytes.subspan(offset);
        std::memcpy(part.data(), data.data(), std::min(part.size(), data.size()));
    }
}

}  // namespace vmm::virtio

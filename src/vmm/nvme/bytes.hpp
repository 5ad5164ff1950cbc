// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <string_view>

/// Pages of data that a driver asks for.
namespace vmm::nvme {

using Page = std::array<std::byte, 4096>;

template <class T>
void put(Page& page, std::size_t offset, T value) {
    std::memcpy(page.data() + offset, &value, sizeof value);
}

/// Text in a field of `size` bytes, padded with spaces: 1.5.
inline void put_text(Page& page, std::size_t offset, std::size_t size, std::string_view text) {
    std::memset(page.data() + offset, ' ', size);
    std::memcpy(page.data() + offset, text.data(), std::min(size, text.size()));
}

}  // namespace vmm::nvme

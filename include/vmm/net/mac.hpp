// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vmm/error.hpp>

namespace vmm::net {

/// An Ethernet address.
struct Mac {
    std::array<std::uint8_t, 6> bytes{};

    /// "02:00:5e:10:00:01". Errors: EINVAL (not six bytes, or one of a group).
    static Result<Mac> parse(std::string_view text);
    /// An address for a device that was given none: always the same for these words on this host,
    /// on others another. Locally administered: 46 bits of the SHA-256 of the words and
    /// /etc/machine-id.
    static Mac derive(std::string_view words);
    std::string text() const;
    bool is_group() const { return (bytes[0] & 1) != 0; }

    friend bool operator==(const Mac&, const Mac&) = default;
    friend auto operator<=>(const Mac&, const Mac&) = default;
};

}  // namespace vmm::net

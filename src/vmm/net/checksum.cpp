// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <vmm/net/checksum.hpp>

#include <cstdint>
#include <cstring>

namespace vmm::net {

namespace {

/// RFC 1071's sum, of words in the host's byte order: which does not matter.
std::uint16_t sum(std::span<const std::byte> bytes) {
    std::uint64_t total = 0;
    while (bytes.size() >= 4) {
        std::uint32_t word = 0;
        std::memcpy(&word, bytes.data(), 4);
        total += word;
        bytes = bytes.subspan(4);
    }
    if (!bytes.empty()) {
        std::uint32_t word = 0;
        std::memcpy(&word, bytes.data(), bytes.size());
        total += word;
    }
    while (total >> 16 != 0) {
        total = (total & 0xffff) + (total >> 16);
    }
    return static_cast<std::uint16_t>(total);
}

}  // namespace

bool finish_checksum(const Header& header, std::span<std::byte> frame) {
    if ((header.flags & Header::needs_csum) == 0) {
        return header.gso_type == Header::gso_none;  // segments always need theirs
    }
    const std::size_t at = std::size_t{header.csum_start} + header.csum_offset;
    if (header.csum_start >= frame.size() || at + 2 > frame.size()) {
        return false;
    }
    // The field holds the pseudo header's sum, so that it takes part.
    std::uint16_t checksum = static_cast<std::uint16_t>(~sum(frame.subspan(header.csum_start)));
    if (checksum == 0) {
        checksum = 0xffff;  // the same, and 0 is none in UDP
    }
    std::memcpy(frame.data() + at, &checksum, 2);
    return true;
}

}  // namespace vmm::net

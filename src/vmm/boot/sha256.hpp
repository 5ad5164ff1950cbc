// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace vmm::boot {

/// FIPS 180-4's SHA-256: names content that others may have chosen.
class Sha256 {
public:
    void add(std::span<const std::byte> bytes);
    /// Of all that was added. Then it is used up.
    std::array<std::byte, 32> finish();

private:
    void block(const std::byte* bytes);

    std::array<std::uint32_t, 8> state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    std::array<std::byte, 64> pending_;
    std::uint64_t size_ = 0;
};

/// In hexadecimal digits.
std::string hex(std::span<const std::byte> bytes);

}  // namespace vmm::boot

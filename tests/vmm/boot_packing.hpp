// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <optional>
#include <string>
#include <vmm/boot_files.hpp>

/// Compressed files for the loaders' tests.
namespace vmm::test {

enum class Packing { gzip, xz, lzma, lz4, lz4_legacy, zstd };
inline constexpr Packing packings[] = {Packing::gzip, Packing::xz,         Packing::lzma,
                                       Packing::lz4,  Packing::lz4_legacy, Packing::zstd};

/// `content`, compressed; nothing if this build has not got the library.
std::optional<Bytes> pack(const Bytes& content, Packing packing);

/// A bzImage with `payload` in it, which may take `init_size` bytes when it is unpacked.
Bytes bzimage_of(const Bytes& payload, std::uint32_t init_size = 1 << 20);

}  // namespace vmm::test

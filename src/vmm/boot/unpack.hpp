// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <functional>

#include "placement.hpp"

/// Compressed kernels.
namespace vmm::boot {

/// Compressed bytes of a file, read once: what is hashed is what is unpacked.
struct Packed {
    std::string path;
    std::uint64_t offset;  // in the file
    ImageKind format;
    std::span<const std::byte> bytes;
};

/// How `range` of `image` is compressed, by its first bytes.
Result<ImageKind> packing_of(const Image& image, Range range);
/// Whether this build of the library unpacks the format.
bool can_unpack(ImageKind format);
/// Takes the unpacked bytes in order; an Error ends the unpacking.
using Sink = std::function<Result<void>(std::span<const std::byte>)>;

/// Unpacks into `sink` what can_unpack() says it can. What follows the compressed data is left out:
/// Linux's build appends the unpacked size. Errors name the file, the format and the offset of what
/// is wrong.
Result<void> unpack(const Packed& packed, const Sink& sink);

/// A part of a file that is compressed.
struct PackedPart {
    const Image& image;
    Range range;
    ImageKind format;
};

/// The unpacked content, as a file: from the cache in `directory` if it is there, else unpacked,
/// into the cache if that can be used. At most `limit` bytes, which `why` explains: "the kernel's
/// init_size".
Result<Image> unpacked_image(const Target& target, const PackedPart& part, std::uint64_t limit,
                             const char* why, const std::string& directory);

}  // namespace vmm::boot

// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <vmm/boot_packing.hpp>

#if __has_include(<zlib.h>) && __has_include(<lzma.h>) && __has_include(<lz4frame.h>) && \
    __has_include(<zstd.h>)
#define KVMXX_PACKERS 1
#include <lz4.h>
#include <lz4frame.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>
#endif

namespace vmm::test {

#if KVMXX_PACKERS
namespace {

std::size_t gzip(const std::string& in, std::string& out) {
    z_stream stream{};
    ::deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
    stream.avail_in = static_cast<uInt>(in.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    ::deflate(&stream, Z_FINISH);
    const std::size_t size = stream.total_out;
    ::deflateEnd(&stream);
    return size;
}

std::size_t lzma(const std::string& in, std::string& out, Packing packing) {
    lzma_stream stream = LZMA_STREAM_INIT;
    lzma_options_lzma options;
    ::lzma_lzma_preset(&options, 6);
    lzma_ret status = packing == Packing::xz ? ::lzma_easy_encoder(&stream, 6, LZMA_CHECK_CRC32)
                                             : ::lzma_alone_encoder(&stream, &options);
    stream.next_in = reinterpret_cast<const std::uint8_t*>(in.data());
    stream.avail_in = in.size();
    stream.next_out = reinterpret_cast<std::uint8_t*>(out.data());
    stream.avail_out = out.size();
    if (status == LZMA_OK) {
        status = ::lzma_code(&stream, LZMA_FINISH);
    }
    const std::size_t size = status == LZMA_STREAM_END ? stream.total_out : 0;
    ::lzma_end(&stream);
    return size;
}

std::size_t lz4_legacy(const std::string& in, std::string& out) {
    constexpr std::size_t block = 8 << 20;
    const std::uint32_t magic = 0x184c2102;
    std::memcpy(out.data(), &magic, 4);
    std::size_t size = 4;
    for (std::size_t at = 0; at < in.size(); at += block) {
        const int n = ::LZ4_compress_default(in.data() + at, out.data() + size + 4,
                                             static_cast<int>(std::min(block, in.size() - at)),
                                             static_cast<int>(out.size() - size - 4));
        const auto packed = static_cast<std::uint32_t>(n);
        std::memcpy(out.data() + size, &packed, 4);
        size += 4 + packed;
    }
    return size;
}

}  // namespace

std::optional<Bytes> pack(const Bytes& content, Packing packing) {
    const std::string& in = content.text();
    std::string out(in.size() + in.size() / 8 + 4096, '\0');
    switch (packing) {
        case Packing::gzip:
            out.resize(gzip(in, out));
            break;
        case Packing::xz:
        case Packing::lzma:
            out.resize(lzma(in, out, packing));
            break;
        case Packing::lz4:
            out.resize(::LZ4F_compressFrame(out.data(), out.size(), in.data(), in.size(), nullptr));
            break;
        case Packing::lz4_legacy:
            out.resize(lz4_legacy(in, out));
            break;
        case Packing::zstd:
            out.resize(::ZSTD_compress(out.data(), out.size(), in.data(), in.size(), 3));
            break;
    }
    return Bytes(out);
}
#else
std::optional<Bytes> pack(const Bytes&, Packing) { return std::nullopt; }
#endif

Bytes bzimage_of(const Bytes& payload, std::uint32_t init_size) {
    constexpr std::size_t offset = 0x300;  // from the code
    const auto size = static_cast<std::uint32_t>(payload.text().size());
    const std::size_t whole = bzimage_code + (offset + size + 0xfff) / 0x1000 * 0x1000;
    Bytes image = bzimage().resize(whole);
    image.put(0x1f4, static_cast<std::uint32_t>((whole - bzimage_code) / 16));
    image.put(0x248, std::uint32_t(offset)).put(0x24c, size).put(0x260, init_size);
    for (std::size_t i = 0; i < size; ++i) {
        image.put(bzimage_code + offset + i, payload.text()[i]);
    }
    return image;
}

}  // namespace vmm::test

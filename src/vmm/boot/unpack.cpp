// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "unpack.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <kvm/try.hpp>
#include <memory>

#if KVMXX_ZLIB
#include <zlib.h>
#endif
#if KVMXX_LZMA
#include <lzma.h>
#endif
#if KVMXX_LZ4
#include <lz4.h>
#include <lz4frame.h>
#endif
#if KVMXX_ZSTD
#include <zstd.h>
#endif

namespace vmm::boot {

namespace {

constexpr std::size_t chunk = 1 << 18;

/// What is left of the compressed bytes.
class Source {
public:
    explicit Source(const Packed& packed) : packed_(packed), left_(packed.bytes) {}

    std::span<const std::byte> left() const { return left_; }
    std::span<const std::byte> take(std::size_t n) {
        const auto taken = left_.first(n);
        left_ = left_.subspan(n);
        return taken;
    }
    /// "vmlinuz: compressed data (lz4): at 0x4a00: cause" on its way out.
    std::unexpected<Error> broken(std::string_view cause) const {
        return fail(fmt::format("{}: {}: at {:#x}: {}", packed_.path, describe(packed_.format),
                                packed_.offset + packed_.bytes.size() - left_.size(), cause),
                    EINVAL);
    }
    std::unexpected<Error> truncated() const { return broken("truncated"); }

private:
    const Packed& packed_;
    std::span<const std::byte> left_;
};

/// How far a library came.
struct Progress {
    std::size_t taken, made;
    bool end;
};

/// Lets `step` unpack from the span that it is given first into the second until it is at the end.
template <class Step>
Result<void> unpack_stream(Source& source, const Sink& sink, Step step) {
    std::vector<std::byte> out(chunk);
    for (;;) {
        // The libraries count in 32 bits.
        const auto in = source.left().first(std::min(source.left().size(), std::size_t(1) << 30));
        const Progress progress = KVM_TRY(step(in, std::span(out)));
        source.take(progress.taken);
        KVM_TRY(sink(std::span(out).first(progress.made)));
        if (progress.end) {
            return {};
        }
        if (progress.taken == 0 && progress.made == 0) {
            return source.truncated();
        }
    }
}

#if KVMXX_ZLIB
Result<void> unpack_gzip(Source& source, const Sink& sink) {
    z_stream stream{};
    if (::inflateInit2(&stream, 15 + 16) != Z_OK) {  // a gzip header, windows of any size
        return fail_errno("zlib", ENOMEM);
    }
    const std::unique_ptr<z_stream, decltype(&::inflateEnd)> guard(&stream, ::inflateEnd);
    const auto step = [&](std::span<const std::byte> in,
                          std::span<std::byte> out) -> Result<Progress> {
        stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(in.data()));
        stream.avail_in = static_cast<uInt>(in.size());
        stream.next_out = reinterpret_cast<Bytef*>(out.data());
        stream.avail_out = static_cast<uInt>(out.size());
        const int status = ::inflate(&stream, Z_NO_FLUSH);
        if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR) {
            return source.broken(stream.msg ? stream.msg : ::zError(status));
        }
        return Progress{in.size() - stream.avail_in, out.size() - stream.avail_out,
                        status == Z_STREAM_END};
    };
    return unpack_stream(source, sink, step);
}
#endif

#if KVMXX_LZMA
constexpr std::uint64_t lzma_memory = std::uint64_t(512) << 20;  // Linux's dictionaries are 128 MiB

const char* explain(lzma_ret status) {
    switch (status) {
        case LZMA_MEMLIMIT_ERROR:
            return "needs more than 512 MiB to be unpacked";
        case LZMA_FORMAT_ERROR:
            return "not of this format";
        case LZMA_OPTIONS_ERROR:
            return "packed with options that liblzma does not know";
        case LZMA_DATA_ERROR:
            return "corrupt";
        case LZMA_MEM_ERROR:
            return "no memory to unpack it";
        default:
            return "liblzma cannot unpack it";
    }
}

Result<void> unpack_lzma(Source& source, const Sink& sink, ImageKind format) {
    lzma_stream stream = LZMA_STREAM_INIT;
    const std::unique_ptr<lzma_stream, decltype(&::lzma_end)> guard(&stream, ::lzma_end);
    const lzma_ret begun = format == ImageKind::xz ? ::lzma_stream_decoder(&stream, lzma_memory, 0)
                                                   : ::lzma_alone_decoder(&stream, lzma_memory);
    if (begun != LZMA_OK) {
        return source.broken(explain(begun));
    }
    const auto step = [&](std::span<const std::byte> in,
                          std::span<std::byte> out) -> Result<Progress> {
        stream.next_in = reinterpret_cast<const std::uint8_t*>(in.data());
        stream.avail_in = in.size();
        stream.next_out = reinterpret_cast<std::uint8_t*>(out.data());
        stream.avail_out = out.size();
        const lzma_ret status = ::lzma_code(&stream, LZMA_RUN);
        if (status != LZMA_OK && status != LZMA_STREAM_END && status != LZMA_BUF_ERROR) {
            return source.broken(explain(status));
        }
        return Progress{in.size() - stream.avail_in, out.size() - stream.avail_out,
                        status == LZMA_STREAM_END};
    };
    return unpack_stream(source, sink, step);
}
#endif

#if KVMXX_LZ4
constexpr std::uint32_t lz4_legacy = 0x184c2102;
constexpr std::size_t lz4_legacy_block = 8 << 20;

std::uint32_t word(Source& source) {
    std::uint32_t value = 0;
    std::memcpy(&value, source.take(sizeof value).data(), sizeof value);
    return value;
}

/// Blocks of up to 8 MiB, each after its packed size, to the end of the data, where Linux's build
/// has put the unpacked size.
Result<void> unpack_lz4_legacy(Source& source, const Sink& sink) {
    const auto block = std::make_unique_for_overwrite<std::byte[]>(lz4_legacy_block);
    const std::span out(block.get(), lz4_legacy_block);
    while (source.left().size() > sizeof(std::uint32_t)) {
        const std::uint32_t size = word(source);
        if (size == lz4_legacy) {
            continue;  // the magic number, of this file or of another behind it
        }
        if (size > source.left().size()) {
            return source.truncated();
        }
        if (size > static_cast<std::uint32_t>(LZ4_compressBound(lz4_legacy_block))) {
            return source.broken("a block of more than 8 MiB");
        }
        const auto in = source.take(size);
        const int n = ::LZ4_decompress_safe(reinterpret_cast<const char*>(in.data()),
                                            reinterpret_cast<char*>(out.data()),
                                            static_cast<int>(size), static_cast<int>(out.size()));
        if (n < 0) {
            return source.broken("the block that ends here is corrupt");
        }
        KVM_TRY(sink(out.first(static_cast<std::size_t>(n))));
    }
    return {};
}

Result<void> unpack_lz4(Source& source, const Sink& sink) {
    if (Source copy = source; copy.left().size() >= 4 && word(copy) == lz4_legacy) {
        return unpack_lz4_legacy(source, sink);
    }
    LZ4F_dctx* context = nullptr;
    if (::LZ4F_isError(::LZ4F_createDecompressionContext(&context, LZ4F_VERSION))) {
        return fail_errno("lz4", ENOMEM);
    }
    const std::unique_ptr<LZ4F_dctx, decltype(&::LZ4F_freeDecompressionContext)> guard(
        context, ::LZ4F_freeDecompressionContext);
    const auto step = [&](std::span<const std::byte> in,
                          std::span<std::byte> out) -> Result<Progress> {
        std::size_t taken = in.size(), made = out.size();
        const std::size_t more =
            ::LZ4F_decompress(context, out.data(), &made, in.data(), &taken, nullptr);
        if (::LZ4F_isError(more)) {
            return source.broken(::LZ4F_getErrorName(more));
        }
        return Progress{taken, made, more == 0};
    };
    return unpack_stream(source, sink, step);
}
#endif

#if KVMXX_ZSTD
Result<void> unpack_zstd(Source& source, const Sink& sink) {
    const std::unique_ptr<ZSTD_DStream, decltype(&::ZSTD_freeDStream)> stream(
        ::ZSTD_createDStream(), ::ZSTD_freeDStream);
    if (!stream) {
        return fail_errno("zstd", ENOMEM);
    }
    const auto step = [&](std::span<const std::byte> in,
                          std::span<std::byte> out) -> Result<Progress> {
        ZSTD_inBuffer from{in.data(), in.size(), 0};
        ZSTD_outBuffer to{out.data(), out.size(), 0};
        const std::size_t more = ::ZSTD_decompressStream(stream.get(), &to, &from);
        if (::ZSTD_isError(more)) {
            return source.broken(::ZSTD_getErrorName(more));
        }
        return Progress{from.pos, to.pos, more == 0};
    };
    return unpack_stream(source, sink, step);
}
#endif

}  // namespace

Result<ImageKind> packing_of(const Image& image, Range range) {
    std::array<std::byte, 16> head;
    const auto part = std::span(head).first(std::min<std::uint64_t>(head.size(), range.size()));
    KVM_TRY(image.read(range.begin, part, "compressed data"));
    return recognise(part);
}

bool can_unpack(ImageKind format) {
    switch (format) {
        case ImageKind::gzip:
            return KVMXX_ZLIB;
        case ImageKind::lzma:
        case ImageKind::xz:
            return KVMXX_LZMA;
        case ImageKind::lz4:
            return KVMXX_LZ4;
        case ImageKind::zstd:
            return KVMXX_ZSTD;
        default:
            return false;
    }
}

Result<void> unpack(const Packed& packed, const Sink& sink) {
    Source source(packed);
    switch (packed.format) {
#if KVMXX_ZLIB
        case ImageKind::gzip:
            return unpack_gzip(source, sink);
#endif
#if KVMXX_LZMA
        case ImageKind::lzma:
        case ImageKind::xz:
            return unpack_lzma(source, sink, packed.format);
#endif
#if KVMXX_LZ4
        case ImageKind::lz4:
            return unpack_lz4(source, sink);
#endif
#if KVMXX_ZSTD
        case ImageKind::zstd:
            return unpack_zstd(source, sink);
#endif
        default:
            break;
    }
    return fail(fmt::format("{}: {}: this kvmxx was built without what unpacks it", packed.path,
                            describe(packed.format)),
                ENOTSUP);
}

}  // namespace vmm::boot

// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <kvm/try.hpp>

#include "cache.hpp"
#include "sha256.hpp"
#include "unpack.hpp"

namespace vmm::boot {

namespace {

constexpr std::size_t page_size = 4096;

bool is_zero(std::span<const std::byte> bytes) {
    return bytes[0] == std::byte(0) &&
           std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
}

std::unexpected<Error> too_much(const PackedPart& part, std::uint64_t limit, const char* why) {
    return fail(fmt::format("{}: {}: unpacks to more than {:#x} bytes, {}", part.image.path(),
                            describe(part.format), limit, why),
                E2BIG);
}

/// Writes content to a file; pages of zeroes are left out, as holes.
class Writer {
public:
    Writer(const kvm::Fd& file, const PackedPart& part, std::uint64_t limit, const char* why)
        : file_(file), part_(part), limit_(limit), why_(why) {}

    Result<void> add(std::span<const std::byte> bytes) {
        if (bytes.size() > limit_ - size_) {
            return too_much(part_, limit_, why_);
        }
        hash_.add(bytes);
        std::size_t begin = 0;  // of what is to be written
        for (std::size_t at = 0; at < bytes.size();) {
            const std::size_t n = std::min(page_size - (size_ + at) % page_size, bytes.size() - at);
            if (is_zero(bytes.subspan(at, n))) {
                KVM_TRY(write(bytes.subspan(begin, at - begin), size_ + begin));
                begin = at + n;
            }
            at += n;
        }
        KVM_TRY(write(bytes.subspan(begin), size_ + begin));
        size_ += bytes.size();
        return {};
    }
    /// Whether the file could not be written, rather than the data unpacked.
    bool file_failed() const { return file_failed_; }
    std::uint64_t size() const { return size_; }
    const std::vector<DataRange>& data() const { return data_.ranges(); }
    /// Of the content, and where its data is. Once.
    std::array<std::byte, 32> hash() {
        hash_.add(std::as_bytes(std::span(data())));
        return hash_.finish();
    }

private:
    Result<void> write(std::span<const std::byte> bytes, std::uint64_t offset) {
        data_.add(offset, offset + bytes.size());
        while (!bytes.empty()) {
            const ssize_t n =
                ::pwrite(file_.number(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
            if (n < 0 && errno == EINTR) {
                continue;
            }
            if (n <= 0) {
                file_failed_ = true;
                return fail_errno(part_.image.path() + ": writing what it unpacks to",
                                  n < 0 ? errno : EIO);
            }
            bytes = bytes.subspan(static_cast<std::size_t>(n));
            offset += static_cast<std::uint64_t>(n);
        }
        return {};
    }

    const kvm::Fd& file_;
    const PackedPart& part_;
    std::uint64_t limit_;
    const char* why_;
    std::uint64_t size_ = 0;
    DataMap data_;
    Sha256 hash_;
    bool file_failed_ = false;
};

/// One unpacking.
struct Job {
    const Target& target;
    const PackedPart& part;
    const Packed& packed;
    std::uint64_t limit;
    const char* why;

    Result<void> write_to(Writer& writer) const {
        return unpack(packed, [&](std::span<const std::byte> bytes) { return writer.add(bytes); });
    }
};

/// Without a cache: into memory.
Result<Unpacked> unpack_to_memory(const Job& job) {
    kvm::Fd fd(::memfd_create("unpacked kernel", MFD_CLOEXEC));
    if (!fd.valid()) {
        return fail_errno("memfd_create", errno);
    }
    Writer writer(fd, job.part, job.limit, job.why);
    KVM_TRY(job.write_to(writer));
    // The file ends behind the last page that is not zero, if nothing says else.
    if (::ftruncate(fd.number(), static_cast<off_t>(writer.size())) != 0) {
        return fail_errno("memfd: ftruncate", errno);
    }
    return Unpacked{std::move(fd), writer.size(), writer.data()};
}

/// By the cache; nothing if it cannot be used, which is noted. Errors are of the data.
Result<std::optional<Unpacked>> unpack_to_cache(const Job& job, const Cache& cache,
                                                const std::string& key) {
    if (auto found = cache.find(key)) {
        return found;
    }
    const auto give_up = [&](const Error& error) {
        job.target.note(error.message + ": the unpacked kernel is not kept");
        return std::optional<Unpacked>();
    };
    const auto lock = cache.lock();
    if (!lock) {
        return give_up(lock.error());
    }
    if (auto found = cache.find(key)) {
        return found;  // somebody has made it meanwhile
    }
    auto file = cache.create_part(key);
    if (!file) {
        return give_up(file.error());
    }
    Writer writer(*file, job.part, job.limit, job.why);
    if (auto done = job.write_to(writer); !done) {
        cache.discard_part(key);
        if (writer.file_failed()) {
            return give_up(done.error());
        }
        return std::unexpected(std::move(done).error());
    }
    auto added = cache.add(key, {std::move(*file), writer.size(), writer.data()}, writer.hash());
    if (!added) {
        return give_up(added.error());
    }
    return std::optional<Unpacked>(std::move(*added));
}

std::optional<Cache> open_cache(const Target& target, const std::string& directory) {
    if (directory.empty()) {
        return std::nullopt;
    }
    auto cache = Cache::open(directory);
    if (!cache) {
        target.note(cache.error().message + ": the unpacked kernel is not kept");
        return std::nullopt;
    }
    return std::move(*cache);
}

Result<Image> as_image(const PackedPart& part, Unpacked unpacked, std::uint64_t limit,
                       const char* why) {
    if (unpacked.size > limit) {
        return too_much(part, limit, why);
    }
    if (unpacked.size == 0) {
        return fail(
            fmt::format("{}: {}: nothing is in it", part.image.path(), describe(part.format)),
            EINVAL);
    }
    return Image::adopt(part.image.path() + " (unpacked)", std::move(unpacked.fd), unpacked.size,
                        std::move(unpacked.data));
}

}  // namespace

Result<Image> unpacked_image(const Target& target, const PackedPart& part, std::uint64_t limit,
                             const char* why, const std::string& directory) {
    const auto cache = open_cache(target, directory);
    const Identity source = KVM_TRY(identify(part.image.fd(), part.range.begin, part.range.end));
    if (cache) {
        if (auto found = cache->find(source)) {
            return as_image(part, std::move(*found), limit, why);
        }
    }
    if (part.range.size() > limit) {
        return too_much(part, limit, why);
    }
    std::vector<std::byte> bytes(part.range.size());
    KVM_TRY(part.image.read(part.range.begin, bytes, "compressed data"));
    const Packed packed{part.image.path(), part.range.begin, part.format, bytes};
    const Job job{target, part, packed, limit, why};
    if (cache) {
        Sha256 hash;
        hash.add(bytes);
        const std::string key = hex(hash.finish());
        if (auto unpacked = KVM_TRY(unpack_to_cache(job, *cache, key))) {
            if (KVM_TRY(identify(part.image.fd(), part.range.begin, part.range.end)) == source) {
                cache->remember(source, key, *unpacked);
            }
            return as_image(part, std::move(*unpacked), limit, why);
        }
    }
    return as_image(part, KVM_TRY(unpack_to_memory(job)), limit, why);
}

}  // namespace vmm::boot

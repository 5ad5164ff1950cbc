// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <kvm/stats.hpp>
#include <utility>

namespace kvm {

namespace {

constexpr const char* what = "KVM_GET_STATS_FD";
constexpr u32 most_descriptors = 1 << 16;
constexpr u32 longest_name = 4096;
constexpr u64 largest_block = 1 << 26;

Result<void> read_at(const Fd& fd, void* to, std::size_t bytes, u64 offset) {
    for (std::size_t done = 0; done < bytes;) {
        const long n = detail::sys(arch::nr_pread64, fd.number(), static_cast<char*>(to) + done,
                                   bytes - done, offset + done, 0, 0);
        if (n == -EINTR) {
            continue;
        }
        if (n < 0) {
            return fail(what, static_cast<int>(-n));
        }
        if (n == 0) {
            return fail(what, EIO);
        }
        done += static_cast<std::size_t>(n);
    }
    return {};
}

bool plausible(const StatsHeader& header) {
    return header.name_size > 0 && header.name_size <= longest_name &&
           header.num_desc <= most_descriptors;
}

StatsDesc decode(const StatsDescHeader& raw, const char* name) {
    return {name,
            StatsType(raw.flags & stats_type_mask),
            StatsUnit(raw.flags & stats_unit_mask),
            StatsBase(raw.flags & stats_base_mask),
            raw.exponent,
            raw.size,
            raw.bucket_size,
            raw.offset};
}

}  // namespace

Result<Stats> Stats::open(Fd fd) {
    Stats stats(static_cast<Fd&&>(fd));
    if (auto loaded = stats.load(); !loaded) {
        return std::unexpected(loaded.error());
    }
    return stats;
}

Result<void> Stats::load() {
    StatsHeader header;
    if (auto done = read_at(fd_, &header, sizeof header, 0); !done) {
        return done;
    }
    if (!plausible(header)) {
        return fail(what, EPROTO, header.num_desc);
    }
    const std::size_t name = header.name_size;
    id_ = static_cast<char*>(std::calloc(header.num_desc + std::size_t(1), name));
    descs_ =
        static_cast<StatsDesc*>(std::calloc(header.num_desc + std::size_t(1), sizeof(StatsDesc)));
    if (!id_ || !descs_) {
        return fail(what, ENOMEM);
    }
    if (auto done = read_at(fd_, id_, name, header.id_offset); !done) {
        return done;
    }
    id_[name - 1] = 0;
    u64 end = 0;
    for (u32 i = 0; i < header.num_desc; ++i) {
        StatsDescHeader raw;
        const u64 at = header.desc_offset + u64(i) * (sizeof raw + name);
        char* own_name = id_ + (i + std::size_t(1)) * name;
        auto done = read_at(fd_, &raw, sizeof raw, at);
        if (done) {
            done = read_at(fd_, own_name, name, at + sizeof raw);
        }
        if (!done) {
            return done;
        }
        own_name[name - 1] = 0;
        if (raw.offset % sizeof(u64) != 0) {
            return fail(what, EPROTO, i);
        }
        descs_[i] = decode(raw, own_name);
        end = std::max(end, raw.offset + u64(raw.size) * sizeof(u64));
    }
    if (end > largest_block) {
        return fail(what, EPROTO, header.num_desc);
    }
    count_ = header.num_desc;
    words_ = end / sizeof(u64);
    data_offset_ = header.data_offset;
    data_ = static_cast<u64*>(std::calloc(words_ + 1, sizeof(u64)));
    return data_ ? Result<void>() : fail(what, ENOMEM);
}

Result<void> Stats::update() { return read_at(fd_, data_, words_ * sizeof(u64), data_offset_); }

const StatsDesc* Stats::find(const char* name) const {
    for (const auto& desc : descriptors()) {
        if (std::strcmp(desc.name, name) == 0) {
            return &desc;
        }
    }
    return nullptr;
}

void Stats::swap(Stats& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(id_, other.id_);
    std::swap(descs_, other.descs_);
    std::swap(count_, other.count_);
    std::swap(data_, other.data_);
    std::swap(words_, other.words_);
    std::swap(data_offset_, other.data_offset_);
}

Stats::Stats(Stats&& other) noexcept : fd_(-1) { swap(other); }

Stats& Stats::operator=(Stats&& other) noexcept {
    swap(other);
    return *this;
}

Stats::~Stats() {
    std::free(id_);
    std::free(descs_);
    std::free(data_);
}

}  // namespace kvm

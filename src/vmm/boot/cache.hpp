// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <array>
#include <kvm/fd.hpp>
#include <optional>
#include <string>
#include <vector>
#include <vmm/boot/image.hpp>
#include <vmm/error.hpp>

/// A directory of unpacked files.
///
/// KEY.unpacked is content, by the SHA-256 of the compressed bytes, in pages, and a page with its
/// size and hash. NAME.source says which content a file had that has not changed since, so that it
/// need not be read again. Both come by rename(2), whole, from KEY.part, under a lock; neither
/// changes later. A file is believed if it is the user's own and nobody else's to write; an
/// unpacked one by its size and time of change, as the source says they were, or by its hash.
namespace vmm::boot {

/// Who a file is, and in which state. Plain bytes: it is hashed and written.
struct Identity {
    std::uint64_t device = 0, inode = 0, size = 0;
    std::int64_t modified = 0, changed = 0;  // nanoseconds since 1970
    std::uint64_t begin = 0, end = 0;        // of the part that is meant

    friend bool operator==(const Identity&, const Identity&) = default;
};

/// The identity of an open file. `changed` and `modified` may repeat for changes within a tick.
Result<Identity> identify(kvm::FdRef fd, std::uint64_t begin, std::uint64_t end);

/// Where content is not zeroes: ascending, with pages and small gaps in it. At most `most` ranges.
class DataMap {
public:
    static constexpr std::size_t most = 250;

    void add(std::uint64_t begin, std::uint64_t end);
    const std::vector<DataRange>& ranges() const { return ranges_; }

private:
    std::vector<DataRange> ranges_;
};

/// Content in the cache.
struct Unpacked {
    kvm::Fd fd;
    std::uint64_t size = 0;
    std::vector<DataRange> data{};
};

class Cache {
public:
    /// Errors, naming the directory: mkdir(2)'s, open(2)'s; EPERM (another user's, or others may
    /// write in it).
    static Result<Cache> open(const std::string& directory);

    /// What `source` was the last time, if it is as it was.
    std::optional<Unpacked> find(const Identity& source) const;
    /// The content whose compressed bytes have the hash `key`. It is read and hashed, and removed
    /// if it is not what it was.
    std::optional<Unpacked> find(const std::string& key) const;
    /// Notes that `source` is `key`, unless it has changed within the last two seconds, when
    /// another change might not show. Failures cost time later, nothing else.
    void remember(const Identity& source, const std::string& key, const Unpacked& unpacked) const;

    /// Waits until nobody else writes. Errors: ETIMEDOUT (30 s), flock(2)'s.
    Result<kvm::Fd> lock() const;
    /// A file to write content to, which add() takes. With the lock.
    Result<kvm::Fd> create_part(const std::string& key) const;
    void discard_part(const std::string& key) const { remove(key + ".part"); }
    /// Puts what was written there into the cache, and removes what nobody has used
    /// for 30 days, or longest if there is more than 1 GiB. With the lock.
    Result<Unpacked> add(const std::string& key, Unpacked part,
                         const std::array<std::byte, 32>& hash) const;

private:
    Cache(std::string path, kvm::Fd directory)
        : path_(std::move(path)), directory_(std::move(directory)) {}

    std::optional<kvm::Fd> open_ours(const std::string& name) const;
    void remove(const std::string& name) const;
    void trim(const std::string& keep) const;

    std::string path_;
    kvm::Fd directory_;
};

}  // namespace vmm::boot

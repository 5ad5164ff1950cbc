// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstdint>
#include <kvm/fd.hpp>
#include <optional>
#include <string>
#include <vmm/error.hpp>
#include <vmm/memory/region.hpp>

/// Disks of the host's: image files and block devices.
namespace vmm::block {

/// Whether reads and writes go through the host's page cache, or past it where they are aligned
/// (O_DIRECT).
enum class Caching : std::uint8_t { page_cache, direct };

struct ImageConfig {
    std::string path{};
    Access access = Access::read_write;
    Caching caching = Caching::page_cache;

    friend bool operator==(const ImageConfig&, const ImageConfig&) = default;
};

/// A raw image that is open and locked: a regular file or a block device.
class Image {
public:
    /// Opens it and locks all of it (F_OFD_SETLK): for one writer, or any number of readers. The
    /// lock is advice: it keeps those out that ask for it. Errors, naming the path: open(2)'s;
    /// EISDIR, EINVAL (neither file nor block device; empty; no multiple of 512 bytes; direct, and
    /// the file system has no O_DIRECT), EBUSY (locked by another; a mounted block device).
    static Result<Image> open(const ImageConfig& config);

    const std::string& path() const { return path_; }
    Access access() const { return access_; }
    bool is_block_device() const { return block_device_; }
    /// Bytes, as they were when it was opened.
    std::uint64_t size() const { return size_; }
    /// What reads and writes should be multiples of: 512 for files.
    std::uint32_t block_size() const { return block_size_; }

    kvm::FdRef file() const { return exclusive_.valid() ? exclusive_ : file_; }
    /// The same, opened with O_DIRECT, if it is wanted.
    std::optional<kvm::FdRef> direct_file() const {
        return direct_.valid() ? std::optional<kvm::FdRef>(direct_) : std::nullopt;
    }
    /// What O_DIRECT wants offsets and lengths, and the addresses in memory, to be multiples of.
    std::uint32_t direct_offset_align() const { return offset_align_; }
    std::uint32_t direct_memory_align() const { return memory_align_; }

    /// Whether it still has all its bytes: others may cut a file short.
    bool is_whole() const;
    /// Ends the lock, which is the open file's, whoever still has that.
    void unlock() const;

private:
    explicit Image(kvm::Fd file) : file_(std::move(file)) {}
    Result<void> measure();
    Result<void> open_direct();

    std::string path_;
    kvm::Fd file_;
    kvm::Fd direct_{-1};
    kvm::Fd exclusive_{-1};  // of a block device that is written to: it alone may discard then
    Access access_ = Access::read_write;
    bool block_device_ = false;
    std::uint64_t size_ = 0;
    std::uint32_t block_size_ = 512;
    std::uint32_t offset_align_ = 4096;
    std::uint32_t memory_align_ = 4096;
};

}  // namespace vmm::block

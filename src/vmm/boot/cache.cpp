// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "cache.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <kvm/try.hpp>
#include <memory>
#include <vector>
#include <vmm/boot/boot.hpp>

#include "sha256.hpp"

namespace vmm::boot {

namespace {

constexpr std::uint64_t page_size = 4096;
constexpr std::uint64_t most_bytes = std::uint64_t(1) << 30;
constexpr std::int64_t second = 1'000'000'000;
constexpr std::int64_t unused_for = 30 * 86400 * second;
constexpr std::int64_t use_noted_after = 86400 * second;
constexpr std::int64_t settled_after = 2 * second;
constexpr int lock_tries = 600;
constexpr ::timespec lock_pause{0, second / 20};

constexpr char unpacked_suffix[] = ".unpacked";
constexpr char source_suffix[] = ".source";

/// The page behind an unpacked file's content. The hash is of the content and `data`.
struct Trailer {
    std::array<char, 16> magic;
    std::uint64_t size;
    std::array<std::byte, 32> hash;
    std::uint64_t count;
    std::array<DataRange, DataMap::most> data;
};
static_assert(sizeof(Trailer) <= page_size);
constexpr std::array<char, 16> trailer_magic{"kvmxx unpacked2"};

/// The content of a .source file.
struct Source {
    std::array<char, 16> magic;
    Identity source;
    std::array<char, 64> key;
    std::uint64_t unpacked_size;
    std::uint64_t file_inode, file_size;
    std::int64_t file_modified;
};
constexpr std::array<char, 16> source_magic{"kvmxx source 01"};

std::int64_t nanoseconds(const ::timespec& time) { return time.tv_sec * second + time.tv_nsec; }

std::int64_t now() {
    ::timespec time{};
    ::clock_gettime(CLOCK_REALTIME, &time);
    return nanoseconds(time);
}

std::uint64_t pages(std::uint64_t size) { return (size + page_size - 1) / page_size * page_size; }

bool is_ours(const struct ::stat& status) {
    return status.st_uid == ::geteuid() && (status.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

template <class T>
bool read_whole(const kvm::Fd& fd, std::uint64_t offset, T& value) {
    return ::pread(fd.number(), &value, sizeof value, static_cast<off_t>(offset)) ==
           static_cast<ssize_t>(sizeof value);
}

/// The page behind `size` bytes of content, if there is one.
std::optional<Trailer> read_trailer(const kvm::Fd& fd, std::uint64_t size) {
    Trailer trailer{};
    if (read_whole(fd, pages(size), trailer) && trailer.magic == trailer_magic &&
        trailer.size == size && trailer.count <= trailer.data.size()) {
        return trailer;
    }
    return std::nullopt;
}

std::vector<DataRange> data_of(const Trailer& trailer) {
    return {trailer.data.begin(), trailer.data.begin() + std::ptrdiff_t(trailer.count)};
}

/// mkdir -p, for the user alone.
Result<void> make_directories(const std::string& path) {
    for (std::size_t at = path.find('/', 1);; at = path.find('/', at + 1)) {
        const std::string part = path.substr(0, at);
        if (::mkdir(part.c_str(), 0700) != 0 && errno != EEXIST) {
            const int error = errno;
            // Where it may not be made, it may be there all the same.
            struct ::stat status{};
            if (::stat(part.c_str(), &status) != 0) {
                return fail_errno(part, error);
            }
        }
        if (at == path.npos) {
            return {};
        }
    }
}

std::string name_of(const Identity& source) {
    Sha256 hash;
    hash.add(std::as_bytes(std::span(&source, 1)));
    return hex(hash.finish()).substr(0, 32) + source_suffix;
}

/// Notes that the file is used, by its time of access.
void note_use(const kvm::Fd& fd, const struct ::stat& status) {
    if (now() - nanoseconds(status.st_atim) > use_noted_after) {
        const ::timespec times[] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
        (void)::futimens(fd.number(), times);
    }
}

}  // namespace

Result<Identity> identify(kvm::FdRef fd, std::uint64_t begin, std::uint64_t end) {
    struct ::stat status{};
    if (::fstat(fd.number(), &status) != 0) {
        return fail_errno("fstat", errno);
    }
    return Identity{status.st_dev,
                    status.st_ino,
                    static_cast<std::uint64_t>(status.st_size),
                    nanoseconds(status.st_mtim),
                    nanoseconds(status.st_ctim),
                    begin,
                    end};
}

Result<Cache> Cache::open(const std::string& directory) {
    kvm::Fd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd.valid() && errno == ENOENT) {
        KVM_TRY(make_directories(directory));
        fd = kvm::Fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    }
    struct ::stat status{};
    if (!fd.valid() || ::fstat(fd.number(), &status) != 0) {
        return fail_errno(directory, errno);
    }
    if (!is_ours(status)) {
        return fail(directory + ": belongs to another user, or others may write in it", EPERM);
    }
    return Cache(directory, std::move(fd));
}

std::optional<kvm::Fd> Cache::open_ours(const std::string& name) const {
    kvm::Fd fd(::openat(directory_.number(), name.c_str(),
                        O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    struct ::stat status{};
    if (!fd.valid() || ::fstat(fd.number(), &status) != 0 || !S_ISREG(status.st_mode) ||
        !is_ours(status)) {
        return std::nullopt;
    }
    note_use(fd, status);
    return fd;
}

void Cache::remove(const std::string& name) const {
    (void)::unlinkat(directory_.number(), name.c_str(), 0);
}

std::optional<Unpacked> Cache::find(const Identity& source) const {
    Source record{};
    const auto file = open_ours(name_of(source));
    if (!file || !read_whole(*file, 0, record) || record.magic != source_magic ||
        record.source != source) {
        return std::nullopt;
    }
    auto fd = open_ours(std::string(record.key.data(), record.key.size()) + unpacked_suffix);
    struct ::stat status{};
    if (!fd || ::fstat(fd->number(), &status) != 0 || status.st_ino != record.file_inode ||
        static_cast<std::uint64_t>(status.st_size) != record.file_size ||
        nanoseconds(status.st_mtim) != record.file_modified) {
        return std::nullopt;
    }
    const auto trailer = read_trailer(*fd, record.unpacked_size);
    if (!trailer) {
        return std::nullopt;
    }
    return Unpacked{std::move(*fd), trailer->size, data_of(*trailer)};
}

std::optional<Unpacked> Cache::find(const std::string& key) const {
    const std::string name = key + unpacked_suffix;
    auto fd = open_ours(name);
    struct ::stat status{};
    if (!fd || ::fstat(fd->number(), &status) != 0) {
        return std::nullopt;
    }
    const auto size = static_cast<std::uint64_t>(status.st_size);
    Trailer trailer{};
    bool good = size >= page_size && read_whole(*fd, size - page_size, trailer) &&
                trailer.magic == trailer_magic && trailer.count <= trailer.data.size() &&
                pages(trailer.size) == size - page_size;
    Sha256 hash;
    std::vector<std::byte> bytes(1 << 18);
    for (std::uint64_t at = 0; good && at < trailer.size;) {
        const auto n = ::pread(fd->number(), bytes.data(),
                               std::min<std::uint64_t>(bytes.size(), trailer.size - at),
                               static_cast<off_t>(at));
        good = n > 0;
        if (good) {
            hash.add(std::span(bytes).first(static_cast<std::size_t>(n)));
            at += static_cast<std::uint64_t>(n);
        }
    }
    if (good) {
        hash.add(std::as_bytes(std::span(trailer.data).first(trailer.count)));
    }
    if (!good || hash.finish() != trailer.hash) {
        remove(name);
        return std::nullopt;
    }
    return Unpacked{std::move(*fd), trailer.size, data_of(trailer)};
}

void Cache::remember(const Identity& source, const std::string& key,
                     const Unpacked& unpacked) const {
    struct ::stat status{};
    if (now() - std::max(source.changed, source.modified) < settled_after ||
        ::fstat(unpacked.fd.number(), &status) != 0) {
        return;
    }
    Source record{};
    record.magic = source_magic;
    record.source = source;
    key.copy(record.key.data(), record.key.size());
    record.unpacked_size = unpacked.size;
    record.file_inode = status.st_ino;
    record.file_size = static_cast<std::uint64_t>(status.st_size);
    record.file_modified = nanoseconds(status.st_mtim);
    const std::string name = name_of(source);
    const std::string part = fmt::format("{}.{}.part", name, ::getpid());
    const kvm::Fd fd(::openat(directory_.number(), part.c_str(),
                              O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd.valid()) {
        return;
    }
    if (::write(fd.number(), &record, sizeof record) != static_cast<ssize_t>(sizeof record) ||
        ::renameat(directory_.number(), part.c_str(), directory_.number(), name.c_str()) != 0) {
        remove(part);
    }
}

Result<kvm::Fd> Cache::lock() const {
    kvm::Fd fd(::openat(directory_.number(), "lock",
                        O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
    if (!fd.valid()) {
        return fail_errno(path_ + "/lock", errno);
    }
    for (int i = 0; i < lock_tries; ++i) {
        if (::flock(fd.number(), LOCK_EX | LOCK_NB) == 0) {
            return fd;
        }
        if (errno != EWOULDBLOCK && errno != EINTR) {
            return fail_errno(path_ + "/lock", errno);
        }
        ::nanosleep(&lock_pause, nullptr);
    }
    return fail(path_ + "/lock: another process has held it for 30 s", ETIMEDOUT);
}

Result<kvm::Fd> Cache::create_part(const std::string& key) const {
    const std::string name = key + ".part";
    remove(name);  // whoever left it has not got the lock
    kvm::Fd fd(::openat(directory_.number(), name.c_str(),
                        O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd.valid()) {
        return fail_errno(path_ + "/" + name, errno);
    }
    return fd;
}

void DataMap::add(std::uint64_t begin, std::uint64_t end) {
    constexpr std::uint64_t small_gap = 0x10000;
    if (begin == end) {
        return;
    }
    if (!ranges_.empty() && (begin - ranges_.back().end <= small_gap || ranges_.size() == most)) {
        ranges_.back().end = end;
    } else {
        ranges_.push_back({begin, end});
    }
}

Result<Unpacked> Cache::add(const std::string& key, Unpacked part,
                            const std::array<std::byte, 32>& hash) const {
    Trailer trailer{trailer_magic, part.size, hash, part.data.size(), {}};
    std::ranges::copy(part.data, trailer.data.begin());
    const std::string from = key + ".part", to = key + unpacked_suffix;
    const auto end = static_cast<off_t>(pages(part.size));
    if (::pwrite(part.fd.number(), &trailer, sizeof trailer, end) !=
            static_cast<ssize_t>(sizeof trailer) ||
        ::ftruncate(part.fd.number(), end + static_cast<off_t>(page_size)) != 0 ||
        ::renameat(directory_.number(), from.c_str(), directory_.number(), to.c_str()) != 0) {
        const int error = errno;
        remove(from);
        return fail_errno(path_ + "/" + to, error);
    }
    trim(to);
    return part;
}

void Cache::trim(const std::string& keep) const {
    struct File {
        std::string name;
        std::int64_t used;
        std::uint64_t bytes;
    };
    std::vector<File> files;
    const int copy = ::openat(directory_.number(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(
        copy < 0 ? nullptr : ::fdopendir(copy), [](DIR* d) { return d ? ::closedir(d) : 0; });
    while (const ::dirent* entry = directory ? ::readdir(directory.get()) : nullptr) {
        const std::string name = entry->d_name;
        struct ::stat status{};
        if (name != keep && name != "lock" &&
            ::fstatat(directory_.number(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(status.st_mode)) {
            files.push_back({name, nanoseconds(status.st_atim),
                             static_cast<std::uint64_t>(status.st_blocks) * 512});
        }
    }
    std::ranges::sort(files, std::greater(), &File::used);  // the last one used comes first
    std::uint64_t total = 0;
    for (const File& file : files) {
        total += file.bytes;
        if (total > most_bytes || now() - file.used > unused_for) {
            remove(file.name);
        }
    }
}

}  // namespace vmm::boot

namespace vmm {

std::string default_kernel_cache() {
    const auto variable = [](const char* name) {
        const char* value = std::getenv(name);
        return value && *value == '/' ? std::string(value) : std::string();
    };
    if (const auto own = variable("KVMXX_CACHE"); !own.empty()) {
        return own + "/unpacked";
    }
    if (const auto base = variable("XDG_CACHE_HOME"); !base.empty()) {
        return base + "/kvmxx/unpacked";
    }
    if (const auto home = variable("HOME"); !home.empty()) {
        return home + "/.cache/kvmxx/unpacked";
    }
    return ::geteuid() == 0 ? "/var/cache/kvmxx/unpacked" : "";
}

}  // namespace vmm

// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <chrono>
#include <fcntl.h>
#include <fmt/format.h>
#include <kvm/try.hpp>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <vmm/block/image.hpp>

namespace vmm::block {

namespace {

/// Opens `path` with `flags`, but no more than a file or block device, which may be looked at
/// without waiting.
Result<kvm::Fd> open_path(const std::string& path, int flags) {
    struct stat status{};
    if (::stat(path.c_str(), &status) != 0) {
        return fail_errno(path, errno);
    }
    if (S_ISDIR(status.st_mode)) {
        return fail_errno(path, EISDIR);
    }
    if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode)) {
        return fail(path + ": is neither a file nor a block device", EINVAL);
    }
    int number = -1;
    do {
        number = ::open(path.c_str(), flags | O_CLOEXEC | O_NONBLOCK);
    } while (number < 0 && errno == EINTR);
    if (number < 0) {
        return fail_errno(path, errno);
    }
    return kvm::Fd(number);
}

/// Tries until `attempt()`, which sets errno, is no error or another one than those of what is in
/// use, but not for long: a program that was just killed keeps its files until the kernel has ended
/// its requests. Returns the last error, or 0.
template <class Attempt>
int try_a_while(Attempt attempt) {
    using namespace std::chrono_literals;
    for (auto waited = 0ms;; waited += 20ms) {
        const int error = attempt() ? 0 : errno;
        const bool in_use = error == EAGAIN || error == EACCES || error == EBUSY;
        if (!in_use || waited >= 400ms) {
            return error;
        }
        std::this_thread::sleep_for(20ms);
    }
}

Result<void> lock(const std::string& path, const kvm::Fd& file, Access access) {
    struct flock whole{};
    whole.l_type = access == Access::read_write ? F_WRLCK : F_RDLCK;
    whole.l_whence = SEEK_SET;
    const int error = try_a_while([&] { return ::fcntl(file.number(), F_OFD_SETLK, &whole) == 0; });
    if (error == EAGAIN || error == EACCES) {
        return fail(path + ": is in use: another machine or disk has locked it", EBUSY);
    }
    return error ? fail_errno(path + ": cannot be locked", error) : Result<void>();
}

/// Opens a block device as its only user: the kernel refuses what is mounted, and mounts no more.
Result<kvm::Fd> open_exclusively(const std::string& path) {
    kvm::Fd file(-1);
    const int error = try_a_while([&] {
        file = kvm::Fd(::open(path.c_str(), O_RDWR | O_EXCL | O_CLOEXEC));
        return file.valid();
    });
    if (error) {
        return fail_errno(path + ": is mounted or in use", error);
    }
    return file;
}

bool same_file(const kvm::Fd& a, const kvm::Fd& b) {
    struct stat first{};
    struct stat second{};
    return ::fstat(a.number(), &first) == 0 && ::fstat(b.number(), &second) == 0 &&
           first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

}  // namespace

Result<Image> Image::open(const ImageConfig& config) {
    const int flags = config.access == Access::read_write ? O_RDWR : O_RDONLY;
    auto file = KVM_TRY(open_path(config.path, flags));
    Image image(std::move(file));
    image.path_ = config.path;
    image.access_ = config.access;
    KVM_TRY(image.measure());
    KVM_TRY(lock(config.path, image.file_, config.access));
    if (image.block_device_ && config.access == Access::read_write) {
        image.exclusive_ = KVM_TRY(open_exclusively(config.path));
    }
    if (config.caching == Caching::direct) {
        KVM_TRY(image.open_direct());
    }
    return image;
}

Result<void> Image::measure() {
    struct stat status{};
    if (::fstat(file_.number(), &status) != 0) {
        return fail_errno(path_, errno);
    }
    block_device_ = S_ISBLK(status.st_mode);
    size_ = static_cast<std::uint64_t>(status.st_size);
    if (block_device_) {
        int block_size = 0;
        if (::ioctl(file_.number(), BLKGETSIZE64, &size_) != 0 ||
            ::ioctl(file_.number(), BLKSSZGET, &block_size) != 0) {
            return fail_errno(path_ + ": its size", errno);
        }
        block_size_ = offset_align_ = memory_align_ = static_cast<std::uint32_t>(block_size);
    }
    if (size_ == 0) {
        return fail(path_ + ": is empty", EINVAL);
    }
    if (size_ % 512 != 0) {
        return fail(fmt::format("{}: its {} bytes are no multiple of 512", path_, size_), EINVAL);
    }
    return {};
}

Result<void> Image::open_direct() {
    const int flags = access_ == Access::read_write ? O_RDWR : O_RDONLY;
    auto direct = open_path(path_, flags | O_DIRECT);
    if (!direct && direct.error().code == EINVAL) {
        return fail(path_ + ": direct: its file system has no O_DIRECT", EINVAL);
    }
    if (!direct) {
        return std::unexpected(direct.error());
    }
    if (!same_file(file_, *direct)) {
        return fail(path_ + ": was replaced while it was opened", EBUSY);
    }
    direct_ = std::move(*direct);
#ifdef STATX_DIOALIGN
    struct statx more{};
    if (::statx(direct_.number(), "", AT_EMPTY_PATH, STATX_DIOALIGN, &more) == 0 &&
        (more.stx_mask & STATX_DIOALIGN) != 0) {
        if (more.stx_dio_offset_align == 0) {
            return fail(path_ + ": direct: its file system has no O_DIRECT", EINVAL);
        }
        offset_align_ = more.stx_dio_offset_align;
        memory_align_ = more.stx_dio_mem_align;
    }
#endif
    return {};
}

void Image::unlock() const {
    struct flock whole{};
    whole.l_type = F_UNLCK;
    whole.l_whence = SEEK_SET;
    (void)::fcntl(file_.number(), F_OFD_SETLK, &whole);
}

bool Image::is_whole() const {
    struct stat status{};
    return block_device_ || (::fstat(file_.number(), &status) == 0 &&
                             static_cast<std::uint64_t>(status.st_size) >= size_);
}

}  // namespace vmm::block

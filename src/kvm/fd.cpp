// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <fcntl.h>
#include <kvm/fd.hpp>
#include <sys/mman.h>
#include <unistd.h>

namespace kvm {

Result<Fd> Fd::duplicate() const {
    const long fd = detail::sys(arch::nr_fcntl, fd_, F_DUPFD_CLOEXEC, 0);
    if (fd < 0) {
        return fail("dup", static_cast<int>(-fd));
    }
    return Fd(static_cast<int>(fd));
}

Result<EventFd> EventFd::create(std::uint32_t initial, Flags<EventFdFlag> flags) {
    const long fd = detail::sys(arch::nr_eventfd2, initial, flags.bits() | O_CLOEXEC);
    if (fd < 0) {
        return fail("eventfd", static_cast<int>(-fd));
    }
    return EventFd(Fd(static_cast<int>(fd)));
}

Result<void> EventFd::write(std::uint64_t n) const {
    long result;
    do {
        result = detail::sys(arch::nr_write, fd_.number(), &n, sizeof n);
    } while (result == -EINTR);
    if (result < 0) {
        return fail("eventfd write", static_cast<int>(-result));
    }
    if (result != sizeof n) {
        return fail("eventfd write", EPROTO);
    }
    return {};
}

Result<std::uint64_t> EventFd::read() const {
    std::uint64_t count = 0;
    long result;
    do {
        result = detail::sys(arch::nr_read, fd_.number(), &count, sizeof count);
    } while (result == -EINTR);
    if (result < 0) {
        return fail("eventfd read", static_cast<int>(-result));
    }
    if (result != sizeof count) {
        return fail("eventfd read", EPROTO);
    }
    return count;
}

#ifdef KVMXX_TSAN
bool detail::called_by_libc(long nr, const long (&args)[6], long& result) {
    auto* address = reinterpret_cast<void*>(args[0]);
    const auto length = static_cast<std::size_t>(args[1]);
    if (nr == arch::nr_close) {
        result = ::close(static_cast<int>(args[0])) == 0 ? 0 : -errno;
        return true;
    }
    if (nr == arch::nr_munmap) {
        result = ::munmap(address, length) == 0 ? 0 : -errno;
        return true;
    }
    if (nr == arch::nr_mmap) {
        void* const mapped = ::mmap(address, length, static_cast<int>(args[2]),
                                    static_cast<int>(args[3]), static_cast<int>(args[4]), args[5]);
        result = mapped == MAP_FAILED ? -errno : reinterpret_cast<long>(mapped);
        return true;
    }
    return false;
}
#endif

Result<Fd> detail::open(const char* path, int flags) {
    long fd;
    do {
        fd = sys(arch::nr_openat, AT_FDCWD, path, flags | O_CLOEXEC);
    } while (fd == -EINTR);
    if (fd < 0) {
        return fail("open", static_cast<int>(-fd));
    }
    return Fd(static_cast<int>(fd));
}

}  // namespace kvm

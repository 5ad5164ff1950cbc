// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <bit>
#include <cerrno>
#include <kvm/dirty_ring.hpp>
#include <sys/mman.h>
#include <utility>

#include "page_size.hpp"

namespace kvm {

namespace {

/// Whether a page of a mapping is there: a load of one that is not would end the process with
/// SIGBUS. rt_sigprocmask(2) reads its argument before it looks at the command, which is none. 1,
/// 0, or -errno where the kernel says neither.
long is_there(const std::byte* page) {
    const long answer = detail::sys(arch::nr_rt_sigprocmask, -1, page, nullptr, sizeof(u64));
    return answer == -EINVAL ? 1 : answer == -EFAULT ? 0 : answer;
}

/// 0 if the mapping's last page, and no other, is not there: it is as long as the ring and a page.
long check_length(const std::byte* end) {
    const long last = is_there(end - detail::page_size());
    if (last <= 0) {
        return last == 0 ? -EINVAL : last;
    }
    const long behind = is_there(end);
    return behind > 0 ? -EINVAL : behind;
}

}  // namespace

Result<DirtyRing> DirtyRing::map(const Vcpu& vcpu, std::size_t bytes) {
    constexpr const char* what = "mmap(dirty ring)";
    const std::size_t page = detail::page_size();
    if (!std::has_single_bit(bytes) || bytes < page) {
        return fail(what, EINVAL);
    }
    // The kernel maps anything: what is behind the ring, and a ring that was not enabled, is not
    // there. A page behind it is mapped to tell, and stays: to unmap a part of a mapping may fail.
    const long address = detail::sys(arch::nr_mmap, nullptr, bytes + page, PROT_READ | PROT_WRITE,
                                     MAP_SHARED, vcpu.fd().number(), dirty_log_page_offset * page);
    if (address < 0) {
        return fail(what, static_cast<int>(-address));
    }
    auto* start = reinterpret_cast<std::byte*>(address);
    DirtyRing ring(reinterpret_cast<DirtyGfn*>(start), bytes / sizeof(DirtyGfn));
    if (const long error = check_length(start + bytes); error < 0) {
        return fail(what, static_cast<int>(-error));
    }
    // Two would each miss what the other takes, and so would one that begins at the ring's start
    // when the kernel has gone on. kvm_run's padding keeps it, which every mapping of this vCPU
    // shares.
    u8& taken = const_cast<Run&>(vcpu.raw()).padding1[1];
    if (__atomic_exchange_n(&taken, u8(1), __ATOMIC_RELAXED) != 0) {
        return fail(what, EBUSY);
    }
    return ring;
}

DirtyRing& DirtyRing::operator=(DirtyRing&& other) noexcept {
    std::swap(entries_, other.entries_);
    std::swap(count_, other.count_);
    std::swap(next_, other.next_);
    return *this;
}

DirtyRing::~DirtyRing() {
    if (entries_) {
        (void)detail::sys(arch::nr_munmap, entries_,
                          count_ * sizeof(DirtyGfn) + detail::page_size());
    }
}

bool DirtyRing::take(Page& page) {
    DirtyGfn& entry = entries_[next_ & (count_ - 1)];
    // The kernel fills slot and offset before it sets the flag, and reads neither before it is
    // reset.
    if (__atomic_load_n(&entry.flags, __ATOMIC_ACQUIRE) != u32(DirtyGfnFlag::dirty)) {
        return false;
    }
    page = {Slot(entry.slot), entry.offset};
    __atomic_store_n(&entry.flags, u32(DirtyGfnFlag::reset), __ATOMIC_RELEASE);
    ++next_;
    return true;
}

}  // namespace kvm

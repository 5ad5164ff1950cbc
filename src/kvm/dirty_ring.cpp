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
/// SIGBUS. rt_sigprocmask(2) reads its argument before it looks at the command, which is none.
bool is_there(const std::byte* page) {
    return detail::sys(arch::nr_rt_sigprocmask, -1, page, nullptr, sizeof(u64)) != -EFAULT;
}

}  // namespace

Result<DirtyRing> DirtyRing::map(const Vcpu& vcpu, std::size_t bytes) {
    constexpr const char* what = "mmap(dirty ring)";
    const std::size_t page = detail::page_size();
    if (!std::has_single_bit(bytes) || bytes < page) {
        return fail(what, EINVAL);
    }
    // The kernel maps anything: what is behind the ring, and a ring that was not enabled, is not
    // there.
    const std::size_t mapped = bytes + page;
    const long address = detail::sys(arch::nr_mmap, nullptr, mapped, PROT_READ | PROT_WRITE,
                                     MAP_SHARED, vcpu.fd().number(), dirty_log_page_offset * page);
    if (address < 0) {
        return fail(what, static_cast<int>(-address));
    }
    auto* ring = reinterpret_cast<std::byte*>(address);
    const bool as_long = is_there(ring + bytes - page) && !is_there(ring + bytes);
    const long unmapped =
        detail::sys(arch::nr_munmap, ring + (as_long ? bytes : 0), as_long ? page : mapped);
    if (!as_long || unmapped < 0) {
        return fail(what, as_long ? static_cast<int>(-unmapped) : EINVAL);
    }
    // Two would each miss what the other takes, and so would one that begins at the ring's start
    // when the kernel has gone on. kvm_run's padding keeps it, which every mapping of this vCPU
    // shares.
    u8& taken = const_cast<Run&>(vcpu.raw()).padding1[1];
    if (__atomic_exchange_n(&taken, u8(1), __ATOMIC_RELAXED) != 0) {
        (void)detail::sys(arch::nr_munmap, ring, bytes);
        return fail(what, EBUSY);
    }
    return DirtyRing(reinterpret_cast<DirtyGfn*>(ring), bytes / sizeof(DirtyGfn));
}

DirtyRing& DirtyRing::operator=(DirtyRing&& other) noexcept {
    std::swap(entries_, other.entries_);
    std::swap(count_, other.count_);
    std::swap(next_, other.next_);
    return *this;
}

DirtyRing::~DirtyRing() {
    if (entries_) {
        (void)detail::sys(arch::nr_munmap, entries_, count_ * sizeof(DirtyGfn));
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

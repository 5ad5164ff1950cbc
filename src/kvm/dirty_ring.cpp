// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <bit>
#include <cerrno>
#include <kvm/dirty_ring.hpp>
#include <sys/mman.h>
#include <utility>

#include "page_size.hpp"

namespace kvm {

Result<DirtyRing> DirtyRing::map(const Vcpu& vcpu, std::size_t bytes) {
    if (!std::has_single_bit(bytes) || bytes < detail::page_size()) {
        return fail("mmap(dirty ring)", EINVAL);
    }
    const long ring =
        detail::sys(arch::nr_mmap, nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                    vcpu.fd().number(), dirty_log_page_offset * detail::page_size());
    if (ring < 0) {
        return fail("mmap(dirty ring)", static_cast<int>(-ring));
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
    // The kernel fills slot and offset before it sets the flag, and reads neither before it is reset.
    if (__atomic_load_n(&entry.flags, __ATOMIC_ACQUIRE) != u32(DirtyGfnFlag::dirty)) {
        return false;
    }
    page = {Slot(entry.slot), entry.offset};
    __atomic_store_n(&entry.flags, u32(DirtyGfnFlag::reset), __ATOMIC_RELEASE);
    ++next_;
    return true;
}

}  // namespace kvm

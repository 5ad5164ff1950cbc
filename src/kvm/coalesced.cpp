// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <kvm/coalesced.hpp>
#include <sys/mman.h>

#include "page_size.hpp"

namespace kvm {

namespace {

/// The ring fills a page of the host's.
u32 ring_entries() {
    return static_cast<u32>((detail::page_size() - sizeof(CoalescedMmioRing)) /
                            sizeof(CoalescedMmio));
}

}  // namespace

Result<CoalescedRing> CoalescedRing::map(const Vcpu& vcpu, int page) {
    const std::size_t ring_bytes = detail::page_size();
    if (page <= 0 || static_cast<std::size_t>(page) >= vcpu.size_ / ring_bytes) {
        return fail("mmap(coalesced ring)", EINVAL);
    }
    const long ring = detail::sys(arch::nr_mmap, nullptr, ring_bytes, PROT_READ | PROT_WRITE,
                                  MAP_SHARED, vcpu.fd().number(), static_cast<long>(ring_bytes) * page);
    if (ring < 0) {
        return fail("mmap(coalesced ring)", static_cast<int>(-ring));
    }
    return CoalescedRing(reinterpret_cast<CoalescedMmioRing*>(ring));
}

CoalescedRing& CoalescedRing::operator=(CoalescedRing&& other) noexcept {
    CoalescedMmioRing* mine = ring_;
    ring_ = other.ring_;
    other.ring_ = mine;
    return *this;
}

CoalescedRing::~CoalescedRing() {
    if (ring_) {
        (void)detail::sys(arch::nr_munmap, ring_, detail::page_size());
    }
}

bool CoalescedRing::pop(CoalescedMmio& entry) {
    if (!ring_) {
        return false;
    }
    const u32 entries = ring_entries();
    const u32 first = __atomic_load_n(&ring_->first, __ATOMIC_RELAXED);
    const u32 last = __atomic_load_n(&ring_->last, __ATOMIC_ACQUIRE);
    if (first == last || first >= entries || last >= entries) {
        return false;
    }
    entry = reinterpret_cast<const CoalescedMmio*>(ring_ + 1)[first];
    __atomic_store_n(&ring_->first, (first + 1) % entries, __ATOMIC_RELEASE);
    return true;
}

}  // namespace kvm

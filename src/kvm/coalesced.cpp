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

/// Whether the ring has an owner: the last word of its page, which no entry reaches. It is kept
/// there, and not in an object of ours, as the ring is the VM's: every vCPU, CoalescedRing and
/// process that maps it sees the same word.
u32& owned(CoalescedMmioRing* ring) {
    constexpr auto rest = [](std::size_t page) {
        return (page - sizeof(CoalescedMmioRing)) % sizeof(CoalescedMmio);
    };
    static_assert(rest(4096) >= sizeof(u32) && rest(16384) >= sizeof(u32) &&
                  rest(65536) >= sizeof(u32));
    auto* end = reinterpret_cast<std::byte*>(ring) + detail::page_size();
    return reinterpret_cast<u32*>(end)[-1];
}

void unmap(CoalescedMmioRing* ring) {
    (void)detail::sys(arch::nr_munmap, ring, detail::page_size());
}

}  // namespace

Result<CoalescedRing> CoalescedRing::map(const Vcpu& vcpu, int page) {
    const std::size_t ring_bytes = detail::page_size();
    if (page <= 0 || static_cast<std::size_t>(page) >= vcpu.size_ / ring_bytes) {
        return fail("mmap(coalesced ring)", EINVAL);
    }
    const long ring =
        detail::sys(arch::nr_mmap, nullptr, ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                    vcpu.fd().number(), static_cast<long>(ring_bytes) * page);
    if (ring < 0) {
        return fail("mmap(coalesced ring)", static_cast<int>(-ring));
    }
    auto* mapped = reinterpret_cast<CoalescedMmioRing*>(ring);
    if (__atomic_exchange_n(&owned(mapped), 1u, __ATOMIC_ACQUIRE) != 0) {
        unmap(mapped);
        return fail("mmap(coalesced ring)", EBUSY);
    }
    return CoalescedRing(mapped);
}

CoalescedRing& CoalescedRing::operator=(CoalescedRing&& other) noexcept {
    CoalescedMmioRing* mine = ring_;
    ring_ = other.ring_;
    other.ring_ = mine;
    return *this;
}

CoalescedRing::~CoalescedRing() {
    if (ring_) {
        __atomic_store_n(&owned(ring_), 0u, __ATOMIC_RELEASE);
        unmap(ring_);
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

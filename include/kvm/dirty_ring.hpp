// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/abi/memory.hpp>
#include <kvm/vcpu.hpp>

namespace kvm {

/// The pages that one vCPU wrote to, in the order in which it did: the dirty ring, which takes the
/// dirty bitmap's place. `vm.enable(cap::dirty_log_ring, bytes)` (on aarch64
/// cap::dirty_log_ring_acq_rel) before the vCPUs, then one ring to a vCPU.
///
/// harvest() takes entries and marks them, Vm::reset_dirty_rings() protects their pages anew:
/// harvest all rings, then reset, then read the pages' contents. A full ring ends run() with
/// exit::DirtyRingFull. One thread at a time may use a ring; it may be another than the vCPU's.
class DirtyRing {
public:
    /// Maps the ring of `vcpu`, `bytes` long: what the capability was enabled with, a power of two.
    /// Once in the vCPU's life: only one object knows how far it has been harvested. Errors: EINVAL
    /// (another size, or the capability is not enabled), EBUSY (it was mapped before), ENOMEM.
    static Result<DirtyRing> map(const Vcpu& vcpu, std::size_t bytes);

    DirtyRing(DirtyRing&& other) noexcept
        : entries_(other.entries_), count_(other.count_), next_(other.next_) {
        other.entries_ = nullptr;
        other.count_ = 0;
    }
    DirtyRing& operator=(DirtyRing&& other) noexcept;
    ~DirtyRing();

    /// A page that was written: in `slot`, the `offset`-th.
    struct Page {
        Slot slot;
        u64 offset;
    };

    /// Calls `each(Page)` for what has been written since the last call, in order, and returns how
    /// many there were; the entries wait for Vm::reset_dirty_rings(). No system call.
    template <class Each>
    std::size_t harvest(Each&& each) {
        std::size_t taken = 0;
        for (Page page; taken < count_ && take(page); ++taken) {
            each(page);
        }
        return taken;
    }

private:
    DirtyRing(DirtyGfn* entries, std::size_t count) : entries_(entries), count_(count) {}
    bool take(Page& page);

    DirtyGfn* entries_;
    std::size_t count_;
    std::size_t next_ = 0;
};

}  // namespace kvm

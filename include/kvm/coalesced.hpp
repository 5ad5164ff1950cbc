// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/vcpu.hpp>

namespace kvm {

/// The queue of writes that Vm::register_coalesced_mmio() keeps from exiting. There is one to a VM,
/// filled by all its vCPUs, so one object at a time may have it; use that from one thread at a
/// time. The kernel stops queueing (and exits) when it is full. Move-only.
class CoalescedRing {
public:
    /// Maps the ring of the VM that `vcpu` belongs to. `page` is the value of cap::coalesced_mmio,
    /// never 0. Errors: EINVAL (`page` is 0 or beyond the vCPU's mapping), EBUSY (a CoalescedRing
    /// of this VM is alive, through whichever vCPU it was mapped), ENOMEM.
    static Result<CoalescedRing> map(const Vcpu& vcpu, int page);

    CoalescedRing(CoalescedRing&& other) noexcept : ring_(other.ring_) { other.ring_ = nullptr; }
    CoalescedRing& operator=(CoalescedRing&& other) noexcept;
    ~CoalescedRing();

    /// Takes the oldest write out into `entry`; false if there is none. No system call. Whatever
    /// the ring holds, nothing outside it is read.
    bool pop(CoalescedMmio& entry);

private:
    explicit CoalescedRing(CoalescedMmioRing* ring) : ring_(ring) {}

    CoalescedMmioRing* ring_;
};

}  // namespace kvm

// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/vcpu.hpp>

namespace kvm {

/// The queue of writes that Vm::register_coalesced_mmio() keeps from exiting. There is one to a VM,
/// filled by all its vCPUs; make one object and use it from one thread. The kernel stops queueing
/// (and exits) when it is full.
class CoalescedRing {
public:
    /// Maps the ring of the VM that `vcpu` belongs to. `page` is the value of cap::coalesced_mmio,
    /// never 0. Errors: EINVAL (`page` is 0 or beyond the vCPU's mapping), ENOMEM.
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

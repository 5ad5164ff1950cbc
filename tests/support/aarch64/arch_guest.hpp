// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/aarch64/one_reg.hpp>
#include <support/guest_base.hpp>
#include <vector>

KVMXX_GUEST(halt)
KVMXX_GUEST(firmware)
KVMXX_GUEST(nisv)
KVMXX_GUEST_LABEL(nisv, after)
KVMXX_GUEST(handlers)
KVMXX_GUEST(irq)
KVMXX_GUEST(stop)

namespace kvm::test {

/// The MMU is off.
namespace layout {
inline constexpr u64 dist = 0x08000000, redist = 0x080a0000, gic_cpu = 0x08010000;
inline constexpr u64 stop = 0x1f000000;  // nothing is there: a write to it is a guest's stop
}  // namespace layout

/// What gives a VM dirty rings here.
inline constexpr auto dirty_ring_cap = cap::dirty_log_ring_acq_rel;

/// A register of 64 bits that takes any value.
inline constexpr RegId<u64> some_register = x(0);

/// What a Guest is made with beside what every guest has.
struct GuestOptions {
    VmType type{};
    std::vector<VcpuFeature> features{};       // beside psci_0_2
    std::function<void(Vm&)> before_vcpu{};    // what must be done before the vCPU is made
    std::function<void(Vcpu&)> before_init{};  // and before it is initialised
};

/// A GuestBase whose vCPU is initialised, ready to load one of tests/guests/aarch64.
class Guest : public GuestBase {
public:
    explicit Guest(const Kvm& kvm, const GuestOptions& options = {});
    /// `before_vcpu` is called with the VM before the vCPU is made: for what must be done first.
    Guest(const Kvm& kvm, const std::function<void(Vm&)>& before_vcpu)
        : Guest(kvm, GuestOptions{.before_vcpu = before_vcpu}) {}

    /// Puts `code` at layout::code and the vCPU at its start, in EL1 with all interrupts masked.
    void load(Bytes code);
    /// One register.
    template <class T>
    T get(RegId<T> id) {
        return must(vcpu().one_reg(id));
    }
    template <class T>
    void set(RegId<T> id, const std::type_identity_t<T>& value) {
        must(vcpu().set_one_reg(id, value));
    }
    u64 program_counter() { return get(pc); }
    void set_argument(u64 value) { set(x(0), value); }
};

/// What init() is given: the preferred target, PSCI, and `features`.
VcpuInit vcpu_init(const Vm& vm, const std::vector<VcpuFeature>& features = {});

}  // namespace kvm::test

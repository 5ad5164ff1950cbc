// SPDX-License-Identifier: Apache-2.0 OR MIT
// What aarch64 and riscv64 have beside the rest: their headers compile on every host, and this
// kernel answers for each.
#include "fault_operations.hpp"

#include <kvm/aarch64/gic.hpp>
#include <kvm/aarch64/vcpu.hpp>
#include <kvm/aarch64/vm.hpp>
#include <kvm/riscv64/aia.hpp>
#include <kvm/riscv64/vcpu.hpp>
#include <kvm/throw.hpp>

namespace kvm::test {

namespace {

struct ArmVm : aarch64::VmOps {
    explicit ArmVm(World& w) : VmOps(must(w.vm.fd().duplicate())) {}
};
template <class Ops>
struct OtherVcpu : Ops {
    explicit OtherVcpu(World& w) : Ops(must(w.vcpu.fd().duplicate()), &w.vcpu.raw()) {}
};
using ArmVcpu = OtherVcpu<aarch64::VcpuOps>;
using RiscvVcpu = OtherVcpu<riscv64::VcpuOps>;

u64 masks[aarch64::reg_mask_count];
u8 tags[256];

}  // namespace

std::vector<Operation> foreign_operations() {
    using namespace aarch64;
    return {
        KVMXX_OPERATION(ArmVm(w).preferred_target(), {{"dup"}, {"KVM_ARM_PREFERRED_TARGET"}}),
        KVMXX_OPERATION(ArmVm(w).set_device_addr(0, 0, 0_gpa),
                        {{"dup"}, {"KVM_ARM_SET_DEVICE_ADDR"}}),
        KVMXX_OPERATION(ArmVm(w).set_counter_offset(0), {{"dup"}, {"KVM_ARM_SET_COUNTER_OFFSET"}}),
        KVMXX_OPERATION(ArmVm(w).reg_writable_masks(masks),
                        {{"dup"}, {"KVM_ARM_GET_REG_WRITABLE_MASKS"}}),
        KVMXX_OPERATION(ArmVm(w).copy_mte_tags_from(0_gpa, tags),
                        {{"dup"}, {"KVM_ARM_MTE_COPY_TAGS"}}),
        KVMXX_OPERATION(ArmVm(w).copy_mte_tags_to(0_gpa, tags),
                        {{"dup"}, {"KVM_ARM_MTE_COPY_TAGS"}}),
        KVMXX_OPERATION(ArmVm(w).has_attr(smccc_filter),
                        {{"dup"}, {"KVM_ARM_VM_SMCCC_FILTER", {ENXIO, EINVAL}}}),
        KVMXX_OPERATION(ArmVm(w).set_attr(smccc_filter, {}),
                        {{"dup"}, {"KVM_ARM_VM_SMCCC_FILTER"}}),
        KVMXX_OPERATION(ArmVcpu(w).init({}), {{"dup"}, {"KVM_ARM_VCPU_INIT"}}),
        KVMXX_OPERATION(ArmVcpu(w).finalize(VcpuFeature::sve),
                        {{"dup"}, {"KVM_ARM_VCPU_FINALIZE"}}),
        KVMXX_OPERATION(ArmVcpu(w).init_pmu(), {{"dup"}, {"KVM_ARM_VCPU_PMU_V3_INIT"}}),
        KVMXX_OPERATION(ArmVcpu(w).vcpu_events(), {{"dup"}, {"KVM_GET_VCPU_EVENTS"}}),
        KVMXX_OPERATION(ArmVcpu(w).set_vcpu_events({}), {{"dup"}, {"KVM_SET_VCPU_EVENTS"}}),
        KVMXX_OPERATION(ArmVcpu(w).set_guest_debug({}), {{"dup"}, {"KVM_SET_GUEST_DEBUG"}}),
        KVMXX_ONE_CALL("KVM_DEV_ARM_VGIC_CTRL_INIT", vgic::command(w.device, vgic::ctrl_init)),
        KVMXX_OPERATION(RiscvVcpu(w).interrupt(riscv64::ExternalInterrupt::set),
                        {{"dup"}, {"KVM_INTERRUPT"}}),
        KVMXX_OPERATION(RiscvVcpu(w).set_guest_debug({}), {{"dup"}, {"KVM_SET_GUEST_DEBUG"}}),
        KVMXX_ONE_CALL("KVM_DEV_RISCV_AIA_CTRL_INIT", riscv64::aia::init(w.device)),
    };
}

}  // namespace kvm::test

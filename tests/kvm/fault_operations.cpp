// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "fault_operations.hpp"

#include <kvm/throw.hpp>

namespace kvm::test {

namespace {

template <class List>
List list_of(std::size_t size) {
    List list = must(List::with_capacity(size));
    list.set_size(size);
    return list;
}

constexpr u64 some_register = 0x0030000000000000;
constexpr Attr<u64> some_attr{0, 0};

}  // namespace

World::World()
    : kvm(must(Kvm::open())), vm(must(kvm.create_vm())),
      slot(must(vm.add_memory(Slot(0), 0_gpa, own_memory(), MemFlag::log_dirty_pages))),
      vcpu(must(vm.create_vcpu(VcpuId(0)))), device(must(vm.create_device(DeviceType::vfio))),
      event(must(EventFd::create())), guest_memfd(must(vm.create_guest_memfd(memory_size))),
      stats(must(vm.stats())) {}

std::vector<Operation> system_operations() {
    return {
        KVMXX_OPERATION(Kvm::open(), {{"open /dev/kvm", {EINTR}}, {"KVM_GET_API_VERSION"}}),
        KVMXX_OPERATION(Kvm::adopt(must(w.kvm.fd().duplicate())),
                        {{"dup"}, {"KVM_GET_API_VERSION"}}),
        KVMXX_ONE_CALL("KVM_GET_API_VERSION", w.kvm.api_version()),
        KVMXX_ONE_CALL("KVM_GET_VCPU_MMAP_SIZE", w.kvm.vcpu_mmap_size()),
        KVMXX_OPERATION(w.kvm.create_vm(),
                        {{"KVM_CREATE_VM", {EINTR}}, {"KVM_GET_VCPU_MMAP_SIZE"}}),
        KVMXX_OPERATION(w.kvm.adopt_vm(must(w.vm.fd().duplicate())),
                        {{"dup"}, {"KVM_CREATE_DEVICE", {ENODEV}}, {"KVM_GET_VCPU_MMAP_SIZE"}}),
        KVMXX_ONE_CALL("KVM_CHECK_EXTENSION", w.kvm.check(cap::irqchip)),
        KVMXX_ONE_CALL("KVM_CHECK_EXTENSION", w.kvm.check(cap::nr_memslots)),
        KVMXX_ONE_CALL("KVM_CHECK_EXTENSION", w.kvm.check(cap::adjust_clock)),
        KVMXX_ONE_CALL("KVM_CHECK_EXTENSION", w.kvm.check_extension(1)),
        KVMXX_OPERATION(w.kvm.supported_cpuid(), {{"KVM_GET_SUPPORTED_CPUID", {E2BIG}}}),
        KVMXX_OPERATION(w.kvm.emulated_cpuid(), {{"KVM_GET_EMULATED_CPUID", {E2BIG}}}),
        KVMXX_OPERATION(w.kvm.supported_hv_cpuid(), {{"KVM_GET_SUPPORTED_HV_CPUID", {E2BIG}}}),
        KVMXX_OPERATION(w.kvm.msr_index_list(), {{"KVM_GET_MSR_INDEX_LIST", {E2BIG}}}),
        KVMXX_OPERATION(w.kvm.msr_feature_index_list(),
                        {{"KVM_GET_MSR_FEATURE_INDEX_LIST", {E2BIG}}}),
        {"w.kvm.msrs(33 entries)",
         {{"KVM_GET_MSRS"}, {"KVM_GET_MSRS"}},
         [](World& w) {
             std::vector<MsrEntry> entries(33);
             return error_of(w.kvm.msrs(entries));
         }},
        KVMXX_ONE_CALL("KVM_X86_GET_MCE_CAP_SUPPORTED", w.kvm.mce_cap_supported()),
        KVMXX_OPERATION(w.kvm.has_attr(some_attr), {{"KVM_DEVICE_ATTR", {ENXIO}}}),
        KVMXX_ONE_CALL("KVM_DEVICE_ATTR", w.kvm.attr(some_attr)),
    };
}

std::vector<Operation> vcpu_operations() {
    return {
        KVMXX_OPERATION(w.vcpu.run(), {{"KVM_RUN", {EINTR, EAGAIN}}}),
        KVMXX_OPERATION(w.vcpu.complete_pending_io(), {{"KVM_RUN", {EINTR, EAGAIN}}}),
        KVMXX_OPERATION(Vcpu::adopt(must(w.vcpu.fd().duplicate()), 3 * 4096),
                        {{"dup"}, {"KVM_GET_MP_STATE"}, {"mmap(vcpu)"}}),
        {"w.vcpu.create_kick()",
         {},  // calls that Kick needs the real kernel for
         [](World& w) {
             must(install_kick_handler());
             return error_of(w.vcpu.create_kick());
         }},
        KVMXX_ONE_CALL("KVM_GET_MP_STATE", w.vcpu.mp_state()),
        KVMXX_ONE_CALL("KVM_SET_MP_STATE", w.vcpu.set_mp_state({})),
        KVMXX_ONE_CALL("KVM_SET_SIGNAL_MASK", w.vcpu.set_signal_mask(1)),
        KVMXX_ONE_CALL("KVM_SET_SIGNAL_MASK", w.vcpu.clear_signal_mask()),
        KVMXX_ONE_CALL("KVM_ENABLE_CAP", w.vcpu.enable(cap::hyperv_synic)),
        KVMXX_ONE_CALL("KVM_ENABLE_CAP", w.vcpu.enable_cap(1)),
        KVMXX_OPERATION(w.vcpu.has_attr(tsc_offset), {{"KVM_VCPU_TSC_OFFSET", {ENXIO}}}),
        KVMXX_ONE_CALL("KVM_VCPU_TSC_OFFSET", w.vcpu.attr(tsc_offset)),
        KVMXX_ONE_CALL("KVM_VCPU_TSC_OFFSET", w.vcpu.set_attr(tsc_offset, 0)),
        KVMXX_ONE_CALL("KVM_GET_ONE_REG", w.vcpu.one_reg(RegId<u64>(some_register))),
        KVMXX_ONE_CALL("KVM_SET_ONE_REG", w.vcpu.set_one_reg(RegId<u64>(some_register), 1)),
        KVMXX_ONE_CALL(
            "KVM_GET_ONE_REG",
            w.vcpu.one_reg(some_register, std::as_writable_bytes(std::span(w.bitmap, 1)))),
        KVMXX_ONE_CALL("KVM_SET_ONE_REG",
                       w.vcpu.set_one_reg(some_register, std::as_bytes(std::span(w.bitmap, 1)))),
        KVMXX_OPERATION(w.vcpu.reg_list(), {{"KVM_GET_REG_LIST", {E2BIG}}}),
        KVMXX_ONE_CALL("KVM_PRE_FAULT_MEMORY", w.vcpu.pre_fault_memory(0_gpa, 4096)),
        KVMXX_OPERATION(w.vcpu.stats(), {{"KVM_GET_STATS_FD"},
                                         {"KVM_GET_STATS_FD", {EINTR}},
                                         {"KVM_GET_STATS_FD", {EINTR}},
                                         {"KVM_GET_STATS_FD", {EINTR}},
                                         {"KVM_GET_STATS_FD", {EINTR}}}),
        KVMXX_ONE_CALL("KVM_GET_REGS", w.vcpu.regs()),
        KVMXX_ONE_CALL("KVM_SET_REGS", w.vcpu.set_regs({})),
        KVMXX_ONE_CALL("KVM_GET_SREGS", w.vcpu.sregs()),
        KVMXX_ONE_CALL("KVM_SET_SREGS", w.vcpu.set_sregs({})),
        KVMXX_ONE_CALL("KVM_GET_SREGS2", w.vcpu.sregs2()),
        KVMXX_ONE_CALL("KVM_SET_SREGS2", w.vcpu.set_sregs2({})),
        KVMXX_ONE_CALL("KVM_GET_FPU", w.vcpu.fpu()),
        KVMXX_ONE_CALL("KVM_SET_FPU", w.vcpu.set_fpu({})),
        KVMXX_ONE_CALL("KVM_GET_XSAVE", w.vcpu.xsave()),
        KVMXX_OPERATION(w.vcpu.set_xsave(w.vm, Xsave{}),
                        {{"KVM_CHECK_EXTENSION"}, {"KVM_SET_XSAVE"}}),
        KVMXX_OPERATION(w.vcpu.xsave2(w.vm), {{"KVM_CHECK_EXTENSION"}, {"KVM_GET_XSAVE2"}}),
        KVMXX_OPERATION(w.vcpu.set_xsave2(w.vm, must(Xsave2::with_size(4096))),
                        {{"KVM_CHECK_EXTENSION"}, {"KVM_SET_XSAVE"}}),
        KVMXX_ONE_CALL("KVM_GET_XCRS", w.vcpu.xcrs()),
        KVMXX_ONE_CALL("KVM_SET_XCRS", w.vcpu.set_xcrs({})),
        KVMXX_ONE_CALL("KVM_GET_DEBUGREGS", w.vcpu.debugregs()),
        KVMXX_ONE_CALL("KVM_SET_DEBUGREGS", w.vcpu.set_debugregs({})),
        KVMXX_ONE_CALL("KVM_GET_LAPIC", w.vcpu.lapic()),
        KVMXX_ONE_CALL("KVM_SET_LAPIC", w.vcpu.set_lapic({})),
        KVMXX_ONE_CALL("KVM_GET_MSRS", w.vcpu.msr(0x10)),
        KVMXX_ONE_CALL("KVM_SET_MSRS", w.vcpu.set_msr(0x10, 1)),
        KVMXX_OPERATION(w.vcpu.set_msrs(std::vector<MsrEntry>(65)),
                        {{"KVM_SET_MSRS"}, {"KVM_SET_MSRS"}, {"KVM_SET_MSRS"}}),
        KVMXX_OPERATION(w.vcpu.cpuid2(), {{"KVM_GET_CPUID2", {E2BIG}}}),
        KVMXX_ONE_CALL("KVM_SET_CPUID2", w.vcpu.set_cpuid2(list_of<CpuidList>(1))),
        KVMXX_ONE_CALL("KVM_SET_CPUID", w.vcpu.set_cpuid(list_of<OldCpuidList>(1))),
        KVMXX_OPERATION(w.vcpu.supported_hv_cpuid(), {{"KVM_GET_SUPPORTED_HV_CPUID", {E2BIG}}}),
        KVMXX_ONE_CALL("KVM_GET_NESTED_STATE", w.vcpu.nested_state()),
        KVMXX_ONE_CALL("KVM_SET_NESTED_STATE",
                       w.vcpu.set_nested_state(must(NestedStateBlob::with_size(4096)))),
        KVMXX_ONE_CALL("KVM_X86_SETUP_MCE", w.vcpu.setup_mce(1)),
        KVMXX_ONE_CALL("KVM_X86_SET_MCE", w.vcpu.set_mce({})),
        KVMXX_ONE_CALL("KVM_XEN_VCPU_GET_ATTR", w.vcpu.xen_vcpu_attr(XenVcpuAttrType::vcpu_info)),
        KVMXX_ONE_CALL("KVM_XEN_VCPU_SET_ATTR", w.vcpu.set_xen_vcpu_attr({})),
        KVMXX_ONE_CALL("KVM_GET_VCPU_EVENTS", w.vcpu.vcpu_events()),
        KVMXX_ONE_CALL("KVM_SET_VCPU_EVENTS", w.vcpu.set_vcpu_events({})),
        KVMXX_ONE_CALL("KVM_SET_GUEST_DEBUG", w.vcpu.set_guest_debug({})),
        KVMXX_ONE_CALL("KVM_GET_TSC_KHZ", w.vcpu.tsc_khz()),
        KVMXX_ONE_CALL("KVM_SET_TSC_KHZ", w.vcpu.set_tsc_khz(1)),
        KVMXX_ONE_CALL("KVM_TRANSLATE", w.vcpu.translate(Gva(0))),
        KVMXX_ONE_CALL("KVM_INTERRUPT", w.vcpu.interrupt(0x20)),
        KVMXX_ONE_CALL("KVM_NMI", w.vcpu.nmi()),
        KVMXX_ONE_CALL("KVM_SMI", w.vcpu.smi()),
        KVMXX_ONE_CALL("KVM_TPR_ACCESS_REPORTING", w.vcpu.tpr_access_reporting(Switch::on)),
        KVMXX_ONE_CALL("KVM_SET_VAPIC_ADDR", w.vcpu.set_vapic_addr(0_gpa)),
        KVMXX_ONE_CALL("KVM_KVMCLOCK_CTRL", w.vcpu.kvmclock_ctrl()),
    };
}

std::vector<Operation> object_operations() {
    return {
        KVMXX_ONE_CALL("dup", w.event.fd().duplicate()),
        KVMXX_ONE_CALL("eventfd", EventFd::create()),
        KVMXX_OPERATION(w.event.write(), {{"eventfd write", {EINTR}}}),
        KVMXX_OPERATION(w.event.read(), {{"eventfd read", {EINTR}}}),
        KVMXX_OPERATION(w.device.has_attr(vfio::file_add), {{"KVM_DEV_VFIO_FILE_ADD", {ENXIO}}}),
        KVMXX_ONE_CALL("KVM_DEV_VFIO_FILE_ADD", w.device.attr(vfio::file_add)),
        KVMXX_ONE_CALL("KVM_DEV_VFIO_FILE_ADD", w.device.set_attr(vfio::file_add, 1)),
        KVMXX_ONE_CALL("mmap(coalesced ring)", CoalescedRing::map(w.vcpu, 2)),
        KVMXX_OPERATION(DirtyRing::map(w.vcpu, 4096),
                        {{"mmap(dirty ring)"},
                         {"mmap(dirty ring)", {EINVAL}, {{EFAULT, EINVAL}}},
                         {"mmap(dirty ring)", {EFAULT}}}),
        KVMXX_ONE_CALL("mmap(guest_memfd)", w.guest_memfd.map(0, 4096)),
        KVMXX_OPERATION(must(w.guest_memfd.map(0, 4096)).set_numa_policy(0, {}),
                        {{"mmap(guest_memfd)"}, {"mbind(guest_memfd)"}}),
        KVMXX_OPERATION(w.stats.update(), {{"KVM_GET_STATS_FD", {EINTR}}}),
    };
}

}  // namespace kvm::test

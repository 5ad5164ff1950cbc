// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "fault_operations.hpp"

#include <kvm/throw.hpp>

namespace kvm::test {

namespace {

constexpr Gpa above{2 * World::memory_size};

}  // namespace

std::vector<Operation> vm_operations() {
    return {
        KVMXX_OPERATION(w.vm.create_vcpu(VcpuId(1)), {{"KVM_CREATE_VCPU"}, {"mmap(vcpu)"}}),
        KVMXX_ONE_CALL("KVM_SET_USER_MEMORY_REGION",
                       w.vm.add_memory(Slot(1), above, World::more_memory())),
        KVMXX_ONE_CALL("KVM_SET_USER_MEMORY_REGION",
                       w.vm.add_memory(Slot(1000), above, World::more_memory())),
        KVMXX_ONE_CALL("KVM_SET_USER_MEMORY_REGION2",
                       w.vm.add_memory(Slot(2), above, World::more_memory(), w.guest_memfd, 0)),
        KVMXX_ONE_CALL("KVM_SET_USER_MEMORY_REGION", w.vm.set_memory_flags(w.slot, {})),
        KVMXX_ONE_CALL("KVM_SET_USER_MEMORY_REGION", w.vm.move_memory(w.slot, above)),
        KVMXX_ONE_CALL("KVM_SET_USER_MEMORY_REGION", w.vm.remove_memory(std::move(w.slot))),
        KVMXX_ONE_CALL("KVM_SET_USER_MEMORY_REGION", w.vm.set_user_memory_region({5, 0, 0, 0, 0})),
        KVMXX_ONE_CALL("KVM_SET_USER_MEMORY_REGION2",
                       w.vm.set_user_memory_region2({5, 0, 0, 0, 0, 0, 0, 0, {}})),
        KVMXX_ONE_CALL("KVM_GET_DIRTY_LOG", w.vm.dirty_log(w.slot, w.bitmap)),
        KVMXX_ONE_CALL("KVM_CLEAR_DIRTY_LOG", w.vm.clear_dirty_log(w.slot, 0, 128, w.bitmap)),
        KVMXX_ONE_CALL("KVM_RESET_DIRTY_RINGS", w.vm.reset_dirty_rings()),
        KVMXX_ONE_CALL("KVM_CREATE_GUEST_MEMFD", w.vm.create_guest_memfd(4096)),
        KVMXX_ONE_CALL("KVM_SET_MEMORY_ATTRIBUTES",
                       w.vm.set_memory_attributes(0_gpa, 4096, MemoryAttribute::private_memory)),
        KVMXX_OPERATION(w.vm.stats(), {{"KVM_GET_STATS_FD"},
                                       {"KVM_GET_STATS_FD", {EINTR}},
                                       {"KVM_GET_STATS_FD", {EINTR}},
                                       {"KVM_GET_STATS_FD", {EINTR}},
                                       {"KVM_GET_STATS_FD", {EINTR}}}),
        KVMXX_ONE_CALL("KVM_CHECK_EXTENSION", w.vm.check(cap::irqchip)),
        KVMXX_ONE_CALL("KVM_CREATE_IRQCHIP", w.vm.create_irqchip()),
        KVMXX_ONE_CALL("KVM_IRQ_LINE", w.vm.irq_line(Gsi(4), Level::high)),
        KVMXX_ONE_CALL("KVM_IRQ_LINE_STATUS", w.vm.irq_line_status(Gsi(4), Level::high)),
        KVMXX_ONE_CALL("KVM_SET_GSI_ROUTING",
                       w.vm.set_gsi_routing(must(GsiRouting::with_capacity(0)))),
        KVMXX_ONE_CALL("KVM_SIGNAL_MSI", w.vm.signal_msi({})),
        KVMXX_ONE_CALL("KVM_IRQFD", w.vm.add_irqfd(w.event, Gsi(4))),
        KVMXX_ONE_CALL("KVM_IRQFD", w.vm.add_irqfd(w.event, Gsi(4), w.event)),
        KVMXX_ONE_CALL("KVM_IRQFD", w.vm.remove_irqfd(w.event, Gsi(4))),
        KVMXX_ONE_CALL("KVM_IOEVENTFD",
                       w.vm.add_ioeventfd(w.event, Port(1), Datamatch::any_length())),
        KVMXX_ONE_CALL("KVM_IOEVENTFD",
                       w.vm.remove_ioeventfd(w.event, 0_gpa, Datamatch::length(4))),
        KVMXX_ONE_CALL("KVM_REGISTER_COALESCED_MMIO", w.vm.register_coalesced_mmio(0_gpa, 8)),
        KVMXX_ONE_CALL("KVM_UNREGISTER_COALESCED_MMIO", w.vm.unregister_coalesced_mmio(Port(1), 8)),
        KVMXX_ONE_CALL("KVM_CREATE_DEVICE", w.vm.create_device(DeviceType::vfio)),
        KVMXX_OPERATION(w.vm.has_device(DeviceType::vfio), {{"KVM_CREATE_DEVICE", {ENODEV}}}),
        KVMXX_ONE_CALL("KVM_ENABLE_CAP", w.vm.enable(cap::split_irqchip, 24u)),
        KVMXX_ONE_CALL("KVM_ENABLE_CAP", w.vm.enable_cap(1)),
        KVMXX_ONE_CALL("KVM_SET_TSS_ADDR", w.vm.set_tss_addr(0_gpa)),
        KVMXX_ONE_CALL("KVM_SET_IDENTITY_MAP_ADDR", w.vm.set_identity_map_addr(0_gpa)),
        KVMXX_ONE_CALL("KVM_GET_IRQCHIP", w.vm.irqchip(IrqchipId::ioapic)),
        KVMXX_ONE_CALL("KVM_SET_IRQCHIP", w.vm.set_irqchip({})),
        KVMXX_ONE_CALL("KVM_CREATE_PIT2", w.vm.create_pit2()),
        KVMXX_ONE_CALL("KVM_GET_PIT2", w.vm.pit2()),
        KVMXX_ONE_CALL("KVM_SET_PIT2", w.vm.set_pit2({})),
        KVMXX_ONE_CALL("KVM_REINJECT_CONTROL", w.vm.reinject_control(Switch::on)),
        KVMXX_ONE_CALL("KVM_SET_BOOT_CPU_ID", w.vm.set_boot_cpu_id(VcpuId(0))),
        KVMXX_ONE_CALL("KVM_CREATE_PIT", w.vm.create_pit()),
        KVMXX_ONE_CALL("KVM_GET_PIT", w.vm.pit()),
        KVMXX_ONE_CALL("KVM_SET_PIT", w.vm.set_pit({})),
        KVMXX_ONE_CALL("KVM_GET_NR_MMU_PAGES", w.vm.nr_mmu_pages()),
        KVMXX_ONE_CALL("KVM_SET_NR_MMU_PAGES", w.vm.set_nr_mmu_pages(64)),
        KVMXX_ONE_CALL("KVM_X86_SET_MSR_FILTER", w.vm.set_msr_filter(MsrFilterDefault::allow, {})),
        KVMXX_ONE_CALL("KVM_SET_PMU_EVENT_FILTER",
                       w.vm.set_pmu_event_filter(must(PmuEvents::with_capacity(0)))),
        KVMXX_ONE_CALL("KVM_HYPERV_EVENTFD", w.vm.add_hyperv_eventfd(1, w.event)),
        KVMXX_ONE_CALL("KVM_HYPERV_EVENTFD", w.vm.remove_hyperv_eventfd(1)),
        KVMXX_ONE_CALL("KVM_XEN_HVM_CONFIG", w.vm.xen_hvm_config({})),
        KVMXX_ONE_CALL("KVM_XEN_HVM_GET_ATTR", w.vm.xen_hvm_attr(XenAttrType::long_mode)),
        KVMXX_ONE_CALL("KVM_XEN_HVM_SET_ATTR", w.vm.set_xen_hvm_attr({})),
        KVMXX_ONE_CALL("KVM_XEN_HVM_EVTCHN_SEND", w.vm.xen_hvm_evtchn_send({})),
        KVMXX_ONE_CALL("KVM_MEMORY_ENCRYPT_REG_REGION",
                       w.vm.register_encrypted_memory(World::own_memory())),
        KVMXX_ONE_CALL("KVM_MEMORY_ENCRYPT_UNREG_REGION",
                       w.vm.unregister_encrypted_memory(World::own_memory())),
        KVMXX_ONE_CALL("KVM_GET_CLOCK", w.vm.clock()),
        KVMXX_ONE_CALL("KVM_SET_CLOCK", w.vm.set_clock({})),
        KVMXX_ONE_CALL("KVM_GET_TSC_KHZ", w.vm.tsc_khz()),
        KVMXX_ONE_CALL("KVM_SET_TSC_KHZ", w.vm.set_tsc_khz(1)),
    };
}

}  // namespace kvm::test

// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// One function for each method, to be measured against its twin in twins.c. Names: the class, the
// method.

#include <kvm/kvm.hpp>

using namespace kvm;

#define OURS(name, parameters, ...)                                                                \
    extern "C" auto ours_##name parameters { return __VA_ARGS__; }
#define KVM(name, ...) OURS(kvm_##name, (const Kvm& kvm), kvm.name(__VA_ARGS__))
#define VM(name) OURS(vm_##name, (const Vm& vm), vm.name())
#define VM1(name, type) OURS(vm_##name, (const Vm& vm, type a), vm.name(a))
#define VM2(name, type_a, type_b) OURS(vm_##name, (const Vm& vm, type_a a, type_b b), vm.name(a, b))
#define VCPU(name) OURS(vcpu_##name, (Vcpu & vcpu), vcpu.name())
#define VCPU1(name, type) OURS(vcpu_##name, (Vcpu & vcpu, type a), vcpu.name(a))

// Kvm
KVM(api_version)
KVM(vcpu_mmap_size)
KVM(mce_cap_supported)
OURS(kvm_check, (const Kvm& kvm), kvm.check(cap::irqfd))
OURS(kvm_check_extension, (const Kvm& kvm, int cap), kvm.check_extension(cap))
OURS(kvm_attr, (const Kvm& kvm), kvm.attr(xcomp_guest_supp))
OURS(kvm_has_attr, (const Kvm& kvm), kvm.has_attr(xcomp_guest_supp))
OURS(kvm_create_vm, (const Kvm& kvm, VmType type), kvm.create_vm(type))
OURS(kvm_msrs, (const Kvm& kvm, std::span<MsrEntry> entries), kvm.msrs(entries))

// Vm
OURS(vm_check, (const Vm& vm), vm.check(cap::nr_memslots))
VM1(check_extension, int)
VM1(create_vcpu, VcpuId)
OURS(vm_add_memory, (const Vm& vm, Slot slot, Gpa address, std::span<std::byte> memory),
     vm.add_memory(slot, address, memory))
OURS(vm_remove_memory, (const Vm& vm, Memslot& slot),
     vm.remove_memory(static_cast<Memslot&&>(slot)))
VM2(set_memory_flags, Memslot&, Flags<MemFlag>)
VM2(move_memory, Memslot&, Gpa)
VM1(set_user_memory_region, const UserspaceMemoryRegion&)
VM1(set_user_memory_region2, const UserspaceMemoryRegion2&)
VM2(dirty_log, const Memslot&, std::span<u64>)
OURS(vm_clear_dirty_log,
     (const Vm& vm, const Memslot& slot, u64 first, u32 pages, std::span<const u64> bitmap),
     vm.clear_dirty_log(slot, first, pages, bitmap))
VM(reset_dirty_rings)
OURS(vm_set_memory_attributes,
     (const Vm& vm, Gpa address, u64 size, Flags<MemoryAttribute> attributes),
     vm.set_memory_attributes(address, size, attributes))
VM(create_irqchip)
VM2(irq_line, Gsi, Level)
VM2(irq_line_status, Gsi, Level)
VM1(set_gsi_routing, const GsiRouting&)
VM1(signal_msi, const Msi&)
VM2(add_irqfd, FdRef, Gsi)
OURS(vm_add_irqfd_resample, (const Vm& vm, FdRef event, Gsi gsi, FdRef resample),
     vm.add_irqfd(event, gsi, resample))
VM2(remove_irqfd, FdRef, Gsi)
OURS(vm_add_ioeventfd, (const Vm& vm, FdRef event, IoAddress address, Datamatch match),
     vm.add_ioeventfd(event, address, match))
OURS(vm_remove_ioeventfd, (const Vm& vm, FdRef event, IoAddress address, Datamatch match),
     vm.remove_ioeventfd(event, address, match))
VM2(register_coalesced_mmio, IoAddress, u32)
VM2(unregister_coalesced_mmio, IoAddress, u32)
VM1(create_device, DeviceType)
VM1(has_device, DeviceType)
OURS(vm_enable, (const Vm& vm, Flags<DisableExit> exits), vm.enable(cap::x86_disable_exits, exits))
OURS(vm_enable_cap, (const Vm& vm, int cap, u64 a), vm.enable_cap(cap, a))
OURS(vm_vcpu_mmap_size, (const Vm& vm), vm.vcpu_mmap_size())
VM1(set_tss_addr, Gpa)
VM1(set_identity_map_addr, Gpa)
VM1(irqchip, IrqchipId)
VM1(set_irqchip, const Irqchip&)
VM1(create_pit2, Flags<PitFlag>)
VM(pit2)
VM1(set_pit2, const PitState2&)
VM1(reinject_control, Switch)
VM1(set_boot_cpu_id, VcpuId)
VM(create_pit)
VM(pit)
VM1(set_pit, const PitState&)
VM(nr_mmu_pages)
VM1(set_nr_mmu_pages, u64)
VM1(set_pmu_event_filter, const PmuEvents&)
VM2(add_hyperv_eventfd, u32, FdRef)
VM1(remove_hyperv_eventfd, u32)
VM1(xen_hvm_config, const XenHvmConfig&)
VM1(xen_hvm_attr, XenAttrType)
VM1(set_xen_hvm_attr, const XenHvmAttr&)
VM1(xen_hvm_evtchn_send, const IrqRoutingXenEvtchn&)
VM1(register_encrypted_memory, std::span<std::byte>)
VM1(unregister_encrypted_memory, std::span<std::byte>)
VM(clock)
VM1(set_clock, const ClockData&)
VM(tsc_khz)
VM1(set_tsc_khz, u32)

// Vcpu
VCPU(run)
VCPU(mp_state)
VCPU1(set_mp_state, const MpState&)
VCPU1(set_signal_mask, u64)
VCPU(clear_signal_mask)
OURS(vcpu_enable, (Vcpu & vcpu), vcpu.enable(cap::hyperv_enforce_cpuid, Switch::on))
OURS(vcpu_enable_cap, (Vcpu & vcpu, int cap, u64 a), vcpu.enable_cap(cap, a))
OURS(vcpu_has_attr, (Vcpu & vcpu), vcpu.has_attr(tsc_offset))
OURS(vcpu_attr, (Vcpu & vcpu), vcpu.attr(tsc_offset))
OURS(vcpu_set_attr, (Vcpu & vcpu, const u64& value), vcpu.set_attr(tsc_offset, value))
OURS(vcpu_one_reg, (Vcpu & vcpu), vcpu.one_reg(RegId<u64>(0x2030000000000001)))
OURS(vcpu_set_one_reg, (Vcpu & vcpu, const u64& value),
     vcpu.set_one_reg(RegId<u64>(0x2030000000000001), value))
OURS(vcpu_raw, (Vcpu & vcpu), &vcpu.raw())
VCPU(regs)
VCPU1(set_regs, const Regs&)
VCPU(sregs)
VCPU1(set_sregs, const Sregs&)
VCPU(sregs2)
VCPU1(set_sregs2, const Sregs2&)
VCPU(fpu)
VCPU1(set_fpu, const Fpu&)
VCPU(xsave)
OURS(vcpu_set_xsave, (Vcpu & vcpu, const Vm& vm, const Xsave& xsave), vcpu.set_xsave(vm, xsave))
VCPU(xcrs)
VCPU1(set_xcrs, const Xcrs&)
VCPU(debugregs)
VCPU1(set_debugregs, const Debugregs&)
VCPU(lapic)
VCPU1(set_lapic, const LapicState&)
VCPU1(msr, u32)
OURS(vcpu_set_msr, (Vcpu & vcpu, u32 index, u64 value), vcpu.set_msr(index, value))
VCPU1(msrs, std::span<MsrEntry>)
VCPU1(set_msrs, std::span<const MsrEntry>)
VCPU1(set_cpuid2, const CpuidList&)
VCPU1(set_cpuid, const OldCpuidList&)
VCPU1(set_nested_state, const NestedStateBlob&)
VCPU1(setup_mce, u64)
VCPU1(set_mce, const X86Mce&)
VCPU1(xen_vcpu_attr, XenVcpuAttrType)
VCPU1(set_xen_vcpu_attr, const XenVcpuAttr&)
VCPU(vcpu_events)
VCPU1(set_vcpu_events, const VcpuEvents&)
VCPU1(set_guest_debug, const GuestDebug&)
VCPU(tsc_khz)
VCPU1(set_tsc_khz, u32)
VCPU1(translate, Gva)
VCPU1(interrupt, u8)
VCPU(nmi)
VCPU(smi)
VCPU1(tpr_access_reporting, Switch)
VCPU1(set_vapic_addr, Gpa)
VCPU(kvmclock_ctrl)
OURS(vcpu_sync_regs, (Vcpu & vcpu), &vcpu.sync_regs())
VCPU1(set_sync_valid, Flags<SyncReg>)
VCPU1(set_sync_dirty, Flags<SyncReg>)

// Device
constexpr Attr<u64> some_attribute{1, 2, "SOME"};
OURS(device_has_attr, (const Device& device), device.has_attr(some_attribute))
OURS(device_attr, (const Device& device), device.attr(some_attribute))
OURS(device_set_attr, (const Device& device, const u64& value),
     device.set_attr(some_attribute, value))

int main() {}

// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/abi/common.hpp>
#include <kvm/abi/ioctl.hpp>
#include <kvm/abi/memory.hpp>

/// Every ioctl that all architectures share, one line each: number, argument, direction, result.
namespace kvm::op {

using abi::io;
using abi::ior;
using abi::iow;
using abi::iowr;

// of /dev/kvm
inline constexpr auto get_api_version = io<int>(0x00, "KVM_GET_API_VERSION");
inline constexpr auto create_vm = io<int>(0x01, "KVM_CREATE_VM");
inline constexpr auto check_extension = io<int>(0x03, "KVM_CHECK_EXTENSION");  // and of a VM
inline constexpr auto get_vcpu_mmap_size = io<std::size_t>(0x04, "KVM_GET_VCPU_MMAP_SIZE");

// of a VM
inline constexpr auto create_vcpu = io<int>(0x41, "KVM_CREATE_VCPU");
inline constexpr auto get_dirty_log = iow<DirtyLog>(0x42, "KVM_GET_DIRTY_LOG");
inline constexpr auto set_user_memory_region =
    iow<UserspaceMemoryRegion>(0x46, "KVM_SET_USER_MEMORY_REGION");
inline constexpr auto set_user_memory_region2 =
    iow<UserspaceMemoryRegion2>(0x49, "KVM_SET_USER_MEMORY_REGION2");
inline constexpr auto create_irqchip = io(0x60, "KVM_CREATE_IRQCHIP");
inline constexpr auto irq_line = iow<IrqLevel>(0x61, "KVM_IRQ_LINE");
inline constexpr auto irq_line_status = iowr<IrqLevel>(0x67, "KVM_IRQ_LINE_STATUS");
inline constexpr auto register_coalesced_mmio =
    iow<CoalescedMmioZone>(0x67, "KVM_REGISTER_COALESCED_MMIO");
inline constexpr auto unregister_coalesced_mmio =
    iow<CoalescedMmioZone>(0x68, "KVM_UNREGISTER_COALESCED_MMIO");
inline constexpr auto set_gsi_routing = iow<IrqRouting>(0x6a, "KVM_SET_GSI_ROUTING");
inline constexpr auto irqfd = iow<Irqfd>(0x76, "KVM_IRQFD");
inline constexpr auto ioeventfd = iow<Ioeventfd>(0x79, "KVM_IOEVENTFD");
inline constexpr auto enable_cap = iow<EnableCap>(0xa3, "KVM_ENABLE_CAP");  // and of a vCPU
inline constexpr auto signal_msi = iow<Msi, int>(0xa5, "KVM_SIGNAL_MSI");
inline constexpr auto clear_dirty_log = iowr<ClearDirtyLog>(0xc0, "KVM_CLEAR_DIRTY_LOG");
inline constexpr auto reset_dirty_rings = io<u32>(0xc7, "KVM_RESET_DIRTY_RINGS");
inline constexpr auto get_stats_fd = io<int>(0xce, "KVM_GET_STATS_FD");  // and of a vCPU
inline constexpr auto set_memory_attributes =
    iow<MemoryAttributes>(0xd2, "KVM_SET_MEMORY_ATTRIBUTES");
inline constexpr auto create_guest_memfd =
    iowr<CreateGuestMemfd, int, Dir::in>(0xd4, "KVM_CREATE_GUEST_MEMFD");
inline constexpr auto create_device = iowr<CreateDevice>(0xe0, "KVM_CREATE_DEVICE");

// of a vCPU
inline constexpr auto run = io(0x80, "KVM_RUN");
inline constexpr auto set_signal_mask = iow<SignalMask>(0x8b, "KVM_SET_SIGNAL_MASK");
inline constexpr auto get_mp_state = ior<MpState>(0x98, "KVM_GET_MP_STATE");
inline constexpr auto set_mp_state = iow<MpState>(0x99, "KVM_SET_MP_STATE");
inline constexpr auto get_one_reg = iow<OneReg>(0xab, "KVM_GET_ONE_REG");  // `addr`: the value
inline constexpr auto set_one_reg = iow<OneReg>(0xac, "KVM_SET_ONE_REG");
inline constexpr auto get_reg_list = iowr<RegList>(0xb0, "KVM_GET_REG_LIST");
inline constexpr auto pre_fault_memory = iowr<PreFaultMemory>(0xd5, "KVM_PRE_FAULT_MEMORY");

// of a device; of /dev/kvm, a VM or a vCPU where it has attributes. `addr` points to the value.
inline constexpr auto set_device_attr = iow<DeviceAttr>(0xe1, "KVM_SET_DEVICE_ATTR");
inline constexpr auto get_device_attr = iow<DeviceAttr>(0xe2, "KVM_GET_DEVICE_ATTR");
inline constexpr auto has_device_attr = iow<DeviceAttr>(0xe3, "KVM_HAS_DEVICE_ATTR");

}  // namespace kvm::op

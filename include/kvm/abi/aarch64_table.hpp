// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/abi/aarch64.hpp>
#include <kvm/abi/ioctl.hpp>

/// The ioctls of aarch64, one line each. See kvm/abi/table.hpp for the manner.
namespace kvm::op::aarch64 {

using namespace kvm::aarch64;
// Names that the host's own architecture may have too:
using abi::ior;
using abi::iow;
using kvm::aarch64::GuestDebug;
using kvm::aarch64::VcpuEvents;

// of a VM
inline constexpr auto set_device_addr = iow<DeviceAddr>(0xab, "KVM_ARM_SET_DEVICE_ADDR");
inline constexpr auto preferred_target = ior<VcpuInit>(0xaf, "KVM_ARM_PREFERRED_TARGET");
inline constexpr auto mte_copy_tags = ior<CopyMteTags, int, Dir::in>(0xb4, "KVM_ARM_MTE_COPY_TAGS");
inline constexpr auto set_counter_offset = iow<CounterOffset>(0xb5, "KVM_ARM_SET_COUNTER_OFFSET");
inline constexpr auto get_reg_writable_masks =
    ior<RegMaskRange, void, Dir::in>(0xb6, "KVM_ARM_GET_REG_WRITABLE_MASKS");

// of a vCPU
inline constexpr auto set_guest_debug = iow<GuestDebug>(0x9b, "KVM_SET_GUEST_DEBUG");
inline constexpr auto get_vcpu_events = ior<VcpuEvents>(0x9f, "KVM_GET_VCPU_EVENTS");
inline constexpr auto set_vcpu_events = iow<VcpuEvents>(0xa0, "KVM_SET_VCPU_EVENTS");
inline constexpr auto vcpu_init = iow<VcpuInit>(0xae, "KVM_ARM_VCPU_INIT");
inline constexpr auto vcpu_finalize = iow<int>(0xc2, "KVM_ARM_VCPU_FINALIZE");

}  // namespace kvm::op::aarch64

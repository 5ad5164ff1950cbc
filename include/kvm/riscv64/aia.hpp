// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/device.hpp>
#include <kvm/types.hpp>

/// The attributes of RISC-V's interrupt architecture, a device of type riscv_aia. Order: create,
/// config, addresses, the vCPUs, ctrl_init; before the first run. Since 6.5.
namespace kvm::riscv64::aia {

/// KVM_DEV_RISCV_AIA_MODE_*.
enum class Mode : u32 { emul = 0, hwaccel = 1, automatic = 2 };

/// KVM_DEV_RISCV_AIA_GRP_CONFIG.
inline constexpr Attr<Mode> mode{0, 0, "KVM_DEV_RISCV_AIA_CONFIG_MODE"};
inline constexpr Attr<u32> ids{0, 1, "KVM_DEV_RISCV_AIA_CONFIG_IDS"};
inline constexpr Attr<u32> sources{0, 2, "KVM_DEV_RISCV_AIA_CONFIG_SRCS"};
inline constexpr Attr<u32> group_bits{0, 3, "KVM_DEV_RISCV_AIA_CONFIG_GROUP_BITS"};
inline constexpr Attr<u32> group_shift{0, 4, "KVM_DEV_RISCV_AIA_CONFIG_GROUP_SHIFT"};
inline constexpr Attr<u32> hart_bits{0, 5, "KVM_DEV_RISCV_AIA_CONFIG_HART_BITS"};
inline constexpr Attr<u32> guest_bits{0, 6, "KVM_DEV_RISCV_AIA_CONFIG_GUEST_BITS"};

/// KVM_DEV_RISCV_AIA_GRP_ADDR: guest-physical addresses, aligned to 4 KiB, of so many bytes.
inline constexpr u64 aplic_size = 0x4000;
inline constexpr u64 imsic_size = 0x1000;
inline constexpr Attr<u64> addr_aplic{1, 0, "KVM_DEV_RISCV_AIA_ADDR_APLIC"};
constexpr Attr<u64> addr_imsic(u64 vcpu) { return {1, 1 + vcpu, "KVM_DEV_RISCV_AIA_ADDR_IMSIC"}; }

/// KVM_DEV_RISCV_AIA_GRP_CTRL: KVM_DEV_RISCV_AIA_CTRL_INIT, without a value.
inline constexpr Attr<u64> ctrl_init{2, 0, "KVM_DEV_RISCV_AIA_CTRL_INIT"};
/// Makes the controller ready. KVM_SET_DEVICE_ATTR. Errors: EBUSY (it is), EINVAL (addresses
/// missing).
inline Result<void> init(const Device& device) { return device.set_attr(ctrl_init, 0); }

/// KVM_DEV_RISCV_AIA_GRP_APLIC: the APLIC's registers, by byte offset.
constexpr Attr<u32> aplic_reg(u64 offset) { return {3, offset, "KVM_DEV_RISCV_AIA_GRP_APLIC"}; }
/// KVM_DEV_RISCV_AIA_GRP_IMSIC: a register of a vCPU's IMSIC, by its indirect number.
constexpr Attr<u64> imsic_reg(u64 vcpu, u64 isel) {
    return {4, vcpu << 12 | isel, "KVM_DEV_RISCV_AIA_GRP_IMSIC"};
}

}  // namespace kvm::riscv64::aia

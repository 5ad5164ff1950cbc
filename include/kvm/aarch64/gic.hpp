// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/device.hpp>
#include <kvm/types.hpp>

/// The attributes of arm64's interrupt controllers, devices of type arm_vgic_v2, arm_vgic_v3 and
/// arm_vgic_its and arm_vgic_v5: Documentation/virt/kvm/devices/arm-vgic*.rst. Order: create,
/// addresses, nr_irqs, the vCPUs, ctrl_init; before the first run.
namespace kvm::aarch64::vgic {

/// KVM_DEV_ARM_VGIC_GRP_ADDR: guest-physical addresses. v2: 4 KiB-aligned; v3 and ITS: 64
/// KiB-aligned.
inline constexpr Attr<u64> v2_addr_dist{0, 0, "KVM_VGIC_V2_ADDR_TYPE_DIST"};
inline constexpr Attr<u64> v2_addr_cpu{0, 1, "KVM_VGIC_V2_ADDR_TYPE_CPU"};
inline constexpr Attr<u64> v3_addr_dist{0, 2, "KVM_VGIC_V3_ADDR_TYPE_DIST"};
inline constexpr Attr<u64> v3_addr_redist{0, 3, "KVM_VGIC_V3_ADDR_TYPE_REDIST"};
inline constexpr Attr<u64> its_addr{0, 4, "KVM_VGIC_ITS_ADDR_TYPE"};
/// A region of redistributors: count << 52 | address | flags << 12 | index.
inline constexpr Attr<u64> v3_addr_redist_region{0, 5, "KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION"};

/// Sizes of what is at those addresses, in bytes; a redistributor for each vCPU.
inline constexpr u64 v2_dist_size = 0x1000;
inline constexpr u64 v2_cpu_size = 0x2000;
inline constexpr u64 v3_dist_size = 0x10000;
inline constexpr u64 v3_redist_size = 0x20000;
inline constexpr u64 its_size = 0x20000;

/// KVM_DEV_ARM_VGIC_GRP_NR_IRQS: 64 to 1024, a multiple of 32; private ones included.
inline constexpr Attr<u32> nr_irqs{3, 0, "KVM_DEV_ARM_VGIC_GRP_NR_IRQS"};
/// KVM_DEV_ARM_VGIC_GRP_MAINT_IRQ: the PPI of nested guests' maintenance interrupt.
inline constexpr Attr<u32> maint_irq{9, 0, "KVM_DEV_ARM_VGIC_GRP_MAINT_IRQ"};

/// KVM_DEV_ARM_VGIC_GRP_CTRL: commands, without a value; see command().
inline constexpr Attr<u64> ctrl_init{4, 0, "KVM_DEV_ARM_VGIC_CTRL_INIT"};
inline constexpr Attr<u64> its_save_tables{4, 1, "KVM_DEV_ARM_ITS_SAVE_TABLES"};
inline constexpr Attr<u64> its_restore_tables{4, 2, "KVM_DEV_ARM_ITS_RESTORE_TABLES"};
inline constexpr Attr<u64> save_pending_tables{4, 3, "KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES"};
inline constexpr Attr<u64> its_ctrl_reset{4, 4, "KVM_DEV_ARM_ITS_CTRL_RESET"};

/// A bit for each of a GICv5's private interrupts.
struct PpiMask {
    u64 words[2];
};
/// KVM_DEV_ARM_VGIC_USERSPACE_PPIS: which of them Vm::irq_line() may drive; read only. Since 7.0.
inline constexpr Attr<PpiMask> userspace_ppis{4, 5, "KVM_DEV_ARM_VGIC_USERSPACE_PPIS"};

/// Gives a device a command. KVM_SET_DEVICE_ATTR. Errors: ENXIO, EBUSY, EFAULT (its tables),
/// ENODEV.
inline Result<void> command(const Device& device, Attr<u64> what) {
    return device.set_attr(what, 0);
}

/// Registers: KVM_DEV_ARM_VGIC_GRP_*, for saving and restoring. `cpu` is the vCPU's affinity (v3:
/// MPIDR as the ITS has it) or index (v2); `offset` the register's.
constexpr Attr<u32> dist_reg(u64 cpu, u32 offset) {
    return {1, cpu << 32 | offset, "KVM_DEV_ARM_VGIC_GRP_DIST_REGS"};
}
constexpr Attr<u32> cpu_reg(u64 cpu, u32 offset) {
    return {2, cpu << 32 | offset, "KVM_DEV_ARM_VGIC_GRP_CPU_REGS"};
}
constexpr Attr<u32> redist_reg(u64 cpu, u32 offset) {
    return {5, cpu << 32 | offset, "KVM_DEV_ARM_VGIC_GRP_REDIST_REGS"};
}
/// `instruction`: op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2.
constexpr Attr<u64> cpu_sysreg(u64 cpu, u32 instruction) {
    return {6, cpu << 32 | instruction, "KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS"};
}
/// The levels of 32 lines from `intid` on, a multiple of 32.
constexpr Attr<u32> level_info(u64 cpu, u32 intid) {
    return {7, cpu << 32 | intid, "KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO"};
}
constexpr Attr<u64> its_reg(u32 offset) { return {8, offset, "KVM_DEV_ARM_VGIC_GRP_ITS_REGS"}; }

}  // namespace kvm::aarch64::vgic

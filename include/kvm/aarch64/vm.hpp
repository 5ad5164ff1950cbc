// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cerrno>
#include <kvm/abi/aarch64_table.hpp>
#include <kvm/object.hpp>
#include <kvm/types.hpp>
#include <span>

namespace kvm::aarch64 {

/// What Vm::irq_line() takes with a GIC in the kernel: a shared peripheral interrupt, `intid` 32
/// and up.
constexpr Gsi spi(u32 intid) { return Gsi(1u << 24 | (intid & 0xffff)); }
/// A private peripheral interrupt of one vCPU, `intid` 16 to 31. Vcpu indexes beyond 255 need
/// cap::arm_irq_line_layout_2.
constexpr Gsi ppi(u32 vcpu, u32 intid) {
    return Gsi((vcpu >> 8 & 0xf) << 28 | 2u << 24 | (vcpu & 0xff) << 16 | (intid & 0xffff));
}
/// Without a GIC in the kernel: the IRQ (0) or FIQ (1) input of one vCPU.
constexpr Gsi cpu_line(u32 vcpu, u32 line) {
    return Gsi((vcpu >> 8 & 0xf) << 28 | (vcpu & 0xff) << 16 | (line & 1));
}

/// KVM_ARM_VM_SMCCC_FILTER: what becomes of the guest's SMC and HVC calls. Since 6.4.
inline constexpr Attr<SmcccFilter> smccc_filter{0, 0, "KVM_ARM_VM_SMCCC_FILTER"};

/// What a VM has on aarch64 beside the rest.
class VmOps : public kvm::detail::CheckExtension {
public:
    using CheckExtension::CheckExtension;

    /// What Vcpu::init() should be given on this host. KVM_ARM_PREFERRED_TARGET. Errors: ENODEV.
    Result<VcpuInit> preferred_target() const { return call(fd_, op::aarch64::preferred_target); }
    /// Where a device is in the guest's memory, the old way: `device` is arm_device_vgic_v2, `type`
    /// the number of vgic::v2_addr_dist or v2_addr_cpu. GICs made as devices take those attributes.
    /// KVM_ARM_SET_DEVICE_ADDR. Needs cap::arm_set_device_addr. Errors: ENODEV, EEXIST, E2BIG.
    Result<void> set_device_addr(u32 device, u32 type, Gpa address) const {
        return call(fd_, op::aarch64::set_device_addr,
                    DeviceAddr{u64(device) << 16 | type, address.value()});
    }
    /// Shifts the guest's counters, virtual and physical. KVM_ARM_SET_COUNTER_OFFSET. Needs
    /// cap::counter_offset. Since 6.4. Errors: EBUSY (a vCPU has run).
    Result<void> set_counter_offset(u64 offset) const {
        return call(fd_, op::aarch64::set_counter_offset, CounterOffset{offset, 0});
    }
    /// Which bits of the feature id registers may be written before the first run.
    /// KVM_ARM_GET_REG_WRITABLE_MASKS. Needs cap::arm_supported_reg_mask_ranges. Since 6.7.
    Result<void> reg_writable_masks(std::span<u64, reg_mask_count> masks) const {
        return call(fd_, op::aarch64::get_reg_writable_masks,
                    RegMaskRange{reinterpret_cast<u64>(masks.data()), 0, {}});
    }
    /// Copies memory tags, one byte per 16 bytes of guest memory from the page `address` on, from
    /// the guest; how many bytes of guest memory were done. KVM_ARM_MTE_COPY_TAGS. Needs
    /// cap::arm_mte. Since 5.14. Errors: EINVAL (alignment; tags for whole pages only), EFAULT.
    Result<u64> copy_mte_tags_from(Gpa address, std::span<u8> tags) const {
        return copy_mte_tags(address, tags.data(), tags.size(), MteTags::from_guest);
    }
    /// The same to the guest. KVM_ARM_MTE_COPY_TAGS. Needs cap::arm_mte. Since 5.14.
    Result<u64> copy_mte_tags_to(Gpa address, std::span<const u8> tags) const {
        return copy_mte_tags(address, const_cast<u8*>(tags.data()), tags.size(), MteTags::to_guest);
    }

    /// Whether the VM has the attribute; false too where VMs have none at all (before 6.4), which
    /// no capability tells. KVM_HAS_DEVICE_ATTR.
    template <class T>
    Result<bool> has_attr(Attr<T> attr) const {
        const auto has = kvm::detail::has_device_attr(fd_, attr);
        return !has && has.error().code == EINVAL ? Result<bool>(false) : has;
    }
    /// Changes the attribute. KVM_SET_DEVICE_ATTR. Errors: ENXIO (no such attribute), EINVAL (that,
    /// before 6.4; or the value), EBUSY (a vCPU has run), EEXIST.
    template <class T>
    Result<void> set_attr(Attr<T> attr, const std::type_identity_t<T>& value) const {
        return kvm::detail::set_device_attr(fd_, attr, value);
    }

private:
    Result<u64> copy_mte_tags(Gpa address, void* tags, std::size_t count, MteTags direction) const {
        const auto done = call(fd_, op::aarch64::mte_copy_tags,
                               CopyMteTags{address.value(), count * 16, tags, direction, {}});
        if (!done) {
            return std::unexpected(done.error());
        }
        return static_cast<u64>(*done);
    }
};

}  // namespace kvm::aarch64

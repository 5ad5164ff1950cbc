// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/object.hpp>
#include <kvm/x86_64/lists.hpp>

namespace kvm::x86_64 {

/// KVM_X86_XCOMP_GUEST_SUPP: the XSAVE components that guests may use.
inline constexpr Attr<u64> xcomp_guest_supp{0, 0, "KVM_X86_XCOMP_GUEST_SUPP"};

/// What /dev/kvm has on x86_64 beside the rest.
class KvmOps : public kvm::detail::CheckExtension {
public:
    using CheckExtension::CheckExtension;

    /// The CPUID leaves that host and KVM can give a guest. KVM_GET_SUPPORTED_CPUID. Needs
    /// cap::ext_cpuid. APIC ids and the like are this host CPU's: edit them for each vCPU.
    Result<CpuidList> supported_cpuid() const;
    /// The leaves that KVM can emulate, slowly. KVM_GET_EMULATED_CPUID. Needs cap::ext_emul_cpuid.
    Result<CpuidList> emulated_cpuid() const;
    /// The MSRs that a snapshot should hold. KVM_GET_MSR_INDEX_LIST.
    Result<MsrIndexList> msr_index_list() const;
    /// The MSRs that tell what the host can do. KVM_GET_MSR_FEATURE_INDEX_LIST. Needs
    /// cap::get_msr_features.
    Result<MsrIndexList> msr_feature_index_list() const;
    /// Fills in the data of feature MSRs. KVM_GET_MSRS. Needs cap::get_msr_features. Errors:
    /// `detail` is the index of the entry that the kernel does not know.
    Result<void> msrs(std::span<MsrEntry> entries) const { return detail::get_msrs(fd_, entries); }

    /// The CPUID leaves of Hyper-V's interface. KVM_GET_SUPPORTED_HV_CPUID. Needs
    /// cap::sys_hyperv_cpuid. Since 5.11.
    Result<CpuidList> supported_hv_cpuid() const { return kvm::detail::supported_hv_cpuid(fd_); }
    /// MCG_CAP as KVM can give it to guests. KVM_X86_GET_MCE_CAP_SUPPORTED. Needs cap::mce, whose
    /// value is the most banks.
    Result<u64> mce_cap_supported() const { return call(fd_, op::x86_64::get_mce_cap_supported); }

    /// Whether the system has the attribute. KVM_HAS_DEVICE_ATTR. Needs cap::sys_attributes.
    template <class T>
    Result<bool> has_attr(Attr<T> attr) const {
        return kvm::detail::has_device_attr(fd_, attr);
    }
    /// The attribute's value. KVM_GET_DEVICE_ATTR. Needs cap::sys_attributes. Errors: ENXIO.
    template <class T>
    Result<T> attr(Attr<T> attr) const {
        return kvm::detail::device_attr(fd_, attr);
    }
};

}  // namespace kvm::x86_64

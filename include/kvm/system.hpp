// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/vm.hpp>
#include KVM_ARCH_SYSTEM

namespace kvm {

/// /dev/kvm: what this host's KVM can do, and where VMs come from. Move-only. Every method may be
/// called from several threads at once.
class Kvm final : public arch::KvmOps {
public:
    /// KVM_API_VERSION: the only one there has ever been.
    static constexpr int api_version_expected = 12;

    /// Opens the device, close-on-exec, and checks that it is KVM. KVM_GET_API_VERSION.
    /// Errors: ENOENT (no such file: the kernel module is missing), EACCES (no permission), ENODEV
    /// (no hardware support), ENOTTY (the file is no KVM), EPROTO (`detail` is its API version, not
    /// 12).
    static Result<Kvm> open(const char* path = "/dev/kvm");
    /// Takes over an open descriptor, for instance one that a privileged process passed on.
    /// KVM_GET_API_VERSION. Errors: ENOTTY (it is no /dev/kvm), EPROTO; the descriptor is closed
    /// then.
    static Result<Kvm> adopt(Fd fd);

    /// 12. KVM_GET_API_VERSION.
    Result<int> api_version() const { return call(fd_, op::get_api_version); }
    /// How long a vCPU's mapping is, in bytes. KVM_GET_VCPU_MMAP_SIZE.
    Result<std::size_t> vcpu_mmap_size() const { return call(fd_, op::get_vcpu_mmap_size); }

    /// A virtual machine. KVM_CREATE_VM. Errors: EBUSY (another hypervisor has the CPU), EINVAL (a
    /// type that cap::vm_types lacks), ENOMEM, EMFILE.
    Result<Vm> create_vm(VmType type = VmType{}) const {
        long fd;
        do {
            fd = detail::raw_ioctl(fd_, op::create_vm.request, static_cast<u64>(type));
        } while (fd == -EINTR);  // any signal, a Kick's for instance, may cause it
        if (fd < 0) [[unlikely]] {
            return Result<Vm>(std::unexpect, op::create_vm.name, static_cast<int>(-fd));
        }
        return vm_of(Fd(static_cast<int>(fd)));
    }
    /// Takes over a VM's descriptor, for instance from another process; it is closed on failure.
    /// The tokens of its memory slots are their own Vm's: let one Vm alone have the slots of a VM,
    /// as another knows nothing of them. KVM_CREATE_DEVICE with KVM_CREATE_DEVICE_TEST, which other
    /// descriptors refuse; KVM_GET_VCPU_MMAP_SIZE. Errors: ENOTTY, EINVAL (not a VM).
    Result<Vm> adopt_vm(Fd fd) const;

private:
    explicit Kvm(Fd fd) : KvmOps(static_cast<Fd&&>(fd)) {}
    Result<Vm> vm_of(Fd fd) const {
        const long size = detail::raw_ioctl(fd_, op::get_vcpu_mmap_size.request, 0);
        if (size < 0) [[unlikely]] {
            return Result<Vm>(std::unexpect, op::get_vcpu_mmap_size.name, static_cast<int>(-size));
        }
        return Vm(static_cast<Fd&&>(fd), static_cast<std::size_t>(size));
    }
};

}  // namespace kvm

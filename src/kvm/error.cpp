// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <kvm/error.hpp>

namespace kvm {

namespace {

struct Cause {
    const char* what;
    int code;
    const char* text;
};

/// What the kernel means by an errno where the errno's own text does not say it.
constexpr Cause causes[] = {
    {"open /dev/kvm", ENOENT,
     "KVM's module is not loaded, or virtualisation is off in the firmware: modprobe kvm_intel or "
     "kvm_amd, or in a container pass --device /dev/kvm"},
    {"open /dev/kvm", EACCES, "this user may not use KVM: join group kvm and log in again"},
    {"open /dev/kvm", EPERM, "this user may not use KVM: join group kvm and log in again"},
    {"open /dev/kvm", ENODEV,
     "the CPU's virtualisation is missing or switched off in the firmware"},
    {"open /dev/kvm", ENXIO,
     "the device file is there, but no KVM module answers: modprobe kvm_intel or kvm_amd"},
    {"KVM_GET_API_VERSION", ENOTTY, "the file is not /dev/kvm"},
    {"KVM_GET_API_VERSION", EPROTO,
     "this is not KVM as Linux has had it since 2007 (API version 12)"},
    {"KVM_CREATE_VM", EBUSY, "another hypervisor has the CPU: stop VirtualBox or VMware"},
    {"KVM_CREATE_VM", EINVAL, "this KVM has no VMs of that type: see cap::vm_types"},
    {"KVM_CREATE_VM", EMFILE, "too many open files: raise ulimit -n"},
    {"KVM_CREATE_VCPU", EEXIST, "the VM has a vCPU of that id"},
    {"KVM_CREATE_VCPU", EINVAL,
     "the id is beyond cap::max_vcpu_id, or the VM is full (cap::max_vcpus)"},
    {"KVM_CREATE_VCPU", EMFILE, "too many open files: raise ulimit -n"},
    {"KVM_SET_USER_MEMORY_REGION", EEXIST, "the slot overlaps another, or is in use"},
    {"KVM_SET_USER_MEMORY_REGION", EINVAL,
     "address, size or memory is not page-aligned, the slot is beyond cap::nr_memslots, a live "
     "slot's size changes, or a flag is unknown"},
    {"KVM_SET_USER_MEMORY_REGION", EBADF, "the slot belongs to another VM, or was removed"},
    {"KVM_GET_DIRTY_LOG", EMSGSIZE, "the bitmap is shorter than Memslot::bitmap_words()"},
    {"KVM_GET_DIRTY_LOG", ENOENT, "the slot does not log: give it MemFlag::log_dirty_pages"},
    {"KVM_GET_DIRTY_LOG", ENXIO, "the VM has a dirty ring, which takes the bitmap's place"},
    {"KVM_CREATE_IRQCHIP", EEXIST, "the VM has interrupt controllers"},
    {"KVM_CREATE_IRQCHIP", EINVAL, "create_irqchip() must come before the vCPUs"},
    {"KVM_CREATE_PIT2", ENOENT, "create_irqchip() must come first"},
    {"KVM_IRQ_LINE", ENXIO, "the VM has no interrupt controller: create_irqchip()"},
    {"KVM_IRQFD", EBUSY, "the eventfd is wired to a GSI already"},
    {"KVM_IOEVENTFD", EEXIST, "the same address, length and value has an ioeventfd"},
    {"KVM_IOEVENTFD", ENOENT, "no ioeventfd has that address, length and value"},
    {"KVM_CREATE_DEVICE", ENODEV, "this KVM has no device of that type"},
    {"KVM_SET_CPUID2", EINVAL, "the vCPU has run: its CPUID may not change any more"},
    {"KVM_SET_CPUID2", E2BIG, "too many CPUID entries: this KVM takes 256"},
    {"KVM_SET_SREGS", EINVAL, "no CPU allows this combination of CR0, CR4, EFER and CS"},
    {"KVM_SET_MSRS", EINVAL, "the MSR is unknown, or refuses the value"},
    {"KVM_GET_MSRS", EINVAL, "the MSR is unknown"},
    {"KVM_GET_LAPIC", EINVAL, "the vCPU has no APIC in the kernel: create_irqchip()"},
    {"KVM_INTERRUPT", ENXIO,
     "the kernel has the interrupt controllers: use irq_line() or signal_msi()"},
    {"KVM_INTERRUPT", EEXIST, "an interrupt is pending: wait for exit::IrqWindowOpen"},
    {"KVM_SET_XSAVE", EMSGSIZE, "the guest's XSAVE area is longer: use xsave2()"},
    {"KVM_RUN", EFAULT, "the guest touched memory that its slot has and the host has not"},
    {"KVM_RUN", ENOEXEC, "the vCPU is not initialised"},
    {"KVM_RUN", EIO, "KVM marked the VM as broken"},
};

}  // namespace

const char* explain(const Error& error) {
    for (const auto& cause : causes) {
        if (cause.code == error.code && std::strcmp(cause.what, error.what) == 0) {
            return cause.text;
        }
    }
    switch (error.code) {
        case ENOTTY:
            return "this KVM, or this descriptor, does not know the call";
        case ENOSYS:
            return "this KVM does not have the call";
        default:
            return "";
    }
}

const char* describe(const Error& error, char* buffer, std::size_t size) {
    if (size == 0) {
        return buffer;
    }
    const char* text = strerrordesc_np(error.code);
    const char* cause = explain(error);
    char detail[24] = "";
    if (error.detail != 0) {
        std::snprintf(detail, sizeof detail, " [%u]", error.detail);
    }
    std::snprintf(buffer, size, "%s%s: %s (%d)%s%s", error.what, detail, text ? text : "error",
                  error.code, *cause ? ": " : "", cause);
    return buffer;
}

}  // namespace kvm

// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <kvm/error.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <kvm/abi/table.hpp>
#include <kvm/abi/x86_64_table.hpp>

namespace kvm {

namespace {

struct Cause {
    const char* what;
    int code;
    const char* text;
};

constexpr const char* open_device = "open /dev/kvm";  // Kvm::open()'s
constexpr const char* many_files = "too many open files: raise ulimit -n";
constexpr const char* bad_region =
    "a slot beyond cap::nr_memslots, an address, size or memory that is not page-aligned, a live slot "
    "whose size, memory or MemFlag::readonly would change, a slot to remove that is not there, or an "
    "unknown flag";
constexpr const char* overlap = "the guest has memory there already: slots may not overlap";
constexpr const char* foreign_slot = "the slot belongs to another VM, or was removed";
constexpr const char* no_irqchip = "the VM has no interrupt controllers: create_irqchip()";
constexpr const char* no_pit = "the VM has no timer: create_pit2()";
constexpr const char* no_apic = "the vCPU has no APIC in the kernel: create_irqchip() before it";
constexpr const char* bad_sregs =
    "no CPU of this guest allows this: a reserved or unknown bit in CR0, CR4 or EFER, PG without PE, "
    "long mode without PAE, or an APIC base out of range";
constexpr const char* no_attr = "there is no such attribute, or not on this host";
constexpr const char* full_bus = "the VM's bus is full: KVM takes 1000 devices and coalesced zones";
constexpr const char* bad_eventfd = "the eventfd's descriptor is closed";

/// What the kernel, or this library, means by an errno where the errno's own text does not say it.
constexpr Cause causes[] = {
    {open_device, ENOENT,
     "KVM's module is not loaded (modprobe kvm_intel or kvm_amd), virtualisation is off in the "
     "firmware, or a container was started without --device /dev/kvm"},
    {open_device, EACCES,
     "this user may not use KVM: join group kvm, or whichever the file has, and log in again"},
    {open_device, EPERM,
     "a device policy forbids it: start the container with --device /dev/kvm, the systemd service with "
     "DeviceAllow=/dev/kvm rw"},
    {open_device, ENODEV,
     "the file is there, but no KVM module answers it: modprobe kvm_intel or kvm_amd; if that fails, "
     "virtualisation is missing or off in the firmware"},
    {open_device, ENXIO,
     "the file is there, but no KVM module answers it: modprobe kvm_intel or kvm_amd"},
    {open_device, EISDIR, "it is a directory, not KVM's device file"},
    {op::get_api_version.name, ENOTTY, "the file is not KVM's device"},
    {op::get_api_version.name, EPROTO,
     "this is not KVM as Linux has had it since 2.6.22, API version 12"},

    // of /dev/kvm
    {op::create_vm.name, EBUSY, "another hypervisor has the CPU: stop VirtualBox or VMware"},
    {op::create_vm.name, EINVAL, "this KVM has no VMs of that type: see cap::vm_types"},
    {op::create_vm.name, EIO, "the CPU refuses to switch virtualisation on: see dmesg"},
    {op::x86_64::get_supported_cpuid.name, E2BIG, "the array is too short for all leaves"},
    {op::x86_64::get_emulated_cpuid.name, E2BIG, "the array is too short for all leaves"},
    {op::x86_64::get_msr_index_list.name, E2BIG, "the array is too short for all MSRs"},
    {op::x86_64::get_msr_feature_index_list.name, E2BIG, "the array is too short for all MSRs"},

    // of a VM: memory
    {op::set_user_memory_region.name, EEXIST, overlap},
    {op::set_user_memory_region.name, EINVAL, bad_region},
    {op::set_user_memory_region.name, EBADF, foreign_slot},
    {op::set_user_memory_region2.name, EEXIST, overlap},
    {op::set_user_memory_region2.name, EINVAL, bad_region},
    {op::set_user_memory_region2.name, EBADF,
     "the descriptor is no guest memory of this VM, or the slot belongs to another VM or was removed"},
    {op::get_dirty_log.name, EMSGSIZE, "the bitmap is shorter than Memslot::bitmap_words()"},
    {op::get_dirty_log.name, ENOENT, "the slot does not log: give it MemFlag::log_dirty_pages"},
    {op::get_dirty_log.name, ENXIO, "the VM has a dirty ring, which takes the bitmap's place"},
    {op::get_dirty_log.name, EBADF, foreign_slot},
    {op::clear_dirty_log.name, EMSGSIZE, "the bitmap is shorter than the pages"},
    {op::clear_dirty_log.name, ENOENT, "the slot does not log: give it MemFlag::log_dirty_pages"},
    {op::clear_dirty_log.name, ENXIO, "the VM has a dirty ring, which takes the bitmap's place"},
    {op::clear_dirty_log.name, EINVAL,
     "the first page is no multiple of 64, the number of pages is none either and ends before the "
     "slot does, or they go beyond it"},
    {op::clear_dirty_log.name, EBADF, foreign_slot},
    {op::reset_dirty_rings.name, EINVAL,
     "the VM has no dirty ring: enable cap::dirty_log_ring before the vCPUs"},
    {op::set_memory_attributes.name, EINVAL,
     "the range is not page-aligned or empty, or cap::memory_attributes lacks the attribute"},
    {op::create_guest_memfd.name, EINVAL,
     "the size is 0 or not page-aligned, or cap::guest_memfd_flags lacks a flag"},
    {op::x86_64::set_tss_addr.name, EINVAL, "the three pages do not fit below 4 GiB"},
    {op::x86_64::set_identity_map_addr.name, EINVAL, "it must come before the vCPUs"},

    // of a VM: interrupts and events
    {op::create_irqchip.name, EEXIST, "the VM has interrupt controllers already"},
    {op::create_irqchip.name, EINVAL, "it must come before the vCPUs"},
    {op::irq_line.name, ENXIO, no_irqchip},
    {op::irq_line_status.name, ENXIO, no_irqchip},
    {op::x86_64::get_irqchip.name, ENXIO, no_irqchip},
    {op::x86_64::set_irqchip.name, ENXIO, no_irqchip},
    {op::x86_64::create_pit2.name, EEXIST, "the VM has a timer already"},
    {op::x86_64::create_pit2.name, ENOENT, "create_irqchip() must come first"},
    {op::x86_64::get_pit2.name, ENXIO, no_pit},
    {op::x86_64::set_pit2.name, ENXIO, no_pit},
    {op::x86_64::get_pit.name, ENXIO, no_pit},
    {op::x86_64::set_pit.name, ENXIO, no_pit},
    {op::x86_64::reinject_control.name, ENXIO, no_pit},
    {op::set_gsi_routing.name, EINVAL,
     "the VM has no interrupt controllers, or there are more entries than cap::irq_routing, or an "
     "entry has a GSI, type, pin or flag that is none"},
    {op::signal_msi.name, EINVAL,
     "the VM has no interrupt controllers (create_irqchip() or cap::split_irqchip), or a flag is set "
     "without cap::msi_devid"},
    {op::irqfd.name, EINVAL,
     "the VM has no interrupt controllers, the descriptor is no eventfd, or a resample eventfd has no "
     "PIC and I/O APIC in the kernel to listen to"},
    {op::irqfd.name, EBUSY, "the eventfd is wired to a GSI already"},
    {op::irqfd.name, EBADF, bad_eventfd},
    {op::ioeventfd.name, EEXIST,
     "an ioeventfd has that address already, with the same length and value, or for any"},
    {op::ioeventfd.name, ENOENT, "no ioeventfd has that eventfd, address, length and value"},
    {op::ioeventfd.name, EINVAL,
     "the length is not 1, 2, 4 or 8 (or 0, for any, without a value), the address wraps, or the "
     "descriptor is no eventfd"},
    {op::ioeventfd.name, ENOSPC, full_bus},
    {op::ioeventfd.name, EBADF, bad_eventfd},
    {"mmap(coalesced ring)", EBUSY, "a CoalescedRing of this VM is alive: a VM has one ring"},
    {"mmap(dirty ring)", EBUSY, "this vCPU's ring was mapped before, and may be mapped once"},
    {op::register_coalesced_mmio.name, ENOSPC, full_bus},

    // of a VM: the rest
    {op::create_vcpu.name, EEXIST, "the VM has a vCPU of that id"},
    {op::create_vcpu.name, EINVAL,
     "the id is beyond cap::max_vcpu_id, or the VM is full (cap::max_vcpus)"},
    {op::create_device.name, ENODEV, "this KVM has no device of that type"},
    {op::create_device.name, EEXIST, "the VM has such a device, and only one may be"},
    {op::enable_cap.name, EINVAL,
     "this KVM lacks the capability, it belongs to another object, an argument is none of its, or it "
     "must come earlier: most do before the vCPUs"},
    {op::x86_64::set_boot_cpu_id.name, EBUSY, "it must come before the vCPUs"},
    {op::x86_64::set_clock.name, EINVAL, "cap::adjust_clock lacks a flag"},
    {op::x86_64::set_msr_filter.name, EINVAL,
     "a flag is unknown, or a range has more than 12288 MSRs"},
    {op::x86_64::memory_encrypt_op.name, ENOTTY, "this KVM, or this VM's type, has no SEV or TDX"},

    // of a vCPU
    {op::run.name, EFAULT,
     "the guest touched a slot whose memory the host does not have: unmapped, beyond the file's end, or "
     "not writable"},
    {op::run.name, ENOEXEC, "the vCPU has not been initialised: KVM_ARM_VCPU_INIT"},
    {op::run.name, EINVAL,
     "kvm_run asks for or brings registers that cap::sync_regs lacks, or that no CPU may have"},
    {"mmap(vcpu)", EPROTO, "KVM_GET_VCPU_MMAP_SIZE is too short for kvm_run: this is not KVM"},
    {op::x86_64::set_cpuid2.name, EINVAL,
     "the vCPU has run, and its CPUID may not change any more; or leaf 0x80000008 has an address "
     "width that is none"},
    {op::x86_64::set_cpuid2.name, E2BIG, "too many CPUID entries: KVM takes 256"},
    {op::x86_64::set_cpuid2.name, EPERM,
     "the leaves have a dynamic XSAVE feature (AMX) that this process has not asked for: "
     "arch_prctl(ARCH_REQ_XCOMP_GUEST_PERM) before the vCPUs"},
    {op::x86_64::set_sregs.name, EINVAL, bad_sregs},
    {op::x86_64::set_sregs2.name, EINVAL, bad_sregs},
    {op::x86_64::get_msrs.name, EINVAL, "the MSR is unknown to KVM, or to this guest's CPUID"},
    {op::x86_64::set_msrs.name, EINVAL,
     "the MSR is unknown to KVM, or to this guest's CPUID, or it refuses the value"},
    {op::x86_64::get_lapic.name, EINVAL, no_apic},
    {op::x86_64::set_lapic.name, EINVAL, no_apic},
    {op::x86_64::interrupt.name, ENXIO,
     "the kernel has the interrupt controllers: use irq_line(), signal_msi() or an irqfd"},
    {op::x86_64::interrupt.name, EEXIST, "an interrupt is pending: wait for exit::IrqWindowOpen"},
    {op::set_mp_state.name, EINVAL,
     "no state of this architecture; on x86_64 all but runnable want the APIC in the kernel"},
    {op::x86_64::set_vcpu_events.name, EINVAL,
     "an unknown flag, one whose capability is not enabled, or no exception of that number"},
    {op::x86_64::set_debugregs.name, EINVAL,
     "the upper halves of DR6 and DR7, and flags, must be 0"},
    {op::x86_64::set_guest_debug.name, EBUSY,
     "an exception is pending in the guest: run it before GuestDebugFlag::inject_db or inject_bp"},
    {op::x86_64::set_guest_debug.name, EINVAL,
     "cap::set_guest_debug2 lacks a flag, or the guest's state is encrypted"},
    {op::x86_64::set_xcrs.name, EINVAL,
     "the guest's CPUID leaf 0xd lacks a bit of XCR0, or bit 0 is 0"},
    {op::x86_64::get_xsave.name, EINVAL,
     "the guest's XSAVE area is longer than 4096 bytes: xsave2()"},
    {op::x86_64::set_xsave.name, EMSGSIZE,
     "the area is shorter than the guest's, whose length is cap::xsave2: use xsave2()"},
    {op::x86_64::set_xsave.name, EINVAL,
     "the header has a component that the guest's CPUID lacks, or MXCSR a reserved bit"},
    {op::x86_64::set_tsc_khz.name, EINVAL,
     "the host cannot scale the TSC to that (see cap::tsc_control), or, of a VM, there is a vCPU"},
    {op::x86_64::kvmclock_ctrl.name, EINVAL, "the guest does not use kvmclock"},
    {op::get_one_reg.name, ENOENT, "this vCPU has no such register"},
    {op::set_one_reg.name, ENOENT, "this vCPU has no such register"},
    {op::get_one_reg.name, EMSGSIZE, "the register has another length than the value"},
    {op::set_one_reg.name, EMSGSIZE, "the register has another length than the value"},

    // of this library
    {"eventfd read", EPROTO, "the descriptor is no eventfd"},
    {"eventfd write", EPROTO, "the descriptor is no eventfd"},
    {"kvm::install_kick_handler", EBUSY, "the program has a handler of its own for this signal"},
};

/// Operations whose errors always have a number: the first slot, entry or vCPU is 0.
constexpr const char* numbered[] = {
    op::set_user_memory_region.name,
    op::set_user_memory_region2.name,
    op::get_dirty_log.name,
    op::clear_dirty_log.name,
    op::create_vcpu.name,
    op::x86_64::get_msrs.name,
    op::x86_64::set_msrs.name,
};

bool has_number(const Error& error) {
    return error.detail != 0 || std::ranges::any_of(numbered, [&](const char* name) {
               return std::strcmp(name, error.what) == 0;
           });
}

consteval bool each_is_told_once() {
    for (const Cause& a : causes) {
        for (const Cause& b : causes) {
            if (&a != &b && a.code == b.code && __builtin_strcmp(a.what, b.what) == 0) {
                return false;
            }
        }
    }
    return true;
}
static_assert(each_is_told_once());

/// What an errno means whichever call it comes from; `kvm_call` if that is an ioctl.
const char* explain_any(int code, bool kvm_call) {
    switch (code) {
        case EMFILE:
            return many_files;
        case ENFILE:
            return "the whole system has too many open files: raise sysctl fs.file-max";
        case ENOSYS:
            return "this kernel does not have the call";
        case ENOTTY:
            return kvm_call ? "this KVM, or this kind of descriptor, does not know the call" : "";
        case ENXIO:
            return kvm_call ? no_attr : "";
        case EIO:
            return kvm_call
                       ? "the VM belongs to another process (was it used after fork?), or KVM gave "
                         "it up after an error of its own: see dmesg"
                       : "";
        default:
            return "";
    }
}

}  // namespace

const char* explain(const Error& error) {
    for (const Cause& cause : causes) {
        if (cause.code == error.code && std::strcmp(cause.what, error.what) == 0) {
            return cause.text;
        }
    }
    return explain_any(error.code, std::strncmp(error.what, "KVM_", 4) == 0);
}

const char* describe(const Error& error, char* buffer, std::size_t size) {
    if (size == 0) {
        return buffer;
    }
    const char* text = strerrordesc_np(error.code);
    const char* cause = explain(error);
    char detail[24] = "";
    if (has_number(error)) {
        std::snprintf(detail, sizeof detail, " [%u]", error.detail);
    }
    std::snprintf(buffer, size, "%s%s: %s (%d)%s%s", error.what, detail, text ? text : "error",
                  error.code, *cause ? ": " : "", cause);
    return buffer;
}

}  // namespace kvm

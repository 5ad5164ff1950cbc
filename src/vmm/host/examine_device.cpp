// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <kvm/system.hpp>

#include "checks.hpp"

/// The way to an open /dev/kvm: the module, the device file, the permission, the version.
namespace vmm::host {

namespace {

enum class Vendor { intel, amd, other };

Vendor vendor(const Report& report) {
    const std::string name = report.cpu ? report.cpu->vendor : "";
    if (name == "GenuineIntel" || name == "CentaurHauls" || name == "  Shanghai  ") {
        return Vendor::intel;
    }
    return name == "AuthenticAMD" || name == "HygonGenuine" ? Vendor::amd : Vendor::other;
}

/// The module that drives this CPU.
std::string module_name(const Report& report) {
    switch (vendor(report)) {
        case Vendor::intel:
            return "kvm_intel";
        case Vendor::amd:
            return "kvm_amd";
        case Vendor::other:
            break;
    }
    return "kvm_intel or kvm_amd";
}

std::string firmware_switch(const Report& report) {
    switch (vendor(report)) {
        case Vendor::intel:
            return "Intel VT-x (VMX)";
        case Vendor::amd:
            return "AMD-V (SVM)";
        case Vendor::other:
            break;
    }
    return "virtualisation (VT-x, AMD-V)";
}

/// Where the CPU shows no sign of hardware virtualisation: who could switch it on. Only a hint.
std::string missing_hardware(const Report& report) {
    if (!report.cpu || report.cpu->flags.empty() || report.cpu->has("vmx") ||
        report.cpu->has("svm")) {
        return {};
    }
    if (report.cpu->has("hypervisor")) {
        return "; this host is itself a virtual machine whose CPU shows no hardware virtualisation: "
               "switch nested virtualisation on where it is run (QEMU: -cpu host; a cloud: an "
               "instance type that offers it, or bare metal)";
    }
    return fmt::format(
        "; the CPU shows no hardware virtualisation: switch {} on in the firmware (BIOS) setup",
        firmware_switch(report));
}

std::string owner(const DeviceFile& device) {
    return fmt::format(
        "mode {:04o}, user {}, group {}", device.mode, device.owner,
        device.group_name.empty() ? std::to_string(device.group) : device.group_name);
}

std::string user(const Report& report) {
    return report.process.user_name.empty() ? fmt::format("user {}", report.process.user)
                                            : report.process.user_name;
}

/// KVM_MINOR of linux/miscdevice.h, of misc's major number.
bool kvm_number(const DeviceFile& device) {
    return device.major_number == 10 && device.minor_number == 232;
}

std::string other_number(const DeviceFile& device) {
    return fmt::format(
        "the usual path is /dev/kvm, a device with the number 10, 232; this has {}, {}",
        device.major_number, device.minor_number);
}

/// How a user gets past the file's permission bits.
std::string remedy_permission(const Report& report) {
    const DeviceFile& device = report.device;
    const std::string acl =
        fmt::format("as root: setfacl -m u:{}:rw {}", report.process.user, device.path);
    const bool group_may = (device.mode & 0060) == 0060;
    if (!group_may || device.group_name.empty() || device.group == 0) {
        return fmt::format(
            "as root: {0}chgrp kvm {1} && chmod 660 {1}, and for this user usermod -aG kvm {2} (then "
            "log in again); or only for now, {3}",
            device.kvm_group_exists ? "" : "groupadd --system kvm && ", device.path, user(report),
            acl);
    }
    if (device.in_group) {
        return fmt::format(
            "this user has group {}, so something else forbids it: an ACL (getfacl "
            "{}) or a security module (dmesg)",
            device.group_name, device.path);
    }
    if (device.listed_in_group) {
        return fmt::format(
            "{} is listed in group {}, but this session began before: log in again, "
            "or use newgrp {}",
            user(report), device.group_name, device.group_name);
    }
    return fmt::format(
        "join group {0}, as root: usermod -aG {0} {1}, then log in again; or only "
        "for now, {2}",
        device.group_name, user(report), acl);
}

Finding permission_denied(const Report& report) {
    const DeviceFile& device = report.device;
    Finding finding{
        "permission",
        Verdict::fail,
        fmt::format("{} may not open {} ({})", user(report), device.path, owner(device)),
        {}};
    if (device.on_nodev_mount) {
        finding.text += "; its file system is mounted nodev, where no device opens";
        finding.remedy = "use the host's own /dev, in a container --device /dev/kvm";
    } else if (device.open_error == EPERM) {
        finding.text += "; a device policy forbids it, not the file's mode";
        finding.remedy =
            "in a container pass --device /dev/kvm (docker, podman), in a systemd service "
            "DeviceAllow=/dev/kvm rw";
    } else if (report.process.user == 0) {
        finding.text += ", though it is root: of a user namespace, or a security module forbids it";
        finding.remedy =
            "give the container the device and its group (podman: --device /dev/kvm "
            "--group-add keep-groups), or look into dmesg";
    } else {
        finding.remedy = remedy_permission(report);
    }
    return finding;
}

}  // namespace

std::string load_module(const Report& report) {
    if (const Module* driver = report.driver()) {
        return fmt::format("dmesg tells why {} offers no device{}", driver->name,
                           missing_hardware(report));
    }
    if (!report.process.container.empty()) {
        return "in a container the device must come from outside: docker or podman run --device "
               "/dev/kvm; and outside, the module must be loaded: modprobe " +
               module_name(report) + missing_hardware(report);
    }
    if (report.module_files && report.module_files->empty()) {
        return fmt::format(
            "this kernel, {}, comes without KVM's modules: install its package of "
            "modules (Debian: linux-image-amd64, Ubuntu: linux-modules-extra), or "
            "another kernel",
            report.kernel.release);
    }
    return fmt::format("load the module, as root: modprobe {}{}", module_name(report),
                       missing_hardware(report));
}

Finding check_device(const Report& report) {
    const DeviceFile& device = report.device;
    const char* const check = "device";
    if (device.stat_error == ENOENT || device.stat_error == ENOTDIR) {
        std::string remedy;
        if (device.path != "/dev/kvm") {
            remedy = "the usual path is /dev/kvm";
        } else if (report.device_registered) {
            remedy =
                "KVM is there, only the file is missing: as root, mknod -m 660 /dev/kvm c 10 232; or "
                "in a container pass --device /dev/kvm";
        } else {
            remedy = load_module(report);
        }
        return {check, Verdict::fail, fmt::format("there is no {}", device.path), remedy};
    }
    if (device.stat_error != 0) {
        return {check, Verdict::fail,
                fmt::format("{}: {}", device.path, std::strerror(device.stat_error)),
                "the directories above it must be searchable by this user"};
    }
    if (!device.character_device) {
        return {check, Verdict::fail, fmt::format("{} is no device", device.path),
                "the usual path is /dev/kvm; if that is a plain file, remove it and load KVM's "
                "module again"};
    }
    return {check, Verdict::ok, fmt::format("{} is there ({})", device.path, owner(device)), {}};
}

Finding check_permission(const Report& report) {
    const DeviceFile& device = report.device;
    const char* const check = "permission";
    if (device.opened) {
        return {check, Verdict::ok, fmt::format("{} may open {}", user(report), device.path), {}};
    }
    switch (device.open_error) {
        case EACCES:
        case EPERM:
            return permission_denied(report);
        case ENODEV:
        case ENXIO:
            return {check, Verdict::fail,
                    fmt::format("{} is there, but no driver answers it", device.path),
                    kvm_number(device) ? load_module(report) : other_number(device)};
        case EMFILE:
        case ENFILE:
            return {check, Verdict::fail, device.open_text, "raise the limit: ulimit -n 4096"};
        default:
            return {check, Verdict::fail, device.open_text, {}};
    }
}

Finding check_module(const Report& report) {
    const char* const check = "module";
    if (const Module* driver = report.driver()) {
        const std::string text = fmt::format("{} is {}", driver->name,
                                             driver->built_in ? "built into the kernel" : "loaded");
        if (report.kvm || report.device_registered) {
            return {check, Verdict::ok, text, {}};
        }
        return {check, Verdict::fail, text + ", but has found no CPU that it can use",
                load_module(report)};
    }
    if (report.kvm) {
        return {check,
                Verdict::note,
                report.modules ? "KVM answers, though no module kvm_* is seen"
                               : fmt::format("KVM answers; which module it is cannot be seen: {}",
                                             report.modules.why),
                {}};
    }
    if (!report.modules) {
        return {
            check, Verdict::warn,
            fmt::format("whether KVM's module is loaded cannot be seen: {}", report.modules.why),
            "mount /sys"};
    }
    const std::string what =
        report.module("kvm")
            ? "kvm is loaded, but none that drives the hardware: " + module_name(report) +
                  " is missing"
            : "KVM's module is not loaded: " + module_name(report);
    return {check, Verdict::fail, what, load_module(report)};
}

Finding check_api(const Report& report) {
    const char* const check = "api";
    if (report.kvm) {
        return {check, Verdict::ok, fmt::format("KVM API version {}", report.kvm->api_version), {}};
    }
    if (report.device.open_error == ENOTTY) {
        return {check, Verdict::fail, fmt::format("{} is not KVM", report.device.path),
                kvm_number(report.device)
                    ? "something else has taken KVM's device number: see /proc/misc"
                    : other_number(report.device)};
    }
    return {check, Verdict::fail,
            fmt::format("{}: {}", report.device.path, report.device.open_text),
            fmt::format("kvmxx needs API version {}, which Linux has had since 2.6.22",
                        kvm::Kvm::api_version_expected)};
}

}  // namespace vmm::host

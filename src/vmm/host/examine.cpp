// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <vmm/host/examine.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "checks.hpp"

namespace vmm::host {

namespace {

namespace cap = kvm::cap;

/// What `kvmxx run` and the toolkit's machines cannot do without, on x86_64.
constexpr cap::Any needed[] = {
    cap::user_memory, cap::irqchip,   cap::pit2,           cap::irqfd,
    cap::ioeventfd,   cap::ext_cpuid, cap::immediate_exit, cap::set_tss_addr,
    cap::irq_routing, cap::mp_state,  cap::vcpu_events,    cap::set_identity_map_addr,
};

/// What makes guests better: faster, debuggable, or able to be saved.
constexpr cap::Any wanted[] = {
    cap::clocksource,          cap::tsc_deadline_timer, cap::irqfd_resample, cap::signal_msi,
    cap::readonly_mem,         cap::set_guest_debug,    cap::adjust_clock,   cap::xsave,
    cap::ioeventfd_any_length,
};

std::string missing(const Kvm& kvm, std::span<const cap::Any> capabilities) {
    std::string names;
    for (const cap::Any& capability : capabilities) {
        if (kvm.value(capability.number) <= 0) {
            names += names.empty() ? "" : ", ";
            names += capability.name;
        }
    }
    return names;
}

std::string kernel_too_old(const Report& report) {
    return fmt::format("use a newer kernel than {}", report.kernel.release);
}

Finding check_vm(const Report& report) {
    const char* const check = "vm";
    if (report.kvm->vm_error.empty()) {
        return {check, Verdict::ok, "a VM can be made", {}};
    }
    std::string remedy;
    for (const std::string& rival : report.rivals) {
        remedy += fmt::format("{}end the machines of {}, then as root: modprobe -r {}",
                              remedy.empty() ? "" : "; ",
                              rival == "vmmon" ? "VMware" : "VirtualBox", rival);
    }
    return {check, Verdict::fail, report.kvm->vm_error, remedy};
}

Finding check_needed(const Report& report) {
    const char* const check = "capabilities";
    const std::string names = missing(*report.kvm, needed);
    if (names.empty()) {
        return {check,
                Verdict::ok,
                fmt::format("KVM has the {} capabilities that guests need", std::size(needed)),
                {}};
    }
    return {check, Verdict::fail, "KVM lacks what guests need: " + names, kernel_too_old(report)};
}

Finding check_wanted(const Report& report) {
    const char* const check = "wanted_capabilities";
    const std::string names = missing(*report.kvm, wanted);
    if (names.empty()) {
        return {check,
                Verdict::ok,
                fmt::format("and the {} that they gain from", std::size(wanted)),
                {}};
    }
    return {check, Verdict::warn, "KVM lacks what guests gain from: " + names,
            kernel_too_old(report)};
}

Finding check_kernel_mode(const Report& report) {
    const char* const check = "kernel_mode";
    const auto& speed = report.kvm->kernel_mode;
    if (!speed) {
        return {check,
                Verdict::warn,
                "whether a guest's kernel mode runs natively is unknown: " + speed.why,
                {}};
    }
    const double millions = speed->instructions_per_second / 1e6;
    if (speed->mode == KernelMode::native) {
        return {check,
                Verdict::ok,
                fmt::format("a guest's kernel mode runs natively ({:.0f} million instructions/s)",
                            millions),
                {}};
    }
    return {
        check, Verdict::warn,
        fmt::format("a guest's kernel mode is interpreted ({:.1f} million instructions/s): small "
                    "guests run, Linux takes too long",
                    millions),
        "use a host with hardware virtualisation; or boot Linux in the lab, an emulated machine "
        "with AMD-V: tools/lab of kvmxx's sources, which ./run takes by itself"};
}

Finding check_paging(const Report& report) {
    const Module* driver = report.driver();
    for (const char* name : {"npt", "ept"}) {
        const std::string* value = driver ? driver->parameter(name) : nullptr;
        if (value && (*value == "N" || *value == "0")) {
            return {
                "paging", Verdict::warn,
                fmt::format("{}.{} is off: the guest's page tables are shadowed, which is slow",
                            driver->name, name),
                fmt::format("as root: modprobe -r {0} && modprobe {0} {1}=1", driver->name, name)};
        }
        if (value) {
            return {"paging",
                    Verdict::ok,
                    fmt::format("{}.{} is on: the CPU walks the guest's page tables", driver->name,
                                name),
                    {}};
        }
    }
    return {"paging", Verdict::note, "the module does not say how guests are paged", {}};
}

Finding check_nested(const Report& report) {
    const Module* driver = report.driver();
    const std::string* value = driver ? driver->parameter("nested") : nullptr;
    const std::string host = report.cpu && report.cpu->has("hypervisor")
                                 ? "; this host is itself a virtual machine: exits cost more here"
                                 : "";
    if (!value) {
        return {"nested", Verdict::note, "guests have no KVM of their own" + host, {}};
    }
    if (*value == "N" || *value == "0") {
        return {
            "nested", Verdict::note,
            fmt::format("guests have no KVM of their own: {}.nested is off", driver->name) + host,
            fmt::format("if they should, as root: modprobe -r {0} && modprobe {0} nested=1",
                        driver->name)};
    }
    return {"nested", Verdict::ok, "guests may have KVM of their own" + host, {}};
}

Finding check_memory(const Report& report) {
    constexpr std::uint64_t guest = std::uint64_t(512) << 20;
    const char* const check = "memory";
    if (!report.memory) {
        return {
            check, Verdict::note, "how much memory is free is unknown: " + report.memory.why, {}};
    }
    const std::uint64_t limit = report.process.address_space;
    if (limit < 2 * guest) {
        return {check, Verdict::warn, fmt::format("this process may map only {} MiB", limit >> 20),
                "ulimit -v unlimited, or give guests less with --memory"};
    }
    const std::uint64_t available = report.memory->available >> 20;
    if (report.memory->available < guest) {
        return {check, Verdict::warn, fmt::format("only {} MiB of memory are free", available),
                "end other programs, or give guests less with --memory"};
    }
    return {check,
            Verdict::ok,
            fmt::format("{} of {} MiB of memory are free", available, report.memory->total >> 20),
            {}};
}

Finding check_open_files(const Report& report) {
    const char* const check = "open_files";
    constexpr std::uint64_t enough = 256;
    const std::uint64_t limit = report.process.open_files;
    const std::string text = limit == ~std::uint64_t(0)
                                 ? "no limit on open files"
                                 : fmt::format("{} files may be open", limit);
    if (limit >= enough) {
        return {check, Verdict::ok, text, {}};
    }
    return {check, Verdict::warn, text + ": each vCPU and each device needs some",
            report.process.open_files_hard >= enough
                ? fmt::format("ulimit -n {}",
                              std::min<std::uint64_t>(report.process.open_files_hard, 4096))
                : "as root, raise nofile in /etc/security/limits.conf"};
}

}  // namespace

const char* name(Verdict verdict) {
    switch (verdict) {
        case Verdict::ok:
            return "ok";
        case Verdict::note:
            return "note";
        case Verdict::warn:
            return "warn";
        case Verdict::fail:
            break;
    }
    return "FAIL";
}

std::vector<Finding> examine(const Report& report) {
    std::vector<Finding> findings;
    const auto add = [&findings](Finding finding) {
        findings.push_back(std::move(finding));
        return findings.back().verdict != Verdict::fail;
    };
    const bool open = add(check_device(report)) && add(check_permission(report));
    add(check_module(report));
    if (open && add(check_api(report)) && add(check_vm(report))) {
        if (add(check_needed(report))) {
            add(check_wanted(report));
        }
        add(check_kernel_mode(report));
        add(check_paging(report));
        add(check_nested(report));
    }
    add(check_memory(report));
    add(check_open_files(report));
    if (!report.process.container.empty()) {
        add({"container", Verdict::note,
             fmt::format("this is a container ({})", report.process.container),
             report.device.stat_error == 0 ? "" : "it needs --device /dev/kvm from outside"});
    }
    return findings;
}

Verdict worst(const std::vector<Finding>& findings) {
    Verdict verdict = Verdict::ok;
    for (const Finding& finding : findings) {
        verdict = std::max(verdict, finding.verdict);
    }
    return verdict;
}

}  // namespace vmm::host

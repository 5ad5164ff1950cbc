// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "info_text.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace kvmxx {

using vmm::host::Capability;
using vmm::host::Found;
using vmm::host::Report;

Style::Style() {
    const char* no_color = std::getenv("NO_COLOR");
    const char* terminal = std::getenv("TERM");
    colour_ = ::isatty(STDOUT_FILENO) == 1 && !(no_color && *no_color) && terminal &&
              std::strcmp(terminal, "dumb") != 0;
}

std::string Style::wrap(const char* code, const std::string& text) const {
    return colour_ ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : text;
}

void add_probe_options(CLI::App& verb, vmm::host::ProbeOptions& options) {
    verb.add_option("--device", options.device, "KVM's device file")
        ->capture_default_str()
        ->check([](const std::string& path) {
            return std::string(path.empty() ? "needs a path" : "");
        });
    verb.add_option("--root", options.root, "Read /proc, /sys, /run and /lib below this")
        ->group("");
}

std::string first_failure(const std::vector<vmm::host::Finding>& findings) {
    for (const auto& finding : findings) {
        if (finding.verdict == vmm::host::Verdict::fail) {
            return finding.remedy.empty() ? finding.text : finding.text + ": " + finding.remedy;
        }
    }
    return {};
}

void print(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

void print(const Json& json) { print(json_text(json, 2) + "\n"); }

namespace {

/// Lines of "  name   value".
class Sheet {
public:
    explicit Sheet(const Style& style) : style_(style) {}

    void title(const std::string& text) {
        text_ += fmt::format("{}{}\n", text_.empty() ? "" : "\n", style_.bold(text));
    }
    void line(const char* name, const std::string& value) {
        text_ += fmt::format("  {:<18}{}\n", name, value);
    }
    void raw(const std::string& line) { text_ += line + "\n"; }
    template <class T>
    void fact(const char* name, const Found<T>& found, const char* unit) {
        line(name, found ? fmt::format("{}{}", *found, unit) : unknown(found.why));
    }
    std::string unknown(const std::string& why) const { return style_.dim("? " + why); }
    const Style& style() const { return style_; }
    std::string take() { return std::move(text_); }

private:
    const Style& style_;
    std::string text_;
};

/// Parameters that tell what guests get; the others are in --json.
constexpr std::string_view telling_parameters[] = {
    "nested",      "npt",           "ept",     "unrestricted_guest",
    "avic",        "enable_apicv",  "sev",     "sev_es",
    "sev_snp",     "tdx",           "tdp_mmu", "halt_poll_ns",
    "enable_pmu",  "vgif",          "vpid",    "pml",
    "ignore_msrs", "nx_huge_pages",
};

std::string parameters(const vmm::host::Module& module) {
    std::string text;
    for (const auto& parameter : module.parameters) {
        for (const std::string_view name : telling_parameters) {
            if (name == parameter.name && parameter.value) {
                text += fmt::format(" {}={}", name, *parameter.value);
            }
        }
    }
    return text;
}

void add_host(Sheet& sheet, const Report& report) {
    sheet.title("Host");
    sheet.line("kernel", fmt::format("{} {} {}", report.kernel.release, report.kernel.machine,
                                     report.kernel.version));
    if (report.cpu) {
        const auto& cpu = *report.cpu;
        sheet.line("CPU", fmt::format("{} ({}), {} online", cpu.model, cpu.vendor, cpu.count));
        sheet.line("CPU flags",
                   fmt::format("vmx {}, svm {}, hypervisor {}", cpu.has("vmx") ? "yes" : "no",
                               cpu.has("svm") ? "yes" : "no",
                               cpu.has("hypervisor") ? "yes (a virtual machine)" : "no"));
    } else {
        sheet.line("CPU", sheet.unknown(report.cpu.why));
    }
    if (!report.modules) {
        sheet.line("modules", sheet.unknown(report.modules.why));
    } else if (report.modules->empty()) {
        sheet.line("modules", "none of KVM's is loaded");
    } else {
        for (const auto& module : *report.modules) {
            sheet.line("module",
                       fmt::format("{} ({}){}", module.name,
                                   module.built_in ? "built in" : "loaded", parameters(module)));
        }
    }
    const auto& device = report.device;
    sheet.line(
        "device",
        device.stat_error == 0
            ? fmt::format(
                  "{} (mode {:04o}, user {}, group {})", device.path, device.mode, device.owner,
                  device.group_name.empty() ? std::to_string(device.group) : device.group_name)
            : fmt::format("{}: {}", device.path, std::strerror(device.stat_error)));
    if (!report.process.container.empty()) {
        sheet.line("container", report.process.container);
    }
}

void add_kvm(Sheet& sheet, const vmm::host::Kvm& kvm) {
    namespace cap = kvm::cap;
    sheet.title("KVM");
    sheet.line("API version", std::to_string(kvm.api_version));
    if (!kvm.vm_error.empty()) {
        sheet.line("VMs", sheet.style().red("none: " + kvm.vm_error));
    }
    sheet.line("vCPUs",
               fmt::format("at most {}, recommended {}, ids below {}", kvm.value(cap::max_vcpus),
                           kvm.value(cap::nr_vcpus), kvm.value(cap::max_vcpu_id)));
    sheet.line("memory slots", std::to_string(kvm.value(cap::nr_memslots)));
    sheet.fact("vCPU mapping", kvm.vcpu_mmap_size, " bytes");
    sheet.fact("CPUID, supported", kvm.supported_cpuid, " entries");
    sheet.fact("CPUID, emulated", kvm.emulated_cpuid, " entries");
    sheet.fact("MSRs to save", kvm.msrs, "");
    sheet.fact("feature MSRs", kvm.feature_msrs, "");
}

void add_guest_execution(Sheet& sheet, const vmm::host::Kvm& kvm) {
    sheet.title("Guest execution");
    if (const auto& speed = kvm.kernel_mode) {
        const bool native = speed->mode == vmm::host::KernelMode::native;
        const std::string mode =
            native ? sheet.style().green("native") : sheet.style().yellow("interpreted");
        sheet.line("kernel mode", fmt::format("{} ({:.1f} million instructions/s)", mode,
                                              speed->instructions_per_second / 1e6));
    } else {
        sheet.line("kernel mode", sheet.unknown(speed.why));
    }
    if (const auto& latency = kvm.exit_latency) {
        sheet.line("exit latency", fmt::format("{} ns at least, {} ns median, of {} exits",
                                               latency->min, latency->median, latency->exits));
    } else {
        sheet.line("exit latency", sheet.unknown(latency.why));
    }
}

/// Words in lines of at most 100 columns: the first begins at `column`, the others at `indent`.
std::vector<std::string> wrap(const std::vector<std::string>& words, std::size_t column,
                              std::size_t indent) {
    std::vector<std::string> lines(1);
    for (const std::string& word : words) {
        const std::size_t start = lines.size() == 1 ? column : indent;
        if (!lines.back().empty() && start + lines.back().size() + word.size() + 1 > 100) {
            lines.emplace_back();
        }
        lines.back() += (lines.back().empty() ? "" : " ") + word;
    }
    return lines;
}

/// "yes", "4096", "0x7".
std::string value_text(const Capability& capability, int value) {
    switch (capability.kind) {
        case kvm::cap::Kind::flag:
            return value == 0 ? "no" : value == 1 ? "yes" : fmt::format("yes ({})", value);
        case kvm::cap::Kind::count:
            return std::to_string(value);
        case kvm::cap::Kind::mask:
            break;
    }
    return fmt::format("{:#x}", static_cast<unsigned>(value));
}

/// Whether a capability belongs to an architecture that this host does not have.
bool foreign(const Capability& capability) {
    const std::string_view name = capability.name;
    for (const std::string_view prefix :
         {"S390_", "PPC_", "SPAPR_", "ARM_", "MIPS_", "RISCV_", "IRQ_MPIC", "IRQ_XICS", "SW_TLB"}) {
        if (name.starts_with(prefix)) {
            return true;
        }
    }
    return false;
}

void add_capability(Sheet& sheet, const Capability& capability) {
    const std::string start = fmt::format("  {:>3}  {:<30}", capability.number, capability.name);
    const auto& value = capability.value();
    if (!value) {
        sheet.raw(start + sheet.unknown(value.why));
        return;
    }
    std::vector<std::string> parts = vmm::host::words(capability.number, *value);
    parts.insert(parts.begin(), value_text(capability, *value));
    if (capability.vm && capability.system && *capability.system != *capability.vm) {
        parts.push_back(fmt::format("(/dev/kvm: {})", value_text(capability, *capability.system)));
    }
    const auto lines = wrap(parts, start.size(), start.size());
    const std::string first = start + lines.front();
    sheet.raw(*value == 0 ? sheet.style().dim(first) : first);
    for (std::size_t i = 1; i < lines.size(); ++i) {
        sheet.raw(std::string(start.size(), ' ') + lines[i]);
    }
}

void add_capabilities(Sheet& sheet, const vmm::host::Kvm& kvm) {
    sheet.title("Capabilities (number, name, a VM's value)");
    std::vector<std::string> rest;
    for (const Capability& capability : kvm.capabilities) {
        if (foreign(capability) && capability.value() && *capability.value() == 0) {
            rest.push_back(fmt::format("{}({})", capability.name, capability.number));
        } else {
            add_capability(sheet, capability);
        }
    }
    if (rest.empty()) {
        return;
    }
    sheet.title("Capabilities of other architectures, all 0 here");
    for (const std::string& line : wrap(rest, 2, 2)) {
        sheet.raw(sheet.style().dim("  " + line));
    }
}

}  // namespace

std::string to_text(const Report& report, const Style& style) {
    Sheet sheet(style);
    add_host(sheet, report);
    if (report.kvm) {
        add_kvm(sheet, *report.kvm);
        add_guest_execution(sheet, *report.kvm);
        add_capabilities(sheet, *report.kvm);
    }
    return sheet.take();
}

}  // namespace kvmxx

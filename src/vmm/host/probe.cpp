// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <kvm/system.hpp>
#include <string_view>
#include <vmm/error.hpp>
#include <vmm/host/probe.hpp>

#include "facts.hpp"
#include "measure.hpp"

namespace vmm::host {

bool Cpu::has(const char* flag) const { return std::ranges::find(flags, flag) != flags.end(); }

const std::string* Module::parameter(const char* wanted) const {
    const auto found = std::ranges::find(parameters, wanted, &Parameter::name);
    return found != parameters.end() && found->value ? &*found->value.value : nullptr;
}

int Kvm::value(int capability) const {
    const auto found = std::ranges::find(capabilities, capability, &Capability::number);
    return found != capabilities.end() && found->value() ? *found->value() : 0;
}

const Module* Report::module(const char* name) const {
    if (!modules) {
        return nullptr;
    }
    const auto found = std::ranges::find(*modules, name, &Module::name);
    return found != modules->end() ? &*found : nullptr;
}

const Module* Report::driver() const {
    if (!modules) {
        return nullptr;
    }
    const auto found = std::ranges::find_if(
        *modules, [](const Module& module) { return module.name.starts_with("kvm_"); });
    return found != modules->end() ? &*found : nullptr;
}

namespace {

std::string text(const kvm::Error& error) { return Error(error).message; }

/// A Result of the core as a fact: its value by `get`, or the error's text.
template <class T, class R, class Get>
Found<T> found(const R& result, Get get) {
    return result ? Found<T>(static_cast<T>(get(*result)))
                  : Found<T>::missing(text(result.error()));
}

template <class R>
Found<std::size_t> size_of(const R& list) {
    return found<std::size_t>(list, [](const auto& entries) { return entries.size(); });
}

Found<int> ask(const kvm::detail::CheckExtension& object, int capability) {
    return found<int>(object.check_extension(capability), [](int value) { return value; });
}

std::vector<Capability> read_capabilities(const kvm::Kvm& kvm, const kvm::Result<kvm::Vm>& vm) {
    const auto of_vm = kvm.check(kvm::cap::check_extension_vm);
    std::vector<Capability> capabilities;
    for (const kvm::cap::Any& cap : kvm::cap::all) {
        Capability capability{cap.number, cap.name, cap.kind, ask(kvm, cap.number), {}};
        if (!vm) {
            capability.vm = Found<int>::missing(text(vm.error()));
        } else if (!of_vm || !*of_vm) {
            capability.vm = Found<int>::missing("no KVM_CAP_CHECK_EXTENSION_VM");
        } else {
            capability.vm = ask(*vm, cap.number);
        }
        capabilities.push_back(std::move(capability));
    }
    return capabilities;
}

/// The length of a list that needs a capability.
template <class Get>
Found<std::size_t> size_if(const Kvm& facts, kvm::Cap<bool> needed, Get get) {
    if (facts.value(needed) == 0) {
        return Found<std::size_t>::missing(fmt::format("no KVM_CAP_{}", needed.name));
    }
    return size_of(get());
}

Kvm read_kvm(const kvm::Kvm& kvm, Measure measuring) {
    Kvm facts;
    if (const auto version = kvm.api_version()) {
        facts.api_version = *version;
    }
    facts.vcpu_mmap_size =
        found<std::size_t>(kvm.vcpu_mmap_size(), [](std::size_t size) { return size; });
    {
        const auto vm = kvm.create_vm();
        if (!vm) {
            facts.vm_error = text(vm.error());
        }
        facts.capabilities = read_capabilities(kvm, vm);
    }
    namespace cap = kvm::cap;
    facts.supported_cpuid =
        size_if(facts, cap::ext_cpuid, [&kvm] { return kvm.supported_cpuid(); });
    facts.emulated_cpuid =
        size_if(facts, cap::ext_emul_cpuid, [&kvm] { return kvm.emulated_cpuid(); });
    facts.msrs = size_of(kvm.msr_index_list());
    facts.feature_msrs =
        size_if(facts, cap::get_msr_features, [&kvm] { return kvm.msr_feature_index_list(); });
    if (measuring == Measure::no) {
        facts.exit_latency = Found<ExitLatency>::missing("not measured");
        facts.kernel_mode = Found<KernelModeSpeed>::missing("not measured");
    } else {
        auto measured = measure(kvm);
        facts.exit_latency = std::move(measured.exit_latency);
        facts.kernel_mode = std::move(measured.kernel_mode);
    }
    return facts;
}

}  // namespace

Report probe(const ProbeOptions& options) {
    Report report;
    report.kernel = read_kernel();
    report.cpu = read_cpu(options.root);
    report.memory = read_memory(options.root);
    report.process = read_process(options.root);
    report.modules = read_modules(options.root);
    report.module_files = read_module_files(options.root, report.kernel.release);
    report.rivals = read_rivals(options.root);
    report.device_registered = read_device_registered(options.root);
    report.device = read_device_file(options.device, report.process.user_name);
    const auto kvm = kvm::Kvm::open(options.device.c_str());
    if (kvm) {
        report.device.opened = true;
        report.kvm = read_kvm(*kvm, options.measure);
    } else {
        report.device.open_error = kvm.error().code;
        report.device.opened = std::string_view(kvm.error().what).starts_with("KVM_");
        report.device.open_text = text(kvm.error());
    }
    return report;
}

}  // namespace vmm::host

// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <fmt/format.h>

#include <kvm/version.hpp>

#include "info_text.hpp"

namespace kvmxx {

namespace {

using vmm::host::Found;
using vmm::host::Report;

/// A fact as a value, or null, with the reason below its name in `missing`.
template <class T>
Json fact(const Found<T>& found, const char* name, Json& missing) {
    if (!found) {
        missing[name] = found.why;
        return nullptr;
    }
    return *found;
}

Json module_json(const vmm::host::Module& module) {
    Json parameters = Json::object();
    for (const auto& parameter : module.parameters) {
        parameters[parameter.name] = parameter.value ? Json(*parameter.value) : Json(nullptr);
    }
    return {{"name", module.name}, {"built_in", module.built_in}, {"parameters", parameters}};
}

Json host_json(const Report& report, Json& missing) {
    Json json;
    json["kernel"] = {{"release", report.kernel.release},
                      {"version", report.kernel.version},
                      {"machine", report.kernel.machine}};
    if (report.cpu) {
        json["cpu"] = {{"vendor", report.cpu->vendor},
                       {"model", report.cpu->model},
                       {"count", report.cpu->count},
                       {"virtual_machine", report.cpu->has("hypervisor")},
                       {"flags", report.cpu->flags}};
    } else {
        json["cpu"] = nullptr;
        missing["cpu"] = report.cpu.why;
    }
    json["modules"] = nullptr;
    if (report.modules) {
        json["modules"] = Json::array();
        for (const auto& module : *report.modules) {
            json["modules"].push_back(module_json(module));
        }
    } else {
        missing["modules"] = report.modules.why;
    }
    const auto& device = report.device;
    json["device"] = {{"path", device.path}, {"exists", device.stat_error == 0}};
    if (device.stat_error == 0) {
        json["device"].update({{"mode", fmt::format("{:04o}", device.mode)},
                               {"owner", device.owner},
                               {"group", device.group},
                               {"group_name", device.group_name}});
    }
    return json;
}

Json capability_json(const vmm::host::Capability& capability) {
    Json json{{"number", capability.number}};
    const auto& value = capability.value();
    if (!value) {
        json["value"] = nullptr;
        json["error"] = value.why;
        return json;
    }
    json["value"] = *value;
    if (capability.kind == kvm::cap::Kind::mask) {
        json["words"] = vmm::host::words(capability.number, *value);
    }
    if (capability.vm && capability.system && *capability.system != *capability.vm) {
        json["system_value"] = *capability.system;
    }
    return json;
}

void add_guest_execution(Json& json, const vmm::host::Kvm& kvm, Json& missing) {
    if (const auto& speed = kvm.kernel_mode) {
        json["guest_kernel_mode"] =
            speed->mode == vmm::host::KernelMode::native ? "native" : "interpreted";
        json["guest_kernel_mode_instructions_per_second"] =
            static_cast<std::uint64_t>(speed->instructions_per_second);
    } else {
        missing["guest_kernel_mode"] = speed.why;
    }
    if (const auto& latency = kvm.exit_latency) {
        json["exit_latency_ns"] = {
            {"min", latency->min}, {"median", latency->median}, {"exits", latency->exits}};
    } else {
        missing["exit_latency_ns"] = latency.why;
    }
}

}  // namespace

Json to_json(const Report& report) {
    Json missing = Json::object();
    Json json{{"schema", 1}, {"kvmxx", kvm::version}};
    json.update(host_json(report, missing));
    json["guest_kernel_mode"] = "unknown";
    json["guest_kernel_mode_instructions_per_second"] = nullptr;
    json["exit_latency_ns"] = nullptr;
    json["api_version"] = nullptr;
    json["kvm"] = nullptr;
    json["capabilities"] = Json::object();
    if (report.kvm) {
        const auto& kvm = *report.kvm;
        add_guest_execution(json, kvm, missing);
        json["api_version"] = kvm.api_version;
        json["kvm"] = {{"module", report.driver() ? Json(report.driver()->name) : Json(nullptr)},
                       {"vm", kvm.vm_error.empty() ? Json("ok") : Json(kvm.vm_error)},
                       {"vcpu_mmap_size", fact(kvm.vcpu_mmap_size, "vcpu_mmap_size", missing)},
                       {"supported_cpuid", fact(kvm.supported_cpuid, "supported_cpuid", missing)},
                       {"emulated_cpuid", fact(kvm.emulated_cpuid, "emulated_cpuid", missing)},
                       {"msrs", fact(kvm.msrs, "msrs", missing)},
                       {"feature_msrs", fact(kvm.feature_msrs, "feature_msrs", missing)}};
        for (const auto& capability : kvm.capabilities) {
            json["capabilities"][capability.name] = capability_json(capability);
        }
    } else {
        json["error"] = first_failure(vmm::host::examine(report));
    }
    json["missing"] = std::move(missing);
    return json;
}

}  // namespace kvmxx

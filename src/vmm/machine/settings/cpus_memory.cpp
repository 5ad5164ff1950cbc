// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <kvm/try.hpp>
#include <vmm/machine/settings/tables.hpp>
#include <vmm/machine/settings/values.hpp>

namespace vmm::detail {

namespace {

Result<void> set_memory(MachineConfig& config, const std::string& text) {
    config.memory_bytes = KVM_TRY(parse_size(text));
    return {};
}

Result<void> set_cpus(MachineConfig& config, const std::string& text) {
    config.cpus =
        static_cast<std::uint32_t>(KVM_TRY(parse_number(text, 0xffffffff, "a number of CPUs")));
    return {};
}

/// "0=2,3": vCPU 0 may use the host's CPUs 2 and 3.
Result<void> add_affinity(MachineConfig& config, const std::string& text) {
    constexpr std::string_view want = "a vCPU and the host's CPUs, such as 0=2,3";
    std::uint64_t cpu = 0;
    std::string_view rest;
    if (!read_number(text, cpu, rest) || !rest.starts_with('=') || cpu > 4095) {
        return refuse(text, want);
    }
    std::vector<std::uint32_t> hosts;
    do {
        std::uint64_t host = 0;
        if (!read_number(rest.substr(1), host, rest) || host > 65535) {
            return refuse(text, want);
        }
        hosts.push_back(static_cast<std::uint32_t>(host));
    } while (rest.starts_with(','));
    if (!rest.empty()) {
        return refuse(text, want);
    }
    if (config.cpu_affinity.size() <= cpu) {
        config.cpu_affinity.resize(cpu + 1);
    }
    config.cpu_affinity[cpu] = std::move(hosts);
    return {};
}

Values get_affinity(const MachineConfig& config) {
    Values values;
    for (std::size_t cpu = 0; cpu < config.cpu_affinity.size(); ++cpu) {
        if (const auto& hosts = config.cpu_affinity[cpu]; !hosts.empty()) {
            values.push_back(fmt::format("{}={}", cpu, fmt::join(hosts, ",")));
        }
    }
    return values;
}

using enum SettingKind;

constexpr std::array table{
    Setting{"memory", SettingKind::text, "SIZE", "RAM: bytes, or with K, M, G, T", "", set_memory,
            [](const MachineConfig& c) { return Values{size_text(c.memory_bytes)}; }},
    Setting{"cpus", SettingKind::text, "N", "How many CPUs", "", set_cpus,
            [](const MachineConfig& c) { return Values{fmt::format("{}", c.cpus)}; }},
    Setting{"cpu-affinity", list, "CPU=HOST,...", "Which of the host's CPUs a CPU may use: 0=2,3",
            "", add_affinity, get_affinity},
};

}  // namespace

std::span<const Setting> cpus_memory_settings() { return table; }

}  // namespace vmm::detail

// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <kvm/try.hpp>
#include <unistd.h>
#include <vmm/machine/settings/key_values.hpp>
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

/// Where sysfs does not tell, it may have any.
bool host_has_cpu(std::uint32_t cpu) {
    const std::string directory = "/sys/devices/system/cpu/cpu";
    return ::access((directory + "0").c_str(), F_OK) != 0 ||
           ::access((directory + std::to_string(cpu)).c_str(), F_OK) == 0;
}

constexpr std::array backing_keys{
    Key{"anonymous", KeyKind::flag},   Key{"memfd", KeyKind::flag},
    Key{"file", KeyKind::path},        Key{"hugetlb", KeyKind::either},
    Key{"guest-memfd", KeyKind::flag}, Key{"shared", KeyKind::flag},
    Key{"private", KeyKind::flag},
};

constexpr Names<HugePage, 2> huge_pages{{{"2M", HugePage::mib_2}, {"1G", HugePage::gib_1}}};

Result<Backing> parse_backing(const KeyValues& values) {
    const Sharing sharing = values.has("shared") ? Sharing::shared : Sharing::private_copy;
    if (const std::string* path = values.find("file")) {
        return backing::File{.path = *path, .sharing = sharing};
    }
    if (const std::string* size = values.find("hugetlb")) {
        if (size->empty()) {
            return backing::HugeTlb{.sharing = sharing};
        }
        const auto page = parse_name(huge_pages, *size, "2M or 1G");
        if (!page) {
            return about_key("hugetlb", page.error());
        }
        return backing::HugeTlb{*page, sharing};
    }
    for (const char* key : {"shared", "private"}) {
        if (values.has(key)) {
            return fail(fmt::format("{}: goes with file and hugetlb alone", key), EINVAL);
        }
    }
    if (values.has("memfd")) {
        return backing::Memfd{};
    }
    return values.has("guest-memfd") ? Backing(backing::GuestMemfd{})
                                     : Backing(backing::Anonymous{});
}

Result<void> set_backing(MachineConfig& config, const std::string& text) {
    const KeyValues values = KVM_TRY(parse_key_values(text, backing_keys));
    const auto kinds = std::span(backing_keys).first(5);
    if (std::ranges::count_if(kinds, [&](const Key& key) { return values.has(key.name); }) != 1) {
        return refuse(text, "one of anonymous, memfd, file, hugetlb and guest-memfd");
    }
    if (values.has("shared") && values.has("private")) {
        return fail("shared: does not go with private", EINVAL);
    }
    config.memory_backing = KVM_TRY(parse_backing(values));
    return {};
}

struct BackingText {
    std::string operator()(const backing::Anonymous&) const { return "anonymous"; }
    std::string operator()(const backing::Memfd&) const { return "memfd"; }
    std::string operator()(const backing::File& file) const {
        KeyValues values;
        values.add("file", file.path).add_if(file.sharing == Sharing::shared, "shared");
        return values.text();
    }
    std::string operator()(const backing::HugeTlb& huge) const {
        KeyValues values;
        values.add("hugetlb", name_of(huge_pages, huge.page));
        values.add_if(huge.sharing == Sharing::shared, "shared");
        return values.text();
    }
    std::string operator()(const backing::GuestMemfd&) const { return "guest-memfd"; }
};

using enum SettingKind;

constexpr std::array table{
    Setting{"memory", SettingKind::text, "SIZE", "RAM: bytes, or with K, M, G, T", "", set_memory,
            [](const MachineConfig& c) { return Values{size_text(c.memory_bytes)}; }},
    Setting{
        "memory-backing", SettingKind::text, "KIND[,...]",
        "What RAM is made of: anonymous, memfd, file=PATH[,shared], hugetlb[=2M|1G][,shared] or "
        "guest-memfd",
        "", set_backing,
        [](const MachineConfig& c) { return Values{std::visit(BackingText{}, c.memory_backing)}; },
        backing_keys},
    flag_of<&MachineConfig::prefault>("prefault", "Have all RAM ready before the guest starts"),
    flag_of<&MachineConfig::lock_memory>("lock-memory", "Keep RAM from swap"),
    flag_of<&MachineConfig::merge_memory>("merge-memory",
                                          "Let the host share equal pages of RAM (KSM)"),
    Setting{"cpus", SettingKind::text, "N", "How many CPUs", "", set_cpus,
            [](const MachineConfig& c) { return Values{fmt::format("{}", c.cpus)}; }},
    Setting{"cpu-affinity", list, "CPU=HOST,...", "Which of the host's CPUs a CPU may use: 0=2,3",
            "", add_affinity, get_affinity},
};

}  // namespace

std::span<const Setting> cpus_memory_settings() { return table; }

Result<void> check_cpus(const MachineConfig& config) {
    if (config.cpus == 0) {
        return about_setting("cpus", Error("a machine needs one", EINVAL));
    }
    for (const std::string& binding : get_affinity(config)) {
        const auto cpu = std::stoul(binding);
        if (cpu >= config.cpus) {
            return about_setting(
                "cpu-affinity",
                Error(fmt::format("{}: there is no CPU {}, cpus is {}", binding, cpu, config.cpus),
                      EINVAL));
        }
        for (const std::uint32_t host : config.cpu_affinity[cpu]) {
            if (!host_has_cpu(host)) {
                return about_setting(
                    "cpu-affinity",
                    Error(fmt::format("{}: the host has no CPU {}", binding, host), EINVAL));
            }
        }
    }
    return {};
}

}  // namespace vmm::detail

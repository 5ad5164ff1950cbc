// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <kvm/try.hpp>
#include <vmm/machine/settings.hpp>
#include <vmm/memory/guest_memory.hpp>

namespace vmm {

namespace {

using Values = std::vector<std::string>;

std::unexpected<Error> refuse(const std::string& text, std::string_view want) {
    return fail(fmt::format("'{}' is not {}", text, want), EINVAL);
}

/// A number, decimal or 0x...; what is left of `text` behind it goes to `rest`.
bool number(std::string_view text, std::uint64_t& value, std::string_view& rest) {
    const bool hex = text.starts_with("0x") || text.starts_with("0X");
    text.remove_prefix(hex ? 2 : 0);
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), value, hex ? 16 : 10);
    rest = text.substr(static_cast<std::size_t>(end - text.data()));
    return error == std::errc();
}

Result<std::uint64_t> parse_number(const std::string& text, std::uint64_t max,
                                   std::string_view want) {
    std::uint64_t value = 0;
    std::string_view rest;
    if (!number(text, value, rest) || !rest.empty() || value > max) {
        return refuse(text, want);
    }
    return value;
}

Result<std::uint64_t> parse_size(const std::string& text) {
    constexpr std::string_view want = "a size, such as 512M or 2G";
    static constexpr std::string_view units = "KMGT";
    std::uint64_t value = 0;
    std::string_view rest;
    if (!number(text, value, rest)) {
        return refuse(text, want);
    }
    std::uint64_t factor = 1;
    if (!rest.empty()) {
        const auto unit = units.find(static_cast<char>(rest[0] & ~0x20));
        rest.remove_prefix(1);
        if (unit == units.npos || !(rest.empty() || rest == "iB" || rest == "B")) {
            return refuse(text, want);
        }
        factor = std::uint64_t{1} << (10 * (unit + 1));
    }
    if (value > ~std::uint64_t{0} / factor) {
        return refuse(text, "a size below 16 EiB");
    }
    return value * factor;
}

/// The shortest text that parse_size() reads as `bytes`.
std::string size_text(std::uint64_t bytes) {
    std::size_t unit = 0;
    while (unit < 4 && bytes != 0 && bytes % 1024 == 0) {
        bytes /= 1024;
        ++unit;
    }
    return unit == 0 ? fmt::format("{}", bytes) : fmt::format("{}{}", bytes, "KMGT"[unit - 1]);
}

Result<std::chrono::milliseconds> parse_seconds(const std::string& text) {
    double seconds = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (error != std::errc() || end != text.data() + text.size() || !(seconds > 0) ||
        seconds > 1e9) {
        return refuse(text, "a number of seconds above 0");
    }
    return std::chrono::milliseconds(static_cast<std::int64_t>(std::ceil(seconds * 1000)));
}

Values optional(const std::string& text) { return text.empty() ? Values{} : Values{text}; }

Result<void> set_memory(MachineConfig& config, const std::string& text) {
    config.memory_bytes = KVM_TRY(parse_size(text));
    return {};
}

Result<void> set_cpus(MachineConfig& config, const std::string& text) {
    config.cpus =
        static_cast<std::uint32_t>(KVM_TRY(parse_number(text, 0xffffffff, "a number of CPUs")));
    return {};
}

Result<void> set_timeout(MachineConfig& config, const std::string& text) {
    config.timeout = KVM_TRY(parse_seconds(text));
    return {};
}

Result<void> set_grace(MachineConfig& config, const std::string& text) {
    config.grace = KVM_TRY(parse_seconds(text));
    return {};
}

std::string seconds_text(std::chrono::milliseconds time) {
    return fmt::format("{}", double(time.count()) / 1000);
}

constexpr std::array<std::pair<std::string_view, AcpiHardware>, 3> acpi_names{{
    {"reduced", AcpiHardware::reduced},
    {"fixed", AcpiHardware::fixed},
    {"none", AcpiHardware::none},
}};

Result<void> set_acpi(MachineConfig& config, const std::string& text) {
    const auto found = std::ranges::find(acpi_names, text, [](const auto& e) { return e.first; });
    if (found == acpi_names.end()) {
        return refuse(text, "reduced, fixed or none");
    }
    config.acpi = found->second;
    return {};
}

Values get_acpi(const MachineConfig& config) {
    const auto found =
        std::ranges::find(acpi_names, config.acpi, [](const auto& e) { return e.second; });
    return {std::string(found->first)};
}

constexpr std::array<std::pair<std::string_view, bool PlatformDevices::*>, 5> device_names{{
    {"i8042", &PlatformDevices::i8042},
    {"rtc", &PlatformDevices::rtc},
    {"debug-console", &PlatformDevices::debug_console},
    {"pvpanic", &PlatformDevices::pvpanic},
    {"fw-cfg", &PlatformDevices::fw_cfg},
}};

Result<void> set_without(MachineConfig& config, const std::string& text) {
    const auto found = std::ranges::find(device_names, text, [](const auto& e) { return e.first; });
    if (found == device_names.end()) {
        return refuse(text, "one of i8042, rtc, debug-console, pvpanic and fw-cfg");
    }
    config.devices.*found->second = false;
    return {};
}

Values get_without(const MachineConfig& config) {
    Values names;
    for (const auto& [name, device] : device_names) {
        if (!(config.devices.*device)) {
            names.emplace_back(name);
        }
    }
    return names;
}

Result<void> add_fw_cfg(MachineConfig& config, const std::string& text) {
    const std::size_t equals = text.find('=');
    if (equals == text.npos || equals == 0 || equals + 1 == text.size()) {
        return refuse(text, "NAME=FILE");
    }
    config.fw_cfg.push_back({text.substr(0, equals), text.substr(equals + 1)});
    return {};
}

Values get_fw_cfg(const MachineConfig& config) {
    Values files;
    for (const FwCfgFile& file : config.fw_cfg) {
        files.push_back(file.name + "=" + file.path);
    }
    return files;
}

Result<void> set_test_devices(MachineConfig& config, const std::string& text) {
    config.test_devices = text == "true";
    return {};
}

Result<void> set_flat16(MachineConfig& config, const std::string& text) {
    const auto address =
        KVM_TRY(parse_number(text, 0xfffff, "an address below 1 MiB, such as 0x7c00"));
    const bool low = address <= 0xffff;
    config.boot.format = Flat16{static_cast<std::uint16_t>(low ? 0 : address >> 4),
                                static_cast<std::uint16_t>(low ? address : address & 0xf)};
    return {};
}

Values get_flat16(const MachineConfig& config) {
    const auto* flat = std::get_if<Flat16>(&config.boot.format);
    return flat ? Values{fmt::format("{:#x}", std::uint32_t(flat->segment) * 16 + flat->offset)}
                : Values{};
}

Result<void> set_flat64(MachineConfig& config, const std::string& text) {
    const auto address =
        KVM_TRY(parse_number(text, 0xffffffff, "an address below 4 GiB, such as 0x100000"));
    config.boot.format = Flat64{kvm::Gpa(address)};
    return {};
}

Values get_flat64(const MachineConfig& config) {
    const auto* flat = std::get_if<Flat64>(&config.boot.format);
    return flat ? Values{fmt::format("{:#x}", flat->address.value())} : Values{};
}

Result<void> set_protocol(MachineConfig& config, const std::string& text) {
    const auto protocol = find_boot_protocol(text);
    if (!protocol) {
        return refuse(text, "auto, linux64, linux32, pvh or multiboot");
    }
    config.boot.protocol = *protocol;
    return {};
}

Result<void> add_module(MachineConfig& config, const std::string& text) {
    const std::size_t comma = text.find(',');
    if (text.empty() || comma == 0) {
        return refuse(text, "FILE or FILE,ARGUMENTS");
    }
    config.boot.modules.push_back(
        {text.substr(0, comma), comma == text.npos ? "" : text.substr(comma + 1)});
    return {};
}

Values get_modules(const MachineConfig& config) {
    Values modules;
    for (const BootModule& module : config.boot.modules) {
        modules.push_back(module.path + (module.arguments.empty() ? "" : "," + module.arguments));
    }
    return modules;
}

Result<void> set_unpack(MachineConfig& config, const std::string& text) {
    if (text != "host" && text != "guest") {
        return refuse(text, "host or guest");
    }
    config.boot.unpack = text == "host" ? Unpack::host : Unpack::guest;
    return {};
}

/// "0=2,3": vCPU 0 may use the host's CPUs 2 and 3.
Result<void> add_affinity(MachineConfig& config, const std::string& text) {
    constexpr std::string_view want = "a vCPU and the host's CPUs, such as 0=2,3";
    std::uint64_t cpu = 0;
    std::string_view rest;
    if (!number(text, cpu, rest) || !rest.starts_with('=') || cpu > 4095) {
        return refuse(text, want);
    }
    std::vector<std::uint32_t> hosts;
    do {
        std::uint64_t host = 0;
        if (!number(rest.substr(1), host, rest) || host > 65535) {
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
    Setting{"kernel", path, "FILE", "What to run: its content says what it is", "",
            [](MachineConfig& c, const std::string& text) {
                c.boot.kernel = text;
                return Result<void>();
            },
            [](const MachineConfig& c) { return optional(c.boot.kernel); }},
    Setting{"initrd", path, "FILE", "The kernel's initial RAM disk", "",
            [](MachineConfig& c, const std::string& text) {
                c.boot.initrd = text;
                return Result<void>();
            },
            [](const MachineConfig& c) { return optional(c.boot.initrd); }},
    Setting{
        "cmdline", SettingKind::text, "TEXT",
        "The kernel's command line; without: console=ttyS0 reboot=k panic=-1", "",
        [](MachineConfig& c, const std::string& text) {
            c.boot.cmdline = text;
            return Result<void>();
        },
        [](const MachineConfig& c) { return c.boot.cmdline ? Values{*c.boot.cmdline} : Values{}; }},
    Setting{"protocol", SettingKind::text, "NAME",
            "How the kernel starts: auto, linux64, linux32, pvh or multiboot", "flat16 flat64",
            set_protocol, [](const MachineConfig& c) { return Values{describe(c.boot.protocol)}; }},
    Setting{"module", list, "FILE[,ARGUMENTS]", "A file for a PVH or Multiboot kernel",
            "flat16 flat64", add_module, get_modules},
    Setting{"unpack", SettingKind::text, "WHO",
            "Who unpacks a bzImage: host, once, or guest, which has KASLR", "", set_unpack,
            [](const MachineConfig& c) {
                return Values{c.boot.unpack == Unpack::host ? "host" : "guest"};
            }},
    Setting{"kernel-cache", SettingKind::text, "DIRECTORY",
            "Where unpacked kernels are kept; none: nowhere", "",
            [](MachineConfig& c, const std::string& text) {
                c.boot.cache = text == "none" ? "" : text;
                return Result<void>();
            },
            [](const MachineConfig& c) {
                return c.boot.cache ? Values{c.boot.cache->empty() ? "none" : *c.boot.cache}
                                    : Values{};
            }},
    Setting{"memory", SettingKind::text, "SIZE", "RAM: bytes, or with K, M, G, T", "", set_memory,
            [](const MachineConfig& c) { return Values{size_text(c.memory_bytes)}; }},
    Setting{"cpus", SettingKind::text, "N", "How many CPUs", "", set_cpus,
            [](const MachineConfig& c) { return Values{fmt::format("{}", c.cpus)}; }},
    Setting{"flat16", SettingKind::text, "ADDRESS",
            "FILE is 16-bit code: load it there and start it in real mode", "flat64 initrd cmdline",
            set_flat16, get_flat16},
    Setting{"flat64", SettingKind::text, "ADDRESS",
            "FILE is 64-bit code: load it there and start it in long mode", "initrd cmdline",
            set_flat64, get_flat64},
    Setting{"timeout", SettingKind::text, "SECONDS", "Stop the machine after so many seconds", "",
            set_timeout,
            [](const MachineConfig& c) {
                return c.timeout ? Values{seconds_text(*c.timeout)} : Values{};
            }},
    Setting{"grace", SettingKind::text, "SECONDS",
            "How long a guest may take to switch itself off when a signal asks it to", "",
            set_grace, [](const MachineConfig& c) { return Values{seconds_text(c.grace)}; }},
    Setting{"acpi", SettingKind::text, "KIND",
            "ACPI tables: reduced hardware, fixed hardware, or none", "", set_acpi, get_acpi},
    Setting{"without", list, "DEVICE", "Leave out i8042, rtc, debug-console, pvpanic or fw-cfg", "",
            set_without, get_without},
    Setting{"fw-cfg", list, "NAME=FILE", "A file for the guest, by fw_cfg", "", add_fw_cfg,
            get_fw_cfg},
    Setting{"test-devices", flag, "", "Add the test devices of kvm-unit-tests", "",
            set_test_devices,
            [](const MachineConfig& c) { return c.test_devices ? Values{"true"} : Values{}; }},
    Setting{"cpu-affinity", list, "CPU=HOST,...", "Which of the host's CPUs a CPU may use: 0=2,3",
            "", add_affinity, get_affinity},
    Setting{"trace", path, "FILE", "Record the run there, for kvmxx replay and kvmxx trace", "",
            [](MachineConfig& c, const std::string& text) {
                c.trace = text;
                return Result<void>();
            },
            [](const MachineConfig& c) { return optional(c.trace); }},
};

}  // namespace

std::span<const Setting> settings() { return table; }

const Setting* find_setting(std::string_view name) {
    const auto* const found = std::ranges::find(table, name, &Setting::name);
    return found == table.end() ? nullptr : found;
}

Result<void> check(const MachineConfig& config) {
    if (config.memory_bytes == 0) {
        return fail("memory: a machine needs some", EINVAL);
    }
    if (config.memory_bytes % 4096 != 0) {
        return fail(fmt::format("memory: {} is no multiple of 4096", config.memory_bytes), EINVAL);
    }
    if (config.memory_bytes > host_memory_size()) {
        return fail(
            fmt::format("memory: {} are more than the host has, {}",
                        describe_size(config.memory_bytes), describe_size(host_memory_size())),
            ENOMEM);
    }
    if (!config.fw_cfg.empty() && !config.devices.fw_cfg) {
        return fail("fw-cfg: does not go with --without fw-cfg", EINVAL);
    }
    if (config.cpus == 0) {
        return fail("cpus: a machine needs one", EINVAL);
    }
    return {};
}

}  // namespace vmm

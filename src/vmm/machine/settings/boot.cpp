// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <fmt/format.h>
#include <kvm/try.hpp>
#include <vmm/machine/settings/tables.hpp>
#include <vmm/machine/settings/values.hpp>

namespace vmm::detail {

namespace {

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

/// A flat binary has none.
Values get_protocol(const MachineConfig& config) {
    return std::holds_alternative<KernelImage>(config.boot.format)
               ? Values{describe(config.boot.protocol)}
               : Values{};
}

std::string_view path_of_module(std::string_view text) { return text.substr(0, text.find(',')); }

Result<void> add_module(MachineConfig& config, const std::string& text) {
    const std::string path(path_of_module(text));
    if (path.empty()) {
        return refuse(text, "FILE or FILE,ARGUMENTS");
    }
    config.boot.modules.push_back({path, path == text ? "" : text.substr(path.size() + 1)});
    return {};
}

Values get_modules(const MachineConfig& config) {
    Values modules;
    for (const BootModule& module : config.boot.modules) {
        modules.push_back(module.path + (module.arguments.empty() ? "" : "," + module.arguments));
    }
    return modules;
}

std::string_view path_of_cache(std::string_view text) { return text == "none" ? "" : text; }

Result<void> set_unpack(MachineConfig& config, const std::string& text) {
    if (text != "host" && text != "guest") {
        return refuse(text, "host or guest");
    }
    config.boot.unpack = text == "host" ? Unpack::host : Unpack::guest;
    return {};
}

using enum SettingKind;

constexpr std::array table{
    Setting{"kernel", path, "FILE", "What to run: its content says what it is", "",
            [](MachineConfig& c, const std::string& text) {
                c.boot.kernel = text;
                return Result<void>();
            },
            [](const MachineConfig& c) { return optional_value(c.boot.kernel); }},
    Setting{"initrd", path, "FILE", "The kernel's initial RAM disk", "",
            [](MachineConfig& c, const std::string& text) {
                c.boot.initrd = text;
                return Result<void>();
            },
            [](const MachineConfig& c) { return optional_value(c.boot.initrd); }},
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
            set_protocol, get_protocol},
    Setting{"module", list, "FILE[,ARGUMENTS]", "A file for a PVH or Multiboot kernel",
            "flat16 flat64", add_module, get_modules, no_keys, path_of_module},
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
            },
            no_keys, path_of_cache},
    Setting{"flat16", SettingKind::text, "ADDRESS",
            "FILE is 16-bit code: load it there and start it in real mode", "flat64 initrd cmdline",
            set_flat16, get_flat16},
    Setting{"flat64", SettingKind::text, "ADDRESS",
            "FILE is 64-bit code: load it there and start it in long mode", "initrd cmdline",
            set_flat64, get_flat64},
};

}  // namespace

std::span<const Setting> boot_settings() { return table; }

}  // namespace vmm::detail

// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <fmt/format.h>
#include <kvm/try.hpp>
#include <vmm/device/fw_cfg.hpp>
#include <vmm/machine/settings/tables.hpp>
#include <vmm/machine/settings/values.hpp>
#include <vmm/pci/root.hpp>
#include <vmm/x86_64/ports.hpp>

namespace vmm::detail {

namespace {

constexpr Names<AcpiHardware, 3> acpi_names{{
    {"reduced", AcpiHardware::reduced},
    {"fixed", AcpiHardware::fixed},
    {"none", AcpiHardware::none},
}};

constexpr Names<VirtioTransport, 2> transport_names{{
    {"mmio", VirtioTransport::mmio},
    {"pci", VirtioTransport::pci},
}};

Result<void> set_transport(MachineConfig& config, const std::string& text) {
    config.virtio_transport = KVM_TRY(parse_name(transport_names, text, "mmio or pci"));
    return {};
}

Result<void> set_acpi(MachineConfig& config, const std::string& text) {
    config.acpi = KVM_TRY(parse_name(acpi_names, text, "reduced, fixed or none"));
    return {};
}

constexpr Names<bool PlatformDevices::*, 5> device_names{{
    {"i8042", &PlatformDevices::i8042},
    {"rtc", &PlatformDevices::rtc},
    {"debug-console", &PlatformDevices::debug_console},
    {"pvpanic", &PlatformDevices::pvpanic},
    {"fw-cfg", &PlatformDevices::fw_cfg},
}};

Result<void> set_without(MachineConfig& config, const std::string& text) {
    const auto device = KVM_TRY(
        parse_name(device_names, text, "one of i8042, rtc, debug-console, pvpanic and fw-cfg"));
    config.devices.*device = false;
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

std::string_view path_of_fw_cfg(std::string_view text) {
    const std::size_t equals = text.find('=');
    return equals == text.npos ? "" : text.substr(equals + 1);
}

Result<void> add_fw_cfg(MachineConfig& config, const std::string& text) {
    const std::string path(path_of_fw_cfg(text));
    if (path.empty() || text[0] == '=') {
        return refuse(text, "NAME=FILE");
    }
    config.fw_cfg.push_back({text.substr(0, text.find('=')), path});
    return {};
}

Values get_fw_cfg(const MachineConfig& config) {
    Values files;
    for (const FwCfgFile& file : config.fw_cfg) {
        files.push_back(file.name + "=" + file.path);
    }
    return files;
}

Result<void> check_fw_cfg(const MachineConfig& config) {
    if (!config.fw_cfg.empty() && !config.devices.fw_cfg) {
        return about_setting("fw-cfg", Error("does not go with --without fw-cfg", EINVAL));
    }
    std::vector<std::string_view> names;
    for (const FwCfgFile& file : config.fw_cfg) {
        names.push_back(file.name);
    }
    if (auto done = vmm::check_fw_cfg_names(std::move(names)); !done) {
        return about_setting("fw-cfg", std::move(done).error());
    }
    return {};
}

/// A virtio device has a pin of its own or, as each NVMe controller, a slot of PCI's.
Result<void> check_places(const MachineConfig& config) {
    const auto count = [](auto truth) { return static_cast<std::size_t>(truth); };
    const auto nvme = count(std::ranges::count(config.disks, DiskBus::nvme, &DiskConfig::bus));
    const std::size_t disks = config.disks.size() - nvme;
    const std::size_t virtio = config.nets.size() + count(!config.consoles.empty()) +
                               count(config.rng.has_value()) + count(config.balloon.has_value()) +
                               count(config.vsock.has_value()) + disks;
    const bool by_pci = config.virtio_transport == VirtioTransport::pci;
    if (const std::size_t pins = x86_64::gsi::virtio.size(); !by_pci && virtio > pins) {
        return about_setting(
            disks > config.nets.size() ? "disk" : "net",
            Error(fmt::format("there is no place for more than {} virtio devices, and these are {} "
                              "(virtio-transport pci has more)",
                              pins, virtio),
                  ENOSPC));
    }
    const std::size_t functions = nvme + (by_pci ? virtio : 0);
    if (constexpr std::size_t most = pci::Root::slots - 1; functions > most) {  // one is the root
        return about_setting(
            config.disks.size() > config.nets.size() ? "disk" : "net",
            Error(fmt::format("PCI has no place for more than {} devices, and these are {}", most,
                              functions),
                  ENOSPC));
    }
    return {};
}

using enum SettingKind;

constexpr std::array table{
    Setting{"acpi", SettingKind::text, "KIND",
            "ACPI tables: reduced hardware, fixed hardware, or none", "", set_acpi,
            [](const MachineConfig& c) { return Values{name_of(acpi_names, c.acpi)}; }},
    Setting{"without", list, "DEVICE", "Leave out i8042, rtc, debug-console, pvpanic or fw-cfg", "",
            set_without, get_without},
    Setting{"fw-cfg", list, "NAME=FILE", "A file for the guest, by fw_cfg", "", add_fw_cfg,
            get_fw_cfg, no_keys, path_of_fw_cfg},
    Setting{"virtio-transport", SettingKind::text, "KIND",
            "What virtio devices are to the guest: mmio or pci", "", set_transport,
            [](const MachineConfig& c) {
                return Values{name_of(transport_names, c.virtio_transport)};
            }},
    flag_of<&MachineConfig::pci>("pci", "Have a PCI bus, even if nothing is on it"),
    flag_of<&MachineConfig::test_devices>("test-devices", "Add the test devices of kvm-unit-tests"),
};

}  // namespace

std::span<const Setting> device_settings() { return table; }

Result<void> check_devices(const MachineConfig& config) {
    KVM_TRY(check_fw_cfg(config));
    return check_places(config);
}

}  // namespace vmm::detail

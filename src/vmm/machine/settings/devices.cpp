// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <kvm/try.hpp>
#include <vmm/machine/settings/tables.hpp>
#include <vmm/machine/settings/values.hpp>

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

using enum SettingKind;

constexpr std::array table{
    Setting{"acpi", SettingKind::text, "KIND",
            "ACPI tables: reduced hardware, fixed hardware, or none", "", set_acpi,
            [](const MachineConfig& c) { return Values{name_of(acpi_names, c.acpi)}; }},
    Setting{"without", list, "DEVICE", "Leave out i8042, rtc, debug-console, pvpanic or fw-cfg", "",
            set_without, get_without},
    Setting{"fw-cfg", list, "NAME=FILE", "A file for the guest, by fw_cfg", "", add_fw_cfg,
            get_fw_cfg},
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

}  // namespace vmm::detail

// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <kvm/try.hpp>
#include <vmm/machine/settings/tables.hpp>
#include <vmm/machine/settings/values.hpp>

namespace vmm::detail {

namespace {

Result<void> set_timeout(MachineConfig& config, const std::string& text) {
    config.timeout = KVM_TRY(parse_seconds(text));
    return {};
}

Result<void> set_grace(MachineConfig& config, const std::string& text) {
    config.grace = KVM_TRY(parse_seconds(text));
    return {};
}

using enum SettingKind;

constexpr std::array table{
    Setting{"timeout", SettingKind::text, "SECONDS", "Stop the machine after so many seconds", "",
            set_timeout,
            [](const MachineConfig& c) {
                return c.timeout ? Values{seconds_text(*c.timeout)} : Values{};
            }},
    Setting{"grace", SettingKind::text, "SECONDS",
            "How long a guest may take to switch itself off when a signal asks it to", "",
            set_grace, [](const MachineConfig& c) { return Values{seconds_text(c.grace)}; }},
    Setting{"trace", path, "FILE", "Record the run there, for kvmxx replay and kvmxx trace", "",
            [](MachineConfig& c, const std::string& text) {
                c.trace = text;
                return Result<void>();
            },
            [](const MachineConfig& c) { return optional_value(c.trace); }},
};

}  // namespace

std::span<const Setting> run_settings() { return table; }

}  // namespace vmm::detail

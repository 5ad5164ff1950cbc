// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <cerrno>
#include <kvm/try.hpp>
#include <vmm/machine/ram.hpp>
#include <vmm/machine/settings/tables.hpp>

namespace vmm {

std::span<const Setting> settings() {
    static const std::vector<Setting> all = [] {
        std::vector<Setting> joined;
        for (const auto part : {
                 detail::boot_settings(),
                 detail::cpus_memory_settings(),
                 detail::device_settings(),
                 detail::net_settings(),
                 detail::guest_device_settings(),
                 detail::disk_settings(),
                 detail::run_settings(),
             }) {
            joined.insert(joined.end(), part.begin(), part.end());
        }
        return joined;
    }();
    return all;
}

const Setting* find_setting(std::string_view name) {
    const auto all = settings();
    const auto found = std::ranges::find(all, name, &Setting::name);
    return found == all.end() ? nullptr : &*found;
}

Result<void> check(const MachineConfig& config) {
    KVM_TRY(detail::check_ram(config));
    if (!config.fw_cfg.empty() && !config.devices.fw_cfg) {
        return fail("fw-cfg: does not go with --without fw-cfg", EINVAL);
    }
    KVM_TRY(detail::check_guest_devices(config));
    if (config.cpus == 0) {
        return fail("cpus: a machine needs one", EINVAL);
    }
    KVM_TRY(detail::check_nets(config));
    return {};
}

}  // namespace vmm

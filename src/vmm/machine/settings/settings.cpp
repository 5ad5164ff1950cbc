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
    KVM_TRY(detail::check_guest_devices(config));
    KVM_TRY(detail::check_cpus(config));
    KVM_TRY(detail::check_nets(config));
    KVM_TRY(detail::check_devices(config));
    return {};
}

}  // namespace vmm

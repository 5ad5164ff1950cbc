// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <fmt/format.h>
#include <vmm/machine/settings/tables.hpp>
#include <vmm/memory/guest_memory.hpp>

namespace vmm {

std::span<const Setting> settings() {
    static const std::vector<Setting> all = [] {
        std::vector<Setting> joined;
        for (const auto part : {
                 detail::boot_settings(),
                 detail::cpus_memory_settings(),
                 detail::device_settings(),
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

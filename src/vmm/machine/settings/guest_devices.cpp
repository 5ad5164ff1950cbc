// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <fmt/format.h>
#include <kvm/try.hpp>
#include <vmm/machine/settings/key_values.hpp>
#include <vmm/machine/settings/tables.hpp>
#include <vmm/machine/settings/values.hpp>
#include <vmm/virtio/console.hpp>

/// The settings of virtio's console, entropy, balloon and socket devices.
namespace vmm::detail {

namespace {

Result<void> set_rng(MachineConfig& config, const std::string& text) {
    if (text != "true") {
        config.rng.reset();
    } else if (!config.rng) {
        config.rng.emplace();
    }
    return {};
}

Result<void> set_rng_rate(MachineConfig& config, const std::string& text) {
    const auto rate = KVM_TRY(parse_size(text));
    if (rate == 0) {
        return refuse(text, "a number of bytes a second");
    }
    config.rng = Rate{.per_second = rate};
    return {};
}

Values get_rng_rate(const MachineConfig& config) {
    return config.rng && config.rng->per_second ? Values{size_text(config.rng->per_second)}
                                                : Values{};
}

constexpr std::array console_keys{
    Key{"name", KeyKind::text}, Key{"socket", KeyKind::path}, Key{"file", KeyKind::path},
    Key{"pty", KeyKind::flag},  Key{"stdio", KeyKind::flag},
};

constexpr Names<PortKind, 4> port_kinds{{
    {"socket", PortKind::socket},
    {"file", PortKind::file},
    {"pty", PortKind::pty},
    {"stdio", PortKind::stdio},
}};

Result<void> add_console(MachineConfig& config, const std::string& text) {
    const KeyValues values = KVM_TRY(parse_key_values(text, console_keys));
    ConsolePortConfig port;
    std::size_t kinds = 0;
    for (const auto& [name, kind] : port_kinds) {
        if (const std::string* value = values.find(name)) {
            port.kind = kind;
            port.path = *value;
            ++kinds;
        }
    }
    if (kinds != 1) {
        return fail("needs one of socket=PATH, file=PATH, pty and stdio", EINVAL);
    }
    if (const std::string* name = values.find("name")) {
        port.name = *name;
    }
    config.consoles.push_back(std::move(port));
    return {};
}

Values get_consoles(const MachineConfig& config) {
    Values texts;
    for (const ConsolePortConfig& port : config.consoles) {
        KeyValues values;
        values.add_if(!port.name.empty(), "name", port.name);
        values.add(name_of(port_kinds, port.kind), port.path);
        texts.push_back(values.text());
    }
    return texts;
}

constexpr std::array balloon_keys{
    Key{"size", KeyKind::text},
    Key{"stats", KeyKind::text},
    Key{"deflate-on-oom", KeyKind::flag},
    Key{"reporting", KeyKind::flag},
};

Result<void> set_balloon(MachineConfig& config, const std::string& text) {
    const KeyValues values = KVM_TRY(parse_key_values(text, balloon_keys));
    virtio::BalloonOptions balloon;
    if (const std::string* size = values.find("size")) {
        const auto bytes = parse_size(*size);
        if (!bytes) {
            return about_key("size", bytes.error());
        }
        balloon.target_bytes = *bytes;
    }
    if (const std::string* interval = values.find("stats")) {
        const auto seconds = parse_seconds(*interval);
        if (!seconds) {
            return about_key("stats", seconds.error());
        }
        balloon.statistics = *seconds;
    }
    balloon.deflate_on_oom = values.has("deflate-on-oom");
    balloon.reporting = values.has("reporting");
    config.balloon = balloon;
    return {};
}

Values get_balloon(const MachineConfig& config) {
    if (!config.balloon) {
        return {};
    }
    const auto& balloon = *config.balloon;
    KeyValues values;
    values.add("size", size_text(balloon.target_bytes));
    values.add_if(balloon.statistics.count() > 0, "stats", seconds_text(balloon.statistics));
    values.add_if(balloon.deflate_on_oom, "deflate-on-oom");
    values.add_if(balloon.reporting, "reporting");
    return {values.text()};
}

constexpr std::array vsock_keys{
    Key{"cid", KeyKind::text},
    Key{"path", KeyKind::path, KeyCount::required},
};

Result<void> set_vsock(MachineConfig& config, const std::string& text) {
    const KeyValues values = KVM_TRY(parse_key_values(text, vsock_keys));
    virtio::VsockOptions vsock;
    if (const std::string* cid = values.find("cid")) {
        const auto number = parse_number(*cid, 0xffffffff, "a guest's address, such as 3");
        if (!number) {
            return about_key("cid", number.error());
        }
        vsock.cid = static_cast<std::uint32_t>(*number);
    }
    vsock.path = *values.find("path");
    KVM_TRY(virtio::check(vsock));
    config.vsock = std::move(vsock);
    return {};
}

Values get_vsock(const MachineConfig& config) {
    if (!config.vsock) {
        return {};
    }
    KeyValues values;
    values.add("cid", fmt::format("{}", config.vsock->cid)).add("path", config.vsock->path);
    return {values.text()};
}

using enum SettingKind;

constexpr std::array table{
    Setting{
        "console", list, "WHERE",
        "A port of a virtio console, the first hvc0: [name=NAME,]socket=PATH, file=PATH, pty or "
        "stdio",
        "", add_console, get_consoles, console_keys},
    Setting{"rng", flag, "", "Give the guest random bytes of the host's, by virtio", "", set_rng,
            [](const MachineConfig& c) { return c.rng ? Values{"true"} : Values{}; }},
    Setting{"rng-rate", SettingKind::text, "BYTES", "The same, so many a second at most", "",
            set_rng_rate, get_rng_rate},
    Setting{"balloon", SettingKind::text, "WHAT",
            "Take memory back from the guest: size=SIZE,stats=SECONDS,deflate-on-oom,reporting", "",
            set_balloon, get_balloon, balloon_keys},
    Setting{"vsock", SettingKind::text, "cid=N,path=PATH",
            "Sockets between host and guest, at the host's UNIX socket PATH", "", set_vsock,
            get_vsock, vsock_keys},
};

bool is_repeated(const std::vector<ConsolePortConfig>& ports, std::size_t index) {
    return std::ranges::any_of(
        ports.begin(), ports.begin() + std::ptrdiff_t(index),
        [&](const ConsolePortConfig& earlier) {
            const ConsolePortConfig& port = ports[index];
            return (!port.name.empty() && port.name == earlier.name) ||
                   (port.kind == PortKind::stdio && earlier.kind == port.kind);
        });
}

}  // namespace

std::span<const Setting> guest_device_settings() { return table; }

Result<void> check_guest_devices(const MachineConfig& config) {
    constexpr std::size_t longest_name = 48;  // with a control message, within Linux's buffers
    if (config.consoles.size() > virtio::Console::most_ports) {
        return about_setting("console",
                             Error(fmt::format("{} ports are more than {}", config.consoles.size(),
                                               virtio::Console::most_ports),
                                   EINVAL));
    }
    for (std::size_t i = 0; i < config.consoles.size(); ++i) {
        const ConsolePortConfig& port = config.consoles[i];
        if (port.name.size() > longest_name || port.name.find('/') != std::string::npos) {
            return about_setting(
                "console", Error(fmt::format("'{}' is no name of a port", port.name), EINVAL));
        }
        if (is_repeated(config.consoles, i)) {
            return about_setting(
                "console", Error(fmt::format("{} is given twice",
                                             port.kind == PortKind::stdio ? "stdio" : port.name),
                                 EINVAL));
        }
        if (port.kind == PortKind::socket) {
            if (auto done = check_socket_path(port.path); !done) {
                return about_setting("console", std::move(done).error());
            }
        }
    }
    if (config.balloon && config.balloon->target_bytes > config.memory_bytes) {
        return about_setting("balloon", Error("size is more than the memory", EINVAL));
    }
    if (config.vsock) {
        if (auto done = virtio::check(*config.vsock); !done) {
            return about_setting("vsock", std::move(done).error());
        }
    }
    return {};
}

}  // namespace vmm::detail

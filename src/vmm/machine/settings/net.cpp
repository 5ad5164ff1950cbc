// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <kvm/try.hpp>
#include <vmm/machine/settings/key_values.hpp>
#include <vmm/machine/settings/tables.hpp>
#include <vmm/machine/settings/values.hpp>

namespace vmm::detail {

namespace {

constexpr std::array keys{
    Key{"user", KeyKind::flag},
    Key{"tap", KeyKind::text},
    Key{"fd", KeyKind::text},
    Key{"queues", KeyKind::text},
    Key{"mac", KeyKind::text},
    Key{"mtu", KeyKind::text},
    Key{"forward", KeyKind::text, KeyCount::many},
    Key{"service", KeyKind::target, KeyCount::many},
    Key{"tftp", KeyKind::path},
    Key{"bootfile", KeyKind::text},
    Key{"hostname", KeyKind::text},
    Key{"reach", KeyKind::text},
    Key{"bps", KeyKind::text},
    Key{"pps", KeyKind::text},
};
constexpr std::array user_keys{"forward", "service", "tftp", "bootfile", "hostname", "reach"};
constexpr std::uint16_t most_queues = 64;
constexpr std::uint16_t least_mtu = 68;  // virtio 1.2, 5.1.4

constexpr Names<net::Reach, 3> reach_names{{
    {"everything", net::Reach::everything},
    {"outside", net::Reach::outside},
    {"nothing", net::Reach::nothing},
}};

/// Puts what `read` makes of the key's value, if it was given, into `target`.
template <class T, class Read>
Result<void> take(const KeyValues& values, std::string_view key, T& target, Read read) {
    if (const std::string* const value = values.find(key)) {
        auto made = read(*value);
        if (!made) {
            return about_key(key, made.error());
        }
        target = static_cast<T>(std::move(*made));
    }
    return {};
}

Result<std::string> as_text(const std::string& text) { return text; }

Result<std::vector<int>> parse_fds(const std::string& text) {
    std::vector<int> fds;
    std::string_view rest = text;
    do {
        std::uint64_t fd = 0;
        if (!read_number(rest, fd, rest) || fd > INT32_MAX) {
            return refuse(text, "one descriptor or several, such as 3:4");
        }
        fds.push_back(static_cast<int>(fd));
    } while (rest.starts_with(':') && (rest.remove_prefix(1), true));
    if (!rest.empty()) {
        return refuse(text, "one descriptor or several, such as 3:4");
    }
    return fds;
}

Result<net::TapOptions> tap_options(const KeyValues& values) {
    for (const char* const key : user_keys) {
        if (values.has(key)) {
            return fail(fmt::format("{}: goes with user", key), EINVAL);
        }
    }
    net::TapOptions tap;
    KVM_TRY(take(values, "tap", tap.name, as_text));
    KVM_TRY(take(values, "fd", tap.fds, parse_fds));
    KVM_TRY(take(values, "queues", tap.queues, [](const std::string& text) {
        return parse_number(text, most_queues, "a number of queues, 1 to 64");
    }));
    return tap;
}

Result<net::UserOptions> user_options(const KeyValues& values) {
    if (values.has("queues")) {
        return fail("queues: goes with tap", EINVAL);
    }
    net::UserOptions user;
    for (const std::string& text : values.all("forward")) {
        auto forward = net::Forward::parse(text);
        if (!forward) {
            return about_key("forward", forward.error());
        }
        user.forwards.push_back(std::move(*forward));
    }
    for (const std::string& text : values.all("service")) {
        auto service = net::Service::parse(text);
        if (!service) {
            return about_key("service", service.error());
        }
        user.services.push_back(std::move(*service));
    }
    KVM_TRY(take(values, "tftp", user.tftp, as_text));
    KVM_TRY(take(values, "bootfile", user.boot_file, as_text));
    KVM_TRY(take(values, "hostname", user.host_name, as_text));
    KVM_TRY(take(values, "reach", user.reach, [](const std::string& text) {
        return parse_name(reach_names, text, "everything, outside or nothing");
    }));
    return user;
}

Result<void> add_net(MachineConfig& config, const std::string& text) {
    const KeyValues values = KVM_TRY(parse_key_values(text, keys));
    if (values.has("user") + values.has("tap") + values.has("fd") != 1) {
        return fail(fmt::format("'{}' needs one of user, tap=NAME and fd=N", text), EINVAL);
    }
    NetConfig net;
    if (values.has("user")) {
        net.network = KVM_TRY(user_options(values));
    } else {
        net.network = KVM_TRY(tap_options(values));
    }
    KVM_TRY(take(values, "mac", net.mac, net::Mac::parse));
    KVM_TRY(take(values, "mtu", net.mtu, [](const std::string& value) {
        return parse_number(value, 65535, "a number of bytes, up to 65535");
    }));
    KVM_TRY(take(values, "bps", net.send.bytes.per_second, parse_size));
    KVM_TRY(take(values, "pps", net.send.operations.per_second, [](const std::string& value) {
        return parse_number(value, UINT32_MAX, "a number of packets a second");
    }));
    net.receive = net.send;
    config.nets.push_back(std::move(net));
    return {};
}

void add_network(KeyValues& values, const net::TapOptions& tap) {
    values.add_if(!tap.name.empty(), "tap", tap.name);
    values.add_if(!tap.fds.empty(), "fd", fmt::format("{}", fmt::join(tap.fds, ":")));
    values.add_if(tap.queues != 1, "queues", fmt::format("{}", tap.queues));
}

void add_network(KeyValues& values, const net::UserOptions& user) {
    values.add("user");
    for (const net::Forward& forward : user.forwards) {
        values.add("forward", forward.text());
    }
    for (const net::Service& service : user.services) {
        values.add("service", service.text());
    }
    values.add_if(!user.tftp.empty(), "tftp", user.tftp);
    values.add_if(!user.boot_file.empty(), "bootfile", user.boot_file);
    values.add_if(!user.host_name.empty(), "hostname", user.host_name);
    values.add_if(user.reach != net::Reach::everything, "reach", name_of(reach_names, user.reach));
}

Values get_nets(const MachineConfig& config) {
    Values texts;
    for (const NetConfig& net : config.nets) {
        KeyValues values;
        std::visit([&](const auto& network) { add_network(values, network); }, net.network);
        values.add_if(net.mac.has_value(), "mac", net.mac.value_or(net::Mac()).text());
        values.add_if(net.mtu != 0, "mtu", fmt::format("{}", net.mtu));
        const Rate& bytes = net.send.bytes;
        values.add_if(bytes.per_second != 0, "bps", size_text(bytes.per_second));
        const Rate& packets = net.send.operations;
        values.add_if(packets.per_second != 0, "pps", fmt::format("{}", packets.per_second));
        texts.push_back(values.text());
    }
    return texts;
}

constexpr std::array table{
    Setting{"net", SettingKind::list, "user|tap=NAME,...",
            "A network card: user,forward=tcp:2222:22 or tap=NAME,mac=...,mtu=...,queues=N", "",
            add_net, get_nets, keys},
};

}  // namespace

std::span<const Setting> net_settings() { return table; }

Result<void> check_nets(const MachineConfig& config) {
    for (const NetConfig& net : config.nets) {
        if (net.mtu != 0 && net.mtu < least_mtu) {
            return about_setting(
                "net", Error(fmt::format("mtu: {} is below {}", net.mtu, least_mtu), EINVAL));
        }
        const auto same = [&](const NetConfig& other) { return net.mac && other.mac == net.mac; };
        if (std::ranges::count_if(config.nets, same) > 1) {
            return about_setting(
                "net", Error(fmt::format("mac: {} is given twice", net.mac->text()), EINVAL));
        }
        if (const auto* tap = std::get_if<net::TapOptions>(&net.network)) {
            if (tap->queues == 0 || tap->queues > most_queues || tap->fds.size() > most_queues) {
                return about_setting("net", Error("queues: from 1 to 64 are possible", EINVAL));
            }
            continue;
        }
        auto user = std::get<net::UserOptions>(net.network);
        user.mtu = net.mtu != 0 ? net.mtu : user.mtu;
        if (auto done = net::check(user); !done) {
            return about_setting("net", std::move(done).error());
        }
    }
    return {};
}

}  // namespace vmm::detail

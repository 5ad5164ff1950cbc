// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <vmm/machine/settings.hpp>
#include <vmm/machine/settings/config_text.hpp>
#include <vmm/result.hpp>

namespace vmm::test {
namespace {

MachineConfig with(const std::string& value) {
    MachineConfig config;
    must(find_setting("net")->set(config, value));
    return config;
}
std::string refusal(const std::string& value) {
    MachineConfig config;
    return message(find_setting("net")->set(config, value));
}
std::string checked(const std::string& value) { return message(check(with(value))); }

TEST(NetSetting, AUserNetworkIsReadAndWritten) {
    const std::string text =
        "user,forward=tcp:127.0.0.1:2222:22,forward=udp:0.0.0.0:53:53,"
        "service=10.0.2.100:80:/run/web,tftp=/srv,bootfile=grub,hostname=kit,"
        "reach=outside,mac=02:00:00:00:00:01,mtu=9000,bps=1M,pps=100";
    const MachineConfig config = with(text);
    const auto& user = std::get<net::UserOptions>(config.nets.at(0).network);
    EXPECT_EQ(user.forwards.size(), 2u);
    EXPECT_EQ(user.reach, net::Reach::outside);
    EXPECT_EQ(config.nets[0].receive.bytes.per_second, 1u << 20);
    EXPECT_EQ(find_setting("net")->get(config), std::vector<std::string>{text});
    EXPECT_EQ(find_setting("net")->get(with("user")), std::vector<std::string>{"user"});
}

TEST(NetSetting, ATapIsReadAndWritten) {
    const std::string text = "tap=tap0,queues=4";
    EXPECT_EQ(std::get<net::TapOptions>(with(text).nets[0].network),
              (net::TapOptions{.name = "tap0", .queues = 4}));
    EXPECT_EQ(find_setting("net")->get(with(text)), std::vector<std::string>{text});
    EXPECT_EQ(std::get<net::TapOptions>(with("fd=3:4").nets[0].network).fds,
              (std::vector<int>{3, 4}));
    EXPECT_EQ(find_setting("net")->get(with("fd=3:4")), std::vector<std::string>{"fd=3:4"});
}

TEST(NetSetting, AServicesPathBeginsAtTheConfigurationFile) {
    MachineConfig config;
    const auto read = [&](const char* text) {
        must(detail::read_config_text(config, text, "/d/vm.toml", settings()));
    };
    read("[[net]]\nuser = true\nservice = ['10.0.2.100:80:web.sock', '10.0.2.100:81:/web']\n");
    read("net = ['user,service=10.0.2.100:80:127.0.0.1:8080,service=10.0.2.100:81:./1.2.3.4:5']\n");
    std::vector<std::string> targets;
    for (const NetConfig& net : config.nets) {
        for (const auto& service : std::get<net::UserOptions>(net.network).services) {
            targets.push_back(service.target);
        }
    }
    EXPECT_EQ(targets, (std::vector<std::string>{"/d/web.sock", "/web", "127.0.0.1:8080",
                                                 "/d/./1.2.3.4:5"}));
    const auto refused =
        detail::read_config_text(config, "net = ['user,service=1']", "/d/vm.toml", settings());
    EXPECT_TRUE(message(refused).starts_with("/d/vm.toml:1: net: service: '1' is not ADDRESS"));
}

TEST(NetSetting, WhatCannotBeIsRefusedByName) {
    EXPECT_EQ(refusal("mtu=1500"), "'mtu=1500' needs one of user, tap=NAME and fd=N");
    EXPECT_EQ(refusal("user,tap=x"), "'user,tap=x' needs one of user, tap=NAME and fd=N");
    EXPECT_EQ(refusal("tap=x,forward=tcp:1:1"), "forward: goes with user");
    EXPECT_EQ(refusal("user,queues=2"), "queues: goes with tap");
    EXPECT_EQ(refusal("user,reach=all"), "reach: 'all' is not everything, outside or nothing");
    EXPECT_EQ(refusal("user,mac=1"),
              "mac: '1' is not an Ethernet address, such as 02:00:5e:10:00:01");
    EXPECT_EQ(refusal("fd=3:"), "fd: '3:' is not one descriptor or several, such as 3:4");
    EXPECT_EQ(refusal("user,forward=22"),
              "forward: '22' is not PROTOCOL:[ADDRESS:]HOST:GUEST, such as tcp:2222:22");
    EXPECT_EQ(checked("user,mtu=1000"), "net: mtu: 1000 is not from 1280 to 65521");
    EXPECT_EQ(checked("tap=x,mtu=10"), "net: mtu: 10 is below 68");
    EXPECT_EQ(checked("tap=x,queues=0"), "net: queues: from 1 to 64 are possible");
    EXPECT_EQ(checked("user,tftp=/nowhere"), "net: tftp: /nowhere: No such file or directory");
    MachineConfig twice = with("user,mac=02:00:00:00:00:01");
    twice.nets.push_back(twice.nets[0]);
    EXPECT_EQ(message(check(twice)), "net: mac: 02:00:00:00:00:01 is given twice");
}

}  // namespace
}  // namespace vmm::test

// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <gtest/gtest.h>
#include <vmm/machine/settings.hpp>
#include <vmm/result.hpp>

namespace vmm {
namespace {

/// What a setting says of a value, then what check() says of all.
std::string say(std::initializer_list<std::pair<const char*, std::string>> values) {
    MachineConfig config;
    for (const auto& [name, value] : values) {
        if (auto done = find_setting(name)->set(config, value); !done) {
            return done.error().message;
        }
    }
    return test::message(check(config));
}

TEST(GuestDeviceSettings, TakeWhatTheyGiveBack) {
    MachineConfig config;
    const std::pair<const char*, const char*> values[] = {
        {"console", "stdio"},
        {"console", "name=agent,socket=/tmp/a"},
        {"console", "name=log,file=/tmp/b"},
        {"console", "pty"},
        {"rng-rate", "1K"},
        {"balloon", "size=64M,stats=2,deflate-on-oom,reporting"},
        {"vsock", "cid=5,path=/tmp/c"},
    };
    for (const auto& [name, value] : values) {
        test::must(find_setting(name)->set(config, value));
        EXPECT_EQ(find_setting(name)->get(config).back(), value);
    }
    EXPECT_EQ(config.consoles[1], (ConsolePortConfig{"agent", PortKind::socket, "/tmp/a"}));
    EXPECT_EQ(config.rng->per_second, 1024u);
    EXPECT_EQ(config.balloon->target_bytes, 64u << 20);
    EXPECT_EQ(config.vsock->cid, 5u);
    EXPECT_EQ(test::message(check(config)), "succeeded");
}

TEST(GuestDeviceSettings, SayWhatIsWrongBeforeAnythingIsMade) {
    EXPECT_EQ(say({{"console", "name=a"}}), "needs one of socket=PATH, file=PATH, pty and stdio");
    EXPECT_EQ(say({{"console", "stdio,pty"}}),
              "needs one of socket=PATH, file=PATH, pty and stdio");
    EXPECT_EQ(say({{"console", "stdio"}, {"console", "stdio"}}), "console: stdio is given twice");
    EXPECT_EQ(say({{"console", "name=a,pty"}, {"console", "name=a,pty"}}),
              "console: a is given twice");
    EXPECT_EQ(say({{"console", "name=a/b,pty"}}), "console: 'a/b' is no name of a port");
    EXPECT_TRUE(say({{"console", "socket=" + std::string(200, 'x')}}).starts_with("console: xxx"));
    EXPECT_EQ(say({{"balloon", "size=1G"}, {"memory", "512M"}}),
              "balloon: size is more than the memory");
    EXPECT_EQ(say({{"balloon", "stats=0"}}),
              "stats: '0' is not a number of seconds above 0, such as 1.5");
    EXPECT_EQ(say({{"vsock", "cid=3"}}), "path: is missing");
    EXPECT_EQ(say({{"vsock", "cid=2,path=/tmp/x"}}), "cid: 2 is the host");
    EXPECT_EQ(say({{"rng-rate", "0"}}), "'0' is not a number of bytes a second");
}

}  // namespace
}  // namespace vmm

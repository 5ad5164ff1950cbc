// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <vmm/net/user.hpp>
#include <vmm/net/user_address.hpp>
#include <vmm/result.hpp>

namespace vmm::test {
namespace {

TEST(UserNetText, ForwardsAndServicesAreReadAndWritten) {
    const auto forward = must(net::Forward::parse("udp:0.0.0.0:5353:53"));
    EXPECT_EQ(forward, (net::Forward{net::Protocol::udp, "0.0.0.0", 5353, 53}));
    EXPECT_EQ(must(net::Forward::parse("tcp:2222:22")).text(), "tcp:127.0.0.1:2222:22");
    for (const char* bad : {"", "tcp", "tcp:1", "2222:22", "sctp:1:2", "tcp:0:1", "tcp:1:65536",
                            "tcp:x:1:2", "tcp:1:2x", "tcp::1:2:3"}) {
        EXPECT_FALSE(net::Forward::parse(bad)) << bad;
    }
    const auto service = must(net::Service::parse("10.0.2.100:80:/run/web:1"));
    EXPECT_EQ(service, (net::Service{"10.0.2.100", 80, "/run/web:1"}));
    EXPECT_EQ(service.text(), "10.0.2.100:80:/run/web:1");
    EXPECT_EQ(must(net::Service::parse("10.0.2.100:80:127.0.0.1:8080")).target, "127.0.0.1:8080");
    const auto is_tcp = [](const char* target) { return bool(net::parse_tcp_target(target)); };
    EXPECT_TRUE(is_tcp("127.0.0.1:8080"));
    for (const char* path : {"web", "web:80", "./127.0.0.1:80", "127.0.0.1", "127.0.0.1:0",
                             "127.0.0.1:80:80", "127.0.0.1:http", "localhost:80", ":80"}) {
        EXPECT_FALSE(is_tcp(path)) << path;
    }
    for (const char* bad : {"", "10.0.2.100", "10.0.2.100:80", "10.0.2.100:80:", "10.0.2.3:80:x",
                            "10.0.3.1:80:x", "10.0.2.9:0:x"}) {
        EXPECT_FALSE(net::Service::parse(bad)) << bad;
    }
}

}  // namespace
}  // namespace vmm::test

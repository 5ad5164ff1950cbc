// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <vmm/net/mac.hpp>
#include <vmm/result.hpp>

namespace vmm::test {
namespace {

using net::Mac;

TEST(MacAddress, IsReadAndWritten) {
    EXPECT_EQ(must(Mac::parse("02:00:5E:10:00:ff")).text(), "02:00:5e:10:00:ff");
    for (const char* bad : {"", "02:00:5e:10:00", "02:00:5e:10:00:1", "02-00-5e-10-00-01",
                            "02:00:5e:10:00:0g", "02:00:5e:10:00:011", "+2:00:5e:10:00:01"}) {
        EXPECT_EQ(code(Mac::parse(bad)), EINVAL) << bad;
    }
    EXPECT_EQ(message(Mac::parse("01:00:5e:10:00:01")),
              "'01:00:5e:10:00:01' is the address of a group");
}

TEST(MacAddress, DerivedOnesAreStableLocalAndDiffer) {
    const Mac mac = Mac::derive("tap0 0");
    EXPECT_EQ(mac, Mac::derive("tap0 0"));
    EXPECT_NE(mac, Mac::derive("tap0 1"));
    EXPECT_NE(mac, Mac::derive("tap1 0"));
    EXPECT_EQ(mac.bytes[0] & 3, 2);  // locally administered, of no group
}

}  // namespace
}  // namespace vmm::test

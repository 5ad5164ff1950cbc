// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "script.hpp"

#include <set>

namespace kvm::test {
namespace {

class Statistics : public WithKvm {};

void check(Stats& stats) {
    ASSERT_FALSE(stats.descriptors().empty());
    std::set<std::string> names;
    for (const StatsDesc& desc : stats.descriptors()) {
        EXPECT_TRUE(names.insert(desc.name).second) << desc.name << " is there twice";
        EXPECT_GE(desc.size, 1u) << desc.name;
        EXPECT_LE(static_cast<u32>(desc.type), 4u) << desc.name;
        EXPECT_EQ(stats.find(desc.name), &desc);
        EXPECT_EQ(stats.values(desc).size(), desc.size);
        if (desc.type != StatsType::linear_hist && desc.type != StatsType::log_hist) {
            EXPECT_EQ(desc.size, 1u) << desc.name;
        }
    }
    EXPECT_EQ(stats.find("no such thing"), nullptr);
}

TEST_F(Statistics, OfAVmDescribeThemselves) {
    REQUIRE_CAP(kvm(), cap::binary_stats_fd);
    Guest guest(kvm());
    Stats stats = must(guest.vm().stats());
    EXPECT_EQ(std::string(stats.id()).rfind("kvm-", 0), 0u) << stats.id();
    check(stats);
    EXPECT_OK(stats.update());
}

TEST_F(Statistics, OfAVcpuCountItsExits) {
    REQUIRE_CAP(kvm(), cap::binary_stats_fd);
    Guest guest(kvm());
    Stats stats = must(guest.vcpu().stats());
    check(stats);
    const StatsDesc* exits = stats.find("exits");
    ASSERT_NE(exits, nullptr);
    EXPECT_EQ(exits->type, StatsType::cumulative);
    EXPECT_EQ(exits->unit, StatsUnit::none);
    ASSERT_OK(stats.update());
    const u64 before = stats.values(*exits)[0];
    load_script(guest, std::vector<Operation>(10, {store1, layout::mmio, 1}));
    for (int i = 0; i < 10; ++i) {
        guest.run_to_write(layout::mmio);
    }
    ASSERT_OK(stats.update());
    EXPECT_GE(stats.values(*exits)[0], before + 10);
}

TEST_F(Statistics, OutliveTheVmTheyAreOf) {
    REQUIRE_CAP(kvm(), cap::binary_stats_fd);
    std::optional<Stats> stats;
    {
        Vm vm = must(kvm().create_vm());
        stats.emplace(must(vm.stats()));
    }
    EXPECT_OK(stats->update());
}

TEST_F(Statistics, KnowHistogramsByTheirBuckets) {
    REQUIRE_CAP(kvm(), cap::binary_stats_fd);
    Guest guest(kvm());
    Stats stats = must(guest.vcpu().stats());
    bool found = false;
    for (const StatsDesc& desc : stats.descriptors()) {
        if (desc.type == StatsType::log_hist || desc.type == StatsType::linear_hist) {
            found = true;
            EXPECT_GT(desc.size, 1u) << desc.name;
        }
    }
    if (!found) {
        GTEST_SKIP() << "this KVM keeps no histogram";
    }
}

}  // namespace
}  // namespace kvm::test

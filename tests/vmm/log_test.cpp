// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <gtest/gtest.h>
#include <string>
#include <vector>
#include <vmm/log.hpp>

namespace vmm {
namespace {

/// A log that keeps its lines.
Log keeper(std::vector<std::string>& lines, LogLevel least = LogLevel::debug) {
    return {least, [&lines](const LogLine& line) {
                lines.push_back(std::string(describe(line.level)) + " " +
                                std::string(line.component) + ": " + std::string(line.text));
            }};
}

TEST(Log, SaysNothingWithoutASink) {
    const Log log;
    EXPECT_FALSE(log.wants(LogLevel::error));
    log.error("machine", "nobody hears");
    LogLimit limit;
    log.say(limit, LogLevel::error, "machine", "nor this");
    EXPECT_EQ(limit.count(), 1u);
}

TEST(Log, SaysWhoSaysWhatAndHowBadItIs) {
    std::vector<std::string> lines;
    {
        const Log copy = keeper(lines);
        const Log log = copy;
        log.debug("a", "1");
        log.info("b", "2");
        log.warn("virtio-blk0", "disabled: descriptor 5 is its own successor");
        log.error("d", "4");
    }
    EXPECT_EQ(lines,
              (std::vector<std::string>{
                  "debug a: 1", "info b: 2",
                  "warn virtio-blk0: disabled: descriptor 5 is its own successor", "error d: 4"}));
}

TEST(Log, LeavesOutWhatIsBelowItsLevel) {
    std::vector<std::string> lines;
    const Log log = keeper(lines, LogLevel::warn);
    EXPECT_FALSE(log.wants(LogLevel::info));
    EXPECT_TRUE(log.wants(LogLevel::warn));
    log.info("a", "no");
    log.warn("a", "yes");
    EXPECT_EQ(lines, std::vector<std::string>{"warn a: yes"});
}

TEST(Log, IsNotFilledByAGuestThatRepeatsItself) {
    std::vector<std::string> lines;
    const Log log = keeper(lines);
    LogLimit limit;
    for (int i = 0; i < 1'000'000; ++i) {
        log.say(limit, LogLevel::warn, "a", "again");
    }
    EXPECT_EQ(limit.count(), 1'000'000u);
    ASSERT_EQ(lines.size(), 26u) << "ten, then 16, 32, ... 524288";
    EXPECT_EQ(lines[9], "warn a: again");
    EXPECT_EQ(lines[10], "warn a: again (16 times by now)");
    EXPECT_EQ(lines[25], "warn a: again (524288 times by now)");
}

}  // namespace
}  // namespace vmm

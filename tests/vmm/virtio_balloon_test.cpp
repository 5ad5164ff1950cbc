// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <cerrno>
#include <sys/mman.h>
#include <vmm/virtio/balloon.hpp>
#include <vmm/virtio_fixture.hpp>

namespace vmm::test {
namespace {

using namespace virtio;
using namespace std::chrono_literals;

constexpr std::uint64_t mib = 1 << 20;
constexpr std::uint64_t f_statistics = 1 << 1, f_on_oom = 1 << 2, f_reporting = 1 << 5;
constexpr std::uint16_t inflateq = 0, deflateq = 1, statsq = 2, reportq = 4;

class VirtioBalloon : public VirtioDeviceTest {
protected:
    void SetUp() override { fill(0x300000, 4 * mib); }

    void fill(std::uint64_t address, std::uint64_t length) {
        must(memory.fill(kvm::Gpa(address), length, std::byte{0x5a}));
    }
    /// How many of these pages the host has memory for.
    std::size_t resident(std::uint64_t address, std::uint64_t length) {
        const auto bytes = must(memory.host_span(kvm::Gpa(address), length));
        std::vector<unsigned char> pages(length / 4096);
        EXPECT_EQ(::mincore(bytes.data(), bytes.size(), pages.data()), 0);
        return static_cast<std::size_t>(
            std::ranges::count_if(pages, [](unsigned char p) { return p & 1; }));
    }
    /// Pages from `address` on, by number, last first as Linux has them.
    std::vector<std::uint32_t> pages(std::uint64_t address, std::uint64_t length) {
        std::vector<std::uint32_t> numbers;
        for (std::uint64_t at = address + length; at > address; at -= 4096) {
            numbers.push_back(static_cast<std::uint32_t>((at - 4096) >> 12));
        }
        return numbers;
    }
    bool send(std::uint16_t index, const std::vector<std::uint32_t>& numbers) {
        return request(index, std::as_bytes(std::span(numbers)), 0).has_value();
    }
    bool report_free(std::uint64_t address, std::uint64_t length, std::uint16_t index = reportq) {
        EXPECT_TRUE(queue(index).offer({}, {{kvm::Gpa(address), std::uint32_t(length)}}));
        notify(index);
        return !broken() && queue(index).take();
    }
    /// A buffer of statistics.
    static std::vector<std::byte> statistics(
        std::initializer_list<std::pair<std::uint16_t, std::uint64_t>> values) {
        std::vector<std::byte> bytes(10 * values.size());
        std::byte* at = bytes.data();
        for (const auto& [number, value] : values) {
            std::memcpy(at, &number, 2);
            std::memcpy(at + 2, &value, 8);
            at += 10;
        }
        return bytes;
    }

    Balloon plain{BalloonOptions{}};
    Balloon full{BalloonOptions{
        .target_bytes = 8 * mib, .statistics = 20ms, .deflate_on_oom = true, .reporting = true}};
};

TEST_F(VirtioBalloon, OffersWhatItWasAskedFor) {
    EXPECT_EQ(plain.features(), feature::rings);
    EXPECT_EQ(full.features(), feature::rings | f_statistics | f_on_oom | f_reporting);
}

TEST_F(VirtioBalloon, GivesPagesBackToTheHost) {
    start(plain);
    ASSERT_EQ(resident(0x300000, 4 * mib), 1024u);
    ASSERT_TRUE(send(inflateq, pages(0x400000, mib))) << complaint();
    EXPECT_EQ(resident(0x400000, mib), 0u);
    EXPECT_EQ(resident(0x300000, mib), 256u) << "its neighbours stay";
    EXPECT_EQ(resident(0x500000, 2 * mib), 512u);
    EXPECT_EQ(plain.report().given_back_bytes, mib);
    ASSERT_TRUE(send(deflateq, pages(0x400000, mib))) << complaint();
    EXPECT_EQ(must(memory.read<std::uint64_t>(kvm::Gpa(0x400000))), 0u) << "it is there, zeroed";
}

TEST_F(VirtioBalloon, TakesScatteredAndRepeatedPages) {
    start(plain);
    const auto page = [](std::uint64_t n) { return std::uint32_t(0x400 + n); };
    ASSERT_TRUE(send(inflateq, {page(7), page(3), page(3), page(100), page(7), page(4)}));
    EXPECT_EQ(resident(0x400000, mib), 256u - 4);
    EXPECT_EQ(plain.report().given_back_bytes, 4 * 4096u);
    ASSERT_TRUE(send(inflateq, {page(7)})) << "a second time does no harm";
}

TEST_F(VirtioBalloon, TellsItsTargetAndHearsItsSize) {
    start(full);
    EXPECT_EQ(read_config<std::uint32_t>(0), 8 * mib / 4096);
    EXPECT_EQ(full.report().target_bytes, 8 * mib);
    const int before = config_interrupts;
    reactor->call([&] { full.set_target(12 * mib + 100); });
    EXPECT_EQ(config_interrupts, before + 1);
    EXPECT_EQ(read_config<std::uint32_t>(0), 12 * mib / 4096);
    write_config(4, std::uint32_t(5));
    EXPECT_EQ(full.report().actual_bytes, 5 * 4096u);
    EXPECT_EQ(read_config<std::uint32_t>(4), 5u);
}

TEST_F(VirtioBalloon, ItsConfigurationTakesTheSizeAlone) {
    start(full);
    write_config(0, std::uint32_t(0xffffffff));
    write_config(1, std::uint64_t(~0));
    write_config(8, std::uint64_t(~0));
    write_config(0xffff'ffff'ffff'ffff, std::uint64_t(~0));
    EXPECT_EQ(read_config<std::uint32_t>(0), 8 * mib / 4096);
    EXPECT_EQ(read_config<std::uint32_t>(4), 0u);
    write_config(6, std::uint64_t(~0));
    EXPECT_EQ(read_config<std::uint32_t>(4), 0xffff0000u) << "as far as it is the size";
    EXPECT_EQ(read_config<std::uint64_t>(8), 0u);
    EXPECT_EQ(full.report().actual_bytes, 0xffff0000ull * 4096) << "what the guest says, no more";
}

TEST_F(VirtioBalloon, DiscardsNothingThatIsNotTheGuestsToGive) {
    const std::uint32_t lies[] = {static_cast<std::uint32_t>(hole.value() >> 12),
                                  static_cast<std::uint32_t>(rom.value() >> 12), 0xffffffff,
                                  0x80000000};
    must(memory.load(rom, bytes("read-only")));
    for (const std::uint32_t lie : lies) {
        start(plain);
        EXPECT_FALSE(send(inflateq, {lie}));
        EXPECT_TRUE(broken()) << lie;
        EXPECT_TRUE(complaint().starts_with("balloon: disabled")) << complaint();
    }
    EXPECT_EQ(must(memory.read<std::uint64_t>(rom)), 0x6c6e6f2d64616572u) << "it is still there";
    start(plain);
    EXPECT_FALSE(send(deflateq, {static_cast<std::uint32_t>(hole.value() >> 12)}));
    EXPECT_TRUE(broken());
}

TEST_F(VirtioBalloon, RefusesRequestsThatAreNone) {
    const auto lie = [&](std::vector<Buffer> readable, std::vector<Buffer> writable) {
        start(plain);
        EXPECT_TRUE(queue(inflateq).offer(readable, writable));
        notify(inflateq);
        return broken();
    };
    EXPECT_TRUE(lie({put("abc")}, {})) << "no whole number";
    EXPECT_TRUE(lie({{room(4).address, 0}}, {}));
    EXPECT_TRUE(lie({{hole, 4}}, {})) << "not there";
    EXPECT_TRUE(lie({{kvm::Gpa(0x1000), 0xfffffffc}}, {})) << "4 GiB of numbers";
    EXPECT_TRUE(lie({}, {room(4)})) << "the wrong direction";
    const Buffer many{kvm::Gpa(0x100000), 0x40004};
    EXPECT_TRUE(lie({many}, {})) << "more numbers than there may be";
}

TEST_F(VirtioBalloon, AFloodOfRequestsDoesNotHoldUpTheOthers) {
    start(plain);
    for (int i = 0; i < 200; ++i) {
        const std::uint32_t number = std::uint32_t(0x300 + i);
        ASSERT_TRUE(queue(inflateq).offer({put(std::as_bytes(std::span(&number, 1)))}, {}));
    }
    transport().notify(inflateq);
    reactor->turn(0ms);
    int used = 0;
    while (queue(inflateq).take()) {
        ++used;
    }
    EXPECT_LT(used, 200) << "the rest comes in a later turn";
    while (used < 200 && wait_used(inflateq)) {
        ++used;
    }
    EXPECT_EQ(used, 200);
}

TEST_F(VirtioBalloon, TakesWhatIsReportedFree) {
    start(full);
    ASSERT_TRUE(report_free(0x400000, 2 * mib)) << complaint();
    EXPECT_EQ(resident(0x400000, 2 * mib), 0u);
    EXPECT_EQ(full.report().reported_bytes, 2 * mib);
    ASSERT_TRUE(report_free(0x300800, 4096)) << "no whole page";
    ASSERT_TRUE(report_free(0x300800, 8192)) << "one whole page";
    EXPECT_EQ(resident(0x300000, mib), 255u);
    EXPECT_EQ(full.report().reported_bytes, 2 * mib + 4096);
}

TEST_F(VirtioBalloon, RefusesWhatIsReportedFreeAndIsNotTheGuests) {
    const Buffer lies[] = {{hole, 4096},
                           {rom, 4096},
                           {hole + (std::uint64_t(0) - 4096), 8192},
                           {kvm::Gpa(0xffff'ffff'ffff'f000), 0xffff'f000},
                           {kvm::Gpa(0), 0xffff'f000}};
    for (const Buffer& lie : lies) {
        start(full);
        EXPECT_FALSE(report_free(lie.address.value(), lie.length));
        EXPECT_TRUE(broken()) << lie.address.value();
    }
}

TEST_F(VirtioBalloon, FindsTheQueuesOfDriversThatNumberOnlyThoseTheyUse) {
    // Linux before 6.11 without free page hinting: reporting is the queue behind the statistics.
    attach(full);
    negotiate(~std::uint64_t(0));
    for (std::uint16_t index = 0; index < 4; ++index) {
        add_queue(index, 64);
    }
    transport().set_status(status::driver_ok);
    settle();
    ASSERT_TRUE(report_free(0x400000, mib, 3));
    EXPECT_EQ(full.report().reported_bytes, mib);

    // And without statistics, the third.
    attach(full);
    negotiate(f_reporting);
    for (std::uint16_t index = 0; index < 3; ++index) {
        add_queue(index, 64);
    }
    transport().set_status(status::driver_ok);
    settle();
    ASSERT_TRUE(report_free(0x500000, mib, 2));
    EXPECT_EQ(full.report().reported_bytes, 2 * mib);
}

TEST_F(VirtioBalloon, AsksForStatisticsAgainAndAgain) {
    start(full);
    const Buffer buffer = put(statistics({{4, 1000}, {5, 2000}, {999, 3}, {10, 7}}));
    ASSERT_TRUE(queue(statsq).offer({buffer}, {}));
    notify(statsq);
    using Values = std::vector<std::pair<std::string, std::uint64_t>>;
    EXPECT_EQ(full.report().statistics,
              (Values{{"free-memory", 1000}, {"total-memory", 2000}, {"oom-kills", 7}}));
    const auto told = full.statistics();
    ASSERT_EQ(told.size(), 4u + 3u);
    EXPECT_EQ(told[4], (Statistic{"guest-free-memory", 1000, false}));
    for (std::uint64_t round = 0; round < 3; ++round) {
        ASSERT_TRUE(wait_used(statsq)) << "it asks for new ones";
        must(memory.write(buffer.address, std::span<const std::byte>(statistics({{4, round}}))));
        ASSERT_TRUE(queue(statsq).offer({buffer}, {}));
        notify(statsq);
        EXPECT_EQ(full.report().statistics[0],
                  (std::pair<std::string, std::uint64_t>("free-memory", round)));
    }
}

TEST_F(VirtioBalloon, StatisticsMayBeAnything) {
    for (const std::uint32_t length : {0u, 1u, 9u, 10u, 11u, 4096u, 0xffffffffu}) {
        start(full);
        const Buffer buffer{kvm::Gpa(0x300000), length};
        ASSERT_TRUE(queue(statsq).offer({buffer}, {}));
        notify(statsq);
        EXPECT_LE(full.report().statistics.size(), 64u);
    }
    start(full);
    ASSERT_TRUE(queue(statsq).offer({{hole, 100}}, {}));
    notify(statsq);
    EXPECT_TRUE(broken());
}

TEST_F(VirtioBalloon, WhatTheHostCannotDoIsSaidOnceAndHarmsNobody) {
    const auto locked = memory.lock(kvm::Gpa(0x400000), 4096);
    if (!locked) {
        GTEST_SKIP() << locked.error().message;
    }
    start(plain);
    for (int i = 0; i < 3; ++i) {
        ASSERT_TRUE(send(inflateq, {0x400, 0x500})) << complaint();
    }
    EXPECT_EQ(plain.report().notes.size(), 1u);
    EXPECT_EQ(resident(0x500000, 4096), 0u);
    EXPECT_EQ(must(memory.read<std::uint8_t>(kvm::Gpa(0x400000))), 0x5a);
    must(memory.unlock(kvm::Gpa(0x400000), 4096));
}

TEST_F(VirtioBalloon, ItsTargetGoesElsewhereAlsoBeforeThereIsADriver) {
    attach(plain);
    reactor->call([&] { plain.set_target(3 * mib); });
    const auto state = must(transport().save());
    Balloon other{BalloonOptions{}};
    resume(other, state);
    EXPECT_EQ(other.report().target_bytes, 3 * mib);
    EXPECT_EQ(read_config<std::uint32_t>(0), 3 * mib / 4096);
    stop();
}

TEST_F(VirtioBalloon, GoesOnElsewhere) {
    start(full);
    write_config(4, std::uint32_t(77));
    reactor->call([&] { full.set_target(3 * mib); });
    ASSERT_TRUE(queue(statsq).offer({put(statistics({{4, 1}}))}, {}));
    notify(statsq);
    const auto state = must(transport().save());
    Balloon other(BalloonOptions{.statistics = 20ms, .deflate_on_oom = true, .reporting = true});
    resume(other, state);
    EXPECT_EQ(other.report().target_bytes, 3 * mib);
    EXPECT_EQ(other.report().actual_bytes, 77 * 4096u);
    EXPECT_EQ(other.report().statistics.size(), 1u) << "the driver's buffer is still there";
    EXPECT_TRUE(wait_used(statsq));
    EXPECT_TRUE(send(inflateq, pages(0x400000, mib))) << complaint();
    stop();
    Balloon odd{BalloonOptions{}};
    EXPECT_EQ(code(odd.restore(bytes("abc"))), EINVAL);
}

}  // namespace
}  // namespace vmm::test

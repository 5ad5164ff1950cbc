// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "virtio_block_fixture.hpp"

namespace vmm::test {
namespace {

using namespace blk;
using namespace std::chrono_literals;

TEST_F(VirtioBlock, QueuesAreOfOneDisk) {
    make({.queues = 4});
    start(*device);
    for (std::uint16_t i = 0; i < 4; ++i) {
        EXPECT_EQ(run({header(out, i), put(std::string(512, char('a' + i)))}, {}, i), 0);
        EXPECT_EQ(interrupts[i], 1);
    }
    EXPECT_EQ(file.content().substr(0, 4 * 512), std::string(512, 'a') + std::string(512, 'b') +
                                                     std::string(512, 'c') + std::string(512, 'd'));
}

TEST_F(VirtioBlock, MoreThanABudgetIsServedAtOnceWithoutAnotherNotification) {
    make({.queue_size = 2048});
    start(*device);
    std::vector<Buffer> statuses;
    for (int n = 0; n < 1000; ++n) {
        statuses.push_back(status_byte());
        ASSERT_TRUE(queue(0).offer({header(flush)}, {statuses.back()}));
    }
    notify(0);
    settle();
    for (const Buffer& status : statuses) {
        EXPECT_EQ(at(status), 0);
        EXPECT_TRUE(queue(0).take().has_value());
    }
}

TEST_F(VirtioBlock, AResetWaitsForWhatIsInFlight) {
    make();
    start(*device);
    engine->holds = true;
    const Buffer data = room(512);
    const Buffer status = status_byte();
    ASSERT_TRUE(queue(0).offer({header(in, 1)}, {data, status}));
    notify(0);
    EXPECT_EQ(at(status), no_status);
    transport().set_status(0);
    EXPECT_FALSE(engine->holds) << "it was not waited for";
    EXPECT_EQ(at(status), no_status) << "its queue is gone";
    EXPECT_FALSE(queue(0).has_used());
    start(*device);
    EXPECT_EQ(run({header(in)}, {room(512)}), 0);
}

TEST_F(VirtioBlock, ADisabledDeviceAnswersNothingInFlight) {
    make();
    start(*device);
    engine->holds = true;
    const Buffer status = status_byte();
    ASSERT_TRUE(queue(0).offer({header(in, 1)}, {room(512), status}));
    notify(0);
    ASSERT_TRUE(queue(0).offer({header(in, 1)}, {}));
    notify(0);
    EXPECT_TRUE(broken());
    engine->let_go();
    settle();
    EXPECT_EQ(at(status), no_status);
}

TEST_F(VirtioBlock, GoesOnFromASnapshot) {
    make();
    start(*device);
    write_config<std::uint8_t>(32, 0);
    engine->holds = true;
    const Buffer status = status_byte();
    ASSERT_TRUE(queue(0).offer({header(out, 1), put(std::string(512, 's'))}, {status}));
    notify(0);
    const auto snapshot = must(transport().save());
    EXPECT_EQ(at(status), 0) << "what was in flight is done";
    EXPECT_TRUE(queue(0).take().has_value());

    make();
    attach(*device);
    must(transport().restore(snapshot));
    EXPECT_EQ(read_config<std::uint8_t>(32), 0);
    EXPECT_EQ(file.content()[512], 's');
    for (const auto& bad : {std::vector<std::byte>{}, std::vector<std::byte>{std::byte{2}},
                            std::vector<std::byte>(9)}) {
        EXPECT_EQ(message(device->restore(bad)),
                  std::string(device->name()) + ": a state of another device");
    }
}

TEST_F(VirtioBlock, ManyRequestsByRealEnginesUnderLoad) {
    for (const auto kind : {block::EngineKind::automatic, block::EngineKind::threads}) {
        make({.queues = 2}, Access::read_write, kind);
        start(*device);
        std::mt19937 random(3);
        std::string model = file.content();
        for (int round = 0; round < 50; ++round) {
            std::vector<std::pair<Buffer, std::uint64_t>> reads;
            std::vector<Buffer> statuses;
            for (std::uint64_t i = 0; i < 64; ++i) {
                // Each request of a round has sectors of its own: their order is nobody's promise.
                const std::uint64_t sector = (i * 32) + random() % 31;
                const auto index = static_cast<std::uint16_t>(random() % 2);
                statuses.push_back(status_byte());
                if (random() % 2) {
                    const std::string data(512, static_cast<char>(random()));
                    model.replace(sector * 512, 512, data);
                    ASSERT_TRUE(
                        queue(index).offer({header(out, sector), put(data)}, {statuses.back()}));
                } else {
                    reads.emplace_back(room(512), sector);
                    ASSERT_TRUE(queue(index).offer({header(in, sector)},
                                                   {reads.back().first, statuses.back()}));
                }
            }
            notify(0);
            notify(1);
            for (int taken = 0; taken < 64;) {
                taken += queue(0).take().has_value();
                taken += queue(1).take().has_value();
                reactor->turn(1ms);
            }
            for (const auto& [buffer, sector] : reads) {
                const auto bytes = get(buffer);
                ASSERT_EQ(std::string_view(reinterpret_cast<const char*>(bytes.data()), 512),
                          model.substr(sector * 512, 512));
            }
        }
        EXPECT_EQ(file.content(), model);
    }
}

}  // namespace
}  // namespace vmm::test

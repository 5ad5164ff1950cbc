// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "nvme_fixture.hpp"

#include <thread>

namespace vmm::test {
namespace {

using namespace nvme;
using namespace std::chrono_literals;

/// With doorbell buffers, as Linux has them.
class NvmeBuffers : public Nvme {
protected:
    void begin(std::uint16_t queues = 1, std::uint32_t entries = 64) {
        make({.queues = queues});
        start(queues, entries);
        values = allocate(4096);
        events = allocate(4096);
        ASSERT_EQ(admin({.opcode = 0x7c, .prp1 = values, .prp2 = events}).status, Status::success);
        tells_heads = false;
    }
    std::uint32_t event(std::uint64_t index) { return value_at<std::uint32_t>(events + 4 * index); }
    void tell(std::uint64_t index, std::uint32_t value) {
        must(memory.write(kvm::Gpa(values + 4 * index), value));
    }
    /// What a guest's write to a doorbell is where KVM has it.
    void signal(std::uint64_t index) {
        const int fd = doorbells.at.at(bar + reg::doorbells + 4 * index);
        const std::uint64_t one = 1;
        ASSERT_EQ(::write(fd, &one, sizeof one), ssize_t{sizeof one});
        settle();
    }
    std::uint64_t values = 0, events = 0;
};

TEST_F(NvmeBuffers, DoorbellsAreSignalledWithoutTheirValue) {
    begin(2);
    EXPECT_EQ(doorbells.at.size(), 2u) << "of both submission queues, and not of the admin's";
    EXPECT_EQ(event(2), 0u);
    put({.opcode = 0, .nsid = 1});
    tell(2, 1);
    EXPECT_FALSE(take());
    signal(2);
    ASSERT_TRUE(take());
    EXPECT_EQ(event(2), 1u) << "the driver is to ring at the next";
    put({.opcode = 0, .nsid = 1});
    put({.opcode = 0, .nsid = 1});
    tell(2, 3);
    signal(2);
    EXPECT_TRUE(take() && take());
    EXPECT_EQ(event(2), 3u);
    EXPECT_EQ(admin({.opcode = 0x0a, .cdw10 = 7}).status, Status::success)
        << "the admin queue's driver writes the register alone";
    put({.opcode = 0, .nsid = 1}, 2);
    tell(4, 1);
    set(reg::doorbells + 16, 1u);  // where KVM has no doorbells
    EXPECT_TRUE(take(2));
}

TEST_F(NvmeBuffers, TheDriverNeedNotTellOfHeadsUntilTheRingIsFull) {
    begin(1, 8);
    for (std::uint32_t n = 0; n < 100; ++n) {
        put({.opcode = 0, .nsid = 1});
        tell(2, pairs[1].tail);
        signal(2);
        ASSERT_TRUE(take()) << n;
        tell(3, pairs[1].head);
    }
    // Seven that are not taken, and one more.
    const std::uint32_t head = pairs[1].head;
    for (int n = 0; n < 7; ++n) {
        put({.opcode = 0, .nsid = 1});
    }
    tell(2, pairs[1].tail);
    signal(2);
    const std::size_t calls = engine->calls.size();
    put({.opcode = 0, .nsid = 1});
    tell(2, pairs[1].tail);
    signal(2);
    EXPECT_EQ(engine->calls.size(), calls) << "there is no room for its completion";
    EXPECT_EQ(event(3), head) << "the driver is to ring when it takes one";
    ASSERT_TRUE(take());
    tell(3, pairs[1].head);
    set(reg::doorbells + 12, pairs[1].head);
    EXPECT_EQ(engine->calls.size(), calls + 1);
    EXPECT_FALSE(failed());
}

TEST_F(NvmeBuffers, BuffersThatLieAreRefusedOrReported) {
    begin();
    const auto attempt = [&](std::uint64_t first, std::uint64_t second) {
        return admin({.opcode = 0x7c, .prp1 = first, .prp2 = second}).status;
    };
    tells_heads = true;
    EXPECT_EQ(attempt(values + 8, events), Status::invalid_field);
    EXPECT_EQ(attempt(values, events + 8), Status::invalid_field);
    EXPECT_EQ(attempt(hole, events), Status::invalid_field);
    EXPECT_EQ(attempt(values, ~0xfffull), Status::invalid_field);
    EXPECT_EQ(attempt(rom, events), Status::invalid_field);
    EXPECT_EQ(attempt(values, rom), Status::invalid_field);
    tells_heads = false;
    log.lines.clear();
    tell(2, 64);
    signal(2);
    EXPECT_EQ(complaints("submission queue 1 has a doorbell value that is none: 64"), 1u);
    tell(2, 0);
    tell(3, 1);
    set(reg::doorbells + 12, 0u);
    EXPECT_EQ(complaints("completion queue 1 has a doorbell value that is none: 1"), 1u);
    tell(3, 0);
    put({.opcode = 0, .nsid = 1});
    tell(2, 1);
    signal(2);
    EXPECT_TRUE(take());
    EXPECT_FALSE(failed());
}

TEST_F(NvmeBuffers, AHeadThatLiesWhileThereIsAPinIsReportedOnce) {
    begin();
    const auto at = bus->read_config<std::uint8_t>(1, pci::reg::capabilities);
    bus->write_config<std::uint16_t>(1, at + 2u, 0);
    put({.opcode = 0, .nsid = 1});
    tell(2, 1);
    tell(3, 99);
    signal(2);
    EXPECT_TRUE(bus->lines[1].up());
    EXPECT_GE(complaints("completion queue 1 has a doorbell value that is none: 99"), 1u);
    EXPECT_LT(complaints("completion queue 1"), 5u);
    ASSERT_TRUE(take());
    tell(3, 1);
    set(reg::doorbells + 12, 1u);
    EXPECT_FALSE(bus->lines[1].up());
}

TEST_F(NvmeBuffers, DoorbellsGoWithTheBarAndTheQueue) {
    begin(2);
    bus->place(1, PciBus::high);
    EXPECT_EQ(doorbells.at.count(PciBus::high + reg::doorbells + 8), 1u);
    EXPECT_EQ(doorbells.at.size(), 2u);
    bus->place(1, bar);
    tells_heads = true;
    ASSERT_EQ(admin({.opcode = 0x00, .cdw10 = 1}).status, Status::success);
    EXPECT_EQ(doorbells.at.size(), 1u);
    pairs[1] = new_pair(16);
    ASSERT_EQ(create_submission(1, pairs[1].submissions, 16, 1), Status::success);
    EXPECT_EQ(doorbells.at.size(), 2u) << "a queue that comes later";
    set(reg::cc, 0u);
    EXPECT_TRUE(doorbells.at.empty());
    device.reset();
    EXPECT_EQ(doorbells.at.size(), 0u);
}

TEST_F(NvmeBuffers, GoesOnFromASnapshot) {
    begin(2);
    tells_heads = true;
    ASSERT_EQ(admin({.opcode = 0x09, .cdw10 = 8, .cdw11 = 0x55}).status, Status::success);
    put({.opcode = 0x0c}, 0);
    ring(0);
    tells_heads = false;
    for (std::uint32_t n = 0; n < 70; ++n) {  // once around
        put({.opcode = 0, .nsid = 1});
        tell(2, pairs[1].tail);
        signal(2);
        ASSERT_TRUE(take());
        tell(3, pairs[1].head);
    }
    engine->holds = true;
    const std::uint64_t data = allocate(4096);
    put_text(data, std::string(512, 's'));
    put(writes(1, 1, data));
    tell(2, pairs[1].tail);
    signal(2);
    EXPECT_FALSE(take());
    const Snapshot snapshot = device->save();
    EXPECT_TRUE(take()) << "what was in flight is done";
    tell(3, pairs[1].head);

    const auto before = pairs;
    make({.queues = 2});
    pairs = before;
    must(device->restore(snapshot));
    bus->root.settle();
    EXPECT_EQ(csts(), csts::ready);
    EXPECT_EQ(doorbells.at.size(), 2u);
    put(reads(1, 1, data));
    tell(2, pairs[1].tail);
    signal(2);
    EXPECT_TRUE(take());
    EXPECT_EQ(text_at(data, 512), std::string(512, 's'));
    tells_heads = true;
    EXPECT_EQ(admin({.opcode = 0x0a, .cdw10 = 8}).result, 0x55u);
    messages.sent.clear();
    set(reg::doorbells + 8 * 3, 0u);
    EXPECT_TRUE(take(0)) << "the event request waits still";
    EXPECT_EQ(messages.sent, std::vector<std::uint32_t>{0});
}

TEST_F(NvmeBuffers, SnapshotsThatLieAreRefused) {
    begin(2);
    const Snapshot good = device->save();
    const auto attempt = [&](const std::function<void(Snapshot&)>& change) {
        Snapshot bad = good;
        change(bad);
        make({.queues = 2});
        return code(device->restore(bad));
    };
    EXPECT_EQ(attempt([](Snapshot&) {}), -1);
    EXPECT_EQ(attempt([](Snapshot& s) { s.function.pop_back(); }), EINVAL);
    EXPECT_EQ(attempt([](Snapshot& s) { s.function.clear(); }), EINVAL);
    using State = ControllerState;
    const auto state = [&](const std::function<void(State&)>& change) {
        return attempt([&](Snapshot& s) { change(s.controller); });
    };
    EXPECT_EQ(state([](State& s) { s.submission[1].id = 3; }), EINVAL);
    EXPECT_EQ(state([](State& s) { s.submission[1].id = 2; }), EINVAL) << "twice";
    EXPECT_EQ(state([](State& s) { s.submission[1].completion = 0; }), EINVAL);
    EXPECT_EQ(state([](State& s) { s.submission[0].completion = 1; }), EINVAL);
    EXPECT_EQ(state([](State& s) { s.submission[1].completion = 9; }), EINVAL);
    EXPECT_EQ(state([](State& s) { s.completion[1].id = 0xffff; }), EINVAL);
    EXPECT_EQ(state([](State& s) { s.completion[1].vector = 3; }), EINVAL);
    EXPECT_EQ(state([](State& s) { s.completion.clear(); }), EINVAL);
    EXPECT_EQ(state([](State& s) { s.submission.clear(); }), EINVAL);
    EXPECT_EQ(state([](State& s) { s.submission[1].queue.size = 0; }), EINVAL);
    EXPECT_EQ(state([](State& s) { s.submission[1].queue.tail = 64; }), EINVAL);
    EXPECT_EQ(state([](State& s) { s.completion[1].queue.head = 64; }), EINVAL);
    EXPECT_EQ(state([](State& s) { s.completion[1].queue.base = kvm::Gpa(hole); }), EINVAL);
    EXPECT_EQ(state([](State& s) { s.completion[1].queue.base = kvm::Gpa(8); }), EINVAL);
    EXPECT_EQ(state([](State& s) { s.submission[1].queue.size = 0xffffffff; }), EINVAL);
    EXPECT_EQ(state([](State& s) { s.doorbells->values = kvm::Gpa(hole); }), EINVAL);
    EXPECT_EQ(state([](State& s) { s.doorbells->events = kvm::Gpa(4); }), EINVAL);
    EXPECT_EQ(state([](State& s) { s.event_requests.resize(99); }), EINVAL);
    EXPECT_EQ(state([](State& s) { s.errors.resize(99); }), EINVAL);
}

TEST_F(Nvme, ManyCommandsByRealEnginesUnderLoad) {
    for (const auto kind : {block::EngineKind::automatic, block::EngineKind::threads}) {
        make({.queues = 2}, Access::read_write, kind);
        start(2, 128);
        std::mt19937 random(3);
        std::string model = file.content();
        const std::uint64_t memory_of_all = allocate(64 * 512);
        for (int round = 0; round < 50; ++round) {
            std::vector<std::pair<std::uint64_t, std::uint64_t>> read;
            for (std::uint64_t i = 0; i < 64; ++i) {
                // Each command of a round has blocks of its own: their order is nobody's promise.
                const std::uint64_t block = (i * 32) + random() % 31,
                                    data = memory_of_all + i * 512;
                const auto queue = static_cast<std::uint16_t>(1 + random() % 2);
                if (random() % 2) {
                    const std::string text(512, static_cast<char>(random()));
                    model.replace(block * 512, 512, text);
                    put_text(data, text);
                    put(writes(block, 1, data), queue);
                } else {
                    read.emplace_back(data, block);
                    put(reads(block, 1, data), queue);
                }
            }
            ring(1);
            ring(2);
            const auto end = std::chrono::steady_clock::now() + 20s;
            for (int taken = 0; taken < 64;) {
                ASSERT_LT(std::chrono::steady_clock::now(), end);
                taken += take(1).has_value();
                taken += take(2).has_value();
                reactor->turn(1ms);
            }
            for (const auto& [data, block] : read) {
                ASSERT_EQ(text_at(data, 512), model.substr(block * 512, 512));
            }
        }
        EXPECT_EQ(file.content(), model);
    }
}

TEST_F(Nvme, ManyCpusUseItAtOnce) {
    make({.queues = 2}, Access::read_write, block::EngineKind::automatic);
    enable();
    for (std::uint16_t id = 1; id <= 2; ++id) {
        pairs[id] = new_pair(16);
        constexpr std::uint32_t without_interrupts = 1;
        ASSERT_EQ(create_completion(id, pairs[id].completions, 16, id, without_interrupts),
                  Status::success);
        ASSERT_EQ(create_submission(id, pairs[id].submissions, 16, id), Status::success);
    }
    const std::uint64_t data = allocate(2 * 4096);
    must(reactor->start("devices"));
    std::vector<std::thread> cpus;
    for (std::uint16_t id = 1; id <= 2; ++id) {
        cpus.emplace_back([this, id, data] {
            const auto end = std::chrono::steady_clock::now() + 30s;
            for (std::uint32_t n = 0; n < 300; ++n) {
                put(n % 3 ? reads(n, 8, data + 4096 * (id - 1u))
                          : writes(n + 1000 * (id - 1u), 8, data + 4096 * (id - 1u)),
                    id);
                ring(id);
                auto done = take(id);
                while (!done && std::chrono::steady_clock::now() < end) {
                    done = take(id);
                }
                ASSERT_TRUE(done);
                ASSERT_EQ(done->status, Status::success);
                ASSERT_EQ(csts(), csts::ready);
            }
        });
    }
    for (int n = 0; n < 100; ++n) {
        (void)device->save();
    }
    for (std::thread& cpu : cpus) {
        cpu.join();
    }
    reactor->stop();
}

TEST_F(Nvme, RateLimitsHoldCommandsBackAndAResetDropsThem) {
    make();
    device.reset();
    bus.reset();
    auto disk = must(block::create_disk(
        must(block::Image::open({.path = file.path})), block::EngineKind::threads,
        {.operations = {.per_second = 1, .burst = 2}}, *reactor, log.log));
    device = must(
        PciDevice::create(std::move(disk), {}, {memory, *reactor, messages, doorbells, log.log}));
    bus.emplace();
    must(bus->root.add(*device));
    bus->place(1, bar);
    start();
    const std::uint64_t ranges = allocate(4096);  // of a discard, one after the other
    for (std::uint64_t i = 0; i < 8; ++i) {
        must(memory.write(kvm::Gpa(ranges + 16 * i + 4), 8u));
    }
    put({.opcode = 0x09, .nsid = 1, .prp1 = ranges, .cdw10 = 7, .cdw11 = 4});
    ring();
    settle();
    EXPECT_FALSE(take());
    EXPECT_EQ(admin({.opcode = 0x00, .cdw10 = 1}).status, Status::success);
    const auto done = take();
    ASSERT_TRUE(done) << "a deletion does what is held back";
    EXPECT_EQ(done->status, Status::success);
    set(reg::cc, 0u);
    start();
    for (int n = 0; n < 8; ++n) {
        put(reads(0, 1, ranges));
    }
    ring();
    set(reg::cc, 0u);
    EXPECT_EQ(csts(), 0u);
}

}  // namespace
}  // namespace vmm::test

// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "nvme_fixture.hpp"

namespace vmm::test {
namespace {

using namespace nvme;

TEST_F(Nvme, AdminQueuesThatAreNoneFailTheController) {
    make();
    const std::uint64_t good = allocate(4096);
    struct {
        std::uint64_t submissions, completions;
        std::uint32_t sizes, configuration;
        const char* why;
    } const cases[] = {
        {good, good, 0x00010000, enabled, "a queue of 1 entries"},
        {good, good, 0x00000001, enabled, "a queue of 1 entries"},
        {hole, good, 0x00010001, enabled, "no memory"},
        {good, hole, 0x00010001, enabled, "no memory"},
        {hole - 4096, good, 0x00010041, enabled, "no memory"},
        {~0ull, good, 0x0fff0fff, enabled, "no memory"},
        {good, ~0ull, 0x0fff0fff, enabled, "no memory"},
        {good, good, 0x00010001, enabled | 1u << 7, "pages of 4 KiB"},
        {good, good, 0x00010001, enabled | 1u << 4, "the NVM command set"},
        {good, good, 0x00010001, enabled | 1u << 11, "round robin"},
    };
    for (const auto& c : cases) {
        log.lines.clear();
        set(reg::aqa, c.sizes);
        set<std::uint64_t>(reg::asq, c.submissions);
        set<std::uint64_t>(reg::acq, c.completions);
        set(reg::cc, c.configuration);
        EXPECT_EQ(csts(), csts::fatal) << c.why;
        ASSERT_EQ(log.lines.size(), 1u);
        EXPECT_NE(log.lines[0].find("CSTS.CFS"), std::string::npos);
        EXPECT_NE(log.lines[0].find(c.why), std::string::npos) << log.lines[0];
        set(reg::doorbells, 1u);
        set(reg::doorbells + 4, 1u);
        settle();
        set(reg::cc, 0u);
        EXPECT_EQ(csts(), 0u) << "a reset ends it";
    }
    start();
    EXPECT_EQ(run({.opcode = 0, .nsid = 1}).status, Status::success);
}

TEST_F(Nvme, QueuesThatAreNoneAreNotCreated) {
    make({.queues = 2});
    enable();
    const std::uint64_t good = allocate(64 << 10);
    for (const std::uint32_t id : {0u, 3u, 0xffffu}) {
        EXPECT_EQ(create_completion(id, good, 16, 1), Status::invalid_queue) << id;
    }
    for (const std::uint32_t entries : {1u, Controller::most_entries + 1, 0x10000u}) {
        EXPECT_EQ(create_completion(1, good, entries, 1), Status::invalid_queue_size) << entries;
    }
    EXPECT_EQ(create_completion(1, good + 64, 16, 1), Status::invalid_prp_offset);
    EXPECT_EQ(create_completion(1, hole, 16, 1), Status::invalid_field);
    EXPECT_EQ(create_completion(1, hole - 4096, 1024, 1), Status::invalid_field);
    EXPECT_EQ(create_completion(1, ~0xfffull, 1024, 1), Status::invalid_field);
    EXPECT_EQ(create_completion(1, good, 16, 1, 2), Status::invalid_field) << "not contiguous";
    EXPECT_EQ(create_completion(1, good, 16, 3), Status::invalid_vector);
    EXPECT_EQ(create_completion(1, good, 16, 0xffff), Status::invalid_vector);
    EXPECT_EQ(create_completion(1, good, 16, 1), Status::success);
    EXPECT_EQ(create_completion(1, good, 16, 1), Status::invalid_queue) << "it is there";

    for (const std::uint32_t id : {0u, 3u, 0xffffu}) {
        EXPECT_EQ(create_submission(id, good, 16, 1), Status::invalid_queue) << id;
    }
    for (const std::uint32_t completion : {0u, 2u, 3u, 0xffffu}) {
        EXPECT_EQ(create_submission(1, good, 16, completion), Status::no_completion_queue);
    }
    for (const std::uint32_t entries : {1u, Controller::most_entries + 1, 0x10000u}) {
        EXPECT_EQ(create_submission(1, good, entries, 1), Status::invalid_queue_size) << entries;
    }
    EXPECT_EQ(create_submission(1, good + 4, 16, 1), Status::invalid_prp_offset);
    EXPECT_EQ(create_submission(1, hole, 16, 1), Status::invalid_field);
    EXPECT_EQ(create_submission(1, good, 16, 1, 0), Status::invalid_field);
    EXPECT_EQ(create_submission(1, good, 16, 1), Status::success);
    EXPECT_EQ(create_submission(1, good, 16, 1), Status::invalid_queue);
    set(reg::cc, enabled & ~cc::submission_entry);
    EXPECT_EQ(create_submission(2, good, 16, 1), Status::invalid_field) << "entries of 1 byte";
    EXPECT_FALSE(failed());
}

TEST_F(Nvme, QueuesAreDeletedInOrderAndOnce) {
    make({.queues = 2});
    start(2);
    const auto erase = [&](std::uint8_t opcode, std::uint32_t id) {
        return admin({.opcode = opcode, .cdw10 = id}).status;
    };
    constexpr std::uint8_t submission = 0x00, completion = 0x04;
    EXPECT_EQ(erase(completion, 1), Status::invalid_deletion) << "its submission queue is there";
    for (const std::uint32_t id : {0u, 3u, 0xffffu}) {
        EXPECT_EQ(erase(completion, id), Status::invalid_queue);
        EXPECT_EQ(erase(submission, id), Status::invalid_queue);
    }
    put({.opcode = 0, .nsid = 1});
    EXPECT_EQ(erase(submission, 1), Status::success);
    EXPECT_EQ(erase(submission, 1), Status::invalid_queue);
    const std::size_t calls = engine->calls.size();
    ring();
    settle();
    EXPECT_EQ(engine->calls.size(), calls) << "commands of a queue that is gone";
    EXPECT_EQ(complaints("submission queue 1 has a doorbell value that is none: 1"), 1u);
    EXPECT_EQ(erase(completion, 1), Status::success);
    EXPECT_EQ(erase(completion, 1), Status::invalid_queue);
    EXPECT_EQ(run({.opcode = 0, .nsid = 1}, 2).status, Status::success) << "the other one";
    pairs[1] = new_pair(16);
    EXPECT_EQ(create_completion(1, pairs[1].completions, 16, 1), Status::success);
    EXPECT_EQ(create_submission(1, pairs[1].submissions, 16, 1), Status::success);
    EXPECT_EQ(run({.opcode = 0, .nsid = 1}).status, Status::success) << "once more";
}

TEST_F(Nvme, ADeletionWaitsForWhatIsInFlight) {
    make();
    start();
    const std::uint16_t id = begin_read();
    EXPECT_FALSE(take());
    EXPECT_EQ(admin({.opcode = 0x00, .cdw10 = 1}).status, Status::success);
    const auto done = take();
    ASSERT_TRUE(done) << "its completion is there before that of the deletion";
    EXPECT_EQ(done->id, id);
    EXPECT_EQ(done->status, Status::success);
}

TEST_F(Nvme, AResetWaitsForWhatIsInFlight) {
    make();
    start();
    engine->holds = true;
    const std::uint64_t ranges = allocate(4096);  // a discard of two, of which one is begun
    for (const std::uint64_t at : {ranges, ranges + 16}) {
        must(memory.write(kvm::Gpa(at + 4), 8u));
        must(memory.write(kvm::Gpa(at + 8), std::uint64_t{64}));
    }
    put(reads(0, 1, allocate(4096)));
    put({.opcode = 0x09, .nsid = 1, .prp1 = ranges, .cdw10 = 1, .cdw11 = 4});
    ring();
    settle();
    const std::size_t calls = engine->calls.size();
    set(reg::cc, 0u);
    EXPECT_FALSE(engine->holds) << "it was not waited for";
    EXPECT_EQ(csts(), 0u);
    EXPECT_FALSE(take()) << "its queue is gone";
    EXPECT_EQ(engine->calls.size(), calls) << "what was not begun is not";
    EXPECT_NE(get<std::uint64_t>(reg::asq), 0u) << "where the admin queues are stays";
    ring();
    settle();
    start();
    EXPECT_EQ(run(reads(0, 1, allocate(4096))).status, Status::success);
}

TEST_F(Nvme, AShutdownStoresWhatWasWritten) {
    make();
    start();
    engine->holds = true;
    engine->calls.clear();
    set(reg::cc, enabled | 1u << 14);
    EXPECT_EQ(csts(), csts::ready | csts::shutdown_occurs);
    EXPECT_EQ(engine->calls, std::vector{block::Task::Call::sync});
    engine->let_go();
    settle();
    EXPECT_EQ(csts(), csts::ready | csts::shutdown_complete);
    set(reg::cc, 0u);
    EXPECT_EQ(csts(), 0u);
    set(reg::cc, 1u << 14);
    EXPECT_EQ(csts(), csts::shutdown_complete) << "nothing is there to be stored";
    start();

    engine->holds = true;
    set(reg::cc, enabled | 2u << 14);
    set(reg::cc, 0u);
    EXPECT_EQ(csts(), 0u) << "a reset in the midst";
    make({}, Access::read_only);
    start();
    set(reg::cc, enabled | 1u << 14);
    EXPECT_EQ(csts(), csts::ready | csts::shutdown_complete);
}

TEST_F(Nvme, QueuesWhoseMemoryGoesFailTheController) {
    for (const bool submissions : {true, false}) {
        log.lines.clear();
        make();
        must(memory.add_region({kvm::Gpa(32 << 20), 1 << 20}));
        start();
        Pair& pair = pairs[1];
        ASSERT_EQ(admin({.opcode = 0x00, .cdw10 = 1}).status, Status::success);
        ASSERT_EQ(admin({.opcode = 0x04, .cdw10 = 1}).status, Status::success);
        pair = new_pair(16);
        (submissions ? pair.submissions : pair.completions) = 32 << 20;
        ASSERT_EQ(create_completion(1, pair.completions, 16, 1), Status::success);
        ASSERT_EQ(create_submission(1, pair.submissions, 16, 1), Status::success);
        put({.opcode = 0, .nsid = 1});
        must(memory.remove_region(kvm::Gpa(32 << 20)));
        ring();
        settle();
        EXPECT_TRUE(failed());
        EXPECT_EQ(complaints("CSTS.CFS"), 1u);
        EXPECT_EQ(complaints(submissions ? "submission queue 1" : "completion queue 1"), 1u);
        ring();
        settle();
        EXPECT_EQ(complaints("CSTS.CFS"), 1u) << "once";
        set(reg::cc, 0u);
        start();
        EXPECT_EQ(run({.opcode = 0, .nsid = 1}).status, Status::success);
        memory.reclaim();
    }
}

}  // namespace
}  // namespace vmm::test

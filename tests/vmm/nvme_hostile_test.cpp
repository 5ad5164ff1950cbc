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
    engine->holds = true;
    const std::uint16_t id = put(reads(0, 1, allocate(4096)));
    ring();
    settle();
    EXPECT_FALSE(take());
    EXPECT_EQ(admin({.opcode = 0x00, .cdw10 = 1}).status, Status::success);
    const auto done = take();
    ASSERT_TRUE(done) << "its completion is there before that of the deletion";
    EXPECT_EQ(done->id, id);
    EXPECT_EQ(done->status, Status::success);
}

TEST_F(Nvme, DoorbellsThatLieAreRefusedAndReported) {
    make();
    start(1, 16);
    const std::size_t before = engine->calls.size();
    const std::uint16_t request = put({.opcode = 0x0c}, 0);
    ring(0);
    EXPECT_FALSE(take(0));
    set(reg::doorbells + 8, 16u);
    const auto event = take(0);
    ASSERT_TRUE(event) << "an asynchronous event";
    EXPECT_EQ(event->id, request);
    EXPECT_EQ(event->result, 0x00010100u) << "an error: a doorbell's value, in log 1";
    EXPECT_EQ(complaints("submission queue 1 has a doorbell value that is none: 16"), 1u);

    put({.opcode = 0x0c}, 0);
    ring(0);
    for (const auto& [doorbell, value] :
         std::vector<std::pair<std::uint64_t, std::uint32_t>>{{8, 0xffffffff},
                                                              {12, 1},
                                                              {12, 16},
                                                              {12, 0xffffffff},
                                                              {0, 32},
                                                              {4, 99},
                                                              {16, 0},
                                                              {0xffc, 0}}) {
        set(reg::doorbells + doorbell, value);
        settle();
    }
    set<std::uint64_t>(reg::doorbells + 8, 1);
    set<std::uint16_t>(reg::doorbells + 8, 1);
    set<std::uint32_t>(reg::doorbells + 9, 1);
    settle();
    EXPECT_EQ(engine->calls.size(), before);
    EXPECT_FALSE(take(0)) << "such events are masked until their log is read";
    const std::uint64_t page = allocate(4096);
    ASSERT_EQ(admin({.opcode = 0x02, .prp1 = page, .cdw10 = 1}).status, Status::success);
    EXPECT_GT(value_at<std::uint8_t>(page), 0);
    set(reg::doorbells + 16, 0u);
    const auto next = take(0);
    ASSERT_TRUE(next);
    EXPECT_EQ(next->result, 0x00010000u) << "no such doorbell";
    EXPECT_FALSE(failed());
    EXPECT_EQ(run({.opcode = 0, .nsid = 1}).status, Status::success);
}

TEST_F(Nvme, EventRequestsAreSoManyAndCanBeAborted) {
    make();
    enable();
    std::vector<std::uint16_t> requests;
    for (std::size_t n = 0; n < Controller::most_event_requests; ++n) {
        requests.push_back(put({.opcode = 0x0c}, 0));
    }
    ring(0);
    EXPECT_FALSE(take(0));
    EXPECT_EQ(admin({.opcode = 0x0c}).status, Status::too_many_event_requests);
    EXPECT_EQ(admin({.opcode = 0x08, .cdw10 = 0x99990000}).result, 1u) << "there is none";
    EXPECT_EQ(admin({.opcode = 0x08, .cdw10 = 77}).result, 1u) << "no such queue";
    const std::uint16_t abort = put({.opcode = 0x08, .cdw10 = requests[1] * 0x10000u}, 0);
    ring(0);
    const auto first = take(0);
    ASSERT_TRUE(first);
    EXPECT_EQ(first->id, requests[1]);
    EXPECT_EQ(first->status, Status::aborted);
    EXPECT_TRUE(first->may_retry);
    const auto second = take(0);
    ASSERT_TRUE(second);
    EXPECT_EQ(second->id, abort);
    EXPECT_EQ(second->result, 0u);
}

TEST_F(Nvme, EventsDoNotFillTheRingOfCompletions) {
    make();
    enable(2);  // one entry at a time
    put({.opcode = 0x0c}, 0);
    ring(0);
    EXPECT_EQ(admin({.opcode = 0x0a, .cdw10 = 7}).status, Status::success)
        << "a request that waits has no entry";
    tells_heads = false;
    put({.opcode = 0x0a, .cdw10 = 7}, 0);
    ring(0);
    set(reg::doorbells + 8, 1u);  // an event, for which there is no room
    ASSERT_TRUE(take(0));
    EXPECT_FALSE(take(0));
    set(reg::doorbells + 4, pairs[0].head);
    EXPECT_TRUE(take(0)) << "the event";
}

TEST_F(Nvme, AbortsOfWhatTheDiskHasDoNothing) {
    make();
    start();
    engine->holds = true;
    const std::uint16_t id = put(reads(0, 1, allocate(4096)));
    ring();
    settle();
    EXPECT_EQ(admin({.opcode = 0x08, .cdw10 = id * 0x10000u | 1}).result, 1u);
    engine->let_go();
    const auto done = wait();
    ASSERT_TRUE(done);
    EXPECT_EQ(done->status, Status::success);
}

TEST_F(Nvme, CommandsThatAreNoneAreRefused) {
    make();
    start();
    const std::size_t before = engine->calls.size();
    const std::uint64_t data = allocate(4096);
    for (const std::uint8_t opcode :
         std::initializer_list<std::uint8_t>{0x03, 0x05, 0x0d, 0x7f, 0x80, 0xff}) {
        EXPECT_EQ(run({.opcode = opcode, .nsid = 1}).status, Status::invalid_opcode);
    }
    for (const std::uint8_t opcode :
         std::initializer_list<std::uint8_t>{0x03, 0x10, 0x18, 0x80, 0x81, 0xff}) {
        EXPECT_EQ(admin({.opcode = opcode, .nsid = 1}).status, Status::invalid_opcode);
    }
    for (const std::uint32_t nsid : {0u, 2u, broadcast}) {
        Command command = reads(0, 1, data);
        command.nsid = nsid;
        EXPECT_EQ(run(command).status, Status::invalid_namespace);
    }
    for (const std::uint8_t flags :
         std::initializer_list<std::uint8_t>{0x01, 0x02, 0x40, 0x80, 0xc0}) {  // fused, SGLs
        Command command = reads(0, 1, data);
        command.flags = flags;
        EXPECT_EQ(run(command).status, Status::invalid_field);
        EXPECT_EQ(admin({.opcode = 0x06, .flags = flags, .prp1 = data, .cdw10 = 1}).status,
                  Status::invalid_field);
    }
    const auto log_page = [&](std::uint32_t cdw10, std::uint32_t cdw11 = 0, std::uint32_t cdw12 = 0,
                              std::uint32_t cdw13 = 0) {
        return admin({.opcode = 0x02,
                      .nsid = broadcast,
                      .prp1 = data,
                      .cdw10 = cdw10,
                      .cdw11 = cdw11,
                      .cdw12 = cdw12,
                      .cdw13 = cdw13})
            .status;
    };
    EXPECT_EQ(log_page(0), Status::invalid_log_page);
    EXPECT_EQ(log_page(0xff), Status::invalid_log_page);
    EXPECT_EQ(log_page(0xffff0002, 0xffff), Status::success) << "16 GiB of it: what there is";
    EXPECT_EQ(log_page(3, 0, 512), Status::success) << "nothing from its end on";
    EXPECT_EQ(log_page(3, 0, 516), Status::invalid_field);
    EXPECT_EQ(log_page(3, 0, 0, 1), Status::invalid_field);
    EXPECT_EQ(log_page(3, 0, 2), Status::invalid_field);
    EXPECT_EQ(log_page(0xffff0003, 0, 8), Status::success);
    EXPECT_EQ(engine->calls.size(), before);
    EXPECT_FALSE(failed());
}

TEST_F(Nvme, TransfersThatLieAreRefused) {
    make();
    start();
    const std::string content = file.content();
    const std::uint64_t data = allocate(4096);
    const auto both = [&](std::uint64_t block, std::uint32_t count, std::uint64_t prp1,
                          std::uint64_t prp2 = 0) {
        const Status status = run(reads(block, count, prp1, prp2)).status;
        EXPECT_EQ(run(writes(block, count, prp1, prp2)).status, status);
        return status;
    };
    EXPECT_EQ(both(blocks, 1, data), Status::out_of_range);
    EXPECT_EQ(both(blocks - 1, 2, data), Status::out_of_range);
    EXPECT_EQ(both(~0ull, 1, data), Status::out_of_range);
    EXPECT_EQ(both(~0ull - 1, 4, data), Status::out_of_range);
    EXPECT_EQ(both(~0ull / 512 + 1, 1, data), Status::out_of_range);
    EXPECT_EQ(both(0, 0x10000, data), Status::invalid_field) << "more than it transfers at once";
    EXPECT_EQ(both(0, most_transfer / 512 + 1, data), Status::invalid_field);
    EXPECT_EQ(both(0, 1, data + 2), Status::invalid_prp_offset);
    EXPECT_EQ(both(0, 8, data + 8, data + 8), Status::invalid_prp_offset);
    EXPECT_EQ(both(0, 1, hole), Status::data_transfer_error);
    EXPECT_EQ(both(0, 1, hole - 256, hole), Status::data_transfer_error);
    EXPECT_EQ(both(0, 9, data, hole), Status::data_transfer_error);
    EXPECT_EQ(both(0, 1, ~0ull - 3), Status::data_transfer_error) << "not around to 0";
    EXPECT_EQ(both(0, 1, ~0ull - 511), Status::data_transfer_error);
    EXPECT_EQ(run(reads(0, 1, rom)).status, Status::data_transfer_error);
    EXPECT_TRUE(engine->calls.empty());
    EXPECT_EQ(file.content(), content);
    EXPECT_EQ(run(writes(1, 1, rom)).status, Status::success) << "which can be read";
    EXPECT_FALSE(failed());
}

TEST_F(Nvme, ListsThatLieAreRefused) {
    make();
    start();
    const std::uint64_t data = allocate(4096), list = allocate(8192);
    const auto fill = [&](std::uint64_t entry) {
        for (std::uint64_t at = list; at < list + 8192; at += 8) {
            must(memory.write(kvm::Gpa(at), entry));
        }
    };
    const auto both = [&](std::uint64_t at, std::uint32_t count = 2048) {
        const Status status = run(reads(0, count, data, at)).status;
        EXPECT_EQ(run(writes(0, count, data, at)).status, status);
        return status;
    };
    fill(data);
    EXPECT_EQ(both(hole), Status::data_transfer_error) << "no list";
    EXPECT_EQ(both(~0ull - 7), Status::data_transfer_error);
    EXPECT_EQ(both(list + 4), Status::invalid_prp_offset);
    fill(data + 8);
    EXPECT_EQ(both(list), Status::invalid_prp_offset) << "an entry within a page";
    fill(hole);
    EXPECT_EQ(both(list), Status::data_transfer_error) << "entries that are no memory";
    EXPECT_EQ(both(list + 4088), Status::data_transfer_error) << "a next list that is none";
    fill(list + 8);
    EXPECT_EQ(both(list + 4088), Status::invalid_prp_offset) << "a next list within a page";
    EXPECT_TRUE(engine->calls.empty());

    // Lists that point to themselves are data as well as lists, and end where the data does.
    fill(list);
    EXPECT_EQ(run(writes(0, 2048, data, list + 4088)).status, Status::success);
    EXPECT_EQ(run(writes(0, 2048, data, list)).status, Status::success);
    EXPECT_FALSE(failed());
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

TEST_F(Nvme, OptionsThatLieAreRefused) {
    const auto attempt = [&](const Controller::Options& options) {
        auto disk = must(block::FileDisk::create(must(block::Image::open({.path = file.path})),
                                                 std::make_unique<ScriptedEngine>(), *reactor, {}));
        return message(PciDevice::create(std::move(disk), options,
                                         {memory, *reactor, messages, doorbells, {}}));
    };
    EXPECT_NE(attempt({.serial = std::string(21, 's')}).find("serial number"), std::string::npos);
    EXPECT_NE(attempt({.queues = 0}).find("0 queues"), std::string::npos);
    EXPECT_NE(attempt({.queues = 65}).find("65 queues"), std::string::npos);
}

}  // namespace
}  // namespace vmm::test

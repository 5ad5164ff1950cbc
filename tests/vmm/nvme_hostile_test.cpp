// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "nvme_fixture.hpp"

namespace vmm::test {
namespace {

using namespace nvme;

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
    const std::uint16_t id = begin_read();
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

// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "nvme_fixture.hpp"

namespace vmm::test {
namespace {

using namespace nvme;

TEST_F(Nvme, IsOfTheClassThatDriversLookFor) {
    make({.queues = 3});
    EXPECT_EQ(bus->read_config<std::uint32_t>(1, pci::reg::revision) >> 8, 0x010802u);
    const auto msix = bus->read_config<std::uint8_t>(1, pci::reg::capabilities);
    EXPECT_EQ(bus->read_config<std::uint8_t>(1, msix), pci::Msix::capability_id);
    EXPECT_EQ(bus->read_config<std::uint16_t>(1, msix + 2u), 3) << "four vectors";
    EXPECT_EQ(bus->read_config<std::uint32_t>(1, msix + 4u), PciDevice::table_offset);
    EXPECT_EQ(bus->read_config<std::uint32_t>(1, msix + 8u), PciDevice::pending_offset);
    const auto cap = get<std::uint64_t>(reg::cap);
    EXPECT_EQ(cap & 0xffff, Controller::most_entries - 1);
    EXPECT_TRUE(cap >> 16 & 1) << "queues are contiguous";
    EXPECT_GT(cap >> 24 & 0xff, 0u) << "a timeout";
    EXPECT_EQ(cap >> 32 & 0xf, 0u) << "doorbells are 4 bytes apart";
    EXPECT_TRUE(cap >> 37 & 1) << "the NVM command set";
    EXPECT_EQ(cap >> 48 & 0xff, 0u) << "pages of 4 KiB alone";
    EXPECT_EQ(get(reg::cap), static_cast<std::uint32_t>(cap));
    EXPECT_EQ(get(reg::cap + 4), cap >> 32);
    EXPECT_EQ(get(reg::vs), 0x00010400u);
    EXPECT_EQ(csts(), 0u);
}

TEST_F(Nvme, RegistersAreAsWideAsTheyAre) {
    make();
    set<std::uint64_t>(reg::asq, 0x123456789abc);
    EXPECT_EQ(get<std::uint64_t>(reg::asq), 0x123456789000u);
    set(reg::asq + 4, 0xfedcu);
    EXPECT_EQ(get<std::uint64_t>(reg::asq), 0xfedc56789000u);
    set(reg::asq, 0x11111fffu);
    EXPECT_EQ(get(reg::asq), 0x11111000u);
    EXPECT_EQ(get(reg::asq + 4), 0xfedcu);
    set<std::uint16_t>(reg::aqa, 7);
    EXPECT_EQ(get(reg::aqa), 0u) << "a half of a register of 4 bytes is none";
    EXPECT_EQ(get<std::uint16_t>(reg::vs), 0);
    EXPECT_EQ(get<std::uint64_t>(reg::vs), 0u);
    set(reg::aqa, 0xffffffffu);
    EXPECT_EQ(get(reg::aqa), 0x0fff0fffu);
    set(reg::cap, 0u);
    set(reg::csts, 0xffffffffu);
    set(reg::vs, 1u);
    EXPECT_EQ(get(reg::vs), 0x00010400u);
    EXPECT_EQ(csts(), 0u);
    for (const std::uint64_t offset : {0x38u, 0x3cu, 0x100u, 0xffcu, 0x1000u, 0x1ffcu}) {
        set(offset, 0xffffffffu);
        EXPECT_EQ(get(offset), 0u) << offset;
    }
}

TEST_F(Nvme, TellsWhatItIs) {
    make({.serial = "ROOT-1", .identity = "x.img", .queues = 2});
    start(2);
    const std::uint64_t page = allocate(4096);
    ASSERT_EQ(admin({.opcode = 0x06, .prp1 = page, .cdw10 = 1}).status, Status::success);
    EXPECT_EQ(text_at(page + 4, 20), "ROOT-1              ");
    EXPECT_EQ(text_at(page + 24, 12), "kvmxx disk  ");
    EXPECT_EQ(value_at<std::uint32_t>(page + 516), 1u) << "one namespace";
    EXPECT_EQ(value_at<std::uint8_t>(page + 512), 0x66);
    EXPECT_EQ(value_at<std::uint8_t>(page + 513), 0x44);
    const std::string name = text_at(page + 768, 68);
    EXPECT_TRUE(name.starts_with("nqn.2014-08.org.nvmexpress:uuid:")) << name;
    EXPECT_EQ(name[46], '8') << "the UUID's version: " << name;

    ASSERT_EQ(admin({.opcode = 0x06, .nsid = 1, .prp1 = page}).status, Status::success);
    EXPECT_EQ(value_at<std::uint64_t>(page), blocks);
    EXPECT_EQ(value_at<std::uint32_t>(page + 128), 9u << 16) << "blocks of 512 bytes";
    EXPECT_EQ(value_at<std::uint8_t>(page + 99), 0) << "it may be written";

    ASSERT_EQ(admin({.opcode = 0x06, .nsid = 0, .prp1 = page, .cdw10 = 2}).status, Status::success);
    EXPECT_EQ(value_at<std::uint64_t>(page), 1u);
    ASSERT_EQ(admin({.opcode = 0x06, .nsid = 1, .prp1 = page, .cdw10 = 2}).status, Status::success);
    EXPECT_EQ(value_at<std::uint64_t>(page), 0u);
    ASSERT_EQ(admin({.opcode = 0x06, .nsid = 1, .prp1 = page, .cdw10 = 3}).status, Status::success);
    EXPECT_EQ(value_at<std::uint16_t>(page), 0x1003) << "a UUID";
    EXPECT_EQ(value_at<std::uint8_t>(page + 20), 0) << "and no more";

    for (const std::uint32_t nsid : {0u, 2u, broadcast}) {
        EXPECT_EQ(admin({.opcode = 0x06, .nsid = nsid, .prp1 = page}).status,
                  Status::invalid_namespace);
    }
    EXPECT_EQ(admin({.opcode = 0x06, .prp1 = page, .cdw10 = 0x55}).status, Status::invalid_field);
    EXPECT_EQ(admin({.opcode = 0x06, .prp1 = hole, .cdw10 = 1}).status,
              Status::data_transfer_error);
    EXPECT_EQ(admin({.opcode = 0x06, .prp1 = rom, .cdw10 = 1}).status, Status::data_transfer_error);
    EXPECT_EQ(admin({.opcode = 0x06, .prp1 = page + 2, .cdw10 = 1}).status,
              Status::invalid_prp_offset);
    EXPECT_EQ(admin({.opcode = 0x06, .prp1 = page + 4, .prp2 = page + 4, .cdw10 = 1}).status,
              Status::invalid_prp_offset);
    EXPECT_FALSE(failed());
}

TEST_F(Nvme, TwoDisksHaveTwoNames) {
    const auto name = [&](const Controller::Options& options) {
        make(options);
        enable();
        const std::uint64_t page = allocate(4096);
        EXPECT_EQ(admin({.opcode = 0x06, .prp1 = page, .cdw10 = 1}).status, Status::success);
        return text_at(page + 768, 68);
    };
    EXPECT_EQ(name({.identity = "a"}), name({.identity = "a"}));
    EXPECT_NE(name({.identity = "a"}), name({.identity = "b"}));
}

TEST_F(Nvme, ReadsAndWritesByRealEngines) {
    for (const auto kind : {block::EngineKind::automatic, block::EngineKind::threads}) {
        make({}, Access::read_write, kind);
        start();
        const std::uint64_t data = allocate(8192);
        put_text(data, std::string(1024, 'v'));
        EXPECT_EQ(run(writes(7, 2, data)).status, Status::success);
        EXPECT_EQ(run(reads(6, 4, data + 4096 - 512, data + 4096)).status, Status::success);
        EXPECT_EQ(text_at(data + 4096 - 512, 1), "\x07");
        EXPECT_EQ(text_at(data + 4096, 1024), std::string(1024, 'v'));
        EXPECT_EQ(text_at(data + 4096 + 1024, 1), "\x0a");
        EXPECT_EQ(run({.opcode = 0, .nsid = 1}).status, Status::success);
        EXPECT_EQ(run({.opcode = 0, .nsid = broadcast}).status, Status::success);
        EXPECT_EQ(file.content().substr(3584, 1024), std::string(1024, 'v'));
        EXPECT_TRUE(std::ranges::count(messages.sent, 1u) > 0) << "vector 1";
    }
}

TEST_F(Nvme, ListsOfPagesMayBeLong) {
    make();
    start();
    // 1 MiB and a page boundary less: a list of 256 entries in two pages.
    const std::uint64_t data = allocate(257 * 4096);
    const std::uint64_t first = allocate(4096), second = allocate(4096);
    const std::uint64_t list = first + 4096 - 16;  // room for one, and the pointer
    must(memory.write(kvm::Gpa(list), data + 4096));
    must(memory.write(kvm::Gpa(list + 8), second));
    for (std::uint64_t i = 0; i < 255; ++i) {
        must(memory.write(kvm::Gpa(second + 8 * i), data + 4096 * (i + 2)));
    }
    EXPECT_EQ(run(reads(0, 2048, data + 512, list)).status, Status::success);
    EXPECT_EQ(text_at(data + 512, size), file.content());
    ASSERT_EQ(engine->calls.size(), 1u);
    put_text(data + 512, std::string(size, 'w'));
    EXPECT_EQ(run(writes(0, 2048, data + 512, list)).status, Status::success);
    EXPECT_EQ(file.content(), std::string(size, 'w'));
}

TEST_F(Nvme, ZeroesAndDiscards) {
    make();
    start();
    const auto zeroes = [&](std::uint64_t block, std::uint32_t count, std::uint32_t flags = 0) {
        return run({.opcode = 0x08,
                    .nsid = 1,
                    .cdw10 = static_cast<std::uint32_t>(block),
                    .cdw11 = static_cast<std::uint32_t>(block >> 32),
                    .cdw12 = (count - 1) | flags})
            .status;
    };
    EXPECT_EQ(zeroes(8, 16), Status::success);
    EXPECT_EQ(zeroes(64, 8, 1u << 25), Status::success);
    EXPECT_EQ(zeroes(blocks - 1, 2), Status::out_of_range);
    EXPECT_EQ(zeroes(~0ull, 1), Status::out_of_range);

    struct Range {
        std::uint32_t attributes, count;
        std::uint64_t block;
    };
    const auto discard = [&](std::vector<Range> ranges, std::uint32_t what = 4) {
        const std::uint64_t at = allocate(4096);
        must(memory.write(kvm::Gpa(at), std::as_bytes(std::span(ranges))));
        return run({.opcode = 0x09,
                    .nsid = 1,
                    .prp1 = at,
                    .cdw10 = static_cast<std::uint32_t>(ranges.size() - 1),
                    .cdw11 = what})
            .status;
    };
    EXPECT_EQ(discard({{0, 128, 128}, {0, 0, 5}, {0, 8, 512}}), Status::success);
    const std::string content = file.content();
    EXPECT_EQ(content.substr(4096, 8192), std::string(8192, '\0'));
    EXPECT_EQ(content.substr(32768, 4096), std::string(4096, '\0'));
    EXPECT_EQ(content.substr(65536, 65536), std::string(65536, '\0'));
    EXPECT_EQ(content.substr(262144, 4096), std::string(4096, '\0'));
    EXPECT_EQ(content[4095], 8);
    EXPECT_EQ(content[131072], 1);

    engine->calls.clear();
    EXPECT_EQ(discard({{0, 8, 0}, {0, 1, blocks}}), Status::out_of_range) << "before the first";
    EXPECT_EQ(discard({{0, 0xffffffff, 0}}), Status::out_of_range);
    EXPECT_EQ(discard({{0, 8, ~0ull}}), Status::out_of_range);
    EXPECT_EQ(discard({{0, 8, 0}}, 3), Status::success) << "hints";
    EXPECT_EQ(run({.opcode = 0x09, .nsid = 1, .prp1 = hole, .cdw11 = 4}).status,
              Status::data_transfer_error);
    EXPECT_TRUE(engine->calls.empty());
}

TEST_F(Nvme, TheHostsErrorsAreStatuses) {
    make();
    start();
    const std::uint64_t data = allocate(4096);
    const auto with = [&](int error, const Command& command) {
        engine->results = {-error};
        const Done done = run(command);
        EXPECT_FALSE(done.may_retry);
        return done.status;
    };
    EXPECT_EQ(with(EIO, reads(0, 1, data)), Status::unrecovered_read);
    EXPECT_EQ(with(EIO, writes(0, 1, data)), Status::write_fault);
    EXPECT_EQ(with(ENOSPC, writes(0, 1, data)), Status::capacity_exceeded);
    EXPECT_EQ(with(EPERM, reads(0, 1, data)), Status::internal_error);
    EXPECT_EQ(with(EIO, {.opcode = 0, .nsid = 1}), Status::write_fault);
    EXPECT_EQ(run(reads(0, 1, data)).status, Status::success) << "when the host works again";
    EXPECT_FALSE(failed());
    // The log of errors has the last four, the newest first; SMART counts.
    const std::uint64_t page = allocate(4096);
    ASSERT_EQ(
        admin({.opcode = 0x02, .nsid = broadcast, .prp1 = page, .cdw10 = 63u << 16 | 1}).status,
        Status::success);
    EXPECT_EQ(value_at<std::uint64_t>(page), 5u);
    EXPECT_EQ(value_at<std::uint16_t>(page + 8), 1) << "queue";
    EXPECT_EQ(value_at<std::uint16_t>(page + 12) >> 1 & 0x7ff, 0x280);
    EXPECT_EQ(value_at<std::uint64_t>(page + 192), 2u);
    ASSERT_EQ(
        admin({.opcode = 0x02, .nsid = broadcast, .prp1 = page, .cdw10 = 127u << 16 | 2}).status,
        Status::success);
    EXPECT_EQ(value_at<std::uint64_t>(page + 160), 5u) << "media errors";
    EXPECT_EQ(value_at<std::uint64_t>(page + 32), 1u) << "thousands of sectors";
    EXPECT_EQ(value_at<std::uint64_t>(page + 64), 3u) << "reads";
    EXPECT_EQ(value_at<std::uint64_t>(page + 176), 5u) << "errors";
}

TEST_F(Nvme, AReadOnlyDiskIsNotWritten) {
    make({}, Access::read_only);
    start();
    const std::uint64_t data = allocate(4096);
    ASSERT_EQ(admin({.opcode = 0x06, .nsid = 1, .prp1 = data}).status, Status::success);
    EXPECT_EQ(value_at<std::uint8_t>(data + 99), 1);
    EXPECT_EQ(run(writes(0, 1, data)).status, Status::write_protected);
    EXPECT_EQ(run({.opcode = 0x08, .nsid = 1}).status, Status::write_protected);
    must(memory.fill(kvm::Gpa(data), 16, std::byte{0}));
    EXPECT_EQ(run({.opcode = 0x09, .nsid = 1, .prp1 = data, .cdw11 = 4}).status,
              Status::write_protected);
    EXPECT_EQ(run(reads(0, 1, data)).status, Status::success);
    EXPECT_EQ(run({.opcode = 0, .nsid = 1}).status, Status::success);
}

TEST_F(Nvme, FeaturesAreKept) {
    make({.queues = 5});
    enable();
    const auto get_feature = [&](std::uint32_t id, std::uint32_t argument = 0) {
        return admin({.opcode = 0x0a, .cdw10 = id, .cdw11 = argument});
    };
    const auto set_feature = [&](std::uint32_t id, std::uint32_t value) {
        return admin({.opcode = 0x09, .cdw10 = id, .cdw11 = value});
    };
    EXPECT_EQ(set_feature(7, 0x000f'000f).result, 0x0004'0004u) << "five queues of each kind";
    EXPECT_EQ(set_feature(7, 0xffff'0000).status, Status::invalid_field);
    EXPECT_EQ(get_feature(7).result, 0x0004'0004u);
    for (const std::uint32_t id : {0x01u, 0x05u, 0x08u, 0x0bu}) {
        EXPECT_EQ(set_feature(id, 0x1234).status, Status::success) << id;
        EXPECT_EQ(get_feature(id).result, 0x1234u) << id;
    }
    EXPECT_EQ(set_feature(4, 0x0010'0111).status, Status::success);
    EXPECT_EQ(get_feature(4, 0x0010'0000).result, 0x111u);
    EXPECT_EQ(get_feature(4).result, 0x157u);
    EXPECT_EQ(get_feature(4, 0x0003'0000).status, Status::invalid_field);
    EXPECT_EQ(get_feature(6).result, 1u) << "the cache is on";
    engine->calls.clear();
    EXPECT_EQ(set_feature(6, 0).status, Status::success);
    EXPECT_EQ(engine->calls, std::vector{block::Task::Call::sync}) << "what it had is stored";
    EXPECT_EQ(get_feature(6).result, 0u);
    EXPECT_EQ(set_feature(2, 1).status, Status::invalid_field) << "there is one power state";
    EXPECT_EQ(get_feature(9, 5).result, 0x1'0005u);
    EXPECT_EQ(get_feature(9, 6).status, Status::invalid_field);
    EXPECT_EQ(set_feature(9, 0).status, Status::not_changeable);
    EXPECT_EQ(set_feature(0x80000006, 1).status, Status::not_saveable);
    EXPECT_EQ(get_feature(0x106).status, Status::invalid_field) << "there are no other values";
    for (const std::uint32_t id : {0x00u, 0x03u, 0x0cu, 0x0fu, 0xffu}) {
        EXPECT_EQ(get_feature(id).status, Status::invalid_field) << id;
        EXPECT_EQ(set_feature(id, 1).status, Status::invalid_field) << id;
    }
    set(reg::cc, 0u);
    enable();
    EXPECT_EQ(get_feature(6).result, 1u) << "a reset has them as they were";
    EXPECT_EQ(create_completion(1, allocate(4096), 16, 1), Status::success);
    EXPECT_EQ(set_feature(7, 0).status, Status::sequence_error);
}

TEST_F(Nvme, WithoutACacheWritesAreStored) {
    make();
    start();
    const std::uint64_t data = allocate(4096);
    engine->calls.clear();
    ASSERT_EQ(run({.opcode = 0x08, .nsid = 1, .cdw12 = 7 | 1u << 30}).status, Status::success);
    EXPECT_EQ(engine->calls.back(), block::Task::Call::sync) << "forced unit access";
    ASSERT_EQ(run({.opcode = 0x08, .nsid = 1, .cdw12 = 7}).status, Status::success);
    EXPECT_NE(engine->calls.back(), block::Task::Call::sync);
    ASSERT_EQ(admin({.opcode = 0x09, .cdw10 = 6}).status, Status::success);
    ASSERT_EQ(run({.opcode = 0x08, .nsid = 1, .cdw12 = 7}).status, Status::success);
    EXPECT_EQ(engine->calls.back(), block::Task::Call::sync);
    EXPECT_EQ(run(writes(0, 1, data)).status, Status::success);
}

TEST_F(Nvme, QueuesMayShareCompletionsAndEachHasItsVector) {
    make({.queues = 3});
    start(2);
    messages.sent.clear();
    const std::uint64_t data = allocate(4096);
    for (std::uint16_t queue = 1; queue <= 2; ++queue) {
        EXPECT_EQ(run(reads(queue, 1, data), queue).status, Status::success);
    }
    EXPECT_EQ(messages.sent, (std::vector<std::uint32_t>{1, 2}));
    pairs[3] = new_pair(16);
    ASSERT_EQ(create_submission(3, pairs[3].submissions, 16, 2), Status::success);
    put(reads(0, 1, data), 3);
    ring(3);
    const auto done = wait(2);
    ASSERT_TRUE(done);
    EXPECT_EQ(done->queue, 3);
}

TEST_F(Nvme, AFullRingOfCompletionsHoldsCommandsBackUntilTheDriverGoesOn) {
    make();
    enable();
    pairs[1] = new_pair(64);
    pairs[1].completions = allocate(4096);
    ASSERT_EQ(create_completion(1, pairs[1].completions, 4, 1), Status::success);
    ASSERT_EQ(create_submission(1, pairs[1].submissions, 64, 1), Status::success);
    const std::uint64_t data = allocate(4096);
    for (int n = 0; n < 20; ++n) {
        put(reads(0, 1, data));
    }
    ring();
    settle();
    EXPECT_EQ(engine->calls.size(), 3u) << "one entry is always free";
    Pair& pair = pairs[1];
    for (int n = 0; n < 20; ++n) {
        const auto entry = value_at<std::uint32_t>(pair.completions + pair.head * 16 + 12);
        ASSERT_EQ(entry >> 16 & 1, pair.phase ? 1u : 0u) << n;
        pair.head = (pair.head + 1) % 4;
        pair.phase = pair.phase != (pair.head == 0);
        set(reg::doorbells + 12, pair.head);
        settle();
    }
    EXPECT_EQ(engine->calls.size(), 20u);
}

TEST_F(Nvme, MoreThanABudgetIsServedWithoutAnotherDoorbell) {
    make();
    start(1, 1024);
    for (int n = 0; n < 1000; ++n) {
        put({.opcode = 0, .nsid = 1});
    }
    ring();
    settle();
    for (int n = 0; n < 1000; ++n) {
        const auto done = take();
        ASSERT_TRUE(done) << n;
        EXPECT_EQ(done->status, Status::success);
    }
}

TEST_F(Nvme, WithoutMessagesItHasAPin) {
    make({.queues = 1});
    start();
    const auto at = bus->read_config<std::uint8_t>(1, pci::reg::capabilities);
    bus->write_config<std::uint16_t>(1, at + 2u, 0);
    messages.sent.clear();
    tells_heads = false;
    const TestLine& line = bus->lines[1];
    put(reads(0, 1, allocate(4096)));
    ring();
    settle();
    EXPECT_TRUE(line.up());
    set(reg::intms, 1u);
    EXPECT_FALSE(line.up()) << "masked";
    EXPECT_EQ(get(reg::intms), 1u);
    set(reg::intmc, 1u);
    EXPECT_TRUE(line.up());
    ASSERT_TRUE(take());
    EXPECT_TRUE(line.up()) << "until the device knows";
    set(reg::doorbells + 12, 1u);
    EXPECT_FALSE(line.up());
    EXPECT_TRUE(messages.sent.empty());
}

}  // namespace
}  // namespace vmm::test

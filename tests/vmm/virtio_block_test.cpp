// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "virtio_block_fixture.hpp"

namespace vmm::test {
namespace {

using namespace blk;
namespace feature = virtio::feature;

TEST_F(VirtioBlock, SaysWhatTheDiskIs) {
    make({.queues = 3});
    start(*device);
    EXPECT_EQ(read_config<std::uint64_t>(0), sectors);
    EXPECT_EQ(read_config<std::uint32_t>(12), 254u);  // seg_max
    EXPECT_EQ(read_config<std::uint32_t>(20), 512u);  // blk_size
    EXPECT_EQ(read_config<std::uint8_t>(24), 3);      // physical blocks of 4096
    EXPECT_EQ(read_config<std::uint8_t>(32), 1);      // writeback
    EXPECT_EQ(read_config<std::uint16_t>(34), 3);     // queues
    EXPECT_GT(read_config<std::uint32_t>(36), 0u);    // discard
    EXPECT_GT(read_config<std::uint32_t>(48), 0u);    // write zeroes
    for (const std::uint64_t far : {0x40ull, 0x1000ull, ~0ull}) {
        EXPECT_EQ(read_config<std::uint64_t>(far), 0u);
    }
    EXPECT_EQ(transport().queue_count(), 3);
    EXPECT_TRUE(features() & feature_mq);
    EXPECT_FALSE(features() & feature_ro);
    EXPECT_FALSE(features() & feature::in_order) << "requests are done in any order";
}

TEST_F(VirtioBlock, ReadsAndWritesBySplitAndPackedRings) {
    for (const std::uint64_t rings : {~feature::ring_packed, ~std::uint64_t{0}}) {
        for (const auto kind : {block::EngineKind::automatic, block::EngineKind::threads}) {
            make({}, Access::read_write, kind);
            start(*device, rings);
            const std::string text(1024, 'v');
            EXPECT_EQ(run({header(out, 7), put(text)}, {}), 0);
            const Buffer first = room(100);
            const Buffer second = room(1436);
            EXPECT_EQ(run({header(in, 6)}, {first, second}), 0);
            EXPECT_EQ(get(first)[99], std::byte{7});
            EXPECT_EQ(get(second)[411], std::byte{7});
            EXPECT_EQ(get(second)[412], std::byte{'v'});
            EXPECT_EQ(get(second)[1435], std::byte{'v'});
            EXPECT_EQ(run({header(flush)}, {}), 0);
            EXPECT_EQ(file.content().substr(3584, 1024), text);
            EXPECT_GT(interrupts[0], 0);
        }
    }
}

TEST_F(VirtioBlock, TheHeaderMayComeInPiecesAndWithTheData) {
    make();
    start(*device);
    const Header h{out, 0, 3};
    std::vector<std::byte> all(sizeof h + 512, std::byte{'z'});
    std::memcpy(all.data(), &h, sizeof h);
    const Buffer whole = put(all);
    EXPECT_EQ(run({{whole.address, 3}, {whole.address + 3, 20}, {whole.address + 23, 505}}, {}), 0);
    EXPECT_EQ(file.content().substr(1536, 512), std::string(512, 'z'));
    EXPECT_EQ(file.content()[2048], 5);
}

TEST_F(VirtioBlock, TellsItsSerialNumber) {
    make({.serial = "KVMXX-0123456789-ABC"});
    start(*device);
    const Buffer id = room(20);
    EXPECT_EQ(run({header(get_id)}, {id}), 0);
    EXPECT_EQ(std::memcmp(get(id).data(), "KVMXX-0123456789-ABC", 20), 0);
    const Buffer some = room(4);
    EXPECT_EQ(run({header(get_id)}, {some}), 0);
    EXPECT_EQ(std::memcmp(get(some).data(), "KVMX", 4), 0);
    EXPECT_EQ(run({header(get_id)}, {}), 0);
    EXPECT_EQ(run({header(get_id)}, {{hole, 20}}), 1);
    const ImageFile other(512);
    auto disk = must(block::create_disk(must(block::Image::open({.path = other.path})),
                                        block::EngineKind::threads, {}, *reactor, {}));
    const auto refused = Block::create(std::move(disk), {.serial = std::string(21, 's')}, *reactor);
    EXPECT_NE(message(refused).find("serial"), std::string::npos) << message(refused);
}

TEST_F(VirtioBlock, ZeroesAndDiscards) {
    make();
    start(*device);
    EXPECT_EQ(change(write_zeroes, {8, 16, 0}), 0);
    EXPECT_EQ(change(write_zeroes, {64, 8, 1}), 0);
    EXPECT_EQ(change(discard, {128, 128, 0}), 0);
    EXPECT_EQ(change(discard, {0, 0, 0}), 0);
    const std::string content = file.content();
    EXPECT_EQ(content.substr(4096, 8192), std::string(8192, '\0'));
    EXPECT_EQ(content.substr(32768, 4096), std::string(4096, '\0'));
    EXPECT_EQ(content.substr(65536, 65536), std::string(65536, '\0'));
    EXPECT_EQ(content[4095], 8);
    EXPECT_EQ(content[131072], 1);
}

TEST_F(VirtioBlock, RangesThatLieAreRefused) {
    make();
    start(*device);
    const std::string before = file.content();
    constexpr std::uint64_t most = ~std::uint64_t{0};
    for (const std::uint32_t type : {discard, write_zeroes}) {
        EXPECT_EQ(change(type, {sectors, 1, 0}), 1);
        EXPECT_EQ(change(type, {sectors - 1, 2, 0}), 1);
        EXPECT_EQ(change(type, {most, 1, 0}), 1);
        EXPECT_EQ(change(type, {0, 0xffffffff, 0}), 1);
        EXPECT_EQ(change(type, {most / 512, 0xffffffff, 0}), 1);
        EXPECT_EQ(change(type, {0, 1, 2}), 2);
        EXPECT_EQ(run({header(type)}, {}), 1);
        EXPECT_EQ(run({header(type), room(15)}, {}), 1);
        EXPECT_EQ(run({header(type), room(17)}, {}), 1);
        EXPECT_EQ(run({header(type), room(32)}, {}), 1);
        EXPECT_EQ(run({header(type), {hole, 16}}, {}), 1);
    }
    EXPECT_EQ(change(discard, {0, 8, 1}), 2) << "a discard has no unmap flag";
    EXPECT_EQ(file.content(), before);
    EXPECT_TRUE(engine->calls.empty());
    EXPECT_FALSE(broken());
}

TEST_F(VirtioBlock, TransfersThatLieAreRefused) {
    make();
    start(*device);
    const std::string before = file.content();
    constexpr std::uint64_t most = ~std::uint64_t{0};
    const auto both = [&](std::uint64_t sector, std::vector<Buffer> data) {
        const int read = run({header(in, sector)}, data);
        data.insert(data.begin(), header(out, sector));
        const int written = run(data, {});
        EXPECT_EQ(read, written);
        return read;
    };
    EXPECT_EQ(both(sectors, {room(512)}), 1);
    EXPECT_EQ(both(sectors - 1, {room(1024)}), 1);
    EXPECT_EQ(both(most, {room(512)}), 1);
    EXPECT_EQ(both(most / 512 + 1, {room(512)}), 1);
    EXPECT_EQ(both(0, {room(511)}), 1);
    EXPECT_EQ(both(0, {room(513)}), 1);
    EXPECT_EQ(both(0, {{hole, 512}}), 1);
    EXPECT_EQ(both(0, {{kvm::Gpa(hole.value() - 256), 512}}), 1);
    EXPECT_EQ(both(0, {{kvm::Gpa(most - 255), 512}}), 1);
    EXPECT_EQ(both(0, {{kvm::Gpa(0), 0xfffffe00}}), 1);
    EXPECT_EQ(both(0, std::vector<Buffer>(20, {kvm::Gpa(0), 0xffffffff})), 1);
    EXPECT_EQ(run({header(in)}, {{rom, 512}}), 1);
    EXPECT_EQ(file.content(), before);
    EXPECT_TRUE(engine->calls.empty());
    EXPECT_EQ(both(0, {}), 0) << "nothing is done at once";
    EXPECT_EQ(both(0, {{hole, 0}, room(512), {hole, 0}}), 0) << "no bytes are memory anywhere";
    EXPECT_EQ(both(sectors, {}), 0);
    EXPECT_EQ(run({header(out, 1), {rom, 512}}, {}), 0) << "what is read may be read-only";
    EXPECT_FALSE(broken());
}

TEST_F(VirtioBlock, RequestsThatAreNoneAreRefused) {
    make();
    start(*device);
    EXPECT_EQ(run({}, {}), 1);
    EXPECT_EQ(run({room(15)}, {}), 1);
    EXPECT_EQ(run({{hole, 16}}, {}), 1);
    EXPECT_EQ(run({header(99)}, {}), 2);
    EXPECT_EQ(run({header(0x80000000)}, {room(512)}), 2);
    EXPECT_FALSE(broken());
    EXPECT_TRUE(engine->calls.empty());
}

TEST_F(VirtioBlock, ARequestWithoutAStatusDisablesTheDevice) {
    for (const auto& writable :
         {std::vector<Buffer>{}, std::vector<Buffer>{{hole, 1}}, std::vector<Buffer>{{rom, 1}},
          std::vector<Buffer>{{kvm::Gpa(0x1000), 512}, {hole, 0x200}}}) {
        for (const std::uint32_t type : {0u, 4u, 8u, 99u}) {
            make();
            start(*device);
            ASSERT_TRUE(queue(0).offer(std::vector<Buffer>{header(type)}, writable));
            notify(0);
            settle();
            EXPECT_TRUE(broken()) << type;
            EXPECT_NE(complaint().find("status"), std::string::npos) << complaint();
            EXPECT_FALSE(queue(0).has_used());
        }
    }
    EXPECT_EQ(complaints.size(), 16u);
}

TEST_F(VirtioBlock, AReadOnlyDiskCannotBeWritten) {
    make({}, Access::read_only);
    start(*device);
    const std::string before = file.content();
    EXPECT_TRUE(features() & feature_ro);
    EXPECT_FALSE(features() & (feature_discard | feature_zeroes));
    EXPECT_EQ(run({header(out), room(512)}, {}), 1);
    EXPECT_EQ(change(discard, {0, 8, 0}), 1);
    EXPECT_EQ(change(write_zeroes, {0, 8, 0}), 1);
    EXPECT_EQ(run({header(in)}, {room(512)}), 0);
    EXPECT_EQ(run({header(flush)}, {}), 0);
    EXPECT_EQ(file.content(), before);
}

TEST_F(VirtioBlock, WithoutACacheWritesAreStored) {
    // A flush of its own tells nothing, so a write of zeroes shows it: it is synced.
    const auto calls = [&] {
        engine->calls.clear();
        EXPECT_EQ(change(write_zeroes, {0, 8, 0}), 0);
        return engine->calls.size();
    };
    make();
    start(*device);
    EXPECT_EQ(calls(), 1u);
    write_config<std::uint8_t>(32, 0);
    EXPECT_EQ(read_config<std::uint8_t>(32), 0);
    EXPECT_EQ(calls(), 2u);
    write_config<std::uint64_t>(28, ~std::uint64_t{0});
    EXPECT_EQ(read_config<std::uint8_t>(32), 1);
    EXPECT_EQ(calls(), 1u);
    start(*device, ~feature_flush);
    EXPECT_EQ(calls(), 2u);
    start(*device, ~feature_wce);
    write_config<std::uint8_t>(32, 0);
    EXPECT_EQ(read_config<std::uint8_t>(32), 1) << "not agreed upon";
}

TEST_F(VirtioBlock, TheHostsErrorsReachTheDriver) {
    make();
    start(*device);
    engine->results = {-EIO, -ENOSPC, -EIO};
    EXPECT_EQ(run({header(in)}, {room(512)}), 1);
    EXPECT_EQ(run({header(out), room(512)}, {}), 1);
    EXPECT_EQ(run({header(flush)}, {}), 1);
    EXPECT_EQ(log.lines.size(), 4u) << "of the flush two: each after it fails, too";
    EXPECT_EQ(run({header(in)}, {room(512)}), 0);
    EXPECT_FALSE(broken());
}

}  // namespace
}  // namespace vmm::test

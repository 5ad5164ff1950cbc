// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "block_fixture.hpp"
#include "virtio_fixture.hpp"

#include <vmm/virtio/block.hpp>

namespace vmm::test {
namespace {

using namespace virtio;
using namespace std::chrono_literals;

enum Type : std::uint32_t {
    in = 0,
    out = 1,
    flush = 4,
    get_id = 8,
    discard = 11,
    write_zeroes = 13
};
constexpr std::uint64_t feature_ro = 1 << 5, feature_flush = 1 << 9, feature_wce = 1 << 11,
                        feature_mq = 1 << 12, feature_discard = 1 << 13, feature_zeroes = 1 << 14;
constexpr int no_status = 0xee;  // what the status byte holds before

struct Header {
    std::uint32_t type;
    std::uint32_t reserved;
    std::uint64_t sector;
};
struct Range {
    std::uint64_t sector;
    std::uint32_t sectors;
    std::uint32_t flags;
};

class VirtioBlock : public VirtioDeviceTest {
protected:
    static constexpr std::uint64_t size = 1 << 20, sectors = size / 512;

    /// A disk on the scripted engine, or, with a `kind`, a real one.
    void make(const Block::Options& options = {}, Access access = Access::read_write,
              std::optional<block::EngineKind> kind = {}) {
        stop();
        device.reset();
        auto image = must(block::Image::open({.path = file.path, .access = access}));
        std::unique_ptr<block::Engine> made;
        if (kind) {
            made = must(block::create_engine(*kind));
        } else {
            auto scripted = std::make_unique<ScriptedEngine>();
            engine = scripted.get();
            made = std::move(scripted);
        }
        auto disk =
            must(block::FileDisk::create(std::move(image), std::move(made), *reactor, log.log));
        device = must(Block::create(std::move(disk), options, *reactor));
    }
    void TearDown() override {
        stop();
        device.reset();
    }
    Buffer header(std::uint32_t type, std::uint64_t sector = 0) {
        const Header header{type, 0, sector};
        return put(std::as_bytes(std::span(&header, 1)));
    }
    Buffer status_byte() {
        const std::byte before{no_status};
        return put({&before, 1});
    }
    int at(Buffer status) { return std::to_integer<int>(get(status)[0]); }
    /// A request of these buffers, with its status behind the writable ones. Its status.
    int run(std::vector<Buffer> readable, std::vector<Buffer> writable, std::uint16_t index = 0) {
        const Buffer status = status_byte();
        writable.push_back(status);
        EXPECT_TRUE(queue(index).offer(readable, writable).has_value());
        notify(index);
        if (!broken()) {
            EXPECT_TRUE(wait_used(index).has_value());
        }
        return at(status);
    }
    int change(std::uint32_t type, Range range) {
        return run({header(type), put(std::as_bytes(std::span(&range, 1)))}, {});
    }

    ImageFile file{size};
    TestLog log;
    ScriptedEngine* engine = nullptr;
    std::unique_ptr<Block> device;
};

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
    EXPECT_EQ(message(Block::create(must(block::create_disk(
                                        must(block::Image::open({.path = ImageFile(512).path})),
                                        block::EngineKind::threads, {}, *reactor, {})),
                                    {.serial = std::string(21, 's')}, *reactor))
                      .find("serial") == std::string::npos,
              false);
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
    EXPECT_EQ(log.lines.size(), 3u);
    EXPECT_EQ(run({header(in)}, {room(512)}), 0);
    EXPECT_FALSE(broken());
}

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
    engine->holds = false;
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

// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include "block_fixture.hpp"
#include "virtio_fixture.hpp"

#include <vmm/virtio/block.hpp>

namespace vmm::test::blk {

using virtio::Block, virtio::Buffer;

inline constexpr std::uint64_t feature_ro = 1 << 5, feature_flush = 1 << 9, feature_wce = 1 << 11,
                               feature_mq = 1 << 12, feature_discard = 1 << 13,
                               feature_zeroes = 1 << 14;
inline constexpr int no_status = 0xee;  // what the status byte holds before

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
    enum Type : std::uint32_t {
        in = 0,
        out = 1,
        flush = 4,
        get_id = 8,
        discard = 11,
        write_zeroes = 13
    };
    static constexpr std::uint64_t size = 1 << 20, sectors = size / 512;

    /// A disk on the scripted engine, or, with a `kind`, a real one.
    void make(const Block::Options& options = {}, Access access = Access::read_write,
              std::optional<block::EngineKind> kind = {}) {
        stop();
        device.reset();
        auto disk = make_disk(file, access, kind, *reactor, log.log, engine);
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

}  // namespace vmm::test::blk

// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "block_fixture.hpp"

namespace vmm::test {
namespace {

using namespace block;
using namespace std::chrono_literals;

/// With each engine, through the page cache and past it.
class DiskTest : public ::testing::TestWithParam<std::tuple<EngineKind, Caching>> {
protected:
    static constexpr std::uint64_t size = 1 << 20;

    void SetUp() override {
        if (std::get<EngineKind>(GetParam()) == EngineKind::io_uring && !create_uring_engine()) {
            GTEST_SKIP() << message(create_uring_engine());
        }
        open(Access::read_write);
    }
    void open(Access access) {
        disk.reset();
        const auto [kind, caching] = GetParam();
        disk = must(create_disk(must(Image::open({file.path, access, caching})), kind, {}, *reactor,
                                log.log));
        disk->set_client(&client);
    }
    void TearDown() override {
        if (disk) {
            disk->drain(Disk::Waiting::finish);
        }
    }
    /// Does it, and gives its error.
    int run(Request& request) {
        disk->submit(request);
        disk->kick();
        const auto end = std::chrono::steady_clock::now() + 10s;
        while (!client.has(request) && std::chrono::steady_clock::now() < end) {
            reactor->turn(10ms);
        }
        EXPECT_TRUE(client.has(request));
        client.done.clear();
        return request.error;
    }
    int transfer(Operation operation, std::uint64_t offset, std::vector<iovec> parts) {
        Request request;
        request.operation = operation;
        request.offset = offset;
        for (const iovec& each : parts) {
            request.length += each.iov_len;
        }
        request.parts = std::move(parts);
        return run(request);
    }
    int plain(Operation operation, std::uint64_t offset = 0, std::uint64_t length = 0,
              Unmap unmap = Unmap::no, Durability durability = Durability::cached) {
        Request request;
        request.operation = operation;
        request.offset = offset;
        request.length = length;
        request.unmap = unmap;
        request.durability = durability;
        return run(request);
    }

    ImageFile file{size};
    TestLog log;
    std::unique_ptr<Reactor> reactor = must(Reactor::create());
    TestClient client;
    std::unique_ptr<Disk> disk;
};

INSTANTIATE_TEST_SUITE_P(
    , DiskTest,
    ::testing::Combine(::testing::Values(EngineKind::io_uring, EngineKind::threads),
                       ::testing::Values(Caching::page_cache, Caching::direct)),
    [](const auto& p) {
        return std::string(std::get<0>(p.param) == EngineKind::threads ? "Threads" : "Uring") +
               (std::get<1>(p.param) == Caching::direct ? "Direct" : "");
    });

TEST_P(DiskTest, WhatIsWrittenIsInTheFileAndReadBack) {
    alignas(4096) static std::array<char, 8192> out;
    alignas(4096) static std::array<char, 8192> in;
    out.fill('w');
    in.fill(0);
    EXPECT_EQ(transfer(Operation::write, 4096, {part(out)}), 0);
    EXPECT_EQ(transfer(Operation::read, 4096, {part(in)}), 0);
    EXPECT_EQ(in, out);
    EXPECT_EQ(plain(Operation::flush), 0);
    EXPECT_EQ(plain(Operation::write_zeroes, 0, 512), 0);
    EXPECT_EQ(transfer(Operation::read, size, {part(in)}), EINVAL);
    EXPECT_EQ(disk->counters(), (DiskCounters{1, 8192, 1, 8192, 1, 1, 0}));
    const std::string content = file.content();
    EXPECT_EQ(content.size(), size);
    EXPECT_EQ(content.substr(4096, 8192), std::string(8192, 'w'));
    EXPECT_EQ(content[4095], 8);
    EXPECT_EQ(content[4096 + 8192], 25);
}

TEST_P(DiskTest, AnyAlignmentAndNumberOfPartsWorks) {
    std::mt19937 random(1);
    std::string model = file.content();
    std::vector<char> memory(300000);
    for (int n = 0; n < 200; ++n) {
        const std::uint64_t sectors = 1 + random() % 64;
        const std::uint64_t offset = random() % (size / 512 - sectors) * 512;
        const bool write = random() % 2 == 0;
        std::vector<iovec> parts;
        std::span<char> rest = std::span(memory).subspan(random() % 1000);
        rest = rest.first(sectors * 512);
        const std::span<char> all = rest;
        while (!rest.empty()) {
            const std::size_t most = random() % 4 == 0 ? 7 : 8192;
            const std::size_t bytes = std::min<std::size_t>(1 + random() % most, rest.size());
            parts.push_back(part(rest.first(bytes)));
            rest = rest.subspan(bytes);
        }
        if (write) {
            std::ranges::generate(all, [&] { return static_cast<char>(random()); });
            ASSERT_EQ(transfer(Operation::write, offset, parts), 0);
            model.replace(offset, all.size(), all.data(), all.size());
        } else {
            std::ranges::fill(all, 'x');
            ASSERT_EQ(transfer(Operation::read, offset, parts), 0) << parts.size();
            ASSERT_EQ(std::string_view(all.data(), all.size()), model.substr(offset, all.size()));
        }
    }
    EXPECT_EQ(file.content(), model);
}

TEST_P(DiskTest, ManyRequestsAtOnceAreAllDone) {
    constexpr std::size_t count = 1000;
    std::vector<Request> requests(count);
    std::vector<std::array<char, 512>> buffers(count);
    for (std::size_t i = 0; i < count; ++i) {
        requests[i].offset = i * 512;
        requests[i].length = 512;
        requests[i].parts = {part(buffers[i])};
        disk->submit(requests[i]);
    }
    disk->kick();
    disk->drain(Disk::Waiting::finish);
    EXPECT_EQ(client.done.size(), count);
    for (std::size_t i = 0; i < count; ++i) {
        EXPECT_EQ(requests[i].error, 0);
        EXPECT_EQ(buffers[i][511], static_cast<char>(i + 1));
    }
}

TEST_P(DiskTest, ZeroesAndDiscardsReadAsZeroes) {
    std::string model = file.content();
    const std::uint64_t before = file.allocated();
    for (const auto durability : {Durability::cached, Durability::stored}) {
        EXPECT_EQ(plain(Operation::write_zeroes, 1024, 4096, Unmap::no, durability), 0);
        EXPECT_EQ(plain(Operation::write_zeroes, 65536, 65536, Unmap::yes, durability), 0);
        EXPECT_EQ(plain(Operation::discard, 262144, 131072, Unmap::no, durability), 0);
    }
    model.replace(1024, 4096, 4096, '\0');
    model.replace(65536, 65536, 65536, '\0');
    model.replace(262144, 131072, 131072, '\0');
    EXPECT_EQ(file.content(), model);
    EXPECT_LT(file.allocated(), before);
}

TEST_P(DiskTest, WhatIsNotWithinTheDiskIsRefused) {
    std::array<char, 1024> bytes{};
    constexpr auto most = std::numeric_limits<std::uint64_t>::max();
    EXPECT_EQ(transfer(Operation::read, size - 512, {part(bytes)}), EINVAL);
    EXPECT_EQ(transfer(Operation::write, size, {part(bytes)}), EINVAL);
    EXPECT_EQ(transfer(Operation::write, most - 511, {part(bytes)}), EINVAL);
    EXPECT_EQ(plain(Operation::write_zeroes, 0, most), EINVAL);
    EXPECT_EQ(plain(Operation::discard, most, most), EINVAL);
    EXPECT_EQ(plain(Operation::read, size, 0), 0);
    EXPECT_EQ(file.content().size(), size);
}

TEST_P(DiskTest, AReadOnlyDiskIsNotChanged) {
    open(Access::read_only);
    const std::string before = file.content();
    std::array<char, 512> bytes{};
    EXPECT_EQ(transfer(Operation::write, 0, {part(bytes)}), EROFS);
    EXPECT_EQ(plain(Operation::write_zeroes, 0, 512), EROFS);
    EXPECT_EQ(plain(Operation::discard, 0, 512), EROFS);
    EXPECT_EQ(plain(Operation::flush), 0);
    EXPECT_EQ(transfer(Operation::read, 512, {part(bytes)}), 0);
    EXPECT_EQ(bytes[0], 2);
    EXPECT_EQ(file.content(), before);
}

TEST_P(DiskTest, AnImageThatIsCutShortGivesErrorsAndOneLineEach) {
    file.cut(size / 2);
    std::array<char, 1024> bytes{};
    for (int n = 0; n < 3; ++n) {
        EXPECT_EQ(transfer(Operation::read, size / 2, {part(bytes)}), EIO);
        EXPECT_EQ(transfer(Operation::read, size / 2 - 512, {part(bytes)}), EIO);
        EXPECT_EQ(plain(Operation::flush), EIO);
    }
    EXPECT_EQ(transfer(Operation::read, 0, {part(bytes)}), 0);
    EXPECT_EQ(transfer(Operation::write, size - 1024, {part(bytes)}), 0) << "makes it whole again";
    EXPECT_EQ(plain(Operation::flush), EIO) << "but what was cut off is lost";
    EXPECT_EQ(log.lines,
              (std::vector<std::string>{
                  fmt::format("disk {}: read at {}: the image was cut short", file.path, size / 2),
                  fmt::format("disk {}: written data may be lost: each flush fails from now on",
                              file.path),
                  fmt::format("disk {}: flush at 0: Input/output error", file.path)}));
}

TEST_P(DiskTest, RegisteredMemoryWorksAsOther) {
    alignas(4096) static std::array<char, 65536> memory;
    const std::span<std::byte> region = std::as_writable_bytes(std::span(memory));
    if (auto done = disk->register_memory(std::span(&region, 1)); !done) {
        GTEST_SKIP() << done.error().message;
    }
    std::array<char, 4096> outside{};
    EXPECT_EQ(transfer(Operation::read, 8192, {part(std::span(memory).subspan(4096, 4096))}), 0);
    EXPECT_EQ(memory[4096], 17);
    EXPECT_EQ(transfer(Operation::write, 0, {part(std::span(memory).subspan(4096, 4096))}), 0);
    EXPECT_EQ(transfer(Operation::read, 0, {part(outside)}), 0);
    EXPECT_EQ(outside[0], 17);
    EXPECT_EQ(transfer(Operation::read, 4096,
                       {part(std::span(memory).first(100)), part(std::span(outside).first(924))}),
              0);
    EXPECT_EQ(memory[99], 9);
    EXPECT_EQ(outside[923], 10);
}

}  // namespace
}  // namespace vmm::test

// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "block_fixture.hpp"

#include <sys/ioctl.h>

/// Disks whose calls fail: by an engine that is told what to answer, and by io_uring that is not
/// allowed (the linker gives this program's call to __wrap_X, tests/vmm/CMakeLists.txt).
namespace vmm::test {
namespace {
int uring_error = 0;
}
}  // namespace vmm::test

#if KVMXX_LIBURING
// NOLINTBEGIN: the linker's names.
extern "C" {
struct io_uring;
struct io_uring_params;
int __real_io_uring_queue_init_params(unsigned, io_uring*, io_uring_params*);
int __wrap_io_uring_queue_init_params(unsigned entries, io_uring* ring, io_uring_params* p) {
    return vmm::test::uring_error != 0 ? -vmm::test::uring_error
                                       : __real_io_uring_queue_init_params(entries, ring, p);
}
}
// NOLINTEND
#endif

namespace vmm::test {
namespace {

using namespace block;
using Call = Task::Call;
using enum Task::Call;

class DiskFaults : public ::testing::Test {
protected:
    static constexpr std::uint64_t size = 1 << 20;

    void SetUp() override {
        auto owned = std::make_unique<ScriptedEngine>();
        engine = owned.get();
        disk = must(FileDisk::create(must(Image::open({.path = file.path})), std::move(owned),
                                     *reactor, log.log));
        disk->set_client(&client);
    }
    void TearDown() override { uring_error = 0; }
    int run(Request& request, std::deque<std::int64_t> results = {}) {
        engine->results = std::move(results);
        engine->calls.clear();
        engine->modes.clear();
        client.done.clear();
        disk->submit(request);
        EXPECT_TRUE(client.done.empty()) << "submit() told";
        disk->kick();
        while (!client.has(request)) {
            EXPECT_GT(reactor->turn(std::chrono::seconds(1)), 0);
        }
        return request.error;
    }
    Request transfer(Operation operation, std::span<char> bytes, std::uint64_t offset = 0) {
        Request request;
        request.operation = operation;
        request.offset = offset;
        request.length = bytes.size();
        request.parts = {part(bytes.first(bytes.size() / 2)),
                         part(bytes.subspan(bytes.size() / 2))};
        return request;
    }
    static Request zeroes(std::uint64_t offset, std::uint64_t length, Unmap unmap) {
        Request request;
        request.operation = Operation::write_zeroes;
        request.offset = offset;
        request.length = length;
        request.unmap = unmap;
        return request;
    }

    ImageFile file{size};
    Request flush = [] {
        Request request;
        request.operation = Operation::flush;
        return request;
    }();
    TestLog log;
    std::unique_ptr<Reactor> reactor = must(Reactor::create());
    TestClient client;
    ScriptedEngine* engine = nullptr;
    std::unique_ptr<FileDisk> disk;
};

TEST_F(DiskFaults, ShortReadsAndWritesGoOnWhereTheyEnded) {
    std::string text;
    for (int i = 0; i < 2048; ++i) {
        text += static_cast<char>(i * 7);
    }
    Request write = transfer(Operation::write, text, 512);
    EXPECT_EQ(run(write, {1, 1023, 1, 512, 3}), 0);
    EXPECT_EQ(engine->calls, std::vector<Call>(6, Call::write));
    EXPECT_EQ(file.content().substr(512, 2048), text);
    std::string back(2048, 'x');
    Request read = transfer(Operation::read, back, 512);
    EXPECT_EQ(run(read, {1024, 1000}), 0);
    EXPECT_EQ(back, text);
}

TEST_F(DiskFaults, WhatMayBeRepeatedIsRepeatedButNotForEver) {
    std::array<char, 1024> bytes{};
    for (const int again : {EINTR, EAGAIN, ECANCELED}) {
        Request read = transfer(Operation::read, bytes);
        EXPECT_EQ(run(read, {-again, -again, 10, -again}), 0);
        EXPECT_EQ(engine->calls.size(), 5u);
    }
    Request read = transfer(Operation::read, bytes);
    EXPECT_EQ(run(read, std::deque<std::int64_t>(100, -EAGAIN)), EAGAIN);
}

TEST_F(DiskFaults, TheHostsErrorsAreTheGuestsAndLoggedOnce) {
    std::array<char, 1024> bytes{};
    for (int n = 0; n < 3; ++n) {
        Request read = transfer(Operation::read, bytes, 4096);
        EXPECT_EQ(run(read, {-EIO}), EIO);
        Request write = transfer(Operation::write, bytes, 512);
        EXPECT_EQ(run(write, {512, -ENOSPC}), ENOSPC);
    }
    const std::string name = "disk " + file.path;
    EXPECT_EQ(log.lines,
              (std::vector<std::string>{name + ": read at 4096: Input/output error",
                                        name + ": write at 512: No space left on device"}));
    bytes.fill('w');
    Request write = transfer(Operation::write, bytes, 512);
    EXPECT_EQ(run(write), 0) << "it works again when the host does";
    EXPECT_EQ(run(flush), 0);
    bytes.fill('r');
    Request read = transfer(Operation::read, bytes, 512);
    EXPECT_EQ(run(read), 0);
    EXPECT_EQ(bytes[0], 'w');
    EXPECT_EQ(bytes[1023], 'w');
}

TEST_F(DiskFaults, NoFlushSucceedsOnceTheHostHasLostWhatWasWritten) {
    EXPECT_EQ(run(flush, {-EAGAIN, 0}), 0);
    EXPECT_EQ(run(flush, {-ENOSPC}), ENOSPC);
    for (int n = 0; n < 3; ++n) {
        EXPECT_EQ(run(flush, {0}), ENOSPC);
        EXPECT_TRUE(engine->calls.empty()) << "fdatasync would say that all is well";
    }
    std::array<char, 1024> bytes{};
    Request write = transfer(Operation::write, bytes);
    EXPECT_EQ(run(write), 0);
    Request read = transfer(Operation::read, bytes);
    EXPECT_EQ(run(read), 0);
    const std::string name = "disk " + file.path;
    EXPECT_EQ(log.lines, (std::vector<std::string>{
                             name + ": flush at 0: No space left on device",
                             name + ": written data may be lost: each flush fails from now on"}));
}

TEST_F(DiskFaults, AStoredWriteMayTellWhatBecameOfOthers) {
    std::array<char, 1024> bytes{};
    Request write = transfer(Operation::write, bytes);
    EXPECT_EQ(run(write, {-EIO}), EIO);
    EXPECT_EQ(run(flush), 0) << "it failed itself";
    write.durability = Durability::stored;
    EXPECT_EQ(run(write, {-ENOSPC}), ENOSPC);
    EXPECT_EQ(run(flush), 0) << "there was no room for it";
    EXPECT_EQ(run(write, {-EIO}), EIO);
    EXPECT_EQ(run(flush), EIO);
}

TEST_F(DiskFaults, ZeroesAreWrittenWhereTheHostHasNoBetterWay) {
    const std::uint64_t offset = 512;
    const std::uint64_t length = size - 1024;
    Request request = zeroes(offset, length, Unmap::yes);
    EXPECT_EQ(run(request, {-EOPNOTSUPP, -EOPNOTSUPP, 700}), 0);
    EXPECT_EQ(engine->calls, (std::vector<Call>{allocate, allocate, write, write}));
    EXPECT_EQ(engine->modes[0], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
    EXPECT_EQ(engine->modes[1], FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE);
    const std::string content = file.content();
    EXPECT_EQ(content.substr(offset, length), std::string(length, '\0'));
    EXPECT_EQ(content[511], 1);
    EXPECT_EQ(content[size - 512], static_cast<char>(size / 512));
    Request more = zeroes(0, 4 << 16, Unmap::yes);
    EXPECT_EQ(run(more), 0);
    EXPECT_EQ(engine->calls, (std::vector<Call>{write})) << "it is not asked for again";
    Request failing = zeroes(0, 4 << 16, Unmap::no);
    EXPECT_EQ(run(failing, {4096, -ENOSPC}), ENOSPC);
}

TEST_F(DiskFaults, ADiscardIsAHint) {
    Request request;
    request.operation = Operation::discard;
    request.length = 4096;
    EXPECT_EQ(run(request, {-EOPNOTSUPP}), 0);
    EXPECT_EQ(run(request), 0);
    EXPECT_TRUE(engine->calls.empty());
    EXPECT_TRUE(log.lines.empty());
}

TEST_F(DiskFaults, ADiscardThatFailsIsAnError) {
    Request request;
    request.operation = Operation::discard;
    request.length = 4096;
    EXPECT_EQ(run(request, {-EIO}), EIO);
}

TEST_F(DiskFaults, WhatMustBeStoredIsSynced) {
    Request request = zeroes(0, 4096, Unmap::no);
    request.durability = Durability::stored;
    EXPECT_EQ(run(request), 0);
    EXPECT_EQ(engine->calls, (std::vector<Call>{allocate, sync}));
    EXPECT_EQ(run(request, {1, -EIO}), EIO);
}

TEST_F(DiskFaults, DrainWaitsForWhatIsInFlight) {
    std::array<char, 1024> bytes{};
    Request read = transfer(Operation::read, bytes);
    engine->holds = true;
    disk->submit(read);
    disk->kick();
    EXPECT_TRUE(client.done.empty());
    disk->drain(Disk::Waiting::finish);
    EXPECT_TRUE(client.has(read));
    EXPECT_EQ(bytes[1023], 2);
}

TEST_F(DiskFaults, ODirectThatIsRefusedIsDoneWithout) {
    auto owned = std::make_unique<ScriptedEngine>();
    engine = owned.get();
    disk.reset();
    disk = must(FileDisk::create(must(Image::open({.path = file.path, .caching = Caching::direct})),
                                 std::move(owned), *reactor, log.log));
    disk->set_client(&client);
    alignas(4096) static std::array<char, 8192> bytes;
    Request read = transfer(Operation::read, bytes, 4096);
    EXPECT_EQ(run(read, {-EINVAL}), 0);
    EXPECT_EQ(engine->calls.size(), 2u);
    EXPECT_EQ(bytes[8191], 24);
}

TEST_F(DiskFaults, IoUringThatIsRefusedGivesThreads) {
#if !KVMXX_LIBURING
    GTEST_SKIP() << "this build has no liburing";
#endif
    for (const int refused : {ENOSYS, EPERM, ENOMEM}) {
        uring_error = refused;
        EXPECT_EQ(must(create_engine(EngineKind::automatic))->name(), "threads");
        EXPECT_EQ(code(create_engine(EngineKind::io_uring)), refused);
    }
    uring_error = EMFILE;
    EXPECT_EQ(code(create_engine(EngineKind::automatic)), EMFILE);
}

class LimitedDiskTest : public DiskFaults {
protected:
    void limit(const RateLimits& limits) {
        limited = must(LimitedDisk::create(std::move(disk), limits, *reactor));
        limited->set_client(&client);
        for (Request& request : requests) {
            request = transfer(Operation::read, bytes);
            limited->submit(request);
        }
        limited->kick();
    }
    std::array<char, 1024> bytes{};
    std::array<Request, 20> requests;
    std::unique_ptr<LimitedDisk> limited;
};

TEST_F(LimitedDiskTest, RequestsBeyondTheLimitComeLaterAndInOrder) {
    const auto start = std::chrono::steady_clock::now();
    limit({.bytes = {.per_second = 200 * 1024, .burst = 1024}});
    EXPECT_LT(client.done.size(), 5u);
    while (client.done.size() < requests.size()) {
        ASSERT_GT(reactor->turn(std::chrono::seconds(1)), 0);
    }
    EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(85));
    for (std::size_t i = 0; i < requests.size(); ++i) {
        EXPECT_EQ(client.done[i], &requests[i]);
    }
}

TEST_F(LimitedDiskTest, DrainFinishesOrCancelsWhatWaits) {
    limit({.operations = {.per_second = 1, .burst = 1}});
    const std::size_t before = client.done.size();
    EXPECT_LT(before, 5u);
    limited->drain(Disk::Waiting::cancel);
    EXPECT_EQ(client.done.size(), requests.size());
    EXPECT_EQ(requests.back().error, ECANCELED);
    client.done.clear();
    requests[0] = transfer(Operation::read, bytes);
    limited->submit(requests[0]);
    EXPECT_TRUE(client.done.empty());
    limited->drain(Disk::Waiting::finish);
    EXPECT_EQ(client.done.size(), 1u);
    EXPECT_EQ(requests[0].error, 0);
}

}  // namespace
}  // namespace vmm::test

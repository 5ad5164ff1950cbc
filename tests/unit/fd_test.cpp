// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <cstdint>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <kvm/fd.hpp>
#include <type_traits>
#include <unistd.h>
#include <utility>

namespace kvm::test {
namespace {

/// The two ends of a pipe, each owned once.
struct Pipe {
    Pipe() {
        int ends[2] = {-1, -1};
        if (::pipe2(ends, O_CLOEXEC) != 0) {
            ADD_FAILURE() << "pipe2";
        }
        read = Fd(ends[0]);
        write = Fd(ends[1]);
    }
    Fd read{-1}, write{-1};
};

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }
bool closes_on_exec(int fd) { return (::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0; }

TEST(Fd, ClosesWhenItsLifeEnds) {
    int number = -1;
    {
        Pipe pipe;
        number = pipe.read.number();
        EXPECT_TRUE(is_open(number));
    }
    EXPECT_FALSE(is_open(number));
}

TEST(Fd, MovesAndIsClosedOnce) {
    static_assert(!std::is_copy_constructible_v<Fd> && !std::is_copy_assignable_v<Fd>);
    static_assert(std::is_nothrow_move_constructible_v<Fd>);
    Pipe pipe;
    const int number = pipe.read.number();
    Fd moved = std::move(pipe.read);
    EXPECT_EQ(moved.number(), number);
    EXPECT_EQ(pipe.read.number(), -1);
    EXPECT_FALSE(pipe.read.valid());
    EXPECT_TRUE(moved.valid());
    EXPECT_TRUE(is_open(number));
}

TEST(Fd, ClosesWhatItHadWhenAssignedTo) {
    Pipe one, two;
    const int first = one.read.number(), second = two.read.number();
    one.read = std::move(two.read);
    EXPECT_FALSE(is_open(first));
    EXPECT_TRUE(is_open(second));
    Fd& itself = one.read;
    one.read = std::move(itself);
    EXPECT_TRUE(is_open(second)) << "moving to itself closes nothing";
}

TEST(Fd, GivesItsNumberAwayOnRelease) {
    Pipe pipe;
    const int number = pipe.read.release();
    EXPECT_FALSE(pipe.read.valid());
    EXPECT_TRUE(is_open(number));
    ::close(number);
}

TEST(Fd, IsNoTruthValueAndNoNumber) {
    static_assert(!std::is_constructible_v<bool, Fd> && !std::is_convertible_v<Fd, bool>);
    static_assert(!std::is_convertible_v<Fd, int> && !std::is_convertible_v<int, Fd>);
    static_assert(!std::is_convertible_v<int, FdRef>);
}

TEST(Fd, DuplicatesForTheSameFileAndCloseOnExec) {
    Pipe pipe;
    auto second = pipe.write.duplicate();
    ASSERT_TRUE(second);
    EXPECT_NE(second->number(), pipe.write.number());
    EXPECT_TRUE(closes_on_exec(second->number()));
    pipe.write = Fd(-1);
    EXPECT_EQ(::write(second->number(), "x", 1), 1) << "the file lives on in the duplicate";
}

TEST(Fd, DuplicateOfNothingIsAnError) {
    const auto none = Fd(-1).duplicate();
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code, EBADF);
}

TEST(FdRef, BorrowsAndDoesNotClose) {
    Pipe pipe;
    {
        const FdRef borrowed = pipe.read;
        EXPECT_EQ(borrowed.number(), pipe.read.number());
    }
    EXPECT_TRUE(is_open(pipe.read.number()));
}

TEST(EventFd, CountsWrites) {
    const auto event = EventFd::create(2);
    ASSERT_TRUE(event);
    EXPECT_TRUE(closes_on_exec(event->fd().number()));
    EXPECT_TRUE(event->write());
    EXPECT_TRUE(event->write(5));
    EXPECT_EQ(event->read().value(), 8u);
}

TEST(EventFd, SaysEagainInsteadOfBlocking) {
    const auto event = EventFd::create(0, EventFdFlag::nonblock);
    ASSERT_TRUE(event);
    const auto empty = event->read();
    ASSERT_FALSE(empty);
    EXPECT_EQ(empty.error().code, EAGAIN);
    EXPECT_TRUE(event->write(~std::uint64_t{1}));
    const auto full = event->write();
    ASSERT_FALSE(full);
    EXPECT_EQ(full.error().code, EAGAIN);
}

TEST(EventFd, CountsDownAsASemaphore) {
    const auto event = EventFd::create(2, EventFdFlag::semaphore | EventFdFlag::nonblock);
    ASSERT_TRUE(event);
    EXPECT_EQ(event->read().value(), 1u);
    EXPECT_EQ(event->read().value(), 1u);
    EXPECT_FALSE(event->read());
}

TEST(EventFd, TakesOverADescriptor) {
    auto event = EventFd::create(1);
    ASSERT_TRUE(event);
    const EventFd adopted(event->fd().duplicate().value());
    EXPECT_EQ(adopted.read().value(), 1u) << "the same counter";
}

TEST(Open, RepeatsNothingAndClosesOnExec) {
    const auto null = detail::open("/dev/null", O_RDWR);
    ASSERT_TRUE(null);
    EXPECT_TRUE(closes_on_exec(null->number()));
    const auto none = detail::open("/dev/null/none", O_RDWR);
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code, ENOTDIR);
}

}  // namespace
}  // namespace kvm::test

// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <vmm/device_fixture.hpp>
#include <vmm/machine/console.hpp>
#include <vmm/result.hpp>

namespace vmm {
namespace {

using test::bytes;
using test::must;

/// Two descriptors, closed at the end.
struct Pair {
    ~Pair() {
        close_at(0);
        close_at(1);
    }
    void close_at(std::size_t i) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
        fds[i] = -1;
    }
    std::array<int, 2> fds{-1, -1};
};

Pair make_pipe() {
    Pair pair;
    EXPECT_EQ(pipe2(pair.fds.data(), O_CLOEXEC), 0);
    return std::exchange(pair, {});
}

/// Writes until there is no room, and returns how much went in.
std::size_t fill(Console& console) {
    const std::string text(10'000, 'x');
    std::size_t total = 0;
    while (const std::size_t n = must(console.write(bytes(text)))) {
        total += n;
    }
    return total;
}

TEST(FdConsole, NeverBlocksOnAPipeThatNobodyReads) {
    const Pair pipe = make_pipe();
    FdConsole console(-1, pipe.fds[1]);
    EXPECT_GE(fill(console), 4096u);
    EXPECT_EQ(fcntl(pipe.fds[1], F_GETFL) & O_NONBLOCK, 0) << "other users are not disturbed";
    std::array<char, 4096> page;
    ASSERT_EQ(read(pipe.fds[0], page.data(), page.size()), 4096);
    EXPECT_GE(fill(console), 1u);
}

TEST(FdConsole, NeverBlocksOnASocketThatNobodyReads) {
    Pair sockets;
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets.fds.data()), 0);
    FdConsole console(-1, sockets.fds[1]);
    EXPECT_GE(fill(console), 4096u);
    EXPECT_EQ(fcntl(sockets.fds[1], F_GETFL) & O_NONBLOCK, 0);
}

TEST(FdConsole, NeverBlocksOnATerminalThatNobodyReads) {
    Pair terminal;
    terminal.fds[0] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (terminal.fds[0] < 0 || grantpt(terminal.fds[0]) != 0 || unlockpt(terminal.fds[0]) != 0) {
        GTEST_SKIP() << "needs a pseudo-terminal";
    }
    terminal.fds[1] = open(ptsname(terminal.fds[0]), O_RDWR | O_NOCTTY | O_CLOEXEC);
    ASSERT_GE(terminal.fds[1], 0);
    FdConsole console(terminal.fds[1], terminal.fds[1]);
    EXPECT_GE(fill(console), 1u);
    EXPECT_EQ(fcntl(terminal.fds[1], F_GETFL) & O_NONBLOCK, 0);
}

TEST(FdConsole, SaysThatThePipeIsClosed) {
    (void)std::signal(SIGPIPE, SIG_IGN);
    Pair pipe = make_pipe();
    FdConsole console(-1, pipe.fds[1]);
    pipe.close_at(0);
    EXPECT_EQ(test::code(console.write(bytes("x"))), EPIPE);
}

TEST(FdConsole, ReadsWhatIsThereAndThenTheEnd) {
    Pair pipe = make_pipe();
    FdConsole console(pipe.fds[0], -1);
    ASSERT_EQ(write(pipe.fds[1], "abc", 3), 3);
    std::array<std::byte, 16> buffer;
    std::size_t size = 0;
    EXPECT_EQ(must(console.read(buffer, size)), Console::Input::more);
    EXPECT_EQ(size, 3u);
    pipe.close_at(1);
    EXPECT_EQ(must(console.read(buffer, size)), Console::Input::end);
    EXPECT_EQ(size, 0u);
}

TEST(FdConsole, TakesAClosedDescriptorForTheEndOfInput) {
    FdConsole console(1'000'000, -1);
    std::array<std::byte, 16> buffer;
    std::size_t size = 1;
    EXPECT_EQ(must(console.read(buffer, size)), Console::Input::end);
    EXPECT_EQ(size, 0u);
    EXPECT_EQ(test::code(console.write(bytes("x"))), EBADF);
}

}  // namespace
}  // namespace vmm

// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <string>
#include <sys/ioctl.h>
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

/// A pseudo-terminal: who controls it, and it; no descriptors where there is none.
Pair make_terminal() {
    Pair pair;
    pair.fds[0] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (pair.fds[0] >= 0 && grantpt(pair.fds[0]) == 0 && unlockpt(pair.fds[0]) == 0) {
        pair.fds[1] = open(ptsname(pair.fds[0]), O_RDWR | O_NOCTTY | O_CLOEXEC);
    }
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
    const Pair terminal = make_terminal();
    if (terminal.fds[1] < 0) {
        GTEST_SKIP() << "needs a pseudo-terminal";
    }
    FdConsole console(terminal.fds[1], terminal.fds[1]);
    EXPECT_GE(fill(console), 1u);
    EXPECT_EQ(fcntl(terminal.fds[1], F_GETFL) & O_NONBLOCK, 0);
}

TEST(FdConsole, HasTheTerminalsSizeOfNow) {
    Pair terminal = make_terminal();
    if (terminal.fds[1] < 0) {
        GTEST_SKIP() << "needs a pseudo-terminal";
    }
    const FdConsole console(-1, terminal.fds[1]);
    const auto resize = [&](unsigned short rows, unsigned short columns) {
        const winsize size{rows, columns, 0, 0};
        ASSERT_EQ(ioctl(terminal.fds[0], TIOCSWINSZ, &size), 0);
    };
    EXPECT_EQ(console.size(), (Console::Size{0, 0})) << "a terminal that nobody has told";
    resize(25, 80);
    EXPECT_EQ(console.size(), (Console::Size{80, 25}));
    resize(50, 132);
    EXPECT_EQ(console.size(), (Console::Size{132, 50}));
    terminal.close_at(1);
    EXPECT_EQ(console.size(), std::nullopt);
}

TEST(FdConsole, HasNoSizeWithoutATerminal) {
    const Pair pipe = make_pipe();
    EXPECT_FALSE(FdConsole(-1, pipe.fds[1]).size());
    EXPECT_FALSE(FdConsole(-1, -1).size());
}

TEST(FdConsole, SaysThatThePipeIsClosed) {
    (void)std::signal(SIGPIPE, SIG_IGN);
    Pair pipe = make_pipe();
    FdConsole console(-1, pipe.fds[1]);
    pipe.close_at(0);
    EXPECT_EQ(test::code(console.write(bytes("x"))), EPIPE);
}

TEST(FdConsole, LosesWhatADiskHasNoRoomForAndSaysSo) {
    Pair full;
    full.fds[0] = open("/dev/full", O_WRONLY | O_CLOEXEC);
    ASSERT_GE(full.fds[0], 0);
    FdConsole console(-1, full.fds[0]);
    EXPECT_EQ(console.problem(), "");
    EXPECT_EQ(must(console.write(bytes("abc"))), 3u);
    EXPECT_EQ(must(console.write(bytes("abc"))), 3u);
    EXPECT_EQ(console.problem(), "console output: No space left on device: some of it is lost");
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

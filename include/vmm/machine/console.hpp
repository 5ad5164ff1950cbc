// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vmm/error.hpp>

namespace vmm {

/// Where a machine's serial port leads: a terminal, pipes, buffers in tests. It never blocks. Of
/// its functions, write() is called by any thread, one at a time; the others by the thread in
/// Machine::run().
class Console {
public:
    Console() = default;
    Console(const Console&) = delete;
    Console& operator=(const Console&) = delete;
    virtual ~Console() = default;

    /// Takes as many of the guest's bytes as there is room for, and returns how many: fewer than
    /// all only if output_fd() is to be waited for. An Error ends the machine.
    virtual Result<std::size_t> write(std::span<const std::byte> bytes) = 0;
    /// What went wrong with the output and the machine lives with, one line; "" if nothing did.
    /// Any thread.
    virtual std::string problem() const { return {}; }
    /// What poll(2) calls writable when write() has room again; -1 if write() always takes all.
    virtual int output_fd() const { return -1; }

    /// What Console::read() came to.
    enum class Input {
        more,  ///< there may be more later
        end,   ///< there is no more
        stop,  ///< the user wants the machine to end
    };
    /// Fills `buffer` from its start with input that is there, `size` bytes. An Error ends the
    /// machine.
    virtual Result<Input> read(std::span<std::byte> buffer, std::size_t& size) = 0;
    /// What poll(2) calls readable when read() has something; -1 if there is no input.
    virtual int input_fd() const { return -1; }

    /// Of the terminal that it is.
    struct Size {
        std::uint16_t columns = 0;
        std::uint16_t rows = 0;
        friend bool operator==(const Size&, const Size&) = default;
    };
    /// Its size now; nothing if it is no terminal. Asked now and then.
    virtual std::optional<Size> size() const { return std::nullopt; }

    /// What becomes of input that the guest does not take: it waits where it comes from, or it is
    /// read and dropped, so that a user's request to end is seen.
    enum class Overflow { wait, drop };
    virtual Overflow overflow() const { return Overflow::wait; }
};

/// A console made of two descriptors, for input and output, such as standard input and output.
/// Other users of the same open files are not disturbed: O_NONBLOCK is not set on them.
class FdConsole final : public Console {
public:
    /// Uses descriptors that the caller keeps open; `input` may be -1 for none.
    FdConsole(int input, int output);
    ~FdConsole() override;

    /// What a full disk has no room for is lost, and problem() says so. Errors: what write(2) says
    /// else, EPIPE among it (the program must ignore SIGPIPE).
    Result<std::size_t> write(std::span<const std::byte> bytes) override;
    std::string problem() const override;
    int output_fd() const override { return output_; }
    /// A descriptor that is closed, or a terminal that is gone, is the end of input.
    Result<Input> read(std::span<std::byte> buffer, std::size_t& size) override;
    int input_fd() const override { return input_; }
    std::optional<Size> size() const override;

private:
    enum class Kind {
        blocking_never,   // a file, or a descriptor of our own with O_NONBLOCK
        room_for_a_page,  // a pipe: once writable, it takes PIPE_BUF bytes
        room_for_a_byte,  // a device: once writable, it takes a byte
        socket,
    };

    int input_;
    int output_;
    int own_ = -1;  // the terminal opened anew, for O_NONBLOCK
    Kind kind_;
    std::atomic<int> lost_ = 0;  // the errno with which output was lost first
};

}  // namespace vmm

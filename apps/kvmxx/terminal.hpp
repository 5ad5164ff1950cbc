// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <vmm/machine/console.hpp>
#include <vmm/machine/machine.hpp>

namespace kvmxx {

/// Standard input and output as a machine's console. If standard input is a terminal, Ctrl-A begins
/// a command: `x` ends the machine, `h` shows the commands, Ctrl-A is sent to the guest. One whose
/// foreground is another job's (`kvmxx run ... &`) is no input.
class TerminalConsole final : public vmm::Console {
public:
    TerminalConsole();

    vmm::Result<std::size_t> write(std::span<const std::byte> bytes) override {
        return fds_.write(bytes);
    }
    int output_fd() const override { return fds_.output_fd(); }
    vmm::Result<Input> read(std::span<std::byte> buffer, std::size_t& size) override;
    int input_fd() const override { return fds_.input_fd(); }
    std::optional<Size> size() const override { return fds_.size(); }
    Overflow overflow() const override { return terminal_ ? Overflow::drop : Overflow::wait; }
    /// Whether it was the user who ended the machine, by Ctrl-A x.
    bool user_stopped() const { return user_stopped_; }

private:
    vmm::FdConsole fds_;
    bool terminal_;
    bool escaped_ = false;  // the last byte was Ctrl-A
    bool user_stopped_ = false;
};

/// While it lives, standard input, if it is a terminal that is ours, is in raw mode, and SIGINT,
/// SIGTERM and SIGHUP ask the guest to switch itself off; a second one, or SIGQUIT, stops the
/// machine. The terminal gets its mode back at the end of this object, and when the program dies by
/// any signal but SIGKILL. One at a time.
class RawTerminal {
public:
    explicit RawTerminal(const vmm::Machine& machine);
    ~RawTerminal();
    RawTerminal(const RawTerminal&) = delete;
    RawTerminal& operator=(const RawTerminal&) = delete;

    /// The signal that stopped the machine; 0 for none.
    static int signal();
};

}  // namespace kvmxx

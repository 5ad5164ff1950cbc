// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "terminal.hpp"

#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <termios.h>
#include <unistd.h>

namespace kvmxx {

namespace {

constexpr std::byte ctrl_a{1};
constexpr char help[] =
    "\r\nkvmxx: Ctrl-A x ends the machine, Ctrl-A Ctrl-A sends Ctrl-A, Ctrl-A h shows this\r\n";

// What signal handlers need, and they have nothing but globals.
std::atomic<const vmm::Machine*> machine_to_stop = nullptr;
std::atomic<bool> raw = false;
termios mode_before;
volatile std::sig_atomic_t stopping_signal = 0;
static_assert(std::atomic<const vmm::Machine*>::is_always_lock_free);

void restore() {
    if (raw.exchange(false)) {
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &mode_before);
    }
}

/// The first signal asks the guest to switch itself off; the next one does not ask, nor does
/// SIGQUIT.
void on_stop(int signal) {
    const bool asked = stopping_signal != 0;
    stopping_signal = signal;
    if (const vmm::Machine* machine = machine_to_stop.load()) {
        if (asked || signal == SIGQUIT) {
            machine->stop();
        } else {
            machine->shut_down();
        }
    }
}

/// Only once (SA_RESETHAND). A fault comes again when this returns, and ends the program then; what
/// was sent by somebody, abort() among them, is sent again.
void on_fault(int signal, siginfo_t* info, void*) {
    restore();
    if (info->si_code <= 0) {
        (void)std::raise(signal);
    }
}

void handle(int signal, const struct sigaction& action) {
    struct sigaction before{};
    if (sigaction(signal, nullptr, &before) == 0 && before.sa_handler != SIG_IGN) {
        (void)sigaction(signal, &action, nullptr);  // cannot fail: the signals are valid
    }  // nohup: whoever ignored it meant it
}

constexpr std::array stop_signals{SIGINT, SIGTERM, SIGHUP, SIGQUIT};
constexpr std::array fault_signals{SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS};

}  // namespace

TerminalConsole::TerminalConsole()
    : fds_(STDIN_FILENO, STDOUT_FILENO), terminal_(isatty(STDIN_FILENO) == 1) {}

vmm::Result<vmm::Console::Input> TerminalConsole::read(std::span<std::byte> buffer,
                                                       std::size_t& size) {
    const auto state = fds_.read(buffer, size);
    if (!state || !terminal_) {
        return state;
    }
    std::size_t kept = 0;
    for (const std::byte byte : buffer.first(size)) {
        if (!escaped_) {
            escaped_ = byte == ctrl_a;
            if (!escaped_) {
                buffer[kept++] = byte;
            }
            continue;
        }
        escaped_ = false;
        if (byte == std::byte{'x'} || byte == std::byte{'X'}) {
            user_stopped_ = true;
            return Input::stop;
        }
        if (byte == ctrl_a) {
            buffer[kept++] = byte;
        } else if (byte == std::byte{'h'} || byte == std::byte{'?'}) {
            std::fputs(help, stderr);
        }
    }
    size = kept;
    return state;
}

RawTerminal::RawTerminal(const vmm::Machine& machine) {
    machine_to_stop = &machine;
    if (isatty(STDIN_FILENO) == 1 && tcgetattr(STDIN_FILENO, &mode_before) == 0) {
        struct sigaction fault{};
        fault.sa_sigaction = on_fault;
        fault.sa_flags = static_cast<int>(SA_SIGINFO | SA_RESETHAND);
        for (const int signal : fault_signals) {
            handle(signal, fault);
        }
        termios mode = mode_before;
        cfmakeraw(&mode);
        mode.c_oflag = mode_before.c_oflag;  // "\n" goes on to mean a new line from its start
        raw = true;
        if (tcsetattr(STDIN_FILENO, TCSANOW, &mode) != 0) {
            raw = false;
        }
    }
    struct sigaction stop{};
    stop.sa_handler = on_stop;
    stop.sa_flags = SA_RESTART;
    for (const int signal : stop_signals) {
        handle(signal, stop);
    }
}

RawTerminal::~RawTerminal() {
    restore();
    machine_to_stop = nullptr;
    struct sigaction normal{};
    normal.sa_handler = SIG_DFL;
    for (const int signal : stop_signals) {
        handle(signal, normal);
    }
    for (const int signal : fault_signals) {
        handle(signal, normal);
    }
}

int RawTerminal::signal() { return stopping_signal; }

}  // namespace kvmxx

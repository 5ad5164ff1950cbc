// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "terminal.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <kvm/kick.hpp>
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

/// Only once (SA_RESETHAND). A fault of an instruction's comes again when this returns, and ends
/// the program then; what was sent is sent again.
void on_fault(int signal, siginfo_t* info, void*) {
    restore();
    const bool comes_again =
        signal == SIGSEGV || signal == SIGBUS || signal == SIGILL || signal == SIGFPE;
    if (!comes_again || info->si_code <= 0) {
        (void)std::raise(signal);
    }
}

void handle(int signal, const struct sigaction& action) {
    struct sigaction before{};
    // Fails for the C library's own real-time signals, which nobody else has.
    if (sigaction(signal, nullptr, &before) == 0 && before.sa_handler != SIG_IGN) {
        (void)sigaction(signal, &action, nullptr);
    }  // nohup: whoever ignored it meant it
}

constexpr std::array stop_signals{SIGINT, SIGTERM, SIGHUP, SIGQUIT};

/// What on_fault() is for: each signal that ends a program which does not know it.
bool is_fault(int signal) {
    static constexpr std::array others{SIGKILL,                               // which nobody sees
                                       SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU,    // these stop it
                                       SIGCONT, SIGCHLD, SIGURG,  SIGWINCH};  // these are nothing
    return signal != kvm::kick_signal() && std::ranges::find(others, signal) == others.end() &&
           std::ranges::find(stop_signals, signal) == stop_signals.end();
}

void handle_faults(const struct sigaction& action) {
    for (int signal = 1; signal <= SIGRTMAX; ++signal) {
        if (is_fault(signal)) {
            handle(signal, action);
        }
    }
}

/// Whether standard input is a terminal that is another job's now: reading or setting it would stop
/// this one (termios(3), SIGTTIN and SIGTTOU). Of one that is no session's, nobody can tell.
bool in_background() {
    const pid_t foreground = tcgetpgrp(STDIN_FILENO);
    return foreground >= 0 && foreground != getpgrp();
}

}  // namespace

TerminalConsole::TerminalConsole()
    : fds_(in_background() ? -1 : STDIN_FILENO, STDOUT_FILENO),
      terminal_(fds_.input_fd() >= 0 && isatty(STDIN_FILENO) == 1) {}

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
    if (isatty(STDIN_FILENO) == 1 && !in_background() &&
        tcgetattr(STDIN_FILENO, &mode_before) == 0) {
        struct sigaction fault{};
        fault.sa_sigaction = on_fault;
        fault.sa_flags = static_cast<int>(SA_SIGINFO | SA_RESETHAND);
        handle_faults(fault);
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
    handle_faults(normal);
}

int RawTerminal::signal() { return stopping_signal; }

}  // namespace kvmxx

// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "stepper.hpp"
#include <cerrno>
#include <csignal>
#include <cstring>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

namespace stepper {

namespace {

constexpr long most_steps = 200'000;

/// Whether the instruction that the child is about to execute is the marked system call.
bool at_mark(pid_t child, const Mark& mark) {
    user_regs_struct regs;
    if (ptrace(PTRACE_GETREGS, child, nullptr, &regs) != 0) {
        return false;
    }
    if (static_cast<long>(regs.rax) != mark.nr || (mark.second && regs.rsi != mark.second)) {
        return false;
    }
    const long word = ptrace(PTRACE_PEEKTEXT, child, regs.rip, nullptr);
    return (word & 0xffff) == 0x050f;
}

std::string ended(int status) {
    if (WIFSIGNALED(status)) {
        return std::string("the child was ended by ") + strsignal(WTERMSIG(status));
    }
    return "the child's exit status is " + std::to_string(WEXITSTATUS(status));
}

Counts step(pid_t child, const Mark& mark) {
    Counts counts;
    long since_mark = -1;  // no mark yet
    int signal = 0;
    for (long steps = 0; steps < most_steps; ++steps) {
        if (at_mark(child, mark)) {
            if (since_mark >= 0) {
                counts.steps.push_back(since_mark);
            }
            since_mark = 0;
        }
        int status;
        if (ptrace(PTRACE_SINGLESTEP, child, nullptr, signal) != 0 ||
            waitpid(child, &status, 0) != child) {
            counts.failure = std::string("ptrace: ") + std::strerror(errno);
            return counts;
        }
        if (!WIFSTOPPED(status)) {
            if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
                counts.failure = ended(status);
            }
            return counts;
        }
        signal = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
        since_mark += since_mark >= 0;
    }
    counts.failure = "the child takes too many steps";
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    return counts;
}

}  // namespace

Counts count(Mark mark, const std::function<int()>& work) {
    const pid_t child = fork();
    if (child < 0) {
        return {{}, std::string("fork: ") + std::strerror(errno)};
    }
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0 || raise(SIGSTOP) != 0) {
            _exit(100);
        }
        _exit(work());
    }
    int status;
    if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) {
        return {{}, "the child cannot be traced: " + ended(status)};
    }
    ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_EXITKILL);
    return step(child, mark);
}

}  // namespace stepper

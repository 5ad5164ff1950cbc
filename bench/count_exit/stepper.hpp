// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <functional>
#include <string>
#include <vector>

/// Counts user instructions by single-stepping a child process with ptrace(2).
namespace stepper {

/// Which system call a count starts and ends at: its number and, unless 0, its second argument.
struct Mark {
    long nr;
    unsigned long second = 0;
};

/// What a child did: the instructions from each marked system call to the next (one `syscall`
/// instruction is among them), or why it could not be told.
struct Counts {
    std::vector<long> steps;
    std::string failure;
};

/// Forks, runs `work` in the child and steps it from its first mark to its last. `work` returns the
/// child's exit status, which must be 0.
Counts count(Mark mark, const std::function<int()>& work);

}  // namespace stepper

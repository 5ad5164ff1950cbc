// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <CLI/CLI.hpp>

/// The program's verbs, one file each. add_X() declares X's options; when X is chosen, its callback
/// does the work and leaves the exit status in `status`.
namespace kvmxx {

/// What the program ends with. Also in the help text and docs/program.md.
enum Status : int {
    status_ok = 0,            // the guest switched itself off
    status_error = 1,         // something failed, and one line says what
    status_usage = 2,         // the command line, or an option's value, is no good
    status_triple_fault = 3,  // the guest's CPU gave up
    status_stopped = 4,       // Ctrl-A x
    status_reset = 5,         // the guest asked for a reset
    status_panic = 6,         // the guest's kernel panicked
    status_shut_down = 7,     // the guest switched itself off after a signal had asked it to
    status_timeout = 124,     // --timeout ran out
};

void add_run(CLI::App& app, int& status);
void add_hello(CLI::App& app, int& status);
void add_info(CLI::App& app, int& status);
void add_doctor(CLI::App& app, int& status);
void add_top(CLI::App& app, int& status);
void add_replay(CLI::App& app, int& status);
void add_trace(CLI::App& app, int& status);

}  // namespace kvmxx

// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <string>
#include <vmm/error.hpp>
#include <vmm/log.hpp>

namespace kvmxx {

struct LogOptions {
    /// What standard error has: 0 for warnings and errors, 1 (-v) what happens once, too, 2 (-vv)
    /// all.
    int verbosity = 0;
    /// The file that all goes to, too, with the time, but what is for -vv alone only then; or "".
    std::string file;
};

/// A log to standard error, "kvmxx: machine: running", and to a file. Errors: "--log: FILE: cause".
vmm::Result<vmm::Log> open_log(const LogOptions& options);

}  // namespace kvmxx

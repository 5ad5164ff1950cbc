// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <vmm/host/report.hpp>

namespace vmm::host {

/// What a check found. `note` is worth knowing and no fault; after `warn`, guests run, but less
/// well; after `fail`, no guest runs.
enum class Verdict { ok, note, warn, fail };

/// "ok", "note", "warn", "FAIL".
const char* name(Verdict verdict);

/// One check of a host.
struct Finding {
    const char* check = "";  // "device", "permission", ...: the same in every version
    Verdict verdict = Verdict::ok;
    std::string text;    // what was found
    std::string remedy;  // how to mend it; "" where there is nothing to mend
};

/// Judges a host by its report alone, in the order in which faults are best mended. What cannot be
/// checked because something before it failed has no Finding.
std::vector<Finding> examine(const Report& report);

/// The worst of them.
Verdict worst(const std::vector<Finding>& findings);

}  // namespace vmm::host

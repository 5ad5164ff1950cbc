// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/system.hpp>
#include <vmm/host/report.hpp>

namespace vmm::host {

struct Measured {
    Found<ExitLatency> exit_latency;
    Found<KernelModeSpeed> kernel_mode;
};

/// Runs a guest of a few bytes in a VM of its own, for less than half a second. What cannot be
/// measured says why.
Measured measure(const kvm::Kvm& kvm);

}  // namespace vmm::host

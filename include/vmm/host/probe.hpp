// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <vmm/host/report.hpp>

namespace vmm::host {

/// Below this many instructions a second, a guest's kernel mode is interpreted. An interpreter in
/// the kernel does 0.5 to 5 million; hardware does 1000 million and more; hardware virtualisation
/// that is itself emulated (QEMU's TCG) does 40 to 1000 million. The measurements are in
/// docs/program-info.md.
inline constexpr double interpreted_below = 15e6;

/// Whether probe() runs a guest.
enum class Measure { no, yes };

/// Where to look.
struct ProbeOptions {
    std::string device = "/dev/kvm";
    /// What /proc, /sys, /etc and /lib are read below: "" is this host.
    std::string root = {};
    /// Exit latency and kernel mode: two tiny guests, less than half a second in all.
    Measure measure = Measure::yes;
};

/// Looks at the host. It never fails: what cannot be found says why in its place. Opens the device,
/// makes one VM and, to measure, one vCPU; all are gone when it returns.
Report probe(const ProbeOptions& options = {});

/// The bits of a capability whose value is a mask, in words ("default_vm", "sev_vm"); a bit that
/// has no name here as "1 << 9". Empty where the capability is no mask, or no bit is set.
std::vector<std::string> words(int capability, int value);

}  // namespace vmm::host

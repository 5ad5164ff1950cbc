// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>
#include <vmm/device/bus.hpp>
#include <vmm/virtio/balloon.hpp>
#include <vmm/virtio/vsock.hpp>

namespace vmm {

/// How often each reason ended KVM_RUN, by the kernel's name, the most frequent first.
using ExitCounts = std::vector<std::pair<std::string, std::uint64_t>>;

/// One of KVM's own statistics of the VM, or of its vCPUs, summed up. KVM_GET_STATS_FD.
struct KvmStatistic {
    std::string name;  ///< the kernel's: "halt_exits"
    std::uint64_t value = 0;
    bool cumulative = true;  ///< it only grows; else it is what is now
};

/// What happens in a machine: counts since it was started.
struct MachineReport {
    std::chrono::milliseconds uptime{};  ///< since its start, pauses included; 0 before
    std::uint64_t memory_bytes = 0;      ///< the guest's RAM
    std::uint64_t resident_bytes = 0;    ///< of it, what the host has memory for now
    ExitCounts exits;                    ///< of all vCPUs
    std::vector<ExitCounts> cpu_exits;   ///< of each
    std::vector<BusUsage> port_devices;
    std::vector<BusUsage> memory_devices;
    std::vector<Unhandled> ports;      ///< port accesses that no device answered
    std::vector<Unhandled> addresses;  ///< memory accesses that no device answered
    std::vector<Unhandled> msrs;       ///< MSRs that KVM does not know: the guest got a #GP
    /// KVM's own, scalars alone, in its order; none where it tells none (before Linux 5.14).
    std::vector<KvmStatistic> kvm;
    std::optional<virtio::BalloonReport> balloon;  ///< where there is one
    std::optional<virtio::VsockReport> vsock;      ///< the same
    std::vector<std::string> notes;                ///< what went wrong and did not end the machine
};

}  // namespace vmm

// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>
#include <vmm/device/bus.hpp>
#include <vmm/statistic.hpp>

namespace vmm {

/// How often each reason ended KVM_RUN, by the kernel's name, the most frequent first.
using ExitCounts = std::vector<std::pair<std::string, std::uint64_t>>;

/// What a disk, a network card or another such device has done.
struct DeviceReport {
    std::string name;                   ///< "disk root.img", "net0"
    std::vector<Statistic> statistics;  ///< virtio::Device::statistics()
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
    std::vector<Unhandled> ports;       ///< port accesses that no device answered
    std::vector<Unhandled> addresses;   ///< memory accesses that no device answered
    std::vector<Unhandled> msrs;        ///< MSRs that KVM does not know: the guest got a #GP
    std::vector<DeviceReport> devices;  ///< virtio's in the order of their places, then NVMe's
    /// KVM's own of the VM, and of its vCPUs summed up: scalars alone, in its order; none where it
    /// tells none (before Linux 5.14). KVM_GET_STATS_FD.
    std::vector<Statistic> kvm;
    std::vector<std::string> notes;  ///< what went wrong and did not end the machine
};

}  // namespace vmm

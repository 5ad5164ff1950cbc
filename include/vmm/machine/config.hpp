// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>
#include <vmm/block/engine.hpp>
#include <vmm/block/image.hpp>
#include <vmm/boot/boot.hpp>
#include <vmm/device/rate_limit.hpp>
#include <vmm/memory/region.hpp>
#include <vmm/net/mac.hpp>
#include <vmm/net/tap.hpp>
#include <vmm/net/user.hpp>
#include <vmm/virtio/balloon.hpp>
#include <vmm/virtio/vsock.hpp>

namespace vmm {

/// How ACPI tells a guest what the machine is made of.
enum class AcpiHardware {
    reduced,  ///< tables of hardware-reduced ACPI
    fixed,    ///< tables, and a PC's registers: PM1, PM timer, system control interrupt
    none,     ///< no tables; it is so for flat binaries, too
};

/// What virtio devices are to their guest.
enum class VirtioTransport {
    mmio,  ///< a page of registers each, and a pin of its own: no buses to look for
    pci,   ///< PCI functions, with a message for each queue
};

/// Devices that a machine can do without.
struct PlatformDevices {
    bool i8042 = true;
    bool rtc = true;
    bool debug_console = true;
    bool pvpanic = true;
    bool fw_cfg = true;
};

/// A file for the guest, by the firmware configuration device.
struct FwCfgFile {
    std::string name;  ///< "opt/org.example/setting"
    std::string path;  ///< the host's file

    friend bool operator==(const FwCfgFile&, const FwCfgFile&) = default;
};

/// Where a console's port leads on the host.
enum class PortKind {
    stdio,   ///< to the machine's Console, which the serial port then only prints to
    socket,  ///< to whoever connects to a UNIX socket
    file,    ///< to its end
    pty,     ///< to a new pseudo-terminal, whose name is in MachineReport::notes
};

/// A port of the virtio console: the first is hvc0, others are /dev/virtio-ports/NAME.
struct ConsolePortConfig {
    std::string name;
    PortKind kind = PortKind::stdio;
    std::string path;  ///< of a socket or file

    friend bool operator==(const ConsolePortConfig&, const ConsolePortConfig&) = default;
};

/// A network card, and the network that it is in.
struct NetConfig {
    std::variant<net::UserOptions, net::TapOptions> network{};
    std::optional<net::Mac> mac{};  ///< none: net::Mac::derive() of the network's name and number
    std::uint16_t mtu = 0;          ///< that the guest is told; 0: none, and 1500 of a user network
    RateLimits send{}, receive{};   ///< of what the guest sends and receives

    friend bool operator==(const NetConfig&, const NetConfig&) = default;
};

/// What a disk is to its guest.
enum class DiskBus {
    virtio,  ///< a virtio block device
    nvme,    ///< an NVMe controller with one namespace: a PCI function, so that there is a PCI bus
};

/// A disk of the guest's.
struct DiskConfig {
    block::ImageConfig image{};
    DiskBus bus = DiskBus::virtio;
    std::string serial{};      ///< at most 20 bytes
    std::uint16_t queues = 1;  ///< 1 to 64
    block::EngineKind engine = block::EngineKind::automatic;
    RateLimits limits{};

    friend bool operator==(const DiskConfig&, const DiskConfig&) = default;
};

/// What a machine is made of: plain data.
struct MachineConfig {
    BootConfig boot;                                        ///< what it starts with
    std::uint64_t memory_bytes = std::uint64_t{512} << 20;  ///< a multiple of 4096
    Backing memory_backing;     ///< what RAM is made of; a file has all of it, from its `offset`
    bool prefault = false;      ///< the host has all of it ready before the guest starts
    bool lock_memory = false;   ///< the host keeps it from swap
    bool merge_memory = false;  ///< the host may share equal pages of it (KSM)
    std::uint32_t cpus = 1;
    std::optional<std::chrono::milliseconds> timeout;  ///< how long it may run, pauses left out
    /// How long a guest may take to switch itself off once Machine::shut_down() asks for it.
    std::chrono::milliseconds grace = std::chrono::seconds(10);
    AcpiHardware acpi = AcpiHardware::reduced;
    PlatformDevices devices;
    std::vector<FwCfgFile> fw_cfg;
    std::vector<NetConfig> nets;
    std::vector<ConsolePortConfig> consoles;  ///< the ports of a virtio console
    std::optional<Rate> rng;                  ///< an entropy device of so many bytes
    std::optional<virtio::BalloonOptions> balloon;
    std::optional<virtio::VsockOptions> vsock;
    VirtioTransport virtio_transport = VirtioTransport::mmio;
    bool pci = false;  ///< a PCI bus even if nothing is on it
    std::vector<DiskConfig> disks;
    bool test_devices = false;  ///< of kvm-unit-tests: they give a guest powers over its end
    /// For each vCPU the host's CPUs that its thread may use; none, or no entry, for all.
    std::vector<std::vector<std::uint32_t>> cpu_affinity;
    /// Where the run is recorded, a path; or nowhere. See vmm/machine/trace.hpp.
    std::string trace;
    std::uint64_t trace_limit = std::uint64_t{1} << 30;  ///< the longest that file gets, bytes
};

/// What this host's KVM and memory allow.
struct MachineLimits {
    std::uint32_t max_cpus = 0;      ///< cap::max_vcpus
    std::uint64_t memory_bytes = 0;  ///< the host's memory, all of it

    /// Asks the host. Errors: Kvm::open()'s.
    static Result<MachineLimits> query();
};

/// Why a machine ended.
enum class EndReason {
    power_off,       ///< the guest switched it off
    shut_down,       ///< the same, after Machine::shut_down() asked for it
    reset,           ///< the guest asked for a reset
    panic,           ///< the guest's kernel said that it panicked
    halted,          ///< all CPUs wait for an interrupt with interrupts off: nothing can wake them
    triple_fault,    ///< a CPU could not deliver its exceptions and shut down
    internal_error,  ///< KVM could not run on: an instruction that it does not emulate, a bad state
    stopped,         ///< Machine::stop(), or the console
    timeout,         ///< MachineConfig::timeout has passed
    test_exit,       ///< the guest wrote to the test devices' exit port
};
/// "the guest asked for a reset", ...
const char* describe(EndReason reason);

/// How a machine ended.
struct End {
    EndReason reason = EndReason::power_off;
    std::uint32_t cpu = 0;         ///< triple_fault, internal_error: which
    std::string cause;             ///< internal_error: what KVM says, one line
    std::string dump;              ///< triple_fault, internal_error: the CPU's registers, lines
    std::uint32_t exit_value = 0;  ///< test_exit: what the guest wrote
};

}  // namespace vmm

// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <array>
#include <list>
#include <memory>
#include <mutex>
#include <vector>
#include <vmm/acpi/tables.hpp>
#include <vmm/device/bus.hpp>
#include <vmm/log.hpp>
#include <vmm/pci/function.hpp>

namespace vmm::pci {

/// A range of guest-physical addresses.
struct Range {
    kvm::Gpa first{};
    std::uint64_t size = 0;
};

/// A host bridge and bus 0: 32 devices of one function each, the bridge itself in slot 0. Their
/// BARs answer where the guest places them, if they are wholly in one of the windows and no other
/// device is there: what is elsewhere answers nowhere, until the guest makes room or moves it.
class Root {
public:
    static constexpr std::uint32_t slots = 32;
    static constexpr std::uint64_t config_space_size = 1 << 20;  ///< ECAM of one bus

    struct Wires {
        Bus& memory;  ///< where BARs answer
        std::vector<Range> windows;
        std::vector<std::uint32_t> gsis;    ///< of the pins, which slots take in turn
        std::vector<InterruptLine*> lines;  ///< of each GSI, level triggered
        Log log;
    };
    /// What `wires` has outlives it.
    explicit Root(Wires wires);
    ~Root();

    /// Puts a function in the next slot; it outlives this, and its name. Before the vCPUs run. Its
    /// slot. Errors: ENOSPC.
    Result<std::uint32_t> add(Function& function);

    /// The configuration space, 4 KiB for each function, 8 functions to a slot: PCI Express 5.0,
    /// 7.2.2. At Bus::add() with config_space_size.
    BusDevice& config_space();
    /// The ports 0xcf8 to 0xcff: PCI Local Bus 3.0, 3.2.2.3.2. Bytes at the second are another
    /// device's, which PCs have there: the reset control register.
    static constexpr std::uint64_t ports = 8;
    std::unique_ptr<BusDevice> create_ports(BusDevice& second);

    /// Has BARs answer where their functions want them: after a restore of configurations.
    void settle();

    /// What ACPI is to tell: the bridge with its windows and interrupts, and that nothing else is
    /// where the configuration space is. After the last add().
    std::vector<acpi::Device> acpi_nodes(kvm::Gpa config_space) const;

private:
    class Bridge;
    class ConfigSpace;
    class Ports;
    struct Placement {
        Function* function;
        std::size_t index;  // of its BARs
        Bus::Movable handle;
        std::optional<std::uint64_t> address;  // where it answers
    };

    /// Of the function at `address`: slot, function and register as in ECAM.
    void read(std::uint64_t address, std::span<std::byte> data);
    void write(std::uint64_t address, std::span<const std::byte> data);
    Function* find(std::uint64_t address);
    void settle_locked();
    bool in_window(std::uint64_t address, std::uint64_t size) const;
    void put(Placement& placement, std::optional<std::uint64_t> address);

    Wires wires_;
    std::list<SharedLine> lines_;
    std::unique_ptr<Function> bridge_;
    std::unique_ptr<BusDevice> config_space_;
    LogLimit complaints_;
    std::mutex mutex_;  // of the configuration spaces and of what follows
    std::vector<Function*> functions_;
    std::vector<Placement> placements_;
};

}  // namespace vmm::pci

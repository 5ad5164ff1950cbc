// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <atomic>
#include <list>
#include <memory>
#include <optional>
#include <vector>
#include <vmm/acpi/tables.hpp>
#include <vmm/device/power.hpp>
#include <vmm/device/serial.hpp>
#include <vmm/device/signals.hpp>
#include <vmm/log.hpp>
#include <vmm/machine/config.hpp>
#include <vmm/machine/console_pump.hpp>
#include <vmm/machine/host_files.hpp>
#include <vmm/machine/new_file.hpp>
#include <vmm/machine/report.hpp>
#include <vmm/machine/trace_hook.hpp>
#include <vmm/nvme/pci.hpp>
#include <vmm/pci/root.hpp>
#include <vmm/virtio/console.hpp>
#include <vmm/virtio/mmio.hpp>
#include <vmm/virtio/pci.hpp>

namespace vmm::detail {

/// The pins of the interrupt controllers: the hypervisor's.
class InterruptPins {
public:
    virtual kvm::Result<void> set_pin(kvm::Gsi gsi, kvm::Level level) = 0;

protected:
    ~InterruptPins() = default;
};

/// A device's wire to a pin. What cannot be set is counted.
class PinLine final : public InterruptLine {
public:
    /// `log` must outlive this.
    PinLine(InterruptPins& pins, kvm::Gsi gsi, const Log& log)
        : pins_(pins), gsi_(gsi), log_(log) {}
    void set(kvm::Level level) override;
    kvm::Gsi gsi() const { return gsi_; }
    std::uint64_t failures() const { return failures_.count(); }

private:
    InterruptPins& pins_;
    kvm::Gsi gsi_;
    const Log& log_;
    LogLimit failures_;
};

class PumpPort;

/// What the loader is to know of the board that the machine will have.
BootInputs boot_inputs(const MachineConfig& config);

/// What is in the machine beside CPUs, RAM and what the hypervisor emulates: the devices, the
/// address spaces where they answer, and their wires. Knows no hypervisor.
class Board {
public:
    /// What a board is connected to; it all outlives the board.
    struct Wires {
        InterruptPins& pins;
        const Signals& signals;
        ResetLine& reset;
        PowerLine& power;
        PanicLine& panic;
        ExitLine& exit;
        const GuestMemory& memory;
        const Wake& ended;          ///< nobody waits for the console any longer
        TraceHook* hook = nullptr;  ///< sees what devices do, or null
        Log log;                    ///< for the devices
    };
    /// Makes the devices and, for a kernel, writes the ACPI tables that tell of them. `files` are
    /// those of the configuration, open.
    static Result<std::unique_ptr<Board>> create(const MachineConfig& config, Console& console,
                                                 HostFiles files, Wires wires);

    Bus& ports() { return ports_; }
    Bus& mmio() { return mmio_; }
    /// MSRs that nobody knows.
    UnhandledCounter& msrs() { return msrs_; }
    ConsolePump& pump() { return *pump_; }
    Serial& serial() { return serial_; }
    /// Null where there is none.
    PowerButton* power_button() { return power_button_; }

    /// Where PCI's devices may be; nothing without PCI.
    std::span<const pci::Range> pci_windows() const { return pci_windows_; }

    // The thread on which devices work, if there are such: src/vmm/machine/virtio.cpp.
    Result<void> start_devices();
    /// When it returns they do nothing, until resume_devices().
    void pause_devices();
    void resume_devices();
    void stop_devices();

    // src/vmm/machine/guest_devices.cpp
    /// The machine is made: files that were made for it stay.
    void keep_files();
    /// The console's input: how many bytes were taken.
    std::size_t receive(std::span<const std::byte> bytes);
    /// Tells the guest if its terminal has another size.
    void look_at_console();
    /// Errors: EINVAL (there is no balloon, or not so much memory).
    Result<void> set_balloon(std::uint64_t bytes);

    /// What is to be said of the devices.
    void add_to(MachineReport& report) const;

private:
    Board(const MachineConfig& config, std::unique_ptr<ConsolePump> pump, Wires wires)
        : wires_(wires), virtio_transport_(config.virtio_transport),
          memory_bytes_(config.memory_bytes), pump_(std::move(pump)) {}
    // src/vmm/machine/platform.cpp
    Result<void> add_legacy_devices(const MachineConfig& config);
    Result<void> add_power(const MachineConfig& config);
    Result<void> add_fw_cfg(const MachineConfig& config, std::vector<FwCfgContents::File> files);
    Result<void> add_test_devices();
    // src/vmm/machine/virtio.cpp
    /// Made when it is first asked for.
    Result<Reactor*> reactor();
    /// Errors: ENOSPC (so many that there is no place), those of its transport.
    Result<void> add_virtio(std::unique_ptr<virtio::Device> device);
    Result<void> add_virtio_mmio(std::unique_ptr<virtio::Device> device);
    Result<void> add_virtio_pci(std::unique_ptr<virtio::Device> device);
    void add_virtio_to(MachineReport& report) const;
    /// Made when it is first asked for.
    pci::Root& pci();
    /// The reset control register, and around it PCI's ports. After all devices.
    Result<void> add_reset_control();
    // src/vmm/machine/nets.cpp
    Result<void> add_nets(const MachineConfig& config);
    // src/vmm/machine/guest_devices.cpp
    Result<void> add_guest_devices(const MachineConfig& config);
    Result<void> add_console(const MachineConfig& config);
    Result<std::unique_ptr<virtio::PortPeer>> open_port(const ConsolePortConfig& port);
    // src/vmm/machine/disks.cpp
    Result<void> add_disks(const MachineConfig& config, std::vector<block::Image> images);
    Result<void> add_nvme(std::unique_ptr<block::Disk> disk,
                          const nvme::Controller::Options& options);
    Result<void> write_acpi_tables(const MachineConfig& config) const;

    InterruptLine& line(std::uint32_t gsi) {
        return lines_.emplace_back(wires_.pins, kvm::Gsi(gsi), wires_.log);
    }
    /// A pulse for an edge-triggered pin. Errors: create_pin_pulse()'s.
    Result<InterruptPulse*> pulse(std::uint32_t gsi);
    /// Made when it is first asked for: machines without such devices ask nothing of KVM.
    MessageController& messages();
    /// A device that lives as long as the board.
    template <class Device, class... Arguments>
    Device& own(Arguments&&... arguments) {
        auto device = std::make_unique<Device>(std::forward<Arguments>(arguments)...);
        Device& reference = *device;
        devices_.push_back(std::move(device));
        return reference;
    }

    Wires wires_;
    VirtioTransport virtio_transport_;
    std::uint64_t memory_bytes_;
    Bus ports_;
    Bus mmio_;
    UnhandledCounter msrs_;
    std::unique_ptr<ConsolePump> pump_;
    std::list<PinLine> lines_;
    std::vector<std::unique_ptr<InterruptPulse>> pulses_;
    std::optional<RoutedMessages> messages_;
    EventDoorbells doorbells_{wires_.signals};
    HookedTime time_{wires_.hook};
    HookedClock clock_{wires_.hook};
    Serial serial_{line(4), *pump_};
    std::vector<std::unique_ptr<BusDevice>> devices_;
    std::unique_ptr<Reactor> reactor_;
    std::unique_ptr<pci::Root> pci_;
    std::vector<pci::Range> pci_windows_;
    struct Virtio {
        std::unique_ptr<virtio::Device> device;
        std::unique_ptr<virtio::MmioDevice> mmio;  // one of the two; it ends before the device
        std::unique_ptr<virtio::PciDevice> pci;
    };
    std::vector<Virtio> virtio_;
    std::vector<std::unique_ptr<nvme::PciDevice>> nvme_;
    PowerButton* power_button_ = nullptr;  // one of devices_
    // Of virtio_, or null.
    virtio::Console* console_ = nullptr;
    virtio::Balloon* balloon_ = nullptr;
    PumpPort* stdio_ = nullptr;
    std::vector<NewFile> new_files_;  // until keep_files()
    std::vector<std::string> notes_;
    std::vector<acpi::Device> nodes_;  // of what ACPI is to tell
};

}  // namespace vmm::detail

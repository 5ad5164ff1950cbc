// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <fmt/format.h>
#include <iterator>
#include <kvm/try.hpp>
#include <numeric>
#include <vmm/device/reset_control.hpp>
#include <vmm/machine/board.hpp>
#include <vmm/x86_64/layout.hpp>
#include <vmm/x86_64/ports.hpp>

namespace vmm::detail {

namespace {

/// Whether what firmware leaves behind is there: a flat binary may lie in its place.
bool has_firmware(const MachineConfig& config) {
    return !config.boot.kernel.empty() && std::holds_alternative<KernelImage>(config.boot.format);
}

bool has_acpi(const MachineConfig& config) {
    return has_firmware(config) && config.acpi != AcpiHardware::none;
}

/// For guests that reset the machine by a jump to the BIOS, as Linux does where the hardware is
/// reduced and there is no EFI: it asks the reset control register, and waits.
Result<void> write_reset_vector(const GuestMemory& memory) {
    constexpr std::array<std::uint8_t, 9> code{
        0xba,
        x86_64::ports::reset_control & 0xff,
        x86_64::ports::reset_control >> 8,  // mov dx
        0xb0,
        ResetControl::full_reset,  // mov al
        0xee,                      // out dx, al
        0xf4,                      // hlt
        0xeb,
        0xfd,  // and again
    };
    return memory.write(x86_64::layout::reset_vector, std::as_bytes(std::span(code)));
}

}  // namespace

void PinLine::set(kvm::Level level) {
    if (const auto done = pins_.set_pin(gsi_, level); !done) {
        log_.say(failures_, LogLevel::warn, "machine",
                 fmt::format("GSI {}: {}", static_cast<std::uint32_t>(gsi_),
                             Error(done.error()).message));
    }
}

BootInputs boot_inputs(const MachineConfig& config) {
    BootInputs inputs;
    if (has_acpi(config)) {
        inputs.rsdp = x86_64::layout::acpi;
    }
    return inputs;
}

Result<std::unique_ptr<Board>> Board::create(const MachineConfig& config, Console& console,
                                             HostFiles files, Wires wires) {
    // Not in new's arguments: its block would be lost.
    auto pump = KVM_TRY(ConsolePump::create(console, wires.ended, wires.hook));
    std::unique_ptr<Board> board(new Board(config, std::move(pump), wires));
    board->ports_.tell(board->wires_.log, "no device at port");
    board->mmio_.tell(board->wires_.log, "no device at");
    board->msrs_.tell(board->wires_.log, "unknown MSR");
    KVM_TRY(board->add_legacy_devices(config));
    KVM_TRY(board->add_power(config));
    if (config.devices.fw_cfg) {
        KVM_TRY(board->add_fw_cfg(config, std::move(files.fw_cfg)));
    }
    if (config.test_devices) {
        KVM_TRY(board->add_test_devices());
    }
    KVM_TRY(board->add_nets(config));
    KVM_TRY(board->add_guest_devices(config));
    KVM_TRY(board->add_disks(config, std::move(files.disks)));
    if (config.pci) {
        (void)board->pci();
    }
    KVM_TRY(board->add_reset_control());
    if (has_firmware(config)) {
        KVM_TRY(write_reset_vector(wires.memory));
        if (has_acpi(config)) {
            KVM_TRY(board->write_acpi_tables(config));
        }
    }
    return board;
}

Result<InterruptPulse*> Board::pulse(std::uint32_t gsi) {
    auto made = KVM_TRY(create_pin_pulse(wires_.signals, kvm::Gsi(gsi)));
    return pulses_.emplace_back(std::move(made)).get();
}

MessageController& Board::messages() {
    if (!messages_) {
        messages_.emplace(wires_.signals, x86_64::pin_routes());
    }
    return *messages_;
}

Result<void> Board::write_acpi_tables(const MachineConfig& config) const {
    namespace ports = x86_64::ports;
    namespace gsi = x86_64::gsi;
    acpi::Config tables;
    tables.base = x86_64::layout::acpi;
    tables.room = x86_64::layout::acpi_room;
    if (config.acpi == AcpiHardware::fixed) {
        tables.hardware =
            acpi::FixedHardware{ports::pm1_event, ports::pm1_control, ports::pm_timer, gsi::acpi};
    } else {
        tables.hardware =
            acpi::ReducedHardware{ports::sleep, ports::sleep + 1, ports::events, gsi::acpi};
    }
    tables.apic_ids.resize(config.cpus);
    std::iota(tables.apic_ids.begin(), tables.apic_ids.end(), 0u);
    tables.lapic = x86_64::layout::lapic;
    tables.ioapic = {x86_64::layout::ioapic, 0, 0};
    tables.overrides = {{0, gsi::pit, acpi::Trigger::edge}, {9, gsi::acpi, acpi::Trigger::level}};
    tables.reset_port = ports::reset_control;
    tables.reset_value = ResetControl::full_reset;
    tables.legacy = {config.devices.i8042, config.devices.rtc, true};
    tables.devices = nodes_;
    if (pci_) {
        tables.pci = acpi::PciConfigSpace{x86_64::layout::pci_config};
        std::ranges::move(pci_->acpi_nodes(x86_64::layout::pci_config),
                          std::back_inserter(tables.devices));
    }
    const acpi::Tables built = KVM_TRY(acpi::build(tables));
    return wires_.memory.write(built.base, built.bytes);
}

void Board::add_to(MachineReport& report) const {
    report.port_devices = ports_.usage();
    report.memory_devices = mmio_.usage();
    report.ports = ports_.unhandled();
    report.addresses = mmio_.unhandled();
    report.msrs = msrs_.list();
    add_virtio_to(report);
    for (const PinLine& line : lines_) {
        if (line.failures()) {
            report.notes.push_back(fmt::format("KVM_IRQ_LINE failed {} times for GSI {}",
                                               line.failures(),
                                               static_cast<std::uint32_t>(line.gsi())));
        }
    }
}

}  // namespace vmm::detail

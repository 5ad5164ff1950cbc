// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <fmt/format.h>
#include <kvm/try.hpp>
#include <numeric>
#include <vmm/device/reset_control.hpp>
#include <vmm/machine/board.hpp>
#include <vmm/x86_64/layout.hpp>
#include <vmm/x86_64/ports.hpp>

namespace vmm::detail {

namespace {

/// Whether the guest gets tables: a flat binary may lie where they would.
bool wants_acpi(const MachineConfig& config) {
    return config.acpi != AcpiHardware::none && !config.boot.kernel.empty() &&
           std::holds_alternative<KernelImage>(config.boot.format);
}

}  // namespace

Result<std::unique_ptr<Board>> Board::create(const MachineConfig& config, Console& console,
                                             Wires wires) {
    std::unique_ptr<Board> board(
        new Board(KVM_TRY(ConsolePump::create(console, wires.ended)), wires));
    KVM_TRY(board->add_legacy_devices(config));
    KVM_TRY(board->add_power(config));
    if (config.devices.fw_cfg) {
        KVM_TRY(board->add_fw_cfg(config));
    }
    if (config.test_devices) {
        KVM_TRY(board->add_test_devices());
    }
    if (wants_acpi(config)) {
        KVM_TRY(board->write_acpi_tables(config));
    }
    return board;
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
    const acpi::Tables built = KVM_TRY(acpi::build(tables));
    return wires_.memory.write(built.base, built.bytes);
}

void Board::add_to(MachineReport& report) const {
    report.ports = ports_.unhandled();
    report.addresses = mmio_.unhandled();
    report.msrs = msrs_.list();
    for (const PinLine& line : lines_) {
        if (line.failures()) {
            report.notes.push_back(fmt::format("KVM_IRQ_LINE failed {} times for GSI {}",
                                               line.failures(),
                                               static_cast<std::uint32_t>(line.gsi())));
        }
    }
}

}  // namespace vmm::detail

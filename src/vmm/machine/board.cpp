// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <fmt/format.h>
#include <kvm/try.hpp>
#include <vmm/machine/board.hpp>

namespace vmm::detail {

Result<std::unique_ptr<Board>> Board::create(const MachineConfig& config, Console& console,
                                             Wires wires) {
    std::unique_ptr<Board> board(
        new Board(KVM_TRY(ConsolePump::create(console, wires.ended)), wires));
    KVM_TRY(board->add_devices(config));
    return board;
}

Result<void> Board::add_devices(const MachineConfig&) {
    struct {
        std::uint64_t base, size;
        BusDevice& device;
        const char* name;
    } const devices[] = {
        {0x60, I8042::ports, i8042_, "i8042"},  // 0x61 is the PIT's, in the kernel
        {0x70, Cmos::ports, cmos_, "CMOS"},        {0x80, 1, post_codes_, "POST codes"},
        {0x3f8, Serial::ports, serial_, "serial"}, {0xcf9, 1, reset_control_, "reset control"},
    };
    for (const auto& [base, size, device, name] : devices) {
        KVM_TRY(ports_.add(base, size, device, name));
    }
    return {};
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

// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A guest that does what it likes to the machine's devices: each record of the input is an access,
// some guest memory, or something that happens outside.
#include "records.hpp"

#include <array>
#include <vmm/machine/board.hpp>
#include <vmm/memory/guest_memory.hpp>

namespace {

using namespace vmm;
using namespace vmm::fuzz;

/// A VM without irqfds and ioeventfds, and lines that lead nowhere.
struct NoSignals final : Signals {
    Caps caps() const override { return {}; }
    kvm::Result<void> irq_line(kvm::Gsi, kvm::Level) const override { return {}; }
    kvm::Result<bool> signal_msi(const kvm::Msi&) const override { return true; }
    kvm::Result<void> set_gsi_routing(const kvm::GsiRouting&) const override { return {}; }
    kvm::Result<void> add_irqfd(kvm::FdRef, kvm::Gsi) const override { return {}; }
    kvm::Result<void> remove_irqfd(kvm::FdRef, kvm::Gsi) const override { return {}; }
    kvm::Result<void> add_ioeventfd(kvm::FdRef, kvm::IoAddress, kvm::Datamatch) const override {
        return {};
    }
    kvm::Result<void> remove_ioeventfd(kvm::FdRef, kvm::IoAddress, kvm::Datamatch) const override {
        return {};
    }
};

struct Outside final : detail::InterruptPins, ResetLine, PowerLine, PanicLine, ExitLine, Console {
    kvm::Result<void> set_pin(kvm::Gsi, kvm::Level) override { return {}; }
    void reset() override {}
    void power_off() override {}
    void panicked() override {}
    void crash_loaded() override {}
    void exit(std::uint32_t) override {}
    Result<std::size_t> write(std::span<const std::byte> bytes) override { return bytes.size(); }
    Result<Input> read(std::span<std::byte>, std::size_t& size) override {
        size = 0;
        return Input::end;
    }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const GuestMemory memory =
        check(GuestMemory::create(std::array{Region{kvm::Gpa(0), 0x100000}}));
    static const detail::Wake ended = check(detail::Wake::create());
    constexpr kvm::Gpa dma{0x1000};
    constexpr std::size_t most_records = 4096;

    Records input(std::as_bytes(std::span(data, size)));
    Outside outside;
    MachineConfig config;
    config.test_devices = true;
    config.pci = true;
    config.acpi = input.next<std::uint8_t>() & 1 ? AcpiHardware::fixed : AcpiHardware::reduced;
    const NoSignals signals;
    const auto board = check(detail::Board::create(
        config, outside, {},
        {outside, signals, outside, outside, outside, outside, memory, ended, nullptr, {}}));

    for (std::size_t n = 0; input.more() && n < most_records; ++n) {
        const unsigned kind = input.next<std::uint8_t>();
        const auto address = input.next<std::uint16_t>();
        const auto value = input.next<std::uint64_t>();
        switch (kind & 7) {
            case 0:  // guest memory that fw_cfg's DMA reads
                check(memory.write(dma + address % 64 * 8, value));
                break;
            case 1:
                board->power_button()->press();
                break;
            case 2:
                board->serial().receive(std::as_bytes(std::span(&value, 1)));
                break;
            case 3:
                access(board->mmio(), 0xff000000 + address, kind, value);
                break;
            case 4:
                access(board->mmio(), value, kind, value);
                break;
            default:
                access(board->ports(), address, kind, value);
        }
        if (board->serial().room() > Serial::fifo_size) {
            fail_now("the serial port has more room than there is");
        }
    }
    return 0;
}

// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <kvm/try.hpp>
#include <vmm/device/debug_console.hpp>
#include <vmm/device/fw_cfg.hpp>
#include <vmm/device/i8042.hpp>
#include <vmm/device/pm_timer.hpp>
#include <vmm/device/pvpanic.hpp>
#include <vmm/device/test_devices.hpp>
#include <vmm/machine/board.hpp>
#include <vmm/x86_64/layout.hpp>
#include <vmm/x86_64/ports.hpp>

namespace vmm::detail {

namespace {

namespace ports = x86_64::ports;
namespace gsi = x86_64::gsi;

}  // namespace

Result<void> Board::add_legacy_devices(const MachineConfig& config) {
    using acpi::Interrupt;
    using acpi::IoPorts;
    KVM_TRY(ports_.add(ports::com1, Serial::ports, serial_, "serial"));
    nodes_.push_back({"COM1", "PNP0501", 0, {IoPorts{ports::com1, 8}, Interrupt{gsi::com1}}, {}});
    if (config.devices.i8042) {  // whose ports 0x61 is the PIT's, in the kernel
        auto& i8042 = own<I8042>(line(gsi::keyboard), wires_.reset);
        KVM_TRY(ports_.add(ports::i8042, I8042::ports, i8042, "i8042"));
        nodes_.push_back(
            {"PS2K",
             "PNP0303",
             0,
             {IoPorts{ports::i8042, 1}, IoPorts{ports::i8042 + 4, 1}, Interrupt{gsi::keyboard}},
             {}});
    }
    if (config.devices.rtc) {
        KVM_TRY(ports_.add(ports::cmos, Cmos::ports, own<Cmos>(time_), "CMOS"));
        nodes_.push_back({"RTC0", "PNP0B00", 0, {IoPorts{ports::cmos, Cmos::ports}}, {}});
    }
    if (config.devices.debug_console) {
        auto& console = own<DebugConsole>(*pump_);
        if (!config.test_devices) {  // which have a register there
            KVM_TRY(ports_.add(ports::bochs_console, 1, console, "debug console"));
        }
        KVM_TRY(ports_.add(ports::seabios_console, 1, console, "debug console"));
    }
    if (config.devices.pvpanic) {
        KVM_TRY(ports_.add(ports::pvpanic, 1, own<PvPanic>(wires_.panic), "pvpanic"));
        nodes_.push_back({"PEVT", "QEMU0001", 0, {IoPorts{ports::pvpanic, 1}}, {}});
    }
    return ports_.add(ports::post_codes, 1, own<Sink>(), "POST codes");
}

Result<void> Board::add_power(const MachineConfig& config) {
    KVM_TRY(ports_.add(ports::pm_timer, PmTimer::ports,
                       own<PmTimer>(clock_, PmTimer::Width::bits32), "PM timer"));
    InterruptLine& interrupt = line(gsi::acpi);
    if (config.acpi == AcpiHardware::fixed) {
        auto& pm1 = own<Pm1Registers>(interrupt, wires_.power, acpi::sleep_type_s5);
        power_button_ = &pm1;
        return ports_.add(ports::pm1_event, Pm1Registers::ports, pm1, "PM1");
    }
    auto& sleep = own<SleepRegisters>(wires_.power, acpi::sleep_type_s5);
    KVM_TRY(ports_.add(ports::sleep, SleepRegisters::ports, sleep, "sleep control"));
    auto& events = own<EventRegisters>(interrupt);
    power_button_ = &events;
    return ports_.add(ports::events, EventRegisters::ports, events, "events");
}

Result<void> Board::add_fw_cfg(const MachineConfig& config,
                               std::vector<FwCfgContents::File> files) {
    FwCfgContents contents{.memory_bytes = config.memory_bytes,
                           .cpus = static_cast<std::uint16_t>(std::min(config.cpus, 0xffffu))};
    contents.files = std::move(files);
    if (config.test_devices && !config.boot.kernel.empty()) {
        contents.kernel = KVM_TRY(read_whole(config.boot.kernel, "the kernel"));
    }
    auto device = KVM_TRY(FwCfg::create(wires_.memory, std::move(contents)));
    KVM_TRY(ports_.add(ports::fw_cfg, FwCfg::ports, *device, "fw_cfg"));
    devices_.push_back(std::move(device));
    nodes_.push_back({"FWCF",
                      "QEMU0002",
                      0,
                      {acpi::IoPorts{ports::fw_cfg, FwCfg::ports}},
                      acpi::aml::name("_STA", acpi::aml::integer(0xb))});
    return {};
}

Result<void> Board::add_test_devices() {
    auto& scratch = own<ScratchRegister>();
    std::vector<InterruptLine*> pins;
    for (std::uint32_t pin = 0; pin < gsi::count; ++pin) {
        pins.push_back(&line(pin));
    }
    auto& irqs = own<IrqPorts>(std::move(pins));
    struct {
        std::uint64_t base, size;
        BusDevice& device;
        const char* name;
    } const devices[] = {
        {ports::scratch, ScratchRegister::ports, scratch, "scratch register"},
        {ports::page_flush, PageFlush::ports, own<PageFlush>(wires_.memory), "page flush"},
        {ports::scratch_alias, ScratchRegister::ports, scratch, "scratch register"},
        {ports::debug_exit, DebugExit::ports, own<DebugExit>(wires_.exit), "debug exit"},
        {ports::irqs, irqs.ports(), irqs, "interrupt pins"},
    };
    for (const auto& [base, size, device, name] : devices) {
        KVM_TRY(ports_.add(base, size, device, name));
    }
    return mmio_.add(x86_64::layout::slow_memory.value(), SlowMemory::size, own<SlowMemory>(),
                     "test memory");
}

}  // namespace vmm::detail

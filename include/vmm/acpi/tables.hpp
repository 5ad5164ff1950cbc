// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <kvm/types.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>
#include <vmm/acpi/aml.hpp>
#include <vmm/acpi/resources.hpp>
#include <vmm/error.hpp>

/// The tables by which a guest learns what its machine is made of: ACPI 6.5, chapter 5. Plain data
/// in, bytes out.
namespace vmm::acpi {

/// A device in the namespace, below \_SB.
struct Device {
    std::string name;         ///< four characters, no other device's
    std::string hardware_id;  ///< "PNP0501", "LNRO0005"
    std::uint32_t uid = 0;    ///< tells devices of one hardware_id apart
    std::vector<Resource> resources;
    aml::Code more;  ///< further objects inside it
};

/// Hardware-reduced ACPI: no fixed registers. Sleep by two byte registers; the power button is a
/// device, whose presses a Generic Event Device reports.
struct ReducedHardware {
    std::uint16_t sleep_control = 0;  ///< port, of the status register also
    std::uint16_t sleep_status = 0;
    std::uint16_t events = 0;  ///< port of vmm::EventRegisters: pending, enable
    std::uint32_t gsi = 0;     ///< of the events, level triggered
};

/// The fixed registers of a PC: PM1 event (4 ports), PM1 control (2), the PM timer (4), a system
/// control interrupt. ACPI 6.5, 4.8.3.
struct FixedHardware {
    std::uint16_t pm1_event = 0;
    std::uint16_t pm1_control = 0;
    std::uint16_t pm_timer = 0;
    std::uint32_t sci = 0;  ///< GSI, level triggered
};

/// The GSI of an ISA interrupt that is not the number of its own.
struct InterruptOverride {
    std::uint8_t isa = 0;
    std::uint32_t gsi = 0;
    Trigger trigger = Trigger::edge;
};

struct IoApic {
    kvm::Gpa address{};
    std::uint8_t id = 0;
    std::uint32_t first_gsi = 0;
};

/// Where PCI Express keeps the configuration space of a segment's buses.
struct PciConfigSpace {
    kvm::Gpa address{};  ///< of bus 0
    std::uint16_t segment = 0;
    std::uint8_t first_bus = 0;
    std::uint8_t last_bus = 0;
};

/// What legacy a PC has: FADT, IAPC_BOOT_ARCH. It has no VGA.
struct Legacy {
    bool i8042 = false;
    bool rtc = false;   ///< with the century in register 0x32
    bool pics = false;  ///< two 8259
};

/// A machine, as ACPI sees it.
struct Config {
    kvm::Gpa base{};         ///< where the tables go: a multiple of 16, in reserved memory
    std::uint64_t room = 0;  ///< how many bytes there are
    std::variant<ReducedHardware, FixedHardware> hardware;
    std::vector<std::uint32_t> apic_ids;  ///< of the CPUs, in their order; above 254 as x2APICs
    kvm::Gpa lapic{};
    IoApic ioapic;
    std::vector<InterruptOverride> overrides;
    std::uint16_t reset_port = 0;
    std::uint8_t reset_value = 0;  ///< that a guest writes to reset_port
    Legacy legacy;
    std::optional<PciConfigSpace> pci;
    std::vector<Device> devices;
};

/// What a guest writes to the sleep registers to be switched off: SLP_TYP of S5.
inline constexpr std::uint8_t sleep_type_s5 = 5;

/// One of the tables in Tables::bytes.
struct Table {
    std::string_view signature;  ///< "FACP"
    std::size_t offset = 0;
    std::size_t size = 0;
};

/// The tables, to be written to guest memory at `base`. The RSDP is first, at `base` itself.
struct Tables {
    kvm::Gpa base{};
    std::vector<std::byte> bytes;
    std::vector<Table> list;  ///< all but the RSDP

    /// The bytes of the first table with that signature; none if there is none.
    std::span<const std::byte> find(std::string_view signature) const;
};

/// Makes the tables: RSDP, XSDT, FADT (revision 6), MADT, DSDT, MCFG where there is PCI, FACS where
/// the hardware is fixed. Errors: EINVAL (no CPU, a base that is no multiple of 16, a device's name
/// that is none or another's), ENOSPC (more than `room`).
Result<Tables> build(const Config& config);

}  // namespace vmm::acpi

// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <array>
#include <cstdint>

/// Where a PC's devices are among its ports, and to which interrupts they are wired: the one place
/// that says so.
namespace vmm::x86_64 {

namespace ports {

inline constexpr std::uint16_t i8042 = 0x60;
inline constexpr std::uint16_t cmos = 0x70;
inline constexpr std::uint16_t post_codes = 0x80;
inline constexpr std::uint16_t bochs_console = 0xe9;
inline constexpr std::uint16_t com1 = 0x3f8;
inline constexpr std::uint16_t seabios_console = 0x402;
inline constexpr std::uint16_t pvpanic = 0x505;
inline constexpr std::uint16_t fw_cfg = 0x510;
inline constexpr std::uint16_t pm1_event = 0x600;    // and enable, in ACPI's fixed hardware
inline constexpr std::uint16_t pm1_control = 0x604;  // follows it
inline constexpr std::uint16_t pm_timer = 0x608;
inline constexpr std::uint16_t sleep = 0x60c;       // control, status, in hardware-reduced ACPI
inline constexpr std::uint16_t events = 0x60e;      // pending, enabled
inline constexpr std::uint16_t pci_config = 0xcf8;  // to 0xcff, and in the midst of it
inline constexpr std::uint16_t reset_control = 0xcf9;

// The test devices.
inline constexpr std::uint16_t scratch = 0xe0;
inline constexpr std::uint16_t page_flush = 0xe4;
inline constexpr std::uint16_t scratch_alias = 0xe8;
inline constexpr std::uint16_t debug_exit = 0xf4;
inline constexpr std::uint16_t irqs = 0x2000;

}  // namespace ports

namespace gsi {

inline constexpr std::uint32_t keyboard = 1;
inline constexpr std::uint32_t pit = 2;  // ISA interrupt 0
inline constexpr std::uint32_t com1 = 4;
inline constexpr std::uint32_t acpi = 9;  // the events, or the system control interrupt
/// Of virtio devices that are pages of registers, one each: what nobody else has.
inline constexpr std::array<std::uint32_t, 11> virtio{20, 21, 22, 23, 5, 6, 7, 10, 11, 14, 15};
inline constexpr std::array<std::uint32_t, 4> pci{16, 17, 18, 19};  // shared by PCI's slots
inline constexpr std::uint32_t count = 24;                          // of the I/O APIC

}  // namespace gsi

}  // namespace vmm::x86_64

// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "parts.hpp"

namespace vmm::acpi {

namespace {

// ACPI 6.5, 5.2.9: offsets.
enum Field : std::size_t {
    facs_32 = 36,
    dsdt_32 = 40,
    sci_interrupt = 46,  // u16
    pm1a_event_32 = 56,
    pm1a_control_32 = 64,
    pm_timer_32 = 76,
    pm1_event_length = 88,    // u8
    pm1_control_length = 89,  // u8
    pm_timer_length = 91,     // u8
    c2_latency = 96,          // u16
    c3_latency = 98,          // u16
    century = 108,            // u8
    boot_architecture = 109,  // u16
    flags = 112,
    reset_register = 116,   // generic address
    reset_value_at = 128,   // u8
    minor_revision = 131,   // u8
    dsdt_64 = 140,          // u64
    pm1a_event = 148,       // generic address
    pm1a_control = 172,     // generic address
    pm_timer = 208,         // generic address
    sleep_control = 244,    // generic address
    sleep_status = 256,     // generic address
    hypervisor_name = 268,  // u64
    fadt_size = 276,
};

constexpr std::uint32_t wbinvd = 1 << 0;
constexpr std::uint32_t proc_c1 = 1 << 2;
constexpr std::uint32_t power_button_is_a_device = 1 << 4;
constexpr std::uint32_t no_sleep_button = 1 << 5;
constexpr std::uint32_t no_fixed_rtc = 1 << 6;
constexpr std::uint32_t timer_has_32_bits = 1 << 8;
constexpr std::uint32_t reset_register_supported = 1 << 10;
constexpr std::uint32_t headless = 1 << 12;
constexpr std::uint32_t hardware_reduced = 1 << 20;

constexpr std::uint32_t legacy_devices = 1 << 0;
constexpr std::uint32_t has_8042 = 1 << 1;
constexpr std::uint32_t no_vga = 1 << 2;
constexpr std::uint32_t no_cmos_rtc = 1 << 5;

/// A generic address (5.2.3.2) of ports; a width of 1, 2 or 4 bytes is also that of the accesses.
void set_ports(Bytes& table, std::size_t offset, std::uint16_t port, unsigned width,
               unsigned access) {
    constexpr std::uint8_t system_io = 1;
    set(table, offset, system_io, 1);
    set(table, offset + 1, width * 8, 1);
    set(table, offset + 2, 0, 1);
    set(table, offset + 3, access == 1 ? 1 : access == 2 ? 2 : 3, 1);
    set(table, offset + 4, port, 8);
}

void set_hardware(Bytes& fadt, const ReducedHardware& hardware) {
    set_ports(fadt, sleep_control, hardware.sleep_control, 1, 1);
    set_ports(fadt, sleep_status, hardware.sleep_status, 1, 1);
}

void set_hardware(Bytes& fadt, const FixedHardware& hardware) {
    set(fadt, sci_interrupt, hardware.sci, 2);
    set(fadt, pm1a_event_32, hardware.pm1_event, 4);
    set(fadt, pm1a_control_32, hardware.pm1_control, 4);
    set(fadt, pm_timer_32, hardware.pm_timer, 4);
    set(fadt, pm1_event_length, 4, 1);
    set(fadt, pm1_control_length, 2, 1);
    set(fadt, pm_timer_length, 4, 1);
    set_ports(fadt, pm1a_event, hardware.pm1_event, 4, 2);
    set_ports(fadt, pm1a_control, hardware.pm1_control, 2, 2);
    set_ports(fadt, pm_timer, hardware.pm_timer, 4, 4);
}

std::uint32_t flags_of(const ReducedHardware&) {
    return hardware_reduced | power_button_is_a_device;
}
std::uint32_t flags_of(const FixedHardware&) { return timer_has_32_bits; }

}  // namespace

Bytes make_fadt(const Config& config, kvm::Gpa dsdt, kvm::Gpa facs) {
    constexpr std::uint16_t no_c2 = 101, no_c3 = 1001;
    Bytes fadt = start_table("FACP", 6);
    fadt.resize(fadt_size);
    set(fadt, facs_32, facs.value(), 4);  // 32 bits and not 64 of it, as the specification wants
    set(fadt, dsdt_32, dsdt.value(), 4);
    set(fadt, dsdt_64, dsdt.value(), 8);
    set(fadt, c2_latency, no_c2, 2);
    set(fadt, c3_latency, no_c3, 2);
    set(fadt, century, config.legacy.rtc ? 0x32 : 0, 1);
    set(fadt, boot_architecture,
        legacy_devices | no_vga | (config.legacy.i8042 ? has_8042 : 0) |
            (config.legacy.rtc ? 0 : no_cmos_rtc),
        2);
    set_ports(fadt, reset_register, config.reset_port, 1, 1);
    set(fadt, reset_value_at, config.reset_value, 1);
    set(fadt, minor_revision, 5, 1);
    const auto more =
        std::visit([](const auto& hardware) { return flags_of(hardware); }, config.hardware);
    set(fadt, flags,
        more | wbinvd | proc_c1 | no_sleep_button | no_fixed_rtc | reset_register_supported |
            headless,
        4);
    std::visit([&](const auto& hardware) { set_hardware(fadt, hardware); }, config.hardware);
    constexpr std::uint64_t kvmxx = 0x7878'6d76'6b;  // "kvmxx"
    set(fadt, hypervisor_name, kvmxx, 8);
    finish_table(fadt);
    return fadt;
}

/// ACPI 6.5, 5.2.10: no header, no checksum.
Bytes make_facs() {
    constexpr std::size_t size = 64;
    Bytes facs;
    put(facs, "FACS");
    put(facs, size, 4);
    facs.resize(size);
    constexpr std::size_t version = 32;
    set(facs, version, 2, 1);
    return facs;
}

}  // namespace vmm::acpi

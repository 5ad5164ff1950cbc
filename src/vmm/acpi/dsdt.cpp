// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "parts.hpp"

namespace vmm::acpi {

namespace {

using namespace aml;

constexpr std::uint64_t power_button_pressed = 0x80;  // ACPI 6.5, 5.6.6

Code device_node(const Device& d) {
    Code terms{name("_HID", hardware_id(d.hardware_id)), name("_UID", integer(d.uid))};
    if (!d.resources.empty()) {
        terms += name("_CRS", resource_template(d.resources));
    }
    terms += d.more;
    return device(d.name, terms);
}

/// A CPU; the MADT has its APIC id under the same _UID.
Code cpu_node(std::uint32_t uid) {
    return device(cpu_name(uid), {name("_HID", string("ACPI0007")), name("_UID", integer(uid))});
}

/// The events' device, which reads what has happened (and thereby acknowledges it) and tells the
/// button. Its _INI enables the events: by that the machine knows that somebody listens.
Code hardware_nodes(const ReducedHardware& hardware) {
    const Resource interrupt = Interrupt{hardware.gsi, Trigger::level, Sharing::exclusive};
    const Code registers{
        operation_region("EREG", Space::io, hardware.events, 2),
        field("EREG", Access::byte, {{"EPND", 8}, {"EENA", 8}}),
    };
    const Code events{
        name("_HID", string("ACPI0013")),
        name("_UID", integer(0)),
        name("_CRS", resource_template({&interrupt, 1})),
        registers,
        method("_INI", 0, Serialized::no, store(integer(1), reference("EENA"))),
        method("_EVT", 1, Serialized::yes,
               {
                   store(reference("EPND"), local(0)),
                   if_then(bit_and(local(0), integer(1)),
                           notify("PWRB", integer(power_button_pressed))),
               }),
    };
    const Code button{name("_HID", eisa_id("PNP0C0C")), name("_UID", integer(0))};
    return {device("PWRB", button), device("GED0", events)};
}

/// The fixed power button has registers, and no node.
Code hardware_nodes(const FixedHardware&) { return {}; }

}  // namespace

Bytes make_dsdt(const Config& config) {
    Code nodes;
    for (std::uint32_t uid = 0; uid < config.apic_ids.size(); ++uid) {
        nodes += cpu_node(uid);
    }
    for (const Device& d : config.devices) {
        nodes += device_node(d);
    }
    nodes +=
        std::visit([](const auto& hardware) { return hardware_nodes(hardware); }, config.hardware);
    const Code s5 = integer(sleep_type_s5);
    const Code terms{name("_S5", package({s5, s5, integer(0), integer(0)})), scope("_SB", nodes)};

    Bytes dsdt = start_table("DSDT", 2);
    dsdt.insert(dsdt.end(), terms.bytes().begin(), terms.bytes().end());
    finish_table(dsdt);
    return dsdt;
}

}  // namespace vmm::acpi

// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "parts.hpp"

#include <cerrno>
#include <fmt/format.h>
#include <kvm/try.hpp>
#include <numeric>

namespace vmm::acpi {

namespace {

constexpr std::size_t rsdp_size = 36;
constexpr std::size_t header_size = 36;
constexpr std::size_t most_cpus = 0x1000;    // cpu_name() has three digits
constexpr std::size_t table_alignment = 64;  // the FACS wants it

/// ACPI 6.5, 5.2.5.3.
Bytes make_rsdp(kvm::Gpa xsdt) {
    constexpr std::size_t revision_1_size = 20;
    Bytes rsdp;
    put(rsdp, "RSD PTR ");
    put(rsdp, 0, 1);  // checksum of revision 1's part
    put(rsdp, "KVMXX ");
    put(rsdp, 2, 1);  // revision
    put(rsdp, 0, 4);  // no RSDT
    put(rsdp, rsdp_size, 4);
    put(rsdp, xsdt.value(), 8);
    put(rsdp, 0, 4);  // checksum of all, reserved
    set(rsdp, 8, checksum(std::span(rsdp).first(revision_1_size)), 1);
    set(rsdp, 32, checksum(rsdp), 1);
    return rsdp;
}

/// ACPI 6.5, 5.2.12. The CPUs, and how interrupts reach them.
void put_cpu(Bytes& madt, std::uint32_t uid, std::uint32_t apic_id) {
    constexpr std::uint32_t enabled = 1;
    if (apic_id <= 254) {
        put(madt, 0, 1);  // local APIC
        put(madt, 8, 1);
        put(madt, uid, 1);
        put(madt, apic_id, 1);
        put(madt, enabled, 4);
    } else {
        put(madt, 9, 1);  // local x2APIC
        put(madt, 16, 1);
        put(madt, 0, 2);
        put(madt, apic_id, 4);
        put(madt, enabled, 4);
        put(madt, uid, 4);
    }
}

void put_override(Bytes& madt, const InterruptOverride& override) {
    constexpr std::uint16_t as_the_bus = 0, active_high_level = 0x0d;
    put(madt, 2, 1);
    put(madt, 10, 1);
    put(madt, 0, 1);  // the ISA bus
    put(madt, override.isa, 1);
    put(madt, override.gsi, 4);
    put(madt, override.trigger == Trigger::level ? active_high_level : as_the_bus, 2);
}

/// LINT1 is the NMI, of every CPU.
void put_nmi(Bytes& madt, bool x2apics) {
    constexpr std::uint8_t lint1 = 1;
    put(madt, 4, 1);
    put(madt, 6, 1);
    put(madt, 0xff, 1);  // all
    put(madt, 0, 2);     // as the bus
    put(madt, lint1, 1);
    if (x2apics) {
        put(madt, 10, 1);
        put(madt, 12, 1);
        put(madt, 0, 2);
        put(madt, 0xffffffff, 4);
        put(madt, lint1, 1);
        put(madt, 0, 3);
    }
}

bool is_name(std::string_view name) {
    const auto lead = [](char c) { return (c >= 'A' && c <= 'Z') || c == '_'; };
    return name.size() == 4 && lead(name[0]) &&
           std::ranges::all_of(name, [&](char c) { return lead(c) || (c >= '0' && c <= '9'); });
}

Result<void> check(const Config& config) {
    if (config.apic_ids.empty()) {
        return fail("ACPI tables: no CPU", EINVAL);
    }
    if (config.base.value() % 16 != 0) {
        return fail(
            fmt::format("ACPI tables: base {:#x} is no multiple of 16", config.base.value()),
            EINVAL);
    }
    if (config.apic_ids.size() > most_cpus) {
        return fail(
            fmt::format("ACPI tables: {} CPUs are more than {}", config.apic_ids.size(), most_cpus),
            EINVAL);
    }
    std::vector<std::string> names{"PWRB", "GED0"};
    for (std::uint32_t uid = 0; uid < config.apic_ids.size(); ++uid) {
        names.push_back(cpu_name(uid));
    }
    for (const Device& device : config.devices) {
        if (!is_name(device.name)) {
            return fail(fmt::format("ACPI tables: '{}' is no name of a device", device.name),
                        EINVAL);
        }
        names.push_back(device.name);
    }
    std::ranges::sort(names);
    if (const auto twice = std::ranges::adjacent_find(names); twice != names.end()) {
        return fail(fmt::format("ACPI tables: two devices are named {}", *twice), EINVAL);
    }
    return {};
}

/// Puts tables one behind the other, behind the RSDP.
class Layout {
public:
    explicit Layout(kvm::Gpa base) : tables_{base, Bytes(rsdp_size), {}} {}

    /// Where the next table will be.
    kvm::Gpa next() const { return tables_.base + aligned(); }
    kvm::Gpa add(std::string_view signature, const Bytes& table) {
        const kvm::Gpa at = next();
        tables_.list.push_back({signature, aligned(), table.size()});
        tables_.bytes.resize(aligned());
        tables_.bytes.insert(tables_.bytes.end(), table.begin(), table.end());
        return at;
    }
    Tables finish(kvm::Gpa xsdt) {
        std::ranges::copy(make_rsdp(xsdt), tables_.bytes.begin());
        return std::move(tables_);
    }

private:
    std::size_t aligned() const {
        return (tables_.bytes.size() + table_alignment - 1) / table_alignment * table_alignment;
    }
    Tables tables_;
};

}  // namespace

Bytes start_table(std::string_view signature, std::uint8_t revision) {
    Bytes table;
    put(table, signature);
    put(table, 0, 4);  // length
    put(table, revision, 1);
    put(table, 0, 1);  // checksum
    put(table, "KVMXX ");
    put(table, "KVMXX   ");
    put(table, 1, 4);  // revision
    put(table, "KVMX");
    put(table, 1, 4);
    assert(table.size() == header_size);
    return table;
}

void finish_table(Bytes& table) {
    set(table, 4, table.size(), 4);
    set(table, 9, checksum(table), 1);
}

std::uint8_t checksum(std::span<const std::byte> bytes) {
    const unsigned sum =
        std::accumulate(bytes.begin(), bytes.end(), 0u,
                        [](unsigned s, std::byte b) { return s + std::to_integer<unsigned>(b); });
    return static_cast<std::uint8_t>(0u - sum);
}

Bytes make_madt(const Config& config) {
    Bytes madt = start_table("APIC", 5);
    put(madt, config.lapic.value(), 4);
    put(madt, config.legacy.pics ? 1 : 0, 4);
    std::uint32_t uid = 0;
    bool x2apics = false;
    for (const std::uint32_t apic_id : config.apic_ids) {
        x2apics |= apic_id > 254;
        put_cpu(madt, uid++, apic_id);
    }
    put(madt, 1, 1);  // I/O APIC
    put(madt, 12, 1);
    put(madt, config.ioapic.id, 1);
    put(madt, 0, 1);
    put(madt, config.ioapic.address.value(), 4);
    put(madt, config.ioapic.first_gsi, 4);
    for (const InterruptOverride& override : config.overrides) {
        put_override(madt, override);
    }
    put_nmi(madt, x2apics);
    finish_table(madt);
    return madt;
}

/// PCI Firmware Specification 3.3, 4.1.2.
Bytes make_mcfg(const PciConfigSpace& pci) {
    Bytes mcfg = start_table("MCFG", 1);
    put(mcfg, 0, 8);
    put(mcfg, pci.address.value(), 8);
    put(mcfg, pci.segment, 2);
    put(mcfg, pci.first_bus, 1);
    put(mcfg, pci.last_bus, 1);
    put(mcfg, 0, 4);
    finish_table(mcfg);
    return mcfg;
}

std::span<const std::byte> Tables::find(std::string_view signature) const {
    const auto found = std::ranges::find(list, signature, &Table::signature);
    return found == list.end() ? std::span<const std::byte>()
                               : std::span(bytes).subspan(found->offset, found->size);
}

Result<Tables> build(const Config& config) {
    KVM_TRY(check(config));
    Layout layout(config.base);
    std::vector<kvm::Gpa> listed;
    const kvm::Gpa dsdt = layout.add("DSDT", make_dsdt(config));
    kvm::Gpa facs{};
    if (std::holds_alternative<FixedHardware>(config.hardware)) {
        facs = layout.add("FACS", make_facs());
    }
    listed.push_back(layout.add("FACP", make_fadt(config, dsdt, facs)));
    listed.push_back(layout.add("APIC", make_madt(config)));
    if (config.pci) {
        listed.push_back(layout.add("MCFG", make_mcfg(*config.pci)));
    }
    Bytes xsdt = start_table("XSDT", 1);
    for (const kvm::Gpa table : listed) {
        put(xsdt, table.value(), 8);
    }
    finish_table(xsdt);
    const kvm::Gpa at = layout.add("XSDT", xsdt);
    Tables tables = layout.finish(at);
    if (tables.bytes.size() > config.room) {
        return fail(fmt::format("ACPI tables: {} bytes do not fit into {}", tables.bytes.size(),
                                config.room),
                    ENOSPC);
    }
    return tables;
}

}  // namespace vmm::acpi

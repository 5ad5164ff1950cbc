// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <algorithm>
#include <cassert>
#include <vmm/acpi/tables.hpp>

/// What build() is made of.
namespace vmm::acpi {

using Bytes = std::vector<std::byte>;

/// Appends `value` in `size` bytes, little-endian.
inline void put(Bytes& out, std::uint64_t value, int size) {
    for (int i = 0; i < size; ++i) {
        out.push_back(std::byte(value >> (8 * i)));
    }
}

inline void put(Bytes& out, std::string_view text) {
    const auto bytes = std::as_bytes(std::span(text));
    out.insert(out.end(), bytes.begin(), bytes.end());
}

/// Sets the `size` bytes at `offset`.
inline void set(Bytes& out, std::size_t offset, std::uint64_t value, int size) {
    assert(offset + static_cast<std::size_t>(size) <= out.size());
    for (int i = 0; i < size; ++i) {
        out[offset + static_cast<std::size_t>(i)] = std::byte(value >> (8 * i));
    }
}

/// A table's header (ACPI 6.5, 5.2.6), whose length and checksum are still to be set.
Bytes start_table(std::string_view signature, std::uint8_t revision);
/// Sets length and checksum.
void finish_table(Bytes& table);
/// What must be added for the sum of the bytes to be 0.
std::uint8_t checksum(std::span<const std::byte> bytes);

/// A CPU's node in the DSDT.
inline std::string cpu_name(std::uint32_t uid) { return aml::numbered('C', uid); }

Bytes make_dsdt(const Config& config);
Bytes make_fadt(const Config& config, kvm::Gpa dsdt, kvm::Gpa facs);
Bytes make_madt(const Config& config);
Bytes make_mcfg(const PciConfigSpace& pci);
Bytes make_facs();

}  // namespace vmm::acpi

// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstdint>
#include <span>
#include <variant>
#include <vmm/acpi/aml.hpp>

/// What a device occupies: ACPI 6.5, 6.4, resource data types.
namespace vmm::acpi {

/// `count` ports from `first` on.
struct IoPorts {
    std::uint16_t first = 0;
    std::uint8_t count = 0;
};

/// `size` bytes of memory from `base` on, below 4 GiB.
struct Memory32 {
    std::uint32_t base = 0;
    std::uint32_t size = 0;
};

enum class Trigger { level, edge };
enum class Sharing { exclusive, shared };

/// A global system interrupt, active high.
struct Interrupt {
    std::uint32_t gsi = 0;
    Trigger trigger = Trigger::edge;
    Sharing sharing = Sharing::exclusive;
};

/// A range of addresses that a bridge passes on to the devices behind it. It is encoded as narrow
/// as its addresses allow, a bus range in 16 bits.
struct Window {
    enum class Kind { memory, prefetchable_memory, io, bus };
    Kind kind = Kind::memory;
    std::uint64_t first = 0;
    std::uint64_t last = 0;  ///< inclusive
};

using Resource = std::variant<IoPorts, Memory32, Interrupt, Window>;

/// The buffer that a _CRS is.
aml::Code resource_template(std::span<const Resource> resources);

}  // namespace vmm::acpi

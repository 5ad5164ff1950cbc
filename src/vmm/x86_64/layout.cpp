// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <kvm/abi/x86_64.hpp>
#include <vmm/x86_64/layout.hpp>
#include <vmm/x86_64/ports.hpp>

namespace vmm::x86_64 {

std::vector<Region> ram_regions(std::uint64_t bytes, const Backing& backing) {
    const std::uint64_t low = std::min(bytes, layout::hole.value());
    std::vector<Region> regions;
    if (low > 0) {
        regions.push_back({kvm::Gpa(0), low, backing});
    }
    if (bytes > low) {
        Region& high = regions.emplace_back(layout::hole_end, bytes - low, backing);
        if (auto* file = std::get_if<backing::File>(&high.backing)) {
            file->offset += low;
        }
    }
    return regions;
}

kvm::Gpa pci_memory64(std::uint64_t bytes) {
    constexpr std::uint64_t step = std::uint64_t{64} << 30;
    return kvm::Gpa((bytes + layout::hole_end.value()) / step * step + step);
}

std::vector<kvm::IrqRoutingEntry> pin_routes() {
    std::vector<kvm::IrqRoutingEntry> routes;
    const auto add = [&](std::uint32_t gsi, kvm::x86_64::IrqchipId chip, std::uint32_t pin) {
        kvm::IrqRoutingEntry entry{};
        entry.gsi = gsi;
        entry.type = kvm::IrqRoutingType::irqchip;
        entry.u.irqchip = {static_cast<std::uint32_t>(chip), pin};
        routes.push_back(entry);
    };
    constexpr std::uint32_t pic_pins = 8;
    for (std::uint32_t pin = 0; pin < gsi::count; ++pin) {
        add(pin, kvm::x86_64::IrqchipId::ioapic, pin);
        if (pin < 2 * pic_pins) {
            add(pin,
                pin < pic_pins ? kvm::x86_64::IrqchipId::pic_master
                               : kvm::x86_64::IrqchipId::pic_slave,
                pin % pic_pins);
        }
    }
    return routes;
}

}  // namespace vmm::x86_64

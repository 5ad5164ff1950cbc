// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <cerrno>
#include <fmt/format.h>
#include <kvm/try.hpp>
#include <vmm/machine/ram.hpp>
#include <vmm/x86_64/layout.hpp>

namespace vmm::detail {

namespace {

/// Calls `act` of each region; its error begins with the setting's name.
template <class Act>
Result<void> for_regions(const GuestMemory& memory, const char* setting, Act act) {
    for (const Region& region : memory.regions()) {
        if (const Result<void> done = act(region); !done) {
            return about_setting(setting, done.error());
        }
    }
    return {};
}

/// Whether the host can share equal pages of it: KSM does so with a process's own pages alone.
bool can_merge(const Backing& backing) {
    const auto* const file = std::get_if<backing::File>(&backing);
    return std::holds_alternative<backing::Anonymous>(backing) ||
           (file && file->sharing == Sharing::private_copy);
}

}  // namespace

Result<void> check_ram(const MachineConfig& config) {
    const std::uint64_t bytes = config.memory_bytes;
    if (bytes == 0) {
        return about_setting("memory", Error("a machine needs some", EINVAL));
    }
    if (bytes % 4096 != 0) {
        return about_setting("memory",
                             Error(fmt::format("{} is no multiple of 4096", bytes), EINVAL));
    }
    if (bytes > host_memory_size()) {
        return about_setting(
            "memory", Error(fmt::format("{} are more than the host has, {}", describe_size(bytes),
                                        describe_size(host_memory_size())),
                            ENOMEM));
    }
    if (const auto* huge = std::get_if<backing::HugeTlb>(&config.memory_backing)) {
        const auto page = static_cast<std::uint64_t>(huge->page);
        if (bytes % page != 0) {
            return about_setting("memory",
                                 Error(fmt::format("{} are no multiple of the huge pages' {}",
                                                   describe_size(bytes), describe_size(page)),
                                       EINVAL));
        }
    }
    if (config.merge_memory && !can_merge(config.memory_backing)) {
        return about_setting("merge-memory",
                             Error("goes with anonymous memory and private files alone", EINVAL));
    }
    return {};
}

std::unexpected<Error> about_backing(const MachineConfig& config, Error error) {
    if (std::holds_alternative<backing::Anonymous>(config.memory_backing)) {
        return std::unexpected(std::move(error));
    }
    return about_setting("memory-backing", std::move(error));
}

Result<GuestMemory> make_ram(const MachineConfig& config) {
    auto memory =
        GuestMemory::create(x86_64::ram_regions(config.memory_bytes, config.memory_backing));
    if (!memory) {
        return about_backing(config, std::move(memory).error());
    }
    return memory;
}

Result<void> tune_ram(const MachineConfig& config, const GuestMemory& memory) {
    if (config.merge_memory) {
        KVM_TRY(for_regions(memory, "merge-memory", [&](const Region& region) {
            return memory.advise(region.address, region.size, Advice::merge);
        }));
    }
    if (config.prefault) {
        KVM_TRY(for_regions(memory, "prefault", [&](const Region& region) {
            return memory.prefault(region.address, region.size);
        }));
    }
    if (config.lock_memory) {
        KVM_TRY(for_regions(memory, "lock-memory", [&](const Region& region) {
            return memory.lock(region.address, region.size);
        }));
    }
    return {};
}

Result<void> plug_ram(GuestMemory& memory, const Region& region,
                      std::span<const pci::Range> windows) {
    if (region.address < x86_64::layout::hole_end) {
        return fail(
            describe(region) + ": below 4 GiB are the first memory and the devices: no more there",
            EINVAL);
    }
    for (const pci::Range& window : windows) {
        // Where it ends: the region may be so big that nothing does.
        if (region.address < window.first + window.size &&
            (region.address >= window.first || region.size > window.first - region.address)) {
            return fail(fmt::format("{}: PCI's devices may be at {:#x}..{:#x}", describe(region),
                                    window.first.value(), window.first.value() + window.size - 1),
                        EINVAL);
        }
    }
    return memory.add_region(region);
}

Result<void> unplug_ram(GuestMemory& memory, kvm::Gpa address, std::uint64_t first_bytes) {
    const auto first = x86_64::ram_regions(first_bytes);
    if (const auto found = std::ranges::find(first, address, &Region::address);
        found != first.end()) {
        return fail(describe(*found) + ": the machine started with it", EINVAL);
    }
    return memory.remove_region(address);
}

}  // namespace vmm::detail

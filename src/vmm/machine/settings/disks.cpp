// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <fmt/format.h>
#include <kvm/try.hpp>
#include <vmm/machine/settings/key_values.hpp>
#include <vmm/machine/settings/tables.hpp>
#include <vmm/machine/settings/values.hpp>

namespace vmm::detail {

namespace {

constexpr std::array disk_keys{
    Key{"path", KeyKind::path, KeyCount::required},
    Key{"bus", KeyKind::text},
    Key{"readonly", KeyKind::flag},
    Key{"direct", KeyKind::flag},
    Key{"serial", KeyKind::text},
    Key{"queues", KeyKind::text},
    Key{"engine", KeyKind::text},
    Key{"bps", KeyKind::text},
    Key{"bps-burst", KeyKind::text},
    Key{"iops", KeyKind::text},
    Key{"iops-burst", KeyKind::text},
};

constexpr Names<DiskBus, 2> bus_names{{
    {"virtio", DiskBus::virtio},
    {"nvme", DiskBus::nvme},
}};

constexpr Names<block::EngineKind, 3> engine_names{{
    {"auto", block::EngineKind::automatic},
    {"io_uring", block::EngineKind::io_uring},
    {"threads", block::EngineKind::threads},
}};

/// The number that `key` gives, by parse_size(), which has units.
Result<void> read_amount(const KeyValues& values, std::string_view key, std::uint64_t& amount) {
    if (const std::string* const text = values.find(key)) {
        const auto parsed = parse_size(*text);
        if (!parsed) {
            return about_key(key, parsed.error());
        }
        amount = *parsed;
    }
    return {};
}

Result<void> add_disk(MachineConfig& config, const std::string& text) {
    const KeyValues values = KVM_TRY(parse_key_values(text, disk_keys));
    DiskConfig disk;
    disk.image.path = *values.find("path");
    disk.image.access = values.has("readonly") ? Access::read_only : Access::read_write;
    disk.image.caching = values.has("direct") ? block::Caching::direct : block::Caching::page_cache;
    if (const std::string* const bus = values.find("bus")) {
        const auto parsed = parse_name(bus_names, *bus, "virtio or nvme");
        if (!parsed) {
            return about_key("bus", parsed.error());
        }
        disk.bus = *parsed;
    }
    if (const std::string* const serial = values.find("serial")) {
        disk.serial = *serial;
        if (serial->size() > 20) {
            return about_key("serial",
                             Error(fmt::format("'{}' has more than 20 bytes", *serial), EINVAL));
        }
    }
    if (const std::string* const queues = values.find("queues")) {
        const auto count = parse_number(*queues, 64, "a number of queues, 1 to 64");
        if (!count) {
            return about_key("queues", count.error());
        }
        if (*count == 0) {
            return about_key("queues", Error("a disk needs one", EINVAL));
        }
        disk.queues = static_cast<std::uint16_t>(*count);
    }
    if (const std::string* const engine = values.find("engine")) {
        const auto kind = parse_name(engine_names, *engine, "auto, io_uring or threads");
        if (!kind) {
            return about_key("engine", kind.error());
        }
        disk.engine = *kind;
    }
    KVM_TRY(read_amount(values, "bps", disk.limits.bytes.per_second));
    KVM_TRY(read_amount(values, "bps-burst", disk.limits.bytes.burst));
    KVM_TRY(read_amount(values, "iops", disk.limits.operations.per_second));
    KVM_TRY(read_amount(values, "iops-burst", disk.limits.operations.burst));
    config.disks.push_back(std::move(disk));
    return {};
}

Values get_disks(const MachineConfig& config) {
    Values texts;
    for (const DiskConfig& disk : config.disks) {
        const RateLimits& limits = disk.limits;
        const auto add_amount = [](KeyValues& values, std::string_view key, std::uint64_t amount) {
            values.add_if(amount != 0, key, size_text(amount));
        };
        KeyValues values;
        values.add("path", disk.image.path)
            .add_if(disk.bus != DiskBus::virtio, "bus", name_of(bus_names, disk.bus))
            .add_if(disk.image.access == Access::read_only, "readonly")
            .add_if(disk.image.caching == block::Caching::direct, "direct")
            .add_if(!disk.serial.empty(), "serial", disk.serial)
            .add_if(disk.queues != 1, "queues", std::to_string(disk.queues))
            .add_if(disk.engine != block::EngineKind::automatic, "engine",
                    name_of(engine_names, disk.engine));
        add_amount(values, "bps", limits.bytes.per_second);
        add_amount(values, "bps-burst", limits.bytes.burst);
        add_amount(values, "iops", limits.operations.per_second);
        add_amount(values, "iops-burst", limits.operations.burst);
        texts.push_back(values.text());
    }
    return texts;
}

constexpr std::array table{
    Setting{"disk", SettingKind::list, "path=FILE,...",
            "A disk: bus=nvme, readonly, direct, serial=, queues=, engine=, bps=, iops=", "",
            add_disk, get_disks, disk_keys},
};

}  // namespace

std::span<const Setting> disk_settings() { return table; }

}  // namespace vmm::detail

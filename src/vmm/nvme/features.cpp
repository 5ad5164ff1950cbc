// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "queues.hpp"

#include <algorithm>

/// Set Features and Get Features, 5.21 and 5.9.
namespace vmm::nvme {

namespace {

constexpr std::uint32_t keep = 1U << 31, select = 7 << 8;  // of CDW10
constexpr std::uint32_t never_coalesced = 1 << 16;

/// Which of the two thresholds of the one temperature there is; nothing if of another sensor.
std::optional<std::size_t> threshold(std::uint32_t cdw11) {
    const std::uint32_t sensor = cdw11 >> 16 & 0xf, kind = cdw11 >> 20 & 3;
    const bool known = (sensor == 0 || sensor == 0xf) && kind < 2;
    return known ? std::optional<std::size_t>(kind) : std::nullopt;
}

}  // namespace

Controller::MaybeAnswer Controller::set_feature(const Command& command) {
    const std::uint32_t value = command.cdw11;
    const auto store = [](std::uint32_t& feature, std::uint32_t given) {
        feature = given;
        return Answer{};
    };
    Features& features = state_.features;
    if (command.cdw10 & keep) {
        return Answer{Status::not_saveable};
    }
    switch (static_cast<Feature>(command.cdw10 & 0xff)) {
        case Feature::arbitration:
            return store(features.arbitration, value);
        case Feature::power_management:  // there is state 0
            return (value & 0x1f) ? Answer{Status::invalid_field}
                                  : store(features.power_management, value & 0xe0);
        case Feature::temperature_threshold: {
            const auto which = threshold(value);
            return which ? store(features.temperature_threshold[*which], value & 0xffff)
                         : Answer{Status::invalid_field};
        }
        case Feature::error_recovery:  // its upper half is for what the namespace does not do
            return (value >> 16) ? Answer{Status::invalid_field}
                                 : store(features.error_recovery, value);
        case Feature::volatile_cache: {
            const bool stores = (value & 1) == 0;
            namespace_.set_durability(stores ? block::Durability::stored
                                             : block::Durability::cached);
            const bool was_cached = std::exchange(features.volatile_cache, value & 1) != 0;
            if (stores && was_cached && namespace_.info().access == Access::read_write) {
                namespace_.flush({0, command.id});  // which is then the end of the command
                return std::nullopt;
            }
            return Answer{};
        }
        case Feature::queues: {
            const auto is_there = [](const auto& queue) { return queue != nullptr; };
            if (std::any_of(completions_.begin() + 1, completions_.end(), is_there)) {
                return Answer{Status::sequence_error};
            }
            if ((value & 0xffff) == 0xffff || value >> 16 == 0xffff) {
                return Answer{Status::invalid_field};
            }
            return get_feature(command);
        }
        case Feature::coalescing:
            return store(features.coalescing, value & 0xffff);
        case Feature::vector:
            if ((value & 0xffff) >= vectors()) {
                return Answer{Status::invalid_field};
            }
            return Answer{value & never_coalesced ? Status::success : Status::not_changeable};
        case Feature::write_atomicity:
            return store(features.write_atomicity, value & 1);
        case Feature::events:
            return store(features.events, value);
    }
    return Answer{Status::invalid_field};
}

Controller::Answer Controller::get_feature(const Command& command) const {
    const auto is = [](std::uint32_t value) { return Answer{.result = value}; };
    const Features& features = state_.features;
    if (command.cdw10 & select) {
        return {Status::invalid_field};
    }
    switch (static_cast<Feature>(command.cdw10 & 0xff)) {
        case Feature::arbitration:
            return is(features.arbitration);
        case Feature::power_management:
            return is(features.power_management);
        case Feature::temperature_threshold: {
            const auto which = threshold(command.cdw11);
            return which ? is(features.temperature_threshold[*which])
                         : Answer{Status::invalid_field};
        }
        case Feature::error_recovery:
            return is(features.error_recovery);
        case Feature::volatile_cache:
            return is(features.volatile_cache);
        case Feature::queues:  // both numbers less one
            return is((options_.queues - 1U) << 16 | (options_.queues - 1U));
        case Feature::coalescing:
            return is(features.coalescing);
        case Feature::vector:
            return (command.cdw11 & 0xffff) < vectors()
                       ? is((command.cdw11 & 0xffff) | never_coalesced)
                       : Answer{Status::invalid_field};
        case Feature::write_atomicity:
            return is(features.write_atomicity);
        case Feature::events:
            return is(features.events);
    }
    return {Status::invalid_field};
}

}  // namespace vmm::nvme

// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "bytes.hpp"
#include "queues.hpp"

#include <kvm/version.hpp>

/// Get Log Page, 5.14.
namespace vmm::nvme {

namespace {

enum Log : std::uint8_t { errors = 1, smart = 2, firmware = 3 };

constexpr std::size_t error_size = 64, health_size = 512, firmware_size = 512;
constexpr std::uint32_t retain_event = 1 << 15;
constexpr std::uint16_t temperature = 300;  // kelvin

void put_errors(Page& page, std::span<const ErrorEntry> entries) {
    for (std::size_t i = 0; i < entries.size(); ++i) {
        std::memcpy(page.data() + i * error_size, &entries[i], sizeof entries[i]);
    }
}

/// 5.14.1.2. Numbers of 16 bytes.
void put_health(Page& page, const ControllerState& state, const block::DiskCounters& counters) {
    constexpr std::uint8_t odd_temperature = 1 << 1;
    constexpr std::uint64_t unit = 512'000;  // of bytes that are read and written
    const auto& [over, under] = state.features.temperature_threshold;
    put(page, 0, temperature >= over || temperature <= under ? odd_temperature : std::uint8_t{0});
    put(page, 1, temperature);
    put(page, 3, std::uint8_t{100});  // per cent of the spare that is there
    put(page, 4, std::uint8_t{10});   // of which to warn
    put(page, 32, (counters.read_bytes + unit - 1) / unit);
    put(page, 48, (counters.written_bytes + unit - 1) / unit);
    put(page, 64, counters.reads);
    put(page, 80, counters.writes);
    put(page, 112, std::uint64_t{1});  // power cycles
    put(page, 160, counters.errors);
    put(page, 176, state.error_count);
}

void put_firmware(Page& page) {
    put(page, 0, std::uint8_t{1});  // the slot in use
    put_text(page, 8, 8, kvm::version);
}

}  // namespace

Status Controller::get_log_page(const Command& command) {
    const std::uint64_t words =
        (std::uint64_t{command.cdw11 & 0xffff} << 16 | command.cdw10 >> 16) + 1;
    const std::uint64_t offset = command.cdw12_13();
    Page page{};
    std::size_t size = 0;
    switch (command.cdw10 & 0xff) {
        case errors:
            put_errors(page, state_.errors);
            size = most_errors * error_size;
            break;
        case smart:
            if (command.nsid > 1 && command.nsid != broadcast) {
                return Status::invalid_namespace;
            }
            put_health(page, state_, namespace_.counters());
            size = health_size;
            break;
        case firmware:
            put_firmware(page);
            size = firmware_size;
            break;
        default:
            return Status::invalid_log_page;
    }
    if (offset % 4 != 0 || offset > size) {
        return Status::invalid_field;
    }
    const auto part = std::span(page).subspan(offset, std::min(words * 4, size - offset));
    const Status status = give(command, part);
    if (status == Status::success && (command.cdw10 & 0xff) == errors &&
        !(command.cdw10 & retain_event)) {
        state_.event_masked = false;
    }
    return status;
}

void Controller::note_error(Ticket ticket, Status status) {
    auto& entries = state_.errors;
    entries.insert(entries.begin(), {.count = ++state_.error_count,
                                     .queue = ticket.queue,
                                     .command = ticket.command,
                                     .status = status_field(status)});
    if (entries.size() > most_errors) {
        entries.pop_back();
    }
}

}  // namespace vmm::nvme

// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "queues.hpp"

#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <kvm/try.hpp>

namespace vmm::nvme {

namespace {

constexpr std::uint32_t version = 0x00010400;
constexpr std::size_t longest_serial = 20;

/// How wide the register at `offset` is, where one begins; else 0.
std::size_t width(std::uint64_t offset) {
    switch (offset) {
        case reg::cap:
        case reg::asq:
        case reg::acq:
            return 8;
        default:
            return offset < reg::end && offset % 4 == 0 ? 4 : 0;
    }
}

/// Drivers access a register as wide as it is, those of 8 bytes also in halves: 3.1.
bool natural(std::uint64_t offset, std::size_t size) {
    return size == width(offset) || (size == 4 && offset % 4 == 0 && width(offset & ~7ULL) == 8);
}

/// The low or the high half of a register is another.
std::uint64_t with_half(std::uint64_t old, std::uint64_t value, std::uint64_t offset) {
    constexpr std::uint64_t low = 0xffffffff;
    return offset % 8 == 0 ? (old & ~low) | value : (old & low) | value << 32;
}

}  // namespace

Controller::Controller(std::unique_ptr<block::Disk> disk, const Options& options, Parts parts)
    : options_(options), parts_(std::move(parts)),
      namespace_(std::move(disk), parts_.memory, *this), submissions_(options.queues + 1U),
      completions_(options.queues + 1U) {}

Result<std::unique_ptr<Controller>> Controller::create(std::unique_ptr<block::Disk> disk,
                                                       const Options& options, Parts parts) {
    if (options.serial.size() > longest_serial) {
        return fail(fmt::format("{}: its serial number has more than {} bytes", disk->name(),
                                longest_serial),
                    EINVAL);
    }
    if (options.queues == 0 || options.queues > most_queues) {
        return fail(fmt::format("{}: {} queues are none or more than {}", disk->name(),
                                options.queues, most_queues),
                    EINVAL);
    }
    std::unique_ptr<Controller> made(new Controller(std::move(disk), options, std::move(parts)));
    made->again_ = KVM_TRY(made->parts_.reactor.timer([raw = made.get()] { raw->serve_all(); }));
    return made;
}

Controller::~Controller() {
    parts_.reactor.call([&] { reset(); });
}

bool Controller::alive() const {
    return (state_.status & (csts::ready | csts::fatal)) == csts::ready;
}

void Controller::read(std::uint64_t offset, std::span<std::byte> data) {
    std::uint64_t value = 0;
    if (natural(offset, data.size())) {
        parts_.reactor.call([&] { value = read_register(offset); });
    }
    std::memcpy(data.data(), &value, std::min(sizeof value, data.size()));
}

void Controller::write(std::uint64_t offset, std::span<const std::byte> data) {
    std::uint64_t value = 0;
    std::memcpy(&value, data.data(), std::min(sizeof value, data.size()));
    parts_.reactor.call([&] {
        if (offset >= reg::doorbells) {
            if (offset % 4 == 0 && data.size() == 4) {
                ring((offset - reg::doorbells) / 4, static_cast<std::uint32_t>(value));
                announce();
            }
        } else if (natural(offset, data.size())) {
            write_register(offset, data.size(), value);
        }
    });
}

std::uint64_t Controller::read_register(std::uint64_t offset) const {
    constexpr std::uint64_t contiguous = 1 << 16, patience = 40, nvm_commands = 1ULL << 37;
    constexpr std::uint64_t cap = (most_entries - 1) | contiguous | patience << 24 | nvm_commands;
    switch (offset) {
        case reg::cap:
            return cap;
        case reg::cap + 4:
            return cap >> 32;
        case reg::vs:
            return version;
        case reg::intms:
        case reg::intmc:
            return state_.interrupt_mask;
        case reg::cc:
            return state_.configuration;
        case reg::csts:
            return state_.status;
        case reg::aqa:
            return state_.admin_sizes;
        case reg::asq:
            return state_.admin_submission;
        case reg::asq + 4:
            return state_.admin_submission >> 32;
        case reg::acq:
            return state_.admin_completion;
        case reg::acq + 4:
            return state_.admin_completion >> 32;
        default:
            return 0;
    }
}

void Controller::write_register(std::uint64_t offset, std::size_t size, std::uint64_t value) {
    const auto word = static_cast<std::uint32_t>(value);
    const bool enabled = (state_.configuration & cc::enable) != 0;
    const auto set_address = [&](std::uint64_t& address) {
        const std::uint64_t whole = size == 8 ? value : with_half(address, value, offset);
        address = enabled ? address : whole & ~(page_size - 1);
    };
    switch (offset) {
        case reg::intms:
            state_.interrupt_mask |= word;
            return update_pin();
        case reg::intmc:
            state_.interrupt_mask &= ~word;
            return update_pin();
        case reg::cc:
            return configure(word);
        case reg::aqa:
            state_.admin_sizes = enabled ? state_.admin_sizes : word & 0x0fff0fff;
            return;
        case reg::asq:
        case reg::asq + 4:
            return set_address(state_.admin_submission);
        case reg::acq:
        case reg::acq + 4:
            return set_address(state_.admin_completion);
        default:
            return;  // read-only, or none
    }
}

void Controller::configure(std::uint32_t value) {
    constexpr std::uint32_t writable = cc::enable | cc::command_set | cc::memory_page |
                                       cc::arbitration | cc::shutdown | cc::submission_entry |
                                       cc::completion_entry;
    const std::uint32_t before = std::exchange(state_.configuration, value & writable);
    const std::uint32_t changed = before ^ state_.configuration;
    if (changed & cc::enable) {
        value& cc::enable ? start() : reset();
    }
    if ((value & cc::shutdown) == 0) {
        state_.status &= ~csts::shutdown;
    } else if (changed & cc::shutdown) {
        shut_down();
    }
}

/// What the driver has said before it enabled the controller.
Result<void> Controller::check_configuration() const {
    if (state_.configuration & (cc::command_set | cc::memory_page | cc::arbitration)) {
        return fail(
            fmt::format("CC is {:#x}: there are but the NVM command set, pages of 4 KiB "
                        "and round robin",
                        state_.configuration));
    }
    return {};
}

void Controller::start() {
    const SubmissionState submission{.queue = {.base = kvm::Gpa(state_.admin_submission),
                                               .size = (state_.admin_sizes & 0xfff) + 1}};
    const CompletionState completion{.interrupts = true,
                                     .queue = {.base = kvm::Gpa(state_.admin_completion),
                                               .size = (state_.admin_sizes >> 16 & 0xfff) + 1}};
    Result<void> good = check_configuration();
    if (good) {
        good = check_queue(submission.queue, sizeof(Command));
    }
    if (good) {
        good = check_queue(completion.queue, sizeof(Completion));
    }
    if (!good) {
        return fail_for_good(good.error().message);
    }
    add_completion(completion);
    add_submission(submission);
    state_.status |= csts::ready;
}

/// 7.3.2: all goes but where the admin queues are.
void Controller::reset() {
    state_.status = 0;
    namespace_.drain(block::Disk::Waiting::cancel);
    for (std::uint16_t id = 0; id < submissions_.size(); ++id) {
        remove_submission(id);
        remove_completion(id);
    }
    ControllerState fresh{.configuration = state_.configuration,
                          .admin_sizes = state_.admin_sizes,
                          .admin_submission = state_.admin_submission,
                          .admin_completion = state_.admin_completion};
    fresh.errors = std::move(state_.errors);
    fresh.error_count = state_.error_count;
    state_ = std::move(fresh);
    namespace_.set_durability(block::Durability::cached);
    update_pin();
}

/// 7.6.2: complete once what was written is on the storage.
void Controller::shut_down() {
    state_.status &= ~csts::shutdown;
    if (!alive() || namespace_.info().access == Access::read_only) {
        state_.status |= csts::shutdown_complete;
        return;
    }
    state_.status |= csts::shutdown_occurs;
    namespace_.flush(shutdown_ticket);
    namespace_.kick();
}

void Controller::fail_for_good(std::string_view why) {
    if (state_.status & csts::fatal) {
        return;
    }
    state_.status |= csts::fatal;
    parts_.log.say(failures_, LogLevel::warn, name(),
                   fmt::format("failed (CSTS.CFS) until its driver resets it: {}", why));
    update_pin();
}

void Controller::finished(Ticket ticket, Status status) {
    if (ticket.queue != shutdown_ticket.queue) {
        return post(ticket, {.status = status});
    }
    if (state_.status & csts::shutdown_occurs) {
        state_.status = (state_.status & ~csts::shutdown) | csts::shutdown_complete;
    }
}

void Controller::finished_some() { announce(); }

void Controller::messages_changed() {
    parts_.reactor.call([&] { update_pin(); });
}

ControllerState Controller::save() {
    ControllerState state;
    parts_.reactor.call([&] {
        namespace_.drain(block::Disk::Waiting::finish);
        state = state_;
        for (const auto& queue : submissions_) {
            if (queue) {
                state.submission.push_back(queue->state);
            }
        }
        for (const auto& queue : completions_) {
            if (queue) {
                state.completion.push_back(queue->state);
            }
        }
    });
    return state;
}

}  // namespace vmm::nvme

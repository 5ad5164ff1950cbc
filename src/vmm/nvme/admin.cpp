// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "queues.hpp"

#include <algorithm>
#include <vmm/nvme/prp.hpp>

namespace vmm::nvme {

Controller::MaybeAnswer Controller::administer(const Command& command) {
    if (command.flags != 0) {
        return Answer{Status::invalid_field};
    }
    switch (static_cast<AdminOpcode>(command.opcode)) {
        case AdminOpcode::delete_submission_queue:
            return Answer{delete_submission(command)};
        case AdminOpcode::create_submission_queue:
            return Answer{create_submission(command)};
        case AdminOpcode::get_log_page:
            return Answer{get_log_page(command)};
        case AdminOpcode::delete_completion_queue:
            return Answer{delete_completion(command)};
        case AdminOpcode::create_completion_queue:
            return Answer{create_completion(command)};
        case AdminOpcode::identify:
            return Answer{identify(command)};
        case AdminOpcode::abort:
            return abort(command);
        case AdminOpcode::set_features:
            return set_feature(command);
        case AdminOpcode::get_features:
            return get_feature(command);
        case AdminOpcode::event_request:
            return request_event(command);
        case AdminOpcode::doorbell_buffers:
            return Answer{set_doorbell_buffers(command)};
    }
    return Answer{Status::invalid_opcode};
}

namespace {

constexpr std::uint32_t contiguous = 1, interrupts = 2;  // of CDW11

/// The fields that both kinds of queues have: 5.3, 5.4.
struct Wanted {
    explicit Wanted(const Command& command)
        : id(command.cdw10 & 0xffff), other(static_cast<std::uint16_t>(command.cdw11 >> 16)),
          queue{.base = kvm::Gpa(command.prp1), .size = (command.cdw10 >> 16) + 1},
          is_contiguous((command.cdw11 & contiguous) != 0) {}

    std::uint32_t id;
    std::uint16_t other;  // the completion queue, or the vector
    QueueState queue;
    bool is_contiguous;

    Status check(std::size_t queues) const {
        if (id == 0 || id >= queues) {
            return Status::invalid_queue;
        }
        if (queue.size < 2 || queue.size > Controller::most_entries) {
            return Status::invalid_queue_size;
        }
        if (queue.base.value() % page_size != 0) {
            return Status::invalid_prp_offset;
        }
        return is_contiguous ? Status::success : Status::invalid_field;
    }
};

}  // namespace

Status Controller::create_submission(const Command& command) {
    const Wanted wanted(command);
    if (const Status status = wanted.check(submissions_.size()); status != Status::success) {
        return status;
    }
    if (submissions_[wanted.id]) {
        return Status::invalid_queue;
    }
    if (wanted.other == 0 || wanted.other >= completions_.size() || !completions_[wanted.other]) {
        return Status::no_completion_queue;
    }
    if ((state_.configuration & cc::submission_entry) != cc::submission_64 ||
        !check_queue(wanted.queue, sizeof(Command))) {
        return Status::invalid_field;
    }
    add_submission({.id = static_cast<std::uint16_t>(wanted.id),
                    .completion = wanted.other,
                    .queue = wanted.queue});
    return Status::success;
}

Status Controller::create_completion(const Command& command) {
    const Wanted wanted(command);
    if (const Status status = wanted.check(completions_.size()); status != Status::success) {
        return status;
    }
    if (completions_[wanted.id]) {
        return Status::invalid_queue;
    }
    if (wanted.other >= (parts_.link.has_messages() ? vectors() : 1)) {
        return Status::invalid_vector;
    }
    if ((state_.configuration & cc::completion_entry) != cc::completion_16 ||
        !check_queue(wanted.queue, sizeof(Completion))) {
        return Status::invalid_field;
    }
    add_completion({.id = static_cast<std::uint16_t>(wanted.id),
                    .vector = wanted.other,
                    .interrupts = (command.cdw11 & interrupts) != 0,
                    .queue = wanted.queue});
    return Status::success;
}

/// 5.6: its commands are done, and told of, before it is gone.
Status Controller::delete_submission(const Command& command) {
    const std::uint32_t id = command.cdw10 & 0xffff;
    if (id == 0 || id >= submissions_.size() || !submissions_[id]) {
        return Status::invalid_queue;
    }
    namespace_.drain(block::Disk::Waiting::finish);
    remove_submission(static_cast<std::uint16_t>(id));
    return Status::success;
}

Status Controller::delete_completion(const Command& command) {
    const std::uint32_t id = command.cdw10 & 0xffff;
    if (id == 0 || id >= completions_.size() || !completions_[id]) {
        return Status::invalid_queue;
    }
    const auto is_its = [&](const auto& queue) { return queue && queue->state.completion == id; };
    if (std::ranges::any_of(submissions_, is_its)) {
        return Status::invalid_deletion;
    }
    remove_completion(static_cast<std::uint16_t>(id));
    return Status::success;
}

Status Controller::set_doorbell_buffers(const Command& command) {
    const DoorbellBuffers buffers{kvm::Gpa(command.prp1), kvm::Gpa(command.prp2)};
    for (const kvm::Gpa page : {buffers.values, buffers.events}) {
        if (page.value() % page_size != 0 || !parts_.memory.contains(page, page_size)) {
            return Status::invalid_field;
        }
    }
    const auto before = std::exchange(state_.doorbells, buffers);
    const auto begin = [&](const auto& queue) { return !queue || begin_buffers(*queue); };
    if (!std::ranges::all_of(submissions_, begin) || !std::ranges::all_of(completions_, begin)) {
        state_.doorbells = before;  // it cannot be written
        return Status::invalid_field;
    }
    for (const auto& queue : submissions_) {
        if (queue) {
            connect(*queue);
        }
    }
    return Status::success;
}

/// 5.1. What the disk has cannot be called back: what waits for an event alone can.
Controller::Answer Controller::abort(const Command& command) {
    constexpr std::uint32_t not_aborted = 1;
    const std::uint32_t queue = command.cdw10 & 0xffff, id = command.cdw10 >> 16;
    auto& requests = state_.event_requests;
    const auto request = std::ranges::find(requests, id);
    if (queue != 0 || request == requests.end() || !has_room(*completions_[0])) {
        return {.result = not_aborted};
    }
    requests.erase(request);
    ++completions_[0]->reserved;
    post({0, static_cast<std::uint16_t>(id)}, {.status = Status::aborted});
    return {};
}

/// 5.2. It may wait for ever, so no entry of the completion queue is kept for it.
Controller::MaybeAnswer Controller::request_event(const Command& command) {
    if (state_.event_requests.size() == most_event_requests) {
        return Answer{Status::too_many_event_requests};
    }
    state_.event_requests.push_back(command.id);
    --completions_[0]->reserved;
    deliver_event();
    return std::nullopt;
}

void Controller::report_event(std::uint32_t event) {
    if (!state_.event_masked && !state_.event) {
        state_.event = event;
        deliver_event();
    }
}

void Controller::deliver_event() {
    if (!alive() || !state_.event || state_.event_requests.empty() || !has_room(*completions_[0])) {
        return;
    }
    const std::uint16_t id = state_.event_requests.front();
    state_.event_requests.erase(state_.event_requests.begin());
    ++completions_[0]->reserved;
    post({0, id}, {.result = *std::exchange(state_.event, std::nullopt)});
    state_.event_masked = true;
}

/// Data for the driver.
Status Controller::give(const Command& command, std::span<const std::byte> data) {
    std::vector<GuestBuffer> buffers;
    const Status status =
        collect_prps(parts_.memory, command.prp1, command.prp2, data.size(), buffers);
    if (status != Status::success) {
        return status;
    }
    return vmm::write(parts_.memory, buffers, 0, data) ? Status::success
                                                       : Status::data_transfer_error;
}

}  // namespace vmm::nvme

// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "queues.hpp"

#include <cerrno>
#include <fmt/format.h>
#include <kvm/try.hpp>

/// A controller that goes on from where another was.
namespace vmm::nvme {

Result<void> Controller::check(const ControllerState& state) const {
    const auto no_such = [&](std::string_view what) {
        return fail(fmt::format("{}: a state of another device: {}", name(), what), EINVAL);
    };
    std::vector<bool> completions(completions_.size()), submissions(submissions_.size());
    for (const CompletionState& queue : state.completion) {
        if (queue.id >= completions.size() || completions[queue.id] || queue.vector >= vectors()) {
            return no_such("a completion queue");
        }
        completions[queue.id] = true;
        KVM_TRY(check_queue(queue.queue, sizeof(Completion)));
    }
    for (const SubmissionState& queue : state.submission) {
        if (queue.id >= submissions.size() || submissions[queue.id] ||
            queue.completion >= completions.size() || !completions[queue.completion] ||
            (queue.id == 0) != (queue.completion == 0)) {
            return no_such("a submission queue");
        }
        submissions[queue.id] = true;
        KVM_TRY(check_queue(queue.queue, sizeof(Command)));
    }
    if ((state.status & csts::ready) && !(submissions[0] && completions[0])) {
        return no_such("no admin queues");
    }
    if (state.event_requests.size() > most_event_requests || state.errors.size() > most_errors) {
        return no_such("events");
    }
    if (state.doorbells) {
        for (const kvm::Gpa page : {state.doorbells->values, state.doorbells->events}) {
            if (page.value() % page_size != 0 || !parts_.memory.contains(page, page_size)) {
                return no_such("doorbell buffers");
            }
        }
    }
    return {};
}

Result<void> Controller::restore(const ControllerState& state) {
    KVM_TRY(check(state));
    parts_.reactor.call([&] {
        state_ = state;
        state_.submission.clear();
        state_.completion.clear();
        state_.doorbells.reset();  // whose contents are the memory's, to be left as they are
        for (const CompletionState& queue : state.completion) {
            add_completion(queue);
        }
        for (const SubmissionState& queue : state.submission) {
            add_submission(queue);
        }
        state_.doorbells = state.doorbells;
        namespace_.set_durability(state.features.volatile_cache & 1 ? block::Durability::cached
                                                                    : block::Durability::stored);
        for (std::uint16_t id = 0; id < submissions_.size(); ++id) {
            if (submissions_[id]) {
                if (state_.doorbells) {
                    connect(*submissions_[id]);
                }
                serve(id);
            }
        }
        update_pin();
    });
    return {};
}

}  // namespace vmm::nvme

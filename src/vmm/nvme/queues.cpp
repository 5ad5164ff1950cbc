// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "queues.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <fmt/format.h>

namespace vmm::nvme {

namespace {

/// How many commands of a queue are begun at once, before other devices have their turn.
constexpr std::size_t budget = 256;

}  // namespace

/// Errors: EINVAL.
Result<void> Controller::check_queue(const QueueState& queue, std::uint64_t entry_size) const {
    if (queue.size < 2 || queue.head >= queue.size || queue.tail >= queue.size) {
        return fail(
            fmt::format("a queue of {} entries, from {} to {}", queue.size, queue.head, queue.tail),
            EINVAL);
    }
    if (queue.base.value() % page_size != 0 ||
        !parts_.memory.contains(queue.base, queue.size * entry_size)) {
        return fail(fmt::format("a queue of {} entries at {:#x}, which is no memory or within a "
                                "page",
                                queue.size, queue.base.value()),
                    EINVAL);
    }
    return {};
}

void Controller::add_submission(const SubmissionState& state) {
    auto& queue = submissions_[state.id] = std::make_unique<Submission>();
    queue->state = state;
    if (state_.doorbells && begin_buffers(*queue)) {
        connect(*queue);
    }
}

void Controller::add_completion(const CompletionState& state) {
    auto& queue = completions_[state.id] = std::make_unique<Completions>();
    queue->state = state;
    if (state_.doorbells) {
        (void)begin_buffers(*queue);
    }
}

void Controller::remove_submission(std::uint16_t id) {
    if (submissions_[id] && submissions_[id]->bell) {
        parts_.link.connect(id, std::nullopt);
    }
    submissions_[id].reset();
}

void Controller::remove_completion(std::uint16_t id) { completions_[id].reset(); }

/// With doorbell buffers, the value of a doorbell is in memory: KVM need but tell of the write. The
/// admin queue's drivers know no buffers.
void Controller::connect(Submission& queue) {
    const std::uint16_t id = queue.state.id;
    if (id == 0 || queue.bell) {
        return;
    }
    auto bell = kvm::EventFd::create(0, kvm::EventFdFlag::nonblock);
    if (!bell) {
        return parts_.log.say(failures_, LogLevel::warn, name(), Error(bell.error()).message);
    }
    queue.bell.emplace(std::move(*bell));
    auto watch =
        parts_.reactor.watch(*queue.bell, Ready::read, [this, id, &queue](kvm::Flags<Ready>) {
            (void)queue.bell->read();
            serve(id);
        });
    if (!watch) {
        queue.bell.reset();
        return parts_.log.say(failures_, LogLevel::warn, name(), watch.error().message);
    }
    queue.watch = std::move(*watch);
    parts_.link.connect(id, *queue.bell);
}

bool Controller::tell(kvm::Gpa page, std::uint32_t index, std::uint32_t value) {
    return parts_.memory.store_release(page + std::uint64_t{4} * index, value).has_value();
}

/// What the driver's buffer has. Nothing, and the controller failed, if it is no memory any more.
std::optional<std::uint32_t> Controller::told(std::uint32_t index) {
    const kvm::Gpa at = state_.doorbells->values + std::uint64_t{4} * index;
    const auto value = parts_.memory.load_acquire<std::uint32_t>(at);
    if (!value) {
        fail_for_good("the doorbell buffers are gone: " + value.error().message);
        return std::nullopt;
    }
    return *value;
}

bool Controller::begin_buffers(Submission& queue) {
    const std::uint32_t index = tail_index(queue.state.id), tail = queue.state.queue.tail;
    return tell(state_.doorbells->values, index, tail) &&
           tell(state_.doorbells->events, index, tail);
}

bool Controller::begin_buffers(Completions& queue) {
    const std::uint32_t index = head_index(queue.state.id), head = queue.state.queue.head;
    return tell(state_.doorbells->values, index, head) &&
           tell(state_.doorbells->events, index, head);
}

/// 5.2: what the driver wrote to a doorbell is wrong: `what` is 0 if there is no such doorbell, and
/// 1 if the value is none of its.
void Controller::bad_doorbell(std::uint8_t what, std::uint64_t index, std::uint32_t value) {
    parts_.log.say(
        bad_doorbells_, LogLevel::warn, name(),
        fmt::format("{} {} has a doorbell value that is none: {}",
                    index % 2 ? "completion queue" : "submission queue", index / 2, value));
    constexpr std::uint32_t error_log = 1 << 16;
    note_error({static_cast<std::uint16_t>(index / 2), 0xffff}, Status::invalid_field);
    report_event(error_log | std::uint32_t{what} << 8);
}

bool Controller::accept_tail(Submission& queue, std::uint32_t tail) {
    if (tail >= queue.state.queue.size) {
        bad_doorbell(1, tail_index(queue.state.id), tail);
        return false;
    }
    queue.state.queue.tail = tail;
    return true;
}

/// The head may go on as far as there are entries.
bool Controller::accept_head(Completions& queue, std::uint32_t head) {
    QueueState& q = queue.state.queue;
    if (head >= q.size || (head + q.size - q.head) % q.size > queue.used()) {
        bad_doorbell(1, head_index(queue.state.id), head);
        return false;
    }
    q.head = head;
    return true;
}

/// A write to a doorbell's register. 3.1.20, 3.1.21.
void Controller::ring(std::uint64_t index, std::uint32_t value) {
    const std::uint64_t number = index / 2;
    if (!alive()) {
        return;
    }
    if (number >= submissions_.size() ||
        !(index % 2 ? completions_[number] != nullptr : submissions_[number] != nullptr)) {
        return bad_doorbell(0, index, value);
    }
    const auto id = static_cast<std::uint16_t>(number);
    if (state_.doorbells && id == 0) {
        (void)tell(state_.doorbells->values, static_cast<std::uint32_t>(index), value);
    }
    if (index % 2 == 0) {
        if (state_.doorbells || accept_tail(*submissions_[id], value)) {
            serve(id);
        }
        return;
    }
    Completions& queue = *completions_[id];
    if (!(state_.doorbells ? read_head(queue) : accept_head(queue, value))) {
        return;
    }
    update_pin();
    if (std::exchange(queue.blocks, false)) {
        for (std::uint16_t i = 0; i < submissions_.size(); ++i) {
            if (submissions_[i] && submissions_[i]->state.completion == id) {
                serve(i);
            }
        }
    }
    if (id == 0) {
        deliver_event();
    }
}

/// Whether the driver's buffer has a tail that is further. If not, the driver rings at the next.
bool Controller::find_tail(Submission& queue) {
    if (!state_.doorbells) {
        return false;
    }
    const std::uint32_t index = tail_index(queue.state.id), tail = queue.state.queue.tail;
    auto value = told(index);
    if (value == tail) {
        (void)tell(state_.doorbells->events, index, tail);
        std::atomic_thread_fence(std::memory_order_seq_cst);
        value = told(index);
    }
    return value && value != tail && accept_tail(queue, *value);
}

bool Controller::read_head(Completions& queue) {
    const auto value = told(head_index(queue.state.id));
    return value && accept_head(queue, *value);
}

/// Where the driver's buffer says that the head is; it rings when it moves on. Ends, for the head
/// goes no further than there are entries.
void Controller::find_head(Completions& queue) {
    std::uint32_t before = 0;
    do {
        before = queue.state.queue.head;
        (void)tell(state_.doorbells->events, head_index(queue.state.id), before);
        std::atomic_thread_fence(std::memory_order_seq_cst);
    } while (read_head(queue) && queue.state.queue.head != before);
}

bool Controller::has_room(Completions& queue) {
    if (!queue.has_free() && state_.doorbells) {
        find_head(queue);
    }
    queue.blocks |= !queue.has_free();  // until the driver rings
    return queue.has_free();
}

void Controller::serve_all() {
    for (std::uint16_t id = 0; id < submissions_.size(); ++id) {
        if (submissions_[id] && std::exchange(submissions_[id]->more, false)) {
            serve(id);
        }
    }
}

void Controller::serve(std::uint16_t id) {
    for (std::size_t n = 0; alive() && submissions_[id] && serve_one(*submissions_[id]); ++n) {
        if (n == budget) {
            submissions_[id]->more = true;
            again_->start(std::chrono::nanoseconds(0));
            break;
        }
    }
    namespace_.kick();
    announce();
}

/// Takes a command, for whose completion there is room, and begins it. False if there is none.
bool Controller::serve_one(Submission& queue) {
    QueueState& q = queue.state.queue;
    Completions& completions = *completions_[queue.state.completion];
    if ((q.head == q.tail && !find_tail(queue)) || !has_room(completions)) {
        return false;
    }
    Command command;
    const kvm::Gpa at = q.base + std::uint64_t{q.head} * sizeof command;
    if (auto done = parts_.memory.read(at, std::as_writable_bytes(std::span(&command, 1))); !done) {
        fail_for_good(fmt::format("submission queue {}: {}", queue.state.id, done.error().message));
        return false;
    }
    q.head = (q.head + 1) % q.size;
    ++completions.reserved;
    const Ticket ticket{queue.state.id, command.id};
    if (ticket.queue != 0) {
        if (const auto status = namespace_.execute(command, ticket)) {
            post(ticket, {.status = *status});
        }
    } else if (const auto answer = administer(command)) {
        post(ticket, *answer);
    }
    return true;
}

/// Into the entry that is reserved for it.
void Controller::post(Ticket ticket, const Answer& answer) {
    if (!alive()) {
        return;
    }
    const Submission& from = *submissions_[ticket.queue];
    Completions& queue = *completions_[from.state.completion];
    QueueState& q = queue.state.queue;
    if (answer.status != Status::success && answer.status != Status::aborted) {
        note_error(ticket, answer.status);
    }
    const std::uint32_t status = status_field(answer.status) | (queue.state.phase ? 1U : 0U);
    const Completion entry{.result = answer.result,
                           .submission_head = static_cast<std::uint16_t>(from.state.queue.head),
                           .submission_queue = ticket.queue,
                           .id_and_status = status << 16 | ticket.command};
    constexpr std::size_t last = offsetof(Completion, id_and_status);
    const kvm::Gpa at = q.base + std::uint64_t{q.tail} * sizeof entry;
    auto done = parts_.memory.write(at, std::as_bytes(std::span(&entry, 1)).first(last));
    if (done) {
        done = parts_.memory.store_release(at + last, entry.id_and_status);
    }
    if (!done) {
        return fail_for_good(
            fmt::format("completion queue {}: {}", queue.state.id, done.error().message));
    }
    --queue.reserved;
    queue.fresh = true;
    q.tail = (q.tail + 1) % q.size;
    queue.state.phase = queue.state.phase != (q.tail == 0);
}

/// Interrupts for what was posted.
void Controller::announce() {
    if (!parts_.link.has_messages()) {
        return update_pin();
    }
    for (const auto& queue : completions_) {
        if (queue && std::exchange(queue->fresh, false) && queue->state.interrupts && alive()) {
            parts_.link.signal(queue->state.vector);
        }
    }
}

/// A pin is up while there is an entry that the driver has not taken: 7.5.1.1.
void Controller::update_pin() {
    const auto is_up = [](const auto& queue) {
        return queue && queue->state.interrupts && queue->used() > 0;
    };
    bool up = false;
    if (alive() && !parts_.link.has_messages() && (state_.interrupt_mask & 1) == 0) {
        if (state_.doorbells) {
            for (const auto& queue : completions_) {
                if (is_up(queue)) {
                    find_head(*queue);  // which may report an event, in the admin's queue
                }
            }
        }
        up = std::ranges::any_of(completions_, is_up);
    }
    parts_.link.set_pin(up ? kvm::Level::high : kvm::Level::low);
}

}  // namespace vmm::nvme

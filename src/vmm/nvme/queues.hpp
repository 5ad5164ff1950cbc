// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <vmm/nvme/controller.hpp>

namespace vmm::nvme {

struct Controller::Submission {
    SubmissionState state;
    bool more = false;                 // it was not served to the end
    std::optional<kvm::EventFd> bell;  // while there are doorbell buffers, of an I/O queue
    Reactor::Watch watch;
};

struct Controller::Completions {
    CompletionState state;
    std::uint32_t reserved = 0;  // entries for commands that were taken
    bool fresh = false;          // entries that were not announced
    bool blocks = false;         // there was no room for a command's

    std::uint32_t used() const {
        const QueueState& q = state.queue;
        return (q.tail + q.size - q.head) % q.size;
    }
    bool has_free() const { return used() + reserved < state.queue.size - 1; }
};

/// Of what is no command: the flush at a shutdown.
inline constexpr Ticket shutdown_ticket{0xffff, 0xffff};

/// A status as completions and error entries have it, without the phase: 4.6.1. Of what is aborted
/// alone a driver may hope that it goes better the next time.
inline std::uint16_t status_field(Status status) {
    constexpr std::uint16_t do_not_retry = 1 << 14;
    const bool again = status == Status::success || status == Status::aborted;
    return static_cast<std::uint16_t>((static_cast<unsigned>(status) | (again ? 0 : do_not_retry))
                                      << 1);
}

/// A queue's place in the doorbell registers and buffers.
inline std::uint32_t tail_index(std::uint16_t queue) { return 2U * queue; }
inline std::uint32_t head_index(std::uint16_t queue) { return 2U * queue + 1; }

}  // namespace vmm::nvme

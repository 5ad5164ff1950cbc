// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <array>
#include <cstdint>
#include <kvm/types.hpp>
#include <optional>
#include <vector>

namespace vmm::nvme {

/// What a driver can set, as it is now and after a reset: 5.21.1.
struct Features {
    std::uint32_t arbitration = 0;
    std::uint32_t power_management = 0;
    std::array<std::uint32_t, 2> temperature_threshold{0x157, 0};  ///< over, under; kelvin
    std::uint32_t error_recovery = 0;
    std::uint32_t volatile_cache = 1;
    std::uint32_t coalescing = 0;
    std::uint32_t write_atomicity = 0;
    std::uint32_t events = 0;

    friend bool operator==(const Features&, const Features&) = default;
};

/// Where a queue is, in whole pages, and how far it is.
struct QueueState {
    kvm::Gpa base{};
    std::uint32_t size = 0;  ///< entries, from 2 on
    std::uint32_t head = 0;
    std::uint32_t tail = 0;

    friend bool operator==(const QueueState&, const QueueState&) = default;
};

struct SubmissionState {
    std::uint16_t id = 0;
    std::uint16_t completion = 0;  ///< its completion queue
    QueueState queue{};

    friend bool operator==(const SubmissionState&, const SubmissionState&) = default;
};

struct CompletionState {
    std::uint16_t id = 0;
    std::uint16_t vector = 0;
    bool interrupts = false;
    bool phase = true;  ///< of the next entry
    QueueState queue{};

    friend bool operator==(const CompletionState&, const CompletionState&) = default;
};

/// Two pages in which driver and controller tell each other of doorbells, in place of the
/// registers: 5.7. Each has 4 bytes for each doorbell.
struct DoorbellBuffers {
    kvm::Gpa values{};  ///< the driver's
    kvm::Gpa events{};  ///< the controller's: from which value on the register is to be written

    friend bool operator==(const DoorbellBuffers&, const DoorbellBuffers&) = default;
};

/// An error that the driver can read of, the first half of an entry of the log: 5.14.1.1.
struct ErrorEntry {
    std::uint64_t count = 0;  ///< it is the so-manyth, from 1 on
    std::uint16_t queue = 0;
    std::uint16_t command = 0;
    std::uint16_t status = 0;    ///< as in a completion
    std::uint16_t location = 0;  ///< of what is wrong in the command: is not said
    std::uint64_t block = 0;     ///< the same
    std::uint32_t nsid = 0;
    std::uint32_t unused = 0;

    friend bool operator==(const ErrorEntry&, const ErrorEntry&) = default;
};

/// A controller with all that its driver did to it, in plain data: what another goes on from.
struct ControllerState {
    std::uint32_t interrupt_mask = 0;
    std::uint32_t configuration = 0;  ///< CC
    std::uint32_t status = 0;         ///< CSTS
    std::uint32_t admin_sizes = 0;    ///< AQA
    std::uint64_t admin_submission = 0;
    std::uint64_t admin_completion = 0;
    Features features{};
    std::vector<SubmissionState> submission{};
    std::vector<CompletionState> completion{};
    std::optional<DoorbellBuffers> doorbells{};
    std::vector<std::uint16_t> event_requests{};  ///< commands that wait for an event
    std::optional<std::uint32_t> event{};         ///< that nobody was told of yet
    bool event_masked = false;                    ///< until its log page is read
    std::vector<ErrorEntry> errors{};             ///< the last ones, the newest first
    std::uint64_t error_count = 0;
};

}  // namespace vmm::nvme

// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstddef>
#include <cstdint>

/// NVMe: a disk as a controller with queues. NVM Express Base Specification 1.4, whose sections the
/// comments name.
namespace vmm::nvme {

inline constexpr std::uint64_t page_size = 4096;  ///< the only one there is: CAP.MPSMIN, MPSMAX
inline constexpr std::uint32_t broadcast = 0xffffffff;  ///< all namespaces

/// Registers, 3.1: offsets in BAR 0.
namespace reg {
inline constexpr std::uint64_t cap = 0x00, vs = 0x08, intms = 0x0c, intmc = 0x10, cc = 0x14;
inline constexpr std::uint64_t csts = 0x1c, aqa = 0x24, asq = 0x28, acq = 0x30, end = 0x38;
/// A submission queue's tail, its completion queue's head, and so on, 4 bytes each.
inline constexpr std::uint64_t doorbells = 0x1000;
}  // namespace reg

/// Controller configuration, 3.1.5.
namespace cc {
inline constexpr std::uint32_t enable = 1, command_set = 7 << 4, memory_page = 15 << 7;
inline constexpr std::uint32_t arbitration = 7 << 11, shutdown = 3 << 14;
inline constexpr std::uint32_t submission_entry = 15 << 16, completion_entry = 15 << 20;
/// log2 of the entries' sizes, in place.
inline constexpr std::uint32_t submission_64 = 6 << 16, completion_16 = 4 << 20;
}  // namespace cc

/// Controller status, 3.1.6.
namespace csts {
inline constexpr std::uint32_t ready = 1, fatal = 2, shutdown = 3 << 2;
inline constexpr std::uint32_t shutdown_occurs = 1 << 2, shutdown_complete = 2 << 2;
}  // namespace csts

/// Admin commands, 5.
enum class AdminOpcode : std::uint8_t {
    delete_submission_queue = 0x00,
    create_submission_queue = 0x01,
    get_log_page = 0x02,
    delete_completion_queue = 0x04,
    create_completion_queue = 0x05,
    identify = 0x06,
    abort = 0x08,
    set_features = 0x09,
    get_features = 0x0a,
    event_request = 0x0c,
    doorbell_buffers = 0x7c,
};

/// I/O commands, 6.
enum class Opcode : std::uint8_t {
    flush = 0x00,
    write = 0x01,
    read = 0x02,
    write_zeroes = 0x08,
    dataset_management = 0x09,
};

/// 5.21.1.
enum class Feature : std::uint8_t {
    arbitration = 0x01,
    power_management = 0x02,
    temperature_threshold = 0x04,
    error_recovery = 0x05,
    volatile_cache = 0x06,
    queues = 0x07,
    coalescing = 0x08,
    vector = 0x09,
    write_atomicity = 0x0a,
    events = 0x0b,
};

/// How a command ended: 4.6.1.2, the status code's type and the code.
enum class Status : std::uint16_t {
    success = 0x000,
    invalid_opcode = 0x001,
    invalid_field = 0x002,
    data_transfer_error = 0x004,
    internal_error = 0x006,
    aborted = 0x007,
    invalid_namespace = 0x00b,
    sequence_error = 0x00c,
    invalid_prp_offset = 0x013,
    write_protected = 0x020,
    out_of_range = 0x080,
    capacity_exceeded = 0x081,
    no_completion_queue = 0x100,
    invalid_queue = 0x101,
    invalid_queue_size = 0x102,
    too_many_event_requests = 0x105,
    invalid_vector = 0x108,
    invalid_log_page = 0x109,
    invalid_deletion = 0x10c,
    not_saveable = 0x10d,
    not_changeable = 0x10e,
    write_fault = 0x280,
    unrecovered_read = 0x281,
};

/// A submission queue's entry, 4.2.
struct Command {
    std::uint8_t opcode = 0;
    std::uint8_t flags = 0;  ///< fused operation, and whether the data is said by SGLs: neither is
    std::uint16_t id = 0;
    std::uint32_t nsid = 0;  // 0x04
    std::uint64_t unused = 0;
    std::uint64_t metadata = 0;  // 0x10
    std::uint64_t prp1 = 0;
    std::uint64_t prp2 = 0;  // 0x20
    std::uint32_t cdw10 = 0;
    std::uint32_t cdw11 = 0;
    std::uint32_t cdw12 = 0;  // 0x30
    std::uint32_t cdw13 = 0;
    std::uint32_t cdw14 = 0;
    std::uint32_t cdw15 = 0;

    /// Fields of two words.
    std::uint64_t cdw10_11() const { return std::uint64_t{cdw11} << 32 | cdw10; }
    std::uint64_t cdw12_13() const { return std::uint64_t{cdw13} << 32 | cdw12; }
};
static_assert(sizeof(Command) == 64 && offsetof(Command, prp2) == 0x20);

/// A completion queue's entry, 4.6.
struct Completion {
    std::uint32_t result = 0;
    std::uint32_t unused = 0;
    std::uint16_t submission_head = 0;
    std::uint16_t submission_queue = 0;
    std::uint32_t id_and_status = 0;  ///< bits 15:0 the command's id, 16 the phase, 31:17 status
};
static_assert(sizeof(Completion) == 16);

}  // namespace vmm::nvme

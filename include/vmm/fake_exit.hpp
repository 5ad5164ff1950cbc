// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstdint>
#include <kvm/exit.hpp>
#include <optional>
#include <string>
#include <variant>

/// Exits as plain data, which outlive their kvm_run: what scripts of vmm::fake are made of and what
/// recordings hold. Bytes are in strings.
namespace vmm::fake {

/// exit::IoOut: `data` is `size` bytes for each access.
struct IoOut {
    kvm::Port port{};
    std::string data;
    std::uint8_t size = 1;

    friend bool operator==(const IoOut&, const IoOut&) = default;
};

/// exit::IoIn: `reply`, `size` * `count` bytes, is what the machine is to answer, if given.
struct IoIn {
    kvm::Port port{};
    std::uint8_t size = 1;
    std::uint32_t count = 1;
    std::optional<std::string> reply{};

    friend bool operator==(const IoIn&, const IoIn&) = default;
};

/// exit::MmioWrite, of 1 to 8 bytes.
struct MmioWrite {
    kvm::Gpa address{};
    std::string data;

    friend bool operator==(const MmioWrite&, const MmioWrite&) = default;
};

/// exit::MmioRead, of 1 to 8 bytes.
struct MmioRead {
    kvm::Gpa address{};
    std::uint32_t size = 4;
    std::optional<std::string> reply{};

    friend bool operator==(const MmioRead&, const MmioRead&) = default;
};

/// exit::Rdmsr: the reply is a value, or an error other than 0, which gives the guest a #GP.
struct Rdmsr {
    std::uint32_t index = 0;
    kvm::MsrExitReason why = kvm::MsrExitReason::unknown;
    std::optional<std::uint64_t> reply{};
    std::optional<std::uint8_t> error{};

    friend bool operator==(const Rdmsr&, const Rdmsr&) = default;
};

/// exit::Wrmsr.
struct Wrmsr {
    std::uint32_t index = 0;
    std::uint64_t value = 0;
    kvm::MsrExitReason why = kvm::MsrExitReason::unknown;
    std::optional<std::uint8_t> error{};

    friend bool operator==(const Wrmsr&, const Wrmsr&) = default;
};

/// exit::InternalError, with the bytes of the instruction that could not be emulated, or none.
struct InternalError {
    std::uint32_t suberror = 1;
    std::string insn{};

    friend bool operator==(const InternalError&, const InternalError&) = default;
};

/// exit::FailEntry.
struct FailEntry {
    std::uint64_t reason = 0;

    friend bool operator==(const FailEntry&, const FailEntry&) = default;
};

/// exit::SystemEvent, without data.
struct SystemEvent {
    kvm::exit::SystemEventType type{};

    friend bool operator==(const SystemEvent&, const SystemEvent&) = default;
};

/// exit::MemoryFault.
struct MemoryFault {
    kvm::Gpa address{};
    std::uint64_t size = 4096;

    friend bool operator==(const MemoryFault&, const MemoryFault&) = default;
};

/// Any other exit, by its reason: exit::Hlt, exit::Shutdown, exit::Interrupted, one that is newer
/// than the library. Its payload is zeroes.
struct OtherExit {
    kvm::ExitReason reason{};

    friend bool operator==(const OtherExit&, const OtherExit&) = default;
};

/// An exit with its reply.
using ExitData = std::variant<IoOut, IoIn, MmioWrite, MmioRead, Rdmsr, Wrmsr, InternalError,
                              FailEntry, SystemEvent, MemoryFault, OtherExit>;

/// The exit as data, with the reply that it has now.
ExitData copy(const kvm::Exit& exit);

/// How many bytes of I/O data fit into a kvm_run page that put() fills.
inline constexpr std::size_t io_room = 4096;

/// A kvm_run with the room behind it that port I/O needs.
struct RunPage {
    kvm::Run run{};
    std::byte io[io_room]{};
};

/// Fills `page` as the kernel would; replies are left open: all-zero bytes. What does not fit is
/// cut off: I/O to io_room, MMIO to 8 bytes, an instruction to 15.
void put(const ExitData& exit, RunPage& page);

/// Where the reply differs from what `expected` says, "data is 60, not 61"; "" if nowhere. Only
/// replies that `expected` has are compared.
std::string compare_reply(const ExitData& expected, const ExitData& got);

/// Bytes as hexadecimal digits.
std::string to_hex(std::string_view bytes);

}  // namespace vmm::fake

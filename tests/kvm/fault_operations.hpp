// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include "fault_kernel.hpp"

#include <optional>

namespace kvm::test {

/// One object of each kind, made under the FakeKernel.
struct World {
    World();

    static constexpr std::size_t memory_size = 128 * 4096;
    alignas(4096) inline static std::byte memory[2 * memory_size];
    static std::span<std::byte> own_memory() { return {memory, memory_size}; }
    static std::span<std::byte> more_memory() { return {memory + memory_size, memory_size}; }

    FakeKernel kernel;
    Kvm kvm;
    Vm vm;
    Memslot slot;  // slot 0
    Vcpu vcpu;
    Device device;
    EventFd event;
    GuestMemfd guest_memfd;
    Stats stats;
    u64 bitmap[2] = {};
};

/// A system call that an operation makes: what its failure is called, the errnos that are not
/// failures (retried, or an answer), and those that are told as another.
struct Step {
    const char* what;
    std::vector<int> absorbed = {};
    std::map<int, int> told_as = {};
};

/// A public operation, the system calls that it makes in order, and itself: the error, if it
/// failed.
struct Operation {
    const char* name;
    std::vector<Step> steps;
    std::function<std::optional<Error>(World&)> run;
};

/// Every public operation of the core that makes a system call.
std::vector<Operation> system_operations();
std::vector<Operation> vm_operations();
std::vector<Operation> vcpu_operations();
std::vector<Operation> object_operations();
std::vector<Operation> sev_operations();
std::vector<Operation> tdx_operations();
std::vector<Operation> foreign_operations();

template <class T>
std::optional<Error> error_of(const Result<T>& result) {
    return result ? std::nullopt : std::optional(result.error());
}

}  // namespace kvm::test

/// An Operation that is one expression on a World `w`. The steps are a braced list.
#define KVMXX_OPERATION(EXPRESSION, ...)                                                           \
    {#EXPRESSION, __VA_ARGS__, []([[maybe_unused]] World& w) { return error_of(EXPRESSION); }}
/// One with a single system call, of which nothing is absorbed.
#define KVMXX_ONE_CALL(WHAT, EXPRESSION) KVMXX_OPERATION(EXPRESSION, {{WHAT}})

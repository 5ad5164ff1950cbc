// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <set>
#include <vmm/fake.hpp>

namespace vmm::fake::detail {

struct World;

struct VcpuWorld {
    VcpuWorld(std::shared_ptr<World> w, std::uint32_t number) : world(std::move(w)), id(number) {}

    std::shared_ptr<World> world;
    const std::uint32_t id;
    RunPage page;  // its thread's own
    // World::mutex protects the rest.
    bool kicked = false;
    std::size_t step = 0;              // how many exits there were
    std::optional<ExitData> expected;  // the last exit, until its reply was looked at
};

/// The hypervisor. Everything that a machine holds of it refers to it.
struct World {
    /// A call of that name, kept; fails if it is to. With `mutex` held.
    kvm::Result<void> enter(const char* call);

    // What interrupts came that were not awaited yet; true takes it. With `mutex` held.
    bool take_pulse(kvm::Gsi gsi);
    bool take_message(std::uint32_t data);

    mutable std::mutex mutex;         // of what follows
    std::condition_variable changed;  // a kick, or a line
    std::map<int, int> caps;
    std::vector<kvm::CpuidEntry2> cpuid;
    std::map<std::uint32_t, std::deque<Step>> scripts;
    std::vector<const char*> calls;
    std::vector<std::string> mismatches;
    bool vm_exists = false;
    VmState vm;
    std::map<std::uint32_t, VcpuState> vcpus;
    std::map<kvm::Gsi, kvm::Level> lines;
    std::set<kvm::Gsi> risen;            // lines, and the guest did not await it yet
    std::set<std::uint32_t> messages;    // the data of those that were signalled, likewise
    std::map<int, kvm::EventFd> irqfds;  // by the descriptor that was given: another of the same
    std::size_t alive = 0;

    struct Failure {
        std::string call;  // "" for any
        std::size_t nth;
        int code;
    };
    std::vector<Failure> failures;
};

}  // namespace vmm::fake::detail

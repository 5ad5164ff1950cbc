// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <functional>
#include <vmm/log.hpp>
#include <vmm/machine/config.hpp>

namespace vmm {

/// Where a machine is in its life. See docs/machine.md.
enum class MachineState {
    created,  ///< has not been started
    running,
    paused,  ///< no vCPU runs, no device gets input
    ended,   ///< its threads are gone and its output is written
};
/// "created", "running", ...
const char* describe(MachineState state);

/// What a machine tells, each if it is there. Called by the thread that made it so, which may be
/// any of the machine's, one call at a time and in order. They may call state() and stop() of the
/// machine; what waits fails with EDEADLK. They must not throw.
struct MachineEvents {
    /// The machine has this state now.
    std::function<void(MachineState)> state{};
    /// The machine has ended so. After state(ended), the last call.
    std::function<void(const Result<End>&)> end{};
    /// What else there is to say, from any thread, from several at once, also while the machine is
    /// made: what it is made of, phases, devices that the guest lied to, accesses to nothing.
    Log log{};
};

}  // namespace vmm

// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <vmm/device/lines.hpp>
#include <vmm/device/reactor.hpp>
#include <vmm/log.hpp>
#include <vmm/memory/guest_memory.hpp>

namespace vmm::pci {

/// What a function that works on the guest's memory by itself is connected to; it all outlives the
/// function.
struct DeviceWires {
    const GuestMemory& memory;
    Reactor& reactor;
    MessageController& messages;
    Doorbells& doorbells;
    Log log;
};

}  // namespace vmm::pci

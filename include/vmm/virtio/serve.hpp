// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <optional>
#include <vmm/virtio/device.hpp>

namespace vmm::virtio {

/// Pops each chain of a queue and calls `handle(chain)`, until there is none: the usual notified().
/// handle() returns a Result<std::optional<std::uint32_t>>: how many bytes it wrote, with which the
/// chain is pushed; std::nullopt if it keeps the chain and pushes it later by itself; or an error,
/// which disables the device. At the end the driver is interrupted if it wants that. `budget`
/// chains at most are served at once; false if they were so many that the caller is to come back
/// of itself, by a timer of no delay.
template <class Handle>
bool serve(Host& host, std::uint16_t index, Chain& chain, std::size_t budget, Handle&& handle) {
    const auto failed = [&](const Error& error) {
        host.disable(error.message);
        return true;
    };
    bool pushed = false;
    const auto finish = [&](bool done) {
        if (pushed) {
            host.interrupt(index);
        }
        return done;
    };
    Queue* queue = host.queue(index);
    if (!queue) {
        return true;
    }
    queue->disable_notifications();
    for (;;) {
        const auto popped = queue->pop(chain);
        if (!popped) {
            return failed(popped.error());
        }
        if (!*popped) {
            if (!queue->enable_notifications()) {
                return finish(true);
            }
            queue->disable_notifications();
            continue;
        }
        Result<std::optional<std::uint32_t>> written = handle(chain);
        if (!written) {
            return failed(written.error());
        }
        queue = host.queue(index);  // handle() may have disabled the device
        if (!queue) {
            return true;
        }
        if (*written) {
            queue->push(chain, **written);
            pushed = true;
        }
        if (budget-- <= 1) {
            return finish(false);
        }
    }
}

}  // namespace vmm::virtio

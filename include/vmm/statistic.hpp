// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstdint>
#include <string>

namespace vmm {

/// A figure that a device, or KVM, has of itself.
struct Statistic {
    std::string name;  ///< "sent-bytes"; KVM's are the kernel's: "halt_exits"
    std::uint64_t value = 0;
    bool cumulative = true;  ///< it only grows; else it is what is now

    friend bool operator==(const Statistic&, const Statistic&) = default;
};

}  // namespace vmm

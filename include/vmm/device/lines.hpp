// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/types.hpp>

/// The wires by which devices reach the rest of the machine. The machine implements them with KVM,
/// tests with plain variables.
namespace vmm {

/// A device's interrupt line. Called by any thread, one at a time for each line.
class InterruptLine {
public:
    virtual ~InterruptLine() = default;
    /// Sets the line's level. Devices call it when the level changes.
    virtual void set(kvm::Level level) = 0;
};

/// The wire that resets the machine. Called by any thread.
class ResetLine {
public:
    virtual ~ResetLine() = default;
    /// The guest asks for a reset; more than once is the same as once.
    virtual void reset() = 0;
};

}  // namespace vmm

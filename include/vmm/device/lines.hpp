// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstddef>
#include <cstdint>
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

/// The wire that switches the machine off. Called by any thread.
class PowerLine {
public:
    virtual ~PowerLine() = default;
    /// The guest switches the machine off; more than once is the same as once.
    virtual void power_off() = 0;
};

/// The wire by which a guest tells that its kernel panicked. Called by any thread.
class PanicLine {
public:
    virtual ~PanicLine() = default;
    /// The guest panicked and goes on by itself no more.
    virtual void panicked() = 0;
    /// The guest panicked, and a crash kernel of its own takes over.
    virtual void crash_loaded() = 0;
};

/// The wire by which a test ends the machine with a number. Called by any thread.
class ExitLine {
public:
    virtual ~ExitLine() = default;
    /// The guest wrote `value` to the exit device.
    virtual void exit(std::uint32_t value) = 0;
};

/// Where a device's output goes. Called by any thread; may block until there is room.
class ByteSink {
public:
    virtual ~ByteSink() = default;
    virtual void transmit(std::byte byte) = 0;
};

}  // namespace vmm

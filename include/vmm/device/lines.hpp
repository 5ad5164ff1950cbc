// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <kvm/abi/common.hpp>
#include <kvm/fd.hpp>
#include <kvm/memslot.hpp>
#include <kvm/types.hpp>
#include <memory>
#include <optional>
#include <vmm/error.hpp>

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

/// An interrupt without a level, which is there once: an edge-triggered pin, or a message. Called
/// by any thread.
class InterruptPulse {
public:
    virtual ~InterruptPulse() = default;
    virtual void pulse() = 0;
};

/// A message-signalled interrupt: where it goes is for the guest to say, at any time. Called by any
/// thread.
class MessageInterrupt : public InterruptPulse {
public:
    /// pulse() sends this from now on, or with none, nothing. Errors: those of KVM_SET_GSI_ROUTING
    /// and KVM_IRQFD, and ENOSPC (as many as there can be); then it sends nothing.
    virtual Result<void> set(const std::optional<kvm::Msi>& message) = 0;
};

/// Where MessageInterrupts come from: the interrupt controllers.
class MessageController {
public:
    virtual ~MessageController() = default;
    /// One that sends nothing yet. Errors: EMFILE.
    virtual Result<std::unique_ptr<MessageInterrupt>> create_message() = 0;
};

/// Has a guest's writes signal eventfds, without an exit to user space: KVM_IOEVENTFD. Where KVM
/// lacks it, or there is no KVM, the write comes to the device by its bus as any other. So a device
/// has both.
class Doorbells {
public:
    virtual ~Doorbells() = default;
    /// A write to `address` of what `match` says signals `event`, which is borrowed until
    /// remove(). False if there is no such thing here. Errors: ENOSPC, EEXIST.
    virtual Result<bool> add(kvm::FdRef event, kvm::IoAddress address, kvm::Datamatch match) = 0;
    /// Undoes it; nothing to undo is no error.
    virtual void remove(kvm::FdRef event, kvm::IoAddress address, kvm::Datamatch match) = 0;
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

// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <memory>
#include <vmm/hypervisor.hpp>
#include <vmm/machine/config.hpp>
#include <vmm/machine/console.hpp>
#include <vmm/machine/events.hpp>
#include <vmm/machine/report.hpp>

namespace vmm {

namespace detail {
template <Hypervisor Backend>
class MachineImpl;
}

/// A virtual PC without firmware: RAM, an irqchip and a PIT in the kernel, the devices of
/// docs/devices.md, and the ACPI tables that tell of them. All CPUs but the first wait for an INIT
/// and a SIPI, as on a real machine.
///
/// Nothing about it is global: there may be many in one process. Every function may be called by
/// any thread. The simple path is create() and run(); the other is start(), then pause(), resume()
/// and stop() at will, and wait(). However it goes, its end leaves no thread, descriptor or
/// mapping. Move-only, not while a function runs. Instantiated for KvmBackend, as Machine, and for
/// fake::Backend, as FakeMachine (vmm/machine/fake_machine.hpp).
template <Hypervisor Backend>
class BasicMachine {
public:
    /// Loads the image and makes the VM of `system`; `console` must outlive it. Errors: one line,
    /// naming the file or the field of the configuration (`memory: ...`, `cpus: ...`).
    static Result<BasicMachine> create(const MachineConfig& config, Console& console,
                                       typename Backend::System system, MachineEvents events = {});
    /// The same with the host's /dev/kvm. Errors: Kvm::open()'s, too.
    static Result<BasicMachine> create(const MachineConfig& config, Console& console,
                                       MachineEvents events = {})
        requires std::same_as<Backend, KvmBackend>;

    BasicMachine(BasicMachine&&) noexcept;
    BasicMachine& operator=(BasicMachine&&) noexcept;
    /// Stops the machine, if it runs, and waits for its threads.
    ~BasicMachine();

    /// Runs the guest to its end, in a thread for each CPU, named "vcpu 0" and so on; the calling
    /// thread does the console. kvm::install_kick_handler() must have been called, and the calling
    /// thread must not block kvm::kick_signal(). Errors: of KVM_RUN, of the console, of threads;
    /// EBUSY (it has been started).
    Result<End> run();
    /// The same, but returns at once: a thread of its own, "machine", does the console. wait() has
    /// the end, and its errors. Errors: EBUSY, EAGAIN (no thread).
    Result<void> start();
    /// Waits until no vCPU runs any longer: each has left KVM_RUN, its last I/O is complete, and no
    /// device gets input or time of MachineConfig::timeout. A paused machine stays so. Errors:
    /// EINVAL (not started, or ended, maybe meanwhile).
    Result<void> pause();
    /// Has the vCPUs run on; tells the guest's clock that it was paused, where KVM can
    /// (cap::kvmclock_ctrl). A running machine runs on. Errors: EINVAL (not started, or ended).
    Result<void> resume();
    /// Ends the machine by End{stopped}, now, or as soon as it is started. Async-signal-safe.
    void stop() const noexcept;
    /// Asks the guest to switch itself off: presses the power button, if the guest has said that it
    /// listens, and stops the machine after MachineConfig::grace; without a listener, and a paused
    /// one, it stops at once. Async-signal-safe.
    void shut_down() const noexcept;
    /// Waits for the end and says what it was, each time. Errors: run()'s; EINVAL (not started),
    /// EDEADLK (called by an event of this machine).
    Result<End> wait();

    /// Asks the guest for a balloon of so many bytes. Errors: EINVAL (the machine has no balloon,
    /// or not so much memory).
    Result<void> set_balloon(std::uint64_t bytes);

    MachineState state() const;
    /// How it is doing, or did. A snapshot: the guest goes on meanwhile.
    MachineReport report() const;

    /// The guest's memory, for who inspects the guest, or shares its memory with other processes.
    const GuestMemory& memory() const;
    /// Gives the VM more memory, above 4 GiB, in any state; the guest is not told. Errors: EINVAL
    /// (below 4 GiB, PCI's window), GuestMemory::add_region()'s.
    Result<void> add_memory(const Region& region);
    /// Takes away memory that add_memory() gave, by where it starts; a guest that uses it on finds
    /// nothing there. Errors: EINVAL (the machine started with it), ENOENT (no region starts
    /// there), GuestMemory::remove_region()'s.
    Result<void> remove_memory(kvm::Gpa address);

private:
    using Impl = detail::MachineImpl<Backend>;
    explicit BasicMachine(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

extern template class BasicMachine<KvmBackend>;

/// The machine on Linux's KVM.
using Machine = BasicMachine<KvmBackend>;

}  // namespace vmm

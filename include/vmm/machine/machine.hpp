// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <memory>
#include <vmm/hypervisor.hpp>
#include <vmm/machine/config.hpp>
#include <vmm/machine/console.hpp>

namespace vmm {

namespace detail {
template <Hypervisor Backend>
class MachineImpl;
}

/// A virtual PC without firmware: RAM, an irqchip and a PIT in the kernel, the devices of
/// docs/devices.md, and the ACPI tables that tell of them. All CPUs but the first wait for an INIT
/// and a SIPI, as on a real machine.
///
/// Nothing about it is global: there may be many in one process. Move-only. run() is to be called
/// once, by one thread; stop() and shut_down() by any. Instantiated for KvmBackend, as Machine.
template <Hypervisor Backend>
class BasicMachine {
public:
    /// Loads the image and makes the VM of `system`; `console` must outlive it. Errors: one line,
    /// naming the file or the field of the configuration (`memory: ...`, `cpus: ...`).
    static Result<BasicMachine> create(const MachineConfig& config, Console& console,
                                       typename Backend::System system);
    /// The same with the host's /dev/kvm. Errors: Kvm::open()'s, too.
    static Result<BasicMachine> create(const MachineConfig& config, Console& console)
        requires std::same_as<Backend, KvmBackend>;

    BasicMachine(BasicMachine&&) noexcept;
    BasicMachine& operator=(BasicMachine&&) noexcept;
    ~BasicMachine();

    /// Runs the guest to its end, in a thread for each CPU, named "vcpu 0" and so on; the calling
    /// thread does the console. kvm::install_kick_handler() must have been called, and the calling
    /// thread must not block kvm::kick_signal(). Errors: of KVM_RUN, of the console, of threads.
    Result<End> run();
    /// Has run() return End{stopped}, now or when it is called. Any thread, any number of times,
    /// also in a signal handler.
    void stop() const noexcept;
    /// Asks the guest to switch itself off: presses the power button, if the guest has said that it
    /// listens, and stops the machine after MachineConfig::grace; without a listener it stops at
    /// once. Any thread, any number of times, also in a signal handler.
    void shut_down() const noexcept;
    /// After run().
    MachineReport report() const;

private:
    using Impl = detail::MachineImpl<Backend>;
    explicit BasicMachine(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

extern template class BasicMachine<KvmBackend>;

/// The machine on Linux's KVM.
using Machine = BasicMachine<KvmBackend>;

}  // namespace vmm

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

/// A virtual PC without firmware and ACPI: RAM, an irqchip and a PIT in the kernel, a serial port
/// at 0x3f8, a keyboard controller and reset register for resets, a clock.
///
/// With more than one CPU the others wait for an INIT and a SIPI, as on a real machine; but a guest
/// that learns of its CPUs from ACPI alone, as Linux does, starts one.
///
/// Nothing about it is global: there may be many in one process. Move-only. run() is to be called
/// once, by one thread; stop() by any. Instantiated for KvmBackend, as Machine.
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

// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cerrno>
#include <fmt/format.h>
#include <kvm/try.hpp>
#include <vmm/machine/host_files.hpp>
#include <vmm/machine/impl.hpp>
#include <vmm/machine/ram.hpp>
#include <vmm/machine/settings.hpp>
#include <vmm/x86_64/boot_state.hpp>
#include <vmm/x86_64/cpu.hpp>
#include <vmm/x86_64/layout.hpp>

namespace vmm {

namespace detail {

template <HypervisorSystem System>
Result<std::uint32_t> most_cpus(const System& system) {
    const int most = KVM_TRY(system.check(kvm::cap::max_vcpus));
    // Before Linux 3.2 there was only the recommended number.
    const int recommended = most > 0 ? most : KVM_TRY(system.check(kvm::cap::nr_vcpus));
    return recommended > 0 ? static_cast<std::uint32_t>(recommended) : 4;
}

template <Hypervisor Backend>
Result<std::unique_ptr<MachineImpl<Backend>>> MachineImpl<Backend>::create(
    const MachineConfig& config, Console& console, System system, MachineEvents events,
    TraceHook* hook) {
    KVM_TRY(check(config));
    // What is wrong with a file is said before all else.
    auto files = KVM_TRY(open_files(config));
    auto recorder = config.trace.empty() ? nullptr : std::make_unique<Recorder>(config);
    const Log log = events.log;
    const auto begin = std::chrono::steady_clock::now();
    const auto mark = [&](const char* phase) {
        if (recorder) {
            recorder->mark(phase);
        }
        log_phase(log, phase, begin);
    };
    mark("create");
    const std::uint32_t most = KVM_TRY(most_cpus(system));
    if (config.cpus > most) {
        return about_setting("cpus", Error(fmt::format("{} are too many, this KVM has at most {}",
                                                       config.cpus, most),
                                           EINVAL));
    }
    GuestMemory memory = KVM_TRY(make_ram(config));
    x86_64::BootState boot;
    std::vector<std::string> notes;
    if (Backend::executes_code || !config.boot.kernel.empty()) {
        mark("load");
        BootInputs inputs = boot_inputs(config);
        inputs.notes = &notes;
        inputs.ram = std::holds_alternative<backing::File>(config.memory_backing)
                         ? RamContent::any
                         : RamContent::zeroes;  // as the host has just made it
        inputs.log = log;
        boot = KVM_TRY(load(memory, config.boot, inputs));
    }
    mark("vm");
    Vm vm = KVM_TRY(system.create_vm());
    Wakes wakes = KVM_TRY(Wakes::create());
    std::unique_ptr<MachineImpl> impl(
        new MachineImpl(std::move(system), std::move(vm), std::move(memory), std::move(wakes)));
    impl->configure(config, std::move(events), std::move(notes));
    impl->trace(recorder ? recorder.get() : hook);
    KVM_TRY(impl->add_chips(config));
    KVM_TRY(impl->add_board(config, console, std::move(files), impl->memory_));
    KVM_TRY(impl->add_cpus(config.cpus, boot));
    if (recorder) {
        KVM_TRY(recorder->open());
        impl->record(std::move(recorder));
    }
    impl->board().keep_files();
    log_phase(log, "ready", begin);
    return impl;
}

/// Memory, and what the hypervisor emulates. All before the first vCPU.
template <Hypervisor Backend>
Result<void> MachineImpl<Backend>::add_chips(const MachineConfig& config) {
    namespace layout = x86_64::layout;
    KVM_TRY(vm_.set_identity_map_addr(layout::identity_map));
    KVM_TRY(vm_.set_tss_addr(layout::tss));
    KVM_TRY(vm_.create_irqchip());
    KVM_TRY(vm_.create_pit2(kvm::x86_64::PitFlag::speaker_dummy));
    if (auto attached = Backend::attach(memory_, vm_); !attached) {
        return about_backing(config, std::move(attached).error());
    }
    first_bytes_ = config.memory_bytes;
    KVM_TRY(tune_ram(config, memory_));
    // So that unknown MSRs are counted; without, the guest gets the same #GP from the kernel.
    const auto exits = vm_.check(kvm::cap::x86_user_space_msr);
    if (exits && *exits) {
        KVM_TRY(vm_.enable(kvm::cap::x86_user_space_msr, kvm::MsrExitReason::unknown));
    }
    keep_statistics(vm_);
    const auto pauses = vm_.check(kvm::cap::kvmclock_ctrl);
    clock_pauses_ = pauses && *pauses;
    return {};
}

template <Hypervisor Backend>
Result<void> MachineImpl<Backend>::add_cpus(std::uint32_t count, const x86_64::BootState& boot) {
    for (std::uint32_t i = 0; i < count; ++i) {
        auto vcpu = KVM_TRY(vm_.create_vcpu(kvm::VcpuId(i)));
        KVM_TRY(x86_64::setup_cpuid(system_, vcpu, kvm::VcpuId(i), count));
        KVM_TRY(x86_64::setup_msrs(vcpu));
        KVM_TRY(x86_64::setup_lapic(vcpu));
        if (i == 0) {
            KVM_TRY(x86_64::apply(vcpu, boot));
        }
        keep_statistics(vcpu);  // which is not to be had while it runs
        cpus_.push_back(std::make_unique<Cpu>(i, std::move(vcpu)));
    }
    return {};
}

template <Hypervisor Backend>
Result<void> MachineImpl<Backend>::add_memory(const Region& region) {
    const std::lock_guard lock(plug_mutex_);
    return plug_ram(memory_, region, board().pci_windows());
}

template <Hypervisor Backend>
Result<void> MachineImpl<Backend>::remove_memory(kvm::Gpa address) {
    const std::lock_guard lock(plug_mutex_);
    return unplug_ram(memory_, address, first_bytes_);
}

}  // namespace detail

template <Hypervisor Backend>
Result<BasicMachine<Backend>> BasicMachine<Backend>::create(const MachineConfig& config,
                                                            Console& console,
                                                            typename Backend::System system,
                                                            MachineEvents events) {
    return BasicMachine(
        KVM_TRY(Impl::create(config, console, std::move(system), std::move(events))));
}

template <Hypervisor Backend>
BasicMachine<Backend>::BasicMachine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

template <Hypervisor Backend>
BasicMachine<Backend>::BasicMachine(BasicMachine&&) noexcept = default;

template <Hypervisor Backend>
BasicMachine<Backend>& BasicMachine<Backend>::operator=(BasicMachine&&) noexcept = default;

template <Hypervisor Backend>
BasicMachine<Backend>::~BasicMachine() = default;

template <Hypervisor Backend>
Result<End> BasicMachine<Backend>::run() {
    return impl_->run();
}

template <Hypervisor Backend>
Result<void> BasicMachine<Backend>::start() {
    return impl_->start();
}

template <Hypervisor Backend>
Result<void> BasicMachine<Backend>::pause() {
    return impl_->pause();
}

template <Hypervisor Backend>
Result<void> BasicMachine<Backend>::resume() {
    return impl_->resume();
}

template <Hypervisor Backend>
Result<void> BasicMachine<Backend>::set_balloon(std::uint64_t bytes) {
    return impl_->set_balloon(bytes);
}

template <Hypervisor Backend>
Result<End> BasicMachine<Backend>::wait() {
    return impl_->wait();
}

template <Hypervisor Backend>
MachineState BasicMachine<Backend>::state() const {
    return impl_->state();
}

template <Hypervisor Backend>
void BasicMachine<Backend>::stop() const noexcept {
    impl_->stop();
}

template <Hypervisor Backend>
void BasicMachine<Backend>::shut_down() const noexcept {
    impl_->shut_down();
}

template <Hypervisor Backend>
MachineReport BasicMachine<Backend>::report() const {
    return impl_->report();
}

template <Hypervisor Backend>
const GuestMemory& BasicMachine<Backend>::memory() const {
    return impl_->memory();
}

template <Hypervisor Backend>
Result<void> BasicMachine<Backend>::add_memory(const Region& region) {
    return impl_->add_memory(region);
}

template <Hypervisor Backend>
Result<void> BasicMachine<Backend>::remove_memory(kvm::Gpa address) {
    return impl_->remove_memory(address);
}

}  // namespace vmm

// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <vmm/machine/core.hpp>
#include <vmm/machine/machine.hpp>
#include <vmm/machine/statistics.hpp>
#include <vmm/memory/guest_memory.hpp>

namespace vmm::detail {

/// The part of a machine that knows its hypervisor: VM, vCPUs and their threads. What it does is
/// defined in create.hpp and vcpu_loop.hpp, which the sources that instantiate it include.
template <Hypervisor Backend>
class MachineImpl final : public Core {
public:
    using System = typename Backend::System;
    using Vm = typename Backend::Vm;
    using Kick = typename Backend::Kick;

    static Result<std::unique_ptr<MachineImpl>> create(const MachineConfig& config,
                                                       Console& console, System system,
                                                       MachineEvents events,
                                                       TraceHook* hook = nullptr);

    ~MachineImpl() override { dismantle(); }

    const GuestMemory& memory() const override { return memory_; }
    Result<void> add_memory(const Region& region);
    Result<void> remove_memory(kvm::Gpa address);

private:
    friend class Replayer;
    struct Cpu final : CpuBase {
        Cpu(std::uint32_t number, typename Backend::Vcpu v) : CpuBase(number), vcpu(std::move(v)) {}
        typename Backend::Vcpu vcpu;
    };

    MachineImpl(System system, Vm vm, GuestMemory memory, Wakes wakes)
        : Core(std::move(wakes)), system_(std::move(system)), vm_(std::move(vm)),
          memory_(std::move(memory)) {}

    // What create() does, in this order.
    Result<void> add_chips(const MachineConfig& config);
    Result<void> add_cpus(std::uint32_t count, const x86_64::BootState& boot);

    /// Keeps a descriptor of its statistics, where KVM has them.
    template <class Object>
    void keep_statistics(const Object& object) {
        if constexpr (requires { Backend::statistics(object); }) {
            if (auto fd = Backend::statistics(object)) {
                statistics_.push_back(std::move(*fd));
            }
        }
    }

    std::vector<Statistic> kvm_statistics() const override { return sum_statistics(statistics_); }
    kvm::Result<void> irq_line(kvm::Gsi gsi, kvm::Level level) override {
        return vm_.irq_line(gsi, level);
    }
    const Signals& signals() const override { return signals_; }
    std::size_t cpu_count() const override { return cpus_.size(); }
    CpuBase& cpu(std::size_t index) override { return *cpus_[index]; }
    void kick_all() override {
        for (const Kick& kick : kicks_) {
            kick();
        }
    }

    // A vCPU's thread.
    void run_vcpu(std::size_t index) override;
    Result<void> settle(std::size_t index) override;
    void tell_of_pause(std::size_t index) override;
    std::string dump_cpu(std::size_t index) override;
    bool is_dead(std::size_t index) override;

    System system_;
    Vm vm_;
    VmSignals<Vm> signals_{vm_};
    GuestMemory memory_;
    std::mutex plug_mutex_;          // of its regions' changes
    std::uint64_t first_bytes_ = 0;  // of it, what the machine started with
    bool clock_pauses_ = false;      // guests can be told that they did not run
    std::vector<std::unique_ptr<Cpu>> cpus_;
    std::vector<Kick> kicks_;  // with mutex() held
    std::vector<kvm::Fd> statistics_;
};

}  // namespace vmm::detail

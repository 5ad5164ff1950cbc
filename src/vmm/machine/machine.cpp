// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <fmt/format.h>
#include <kvm/kvm.hpp>
#include <kvm/try.hpp>
#include <vmm/machine/impl.hpp>
#include <vmm/machine/settings.hpp>
#include <vmm/x86_64/boot_state.hpp>
#include <vmm/x86_64/cpu.hpp>
#include <vmm/x86_64/layout.hpp>

namespace vmm {

namespace {

namespace layout = x86_64::layout;

Result<std::uint32_t> most_cpus(const kvm::Kvm& kvm) {
    const int most = KVM_TRY(kvm.check(kvm::cap::max_vcpus));
    // Before Linux 3.2 there was only the recommended number.
    const int recommended = most > 0 ? most : KVM_TRY(kvm.check(kvm::cap::nr_vcpus));
    return recommended > 0 ? static_cast<std::uint32_t>(recommended) : 4;
}

}  // namespace

Result<MachineLimits> MachineLimits::query() {
    const kvm::Kvm kvm = KVM_TRY(kvm::Kvm::open());
    return MachineLimits{KVM_TRY(most_cpus(kvm)), host_memory_size()};
}

Result<Machine> Machine::create(const MachineConfig& config, Console& console) {
    KVM_TRY(check(config));
    kvm::Kvm kvm = KVM_TRY(kvm::Kvm::open());
    const std::uint32_t most = KVM_TRY(most_cpus(kvm));
    if (config.cpus > most) {
        return fail(
            fmt::format("cpus: {} are too many, this KVM has at most {}", config.cpus, most),
            EINVAL);
    }
    GuestMemory memory = KVM_TRY(GuestMemory::create(x86_64::ram_regions(config.memory_bytes)));
    const x86_64::BootState boot = KVM_TRY(load(memory, config.boot));
    kvm::Vm vm = KVM_TRY(kvm.create_vm());
    detail::Wake stop = KVM_TRY(detail::Wake::create());
    detail::Wake ended = KVM_TRY(detail::Wake::create());
    auto impl = std::make_unique<Impl>(std::move(kvm), std::move(vm), std::move(memory),
                                       std::move(stop), std::move(ended));
    impl->timeout_ = config.timeout;
    KVM_TRY(impl->add_chips());
    KVM_TRY(impl->add_devices(console));
    KVM_TRY(impl->add_cpus(config.cpus, boot));
    return Machine(std::move(impl));
}

/// Memory, and what the kernel emulates. All before the first vCPU.
Result<void> Machine::Impl::add_chips() {
    KVM_TRY(vm_.set_identity_map_addr(layout::identity_map));
    KVM_TRY(vm_.set_tss_addr(layout::tss));
    KVM_TRY(vm_.create_irqchip());
    KVM_TRY(vm_.create_pit2(kvm::x86_64::PitFlag::speaker_dummy));
    KVM_TRY(memory_.attach(vm_));
    // So that unknown MSRs are counted; without, the guest gets the same #GP from the kernel.
    const auto exits = vm_.check(kvm::cap::x86_user_space_msr);
    if (exits && *exits) {
        KVM_TRY(vm_.enable(kvm::cap::x86_user_space_msr, kvm::MsrExitReason::unknown));
    }
    return {};
}

Result<void> Machine::Impl::add_devices(Console& console) {
    pump_ = KVM_TRY(detail::ConsolePump::create(console, ended_event_));
    serial_.emplace(serial_line_, *pump_);
    struct {
        std::uint64_t base, size;
        BusDevice& device;
        const char* name;
    } const devices[] = {
        {0x60, I8042::ports, i8042_, "i8042"},  // 0x61 is the PIT's, in the kernel
        {0x70, Cmos::ports, cmos_, "CMOS"},         {0x80, 1, post_codes_, "POST codes"},
        {0x3f8, Serial::ports, *serial_, "serial"}, {0xcf9, 1, reset_control_, "reset control"},
    };
    for (const auto& [base, size, device, name] : devices) {
        KVM_TRY(ports_.add(base, size, device, name));
    }
    return {};
}

Result<void> Machine::Impl::add_cpus(std::uint32_t count, const x86_64::BootState& boot) {
    for (std::uint32_t i = 0; i < count; ++i) {
        kvm::Vcpu vcpu = KVM_TRY(vm_.create_vcpu(kvm::VcpuId(i)));
        KVM_TRY(x86_64::setup_cpuid(kvm_, vcpu, kvm::VcpuId(i), count));
        KVM_TRY(x86_64::setup_msrs(vcpu));
        KVM_TRY(x86_64::setup_lapic(vcpu));
        if (i == 0) {
            KVM_TRY(x86_64::apply(vcpu, boot));
        }
        cpus_.push_back(std::make_unique<detail::Cpu>(i, std::move(vcpu)));
    }
    return {};
}

Machine::Machine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Machine::Machine(Machine&&) noexcept = default;
Machine& Machine::operator=(Machine&&) noexcept = default;
Machine::~Machine() = default;

Result<End> Machine::run() { return impl_->run(impl_->timeout_); }

void Machine::stop() const noexcept { impl_->stop(); }

MachineReport Machine::report() const { return impl_->report(); }

}  // namespace vmm

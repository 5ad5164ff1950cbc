// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <concepts>
#include <kvm/system.hpp>
#include <span>
#include <vmm/memory/guest_memory.hpp>

/// The seam between the toolkit and the hypervisor: what the toolkit uses of one, and no more. The
/// backends are a closed set, KvmBackend and fake::Backend, for which the machine's templates are
/// instantiated once, in the library: with KVM the calls are kvm's own, inline, as without a seam.
///
/// Both speak kvm's vocabulary: its structures, capabilities, errors and exits. What a backend has
/// beside this is on its own classes.
namespace vmm {

/// A virtual CPU. run() may be called by one thread at a time, and a Kick ends it from any other.
template <class V>
concept HypervisorVcpu =
    std::move_constructible<V> &&
    requires(V& v, const V& c, const kvm::CpuidList& cpuid, std::span<const kvm::MsrEntry> msrs,
             const kvm::Regs& regs, const kvm::Sregs& sregs, const kvm::Fpu& fpu,
             const kvm::LapicState& lapic) {
        { v.run() } -> std::same_as<kvm::Result<kvm::Exit>>;
        { v.complete_pending_io() } -> std::same_as<kvm::Result<kvm::Exit>>;
        { v.create_kick() };
        requires requires { (*v.create_kick())(); };

        { c.regs() } -> std::same_as<kvm::Result<kvm::Regs>>;
        { v.set_regs(regs) } -> std::same_as<kvm::Result<void>>;
        { c.sregs() } -> std::same_as<kvm::Result<kvm::Sregs>>;
        { v.set_sregs(sregs) } -> std::same_as<kvm::Result<void>>;
        { v.set_fpu(fpu) } -> std::same_as<kvm::Result<void>>;
        { v.set_cpuid2(cpuid) } -> std::same_as<kvm::Result<void>>;
        { c.msr(0u) } -> std::same_as<kvm::Result<kvm::u64>>;
        { v.set_msr(0u, kvm::u64()) } -> std::same_as<kvm::Result<void>>;
        { v.set_msrs(msrs) } -> std::same_as<kvm::Result<void>>;
        { c.lapic() } -> std::same_as<kvm::Result<kvm::LapicState>>;
        { v.set_lapic(lapic) } -> std::same_as<kvm::Result<void>>;
        { c.mp_state() } -> std::same_as<kvm::Result<kvm::MpState>>;
        { c.translate(kvm::Gva()) } -> std::same_as<kvm::Result<kvm::Translation>>;
        { v.kvmclock_ctrl() } -> std::same_as<kvm::Result<void>>;
    };

/// A virtual machine. Const methods may be called from several threads at once.
template <class M>
concept HypervisorVm =
    std::move_constructible<M> &&
    requires(const M& m, std::span<std::byte> memory, kvm::Flags<kvm::MemFlag> flags, kvm::FdRef fd,
             kvm::IoAddress address, kvm::Datamatch match, const kvm::Msi& msi,
             const kvm::GsiRouting& routing) {
        { m.check(kvm::cap::max_vcpus) } -> std::same_as<kvm::Result<int>>;
        {
            m.enable(kvm::cap::x86_user_space_msr, kvm::MsrExitReason::unknown)
        } -> std::same_as<kvm::Result<void>>;
        { m.set_identity_map_addr(kvm::Gpa()) } -> std::same_as<kvm::Result<void>>;
        { m.set_tss_addr(kvm::Gpa()) } -> std::same_as<kvm::Result<void>>;
        { m.create_irqchip() } -> std::same_as<kvm::Result<void>>;
        { m.create_pit2(kvm::x86_64::PitFlag::speaker_dummy) } -> std::same_as<kvm::Result<void>>;

        requires HypervisorVcpu<typename decltype(m.create_vcpu(kvm::VcpuId()))::value_type>;

        { m.irq_line(kvm::Gsi(), kvm::Level::high) } -> std::same_as<kvm::Result<void>>;
        { m.signal_msi(msi) } -> std::same_as<kvm::Result<bool>>;
        { m.set_gsi_routing(routing) } -> std::same_as<kvm::Result<void>>;
        { m.add_irqfd(fd, kvm::Gsi()) } -> std::same_as<kvm::Result<void>>;
        { m.add_irqfd(fd, kvm::Gsi(), fd) } -> std::same_as<kvm::Result<void>>;
        { m.remove_irqfd(fd, kvm::Gsi()) } -> std::same_as<kvm::Result<void>>;
        { m.add_ioeventfd(fd, address, match) } -> std::same_as<kvm::Result<void>>;
        { m.remove_ioeventfd(fd, address, match) } -> std::same_as<kvm::Result<void>>;
    };

/// A host's KVM.
template <class S>
concept HypervisorSystem = std::move_constructible<S> && requires(const S& s) {
    { s.check(kvm::cap::max_vcpus) } -> std::same_as<kvm::Result<int>>;
    { s.check(kvm::cap::tsc_deadline_timer) } -> std::same_as<kvm::Result<bool>>;
    { s.supported_cpuid() } -> std::same_as<kvm::Result<kvm::CpuidList>>;
    requires HypervisorVm<typename decltype(s.create_vm())::value_type>;
};

/// The classes of one hypervisor, by name.
template <class B>
concept Hypervisor = HypervisorSystem<typename B::System> && HypervisorVm<typename B::Vm> &&
                     HypervisorVcpu<typename B::Vcpu> && std::copyable<typename B::Kick> &&
                     requires(const typename B::System& s, const typename B::Vm& m,
                              typename B::Vcpu& v, const typename B::Kick& k) {
                         { s.create_vm() } -> std::same_as<kvm::Result<typename B::Vm>>;
                         {
                             m.create_vcpu(kvm::VcpuId())
                         } -> std::same_as<kvm::Result<typename B::Vcpu>>;
                         { v.create_kick() } -> std::same_as<kvm::Result<typename B::Kick>>;
                         { k() };
                         // Gives the VM the guest's memory.
                         requires requires(GuestMemory& memory) {
                             { B::attach(memory, m) } -> std::same_as<Result<void>>;
                         };
                         // Whether vCPUs execute what is in memory, or play a script.
                         { B::executes_code } -> std::convertible_to<bool>;
                     };

/// Linux's KVM.
struct KvmBackend {
    using System = kvm::Kvm;
    using Vm = kvm::Vm;
    using Vcpu = kvm::Vcpu;
    using Kick = kvm::Kick;
    static Result<void> attach(GuestMemory& memory, const Vm& vm) { return memory.attach(vm); }
    static constexpr bool executes_code = true;
    /// What kvm::Stats::open() reads, of a Vm or Vcpu. KVM_GET_STATS_FD.
    template <class Object>
    static kvm::Result<kvm::Fd> statistics(const Object& object) {
        const auto fd = kvm::call(object.fd(), kvm::op::get_stats_fd);
        if (!fd) {
            return std::unexpected(fd.error());
        }
        return kvm::Fd(*fd);
    }
};
static_assert(Hypervisor<KvmBackend>);

}  // namespace vmm

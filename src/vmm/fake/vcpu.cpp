// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <chrono>
#include <fmt/format.h>
#include <kvm/try.hpp>
#include <vmm/fake/world.hpp>

namespace vmm::fake {

namespace {

constexpr std::uint64_t rflags_if = 1 << 9;

using detail::VcpuWorld;
using detail::World;

VcpuState& state_of(const VcpuWorld& vcpu) { return vcpu.world->vcpus[vcpu.id]; }

kvm::Exit exit_of(VcpuWorld& vcpu) {
#if KVMXX_CHECKED
    kvm::Exit::next_generation(vcpu.page.run);
#endif
    return kvm::Exit(vcpu.page.run);
}

kvm::Exit interrupted(VcpuWorld& vcpu) {
    put(OtherExit{kvm::ExitReason::intr}, vcpu.page);
    return exit_of(vcpu);
}

/// Looks at the reply to the last exit, as the kernel takes it.
void settle(VcpuWorld& vcpu) {
    if (!vcpu.expected) {
        return;
    }
    const std::string wrong = compare_reply(*vcpu.expected, copy(kvm::Exit(vcpu.page.run)));
    vcpu.expected.reset();
    if (!wrong.empty()) {
        vcpu.world->mismatches.push_back(
            fmt::format("vCPU {}, exit {}: {}", vcpu.id, vcpu.step, wrong));
    }
}

/// Plays steps until there is an exit or an error, or none while something has to happen first.
class Player {
public:
    Player(VcpuWorld& vcpu, std::unique_lock<std::mutex>& lock) : vcpu_(vcpu), lock_(lock) {}

    kvm::Result<kvm::Exit> play() {
        World& world = *vcpu_.world;
        for (;;) {
            if (vcpu_.kicked) {
                vcpu_.kicked = false;
                return interrupted(vcpu_);
            }
            auto& steps = world.scripts[vcpu_.id];
            bool done = false;
            polls_ = false;
            if (!steps.empty()) {
                // A copy: Call lets go of the lock, and then there may be more steps.
                const Step step = steps.front();
                done = std::visit(*this, step);
                if (done) {
                    steps.pop_front();
                }
            } else if (state_of(vcpu_).mp_state.mp_state != kvm::MpStateValue::uninitialized) {
                (*this)(Halt{});
            }
            if (result_) {
                return std::move(*result_);
            }
            if (polls_) {  // eventfds tell nobody
                world.changed.wait_for(lock_, std::chrono::milliseconds(1));
            } else if (!done) {
                world.changed.wait(lock_);
            }
        }
    }

    /// Whether the step is over.
    bool operator()(const ExitData& exit) {
        run();
        put(exit, vcpu_.page);
        vcpu_.expected = exit;
        ++vcpu_.step;
        result_.emplace(exit_of(vcpu_));
        return true;
    }
    bool operator()(const Halt& halt) {
        VcpuState& state = state_of(vcpu_);
        state.mp_state.mp_state = kvm::MpStateValue::halted;
        state.regs.rflags &= ~rflags_if;
        state.regs.rflags |= halt.interrupts == Halt::Interrupts::on ? rflags_if : 0;
        return false;
    }
    bool operator()(const Spin&) {
        run();
        return false;
    }
    bool operator()(const AwaitLine& await) {
        if (vcpu_.world->lines[await.gsi] == await.level) {
            run();
            return true;
        }
        return (*this)(Halt{Halt::Interrupts::on});
    }
    bool operator()(const AwaitPulse& await) { return awaited(vcpu_.world->take_pulse(await.gsi)); }
    bool operator()(const AwaitMessage& await) {
        return awaited(vcpu_.world->take_message(await.data));
    }
    bool operator()(const RunError& error) {
        result_.emplace(kvm::fail("KVM_RUN", error.code));
        return true;
    }
    bool operator()(const Call& call) {
        run();
        lock_.unlock();
        call.function();
        lock_.lock();
        return true;
    }

private:
    bool awaited(bool came) {
        polls_ = !came;
        if (came) {
            run();
            return true;
        }
        return (*this)(Halt{Halt::Interrupts::on});
    }
    void run() { state_of(vcpu_).mp_state.mp_state = kvm::MpStateValue::runnable; }

    VcpuWorld& vcpu_;
    std::unique_lock<std::mutex>& lock_;
    std::optional<kvm::Result<kvm::Exit>> result_;
    bool polls_ = false;
};

}  // namespace

void Kick::operator()() const {
    const std::lock_guard lock(vcpu_->world->mutex);
    vcpu_->kicked = true;
    ++state_of(*vcpu_).kicks;
    vcpu_->world->changed.notify_all();
}

Vcpu::~Vcpu() {
    if (vcpu_) {
        const std::lock_guard lock(vcpu_->world->mutex);
        --vcpu_->world->alive;
    }
}

kvm::Result<kvm::Exit> Vcpu::run() {
    std::unique_lock lock(vcpu_->world->mutex);
    ++state_of(*vcpu_).runs;
    settle(*vcpu_);
    KVM_TRY(vcpu_->world->enter("KVM_RUN"));
    return Player(*vcpu_, lock).play();
}

kvm::Result<kvm::Exit> Vcpu::complete_pending_io() {
    const std::lock_guard lock(vcpu_->world->mutex);
    settle(*vcpu_);
    KVM_TRY(vcpu_->world->enter("KVM_RUN"));
    return interrupted(*vcpu_);
}

kvm::Result<Kick> Vcpu::create_kick() {
    const std::lock_guard lock(vcpu_->world->mutex);
    KVM_TRY(vcpu_->world->enter("Vcpu::create_kick"));
    return Kick(vcpu_);
}

template <class T>
kvm::Result<void> Vcpu::set(const char* call, T VcpuState::* field, const T& value) {
    const std::lock_guard lock(vcpu_->world->mutex);
    KVM_TRY(vcpu_->world->enter(call));
    state_of(*vcpu_).*field = value;
    return {};
}

template <class T>
kvm::Result<T> Vcpu::get(const char* call, T VcpuState::* field) const {
    const std::lock_guard lock(vcpu_->world->mutex);
    KVM_TRY(vcpu_->world->enter(call));
    return state_of(*vcpu_).*field;
}

kvm::Result<kvm::Regs> Vcpu::regs() const { return get("KVM_GET_REGS", &VcpuState::regs); }

kvm::Result<void> Vcpu::set_regs(const kvm::Regs& regs) {
    return set("KVM_SET_REGS", &VcpuState::regs, regs);
}

kvm::Result<kvm::Sregs> Vcpu::sregs() const { return get("KVM_GET_SREGS", &VcpuState::sregs); }

kvm::Result<void> Vcpu::set_sregs(const kvm::Sregs& sregs) {
    return set("KVM_SET_SREGS", &VcpuState::sregs, sregs);
}

kvm::Result<void> Vcpu::set_fpu(const kvm::Fpu& fpu) {
    return set("KVM_SET_FPU", &VcpuState::fpu, fpu);
}

kvm::Result<void> Vcpu::set_cpuid2(const kvm::CpuidList& cpuid) {
    return set("KVM_SET_CPUID2", &VcpuState::cpuid, {cpuid.begin(), cpuid.end()});
}

kvm::Result<kvm::u64> Vcpu::msr(std::uint32_t index) const {
    const std::lock_guard lock(vcpu_->world->mutex);
    KVM_TRY(vcpu_->world->enter("KVM_GET_MSRS"));
    const auto& msrs = state_of(*vcpu_).msrs;
    const auto found = msrs.find(index);
    return found == msrs.end() ? 0 : found->second;
}

kvm::Result<void> Vcpu::set_msr(std::uint32_t index, std::uint64_t value) {
    const kvm::MsrEntry entry{index, 0, value};
    return set_msrs({&entry, 1});
}

kvm::Result<void> Vcpu::set_msrs(std::span<const kvm::MsrEntry> entries) {
    const std::lock_guard lock(vcpu_->world->mutex);
    KVM_TRY(vcpu_->world->enter("KVM_SET_MSRS"));
    for (const kvm::MsrEntry& entry : entries) {
        state_of(*vcpu_).msrs[entry.index] = entry.data;
    }
    return {};
}

kvm::Result<kvm::LapicState> Vcpu::lapic() const { return get("KVM_GET_LAPIC", &VcpuState::lapic); }

kvm::Result<void> Vcpu::set_lapic(const kvm::LapicState& lapic) {
    return set("KVM_SET_LAPIC", &VcpuState::lapic, lapic);
}

kvm::Result<kvm::MpState> Vcpu::mp_state() const {
    return get("KVM_GET_MP_STATE", &VcpuState::mp_state);
}

kvm::Result<kvm::Translation> Vcpu::translate(kvm::Gva address) const {
    const std::lock_guard lock(vcpu_->world->mutex);
    KVM_TRY(vcpu_->world->enter("KVM_TRANSLATE"));
    return kvm::Translation{address.value(), address.value(), 1, 1, 0, {}};
}

kvm::Result<void> Vcpu::kvmclock_ctrl() {
    const std::lock_guard lock(vcpu_->world->mutex);
    KVM_TRY(vcpu_->world->enter("KVM_KVMCLOCK_CTRL"));
    ++state_of(*vcpu_).clock_pauses;
    return {};
}

}  // namespace vmm::fake

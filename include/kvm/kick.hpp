// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cerrno>
#include <kvm/abi/exit.hpp>
#include <kvm/error.hpp>

namespace kvm {

/// Stops a vCPU's run() from any thread or signal handler: the one thing about a vCPU that another
/// thread may hold. Copyable, and safe to use after the vCPU's end, when it does nothing.
///
/// A kick before run() makes the next run() return at once, a kick during run() ends it, a kick
/// after it waits for the next: none is lost, each makes run() return exit::Interrupted. Several
/// kicks before run() returns may become one; what the kicking thread wrote before is visible after
/// it. A kick whose signal arrives late may cause one more exit::Interrupted.
class Kick {
public:
    Kick(const Kick& other) noexcept;
    Kick(Kick&& other) noexcept : state_(other.state_) { other.state_ = nullptr; }
    Kick& operator=(Kick other) noexcept {
        State* mine = state_;
        state_ = other.state_;
        other.state_ = mine;
        return *this;
    }
    ~Kick();

    /// Kicks. Async-signal-safe, does not block, errno is left alone.
    void operator()() const noexcept;

    struct State;

private:
    friend class Vcpu;
    explicit Kick(State* state) : state_(state) {}

    State* state_;
};

/// A signal that nothing else is likely to use, for Vcpu::create_kick(): SIGSTKFLT, which Linux
/// never sends.
int kick_signal();

/// Gives `signal` an empty handler, which is all that a Kick needs of it. Programs with a handler
/// of their own need not call this. Errors: EBUSY (the signal has another handler), EINVAL.
Result<void> install_kick_handler(int signal = kick_signal());

namespace detail {

/// Cold half of Vcpu::run(): whether KVM_RUN's errno is an exit, which kvm_run then says, and no
/// error. Takes back the immediate exit that a Kick asked for. Inline, as a call would cost the hot
/// half the registers that hold KVM_RUN's arguments.
[[gnu::always_inline]] inline bool is_exit(Run& run, int error) {
    if (error == EINTR || error == EAGAIN) {
        // Whoever kicked wrote its news before it set the flag: acquire it with the flag.
        __atomic_exchange_n(&run.immediate_exit, std::uint8_t(0), __ATOMIC_ACQ_REL);
        run.exit_reason = static_cast<std::uint32_t>(ExitReason::intr);
        return true;
    }
    return (error == EFAULT || error == EHWPOISON) &&
           ExitReason(run.exit_reason) == ExitReason::memory_fault;
}
/// Whether create_kick() was last called on this thread: where not, a Kick's signal would go
/// astray.
bool kick_reaches_this_thread(const Kick::State* state);
void kick_detach(Kick::State* state);

}  // namespace detail

}  // namespace kvm

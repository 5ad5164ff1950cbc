// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <csignal>
#include <kvm/kick.hpp>
#include <kvm/vcpu.hpp>
#include <new>
#include <sched.h>

namespace kvm {

/// Shared by a vCPU and its Kicks; freed by the last of them. Plain fields, atomic accesses:
/// <atomic> stays out of the headers.
struct Kick::State {
    int references;      // the vCPU and every Kick
    int kicking;         // calls that may be about to touch *immediate_exit
    u8* immediate_exit;  // null once the vCPU is gone
    int thread;          // the thread to signal: whoever called create_kick() last
    int process;
    int signal;
};

namespace {

void release(Kick::State* state) {
    if (state && __atomic_sub_fetch(&state->references, 1, __ATOMIC_ACQ_REL) == 0) {
        delete state;
    }
}

/// A signal without a handler ends the process; one that is blocked or ignored does not end run().
Result<void> check_signal(int signal) {
    struct sigaction action;
    if (sigaction(signal, nullptr, &action) != 0) {
        return fail("Vcpu::create_kick: signal", errno, static_cast<u32>(signal));
    }
    // They queue: each kick would cost a handler's run, and is lost (EAGAIN) where
    // RLIMIT_SIGPENDING is reached, for which any process of the same user suffices.
    constexpr int first_real_time = 32;
    if (signal >= first_real_time) {
        return fail("Vcpu::create_kick: a real-time signal may be lost", EINVAL,
                    static_cast<u32>(signal));
    }
    if (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN) {
        return fail("Vcpu::create_kick: the signal has no handler", EINVAL,
                    static_cast<u32>(signal));
    }
    sigset_t blocked;
    if (const int error = pthread_sigmask(SIG_SETMASK, nullptr, &blocked)) {
        return fail("Vcpu::create_kick: signal mask", error);
    }
    if (sigismember(&blocked, signal) == 1) {
        return fail("Vcpu::create_kick: this thread blocks the signal", EINVAL,
                    static_cast<u32>(signal));
    }
    return {};
}

}  // namespace

Kick::Kick(const Kick& other) noexcept : state_(other.state_) {
    if (state_) {
        __atomic_add_fetch(&state_->references, 1, __ATOMIC_RELAXED);
    }
}

Kick::~Kick() { release(state_); }

void Kick::operator()() const noexcept {
    if (!state_) {
        return;
    }
    // Sequentially consistent against kick_detach(): either it waits for us, or we see null.
    __atomic_add_fetch(&state_->kicking, 1, __ATOMIC_SEQ_CST);
    if (u8* immediate_exit = __atomic_load_n(&state_->immediate_exit, __ATOMIC_SEQ_CST)) {
        // The flag before the thread, against create_kick()'s thread before run() looks at the
        // flag: either the vCPU's new thread sees the flag, or we see that thread.
        __atomic_exchange_n(immediate_exit, u8(1), __ATOMIC_SEQ_CST);
        // KVM looks at immediate_exit once, on its way in; the signal ends what is already inside.
        (void)detail::sys(arch::nr_tgkill, state_->process,
                          __atomic_load_n(&state_->thread, __ATOMIC_SEQ_CST),
                          __atomic_load_n(&state_->signal, __ATOMIC_RELAXED));
    }
    __atomic_sub_fetch(&state_->kicking, 1, __ATOMIC_SEQ_CST);
}

Result<Kick> Vcpu::create_kick(int signal) {
    if (auto usable = check_signal(signal); !usable) {
        return std::unexpected(usable.error());
    }
    const int process = static_cast<int>(detail::sys(arch::nr_getpid, 0));
    const int thread = static_cast<int>(detail::sys(arch::nr_gettid, 0));
    if (!kick_) {
        kick_ =
            new (std::nothrow) Kick::State{1, 0, &run_->immediate_exit, thread, process, signal};
        if (!kick_) {
            return fail("Vcpu::create_kick", ENOMEM);
        }
    } else {
        __atomic_store_n(&kick_->signal, signal, __ATOMIC_RELAXED);
        __atomic_store_n(&kick_->thread, thread, __ATOMIC_SEQ_CST);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);  // see Kick::operator()
    }
    __atomic_add_fetch(&kick_->references, 1, __ATOMIC_RELAXED);
    return Kick(kick_);
}

int kick_signal() { return SIGSTKFLT; }

Result<void> install_kick_handler(int signal) {
    struct sigaction action;
    if (sigaction(signal, nullptr, &action) != 0) {
        return fail("kvm::install_kick_handler", errno, static_cast<u32>(signal));
    }
    static constexpr auto nothing = [](int) {};
    void (*const handler)(int) = nothing;
    if (action.sa_handler == handler) {
        return {};
    }
    if (action.sa_handler != SIG_DFL) {
        return fail("kvm::install_kick_handler", EBUSY, static_cast<u32>(signal));
    }
    action = {};
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;  // KVM_RUN is interrupted all the same; other calls need not be
    if (sigaction(signal, &action, nullptr) != 0) {
        return fail("kvm::install_kick_handler", errno, static_cast<u32>(signal));
    }
    return {};
}

namespace detail {

bool kick_reaches_this_thread(const Kick::State* state) {
    return __atomic_load_n(&state->thread, __ATOMIC_RELAXED) == sys(arch::nr_gettid, 0);
}

void kick_detach(Kick::State* state) {
    __atomic_store_n(&state->immediate_exit, nullptr, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&state->kicking, __ATOMIC_SEQ_CST) != 0) {
        sched_yield();
    }
    release(state);
}

}  // namespace detail

}  // namespace kvm

// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/exit.hpp>
#include <kvm/kick.hpp>
#include <kvm/object.hpp>
#include <kvm/one_reg.hpp>
#include <kvm/stats.hpp>
#include <kvm/types.hpp>
#include KVM_ARCH_VCPU

namespace kvm {

class CoalescedRing;

/// A virtual CPU. Move-only; owns its descriptor and the mapping of its kvm_run page. Thread-bound
/// while it runs: one thread at a time may use it, and only a Kick may be used from others.
class Vcpu final : public arch::VcpuOps {
public:
    Vcpu(Vcpu&& other) noexcept
        : VcpuOps(static_cast<VcpuOps&&>(other)), size_(other.size_), kick_(other.kick_) {
        other.run_ = nullptr;
        other.kick_ = nullptr;
    }
    Vcpu& operator=(Vcpu&& other) noexcept {
        if (this != &other) {
            destroy();
            VcpuOps::operator=(static_cast<VcpuOps&&>(other));
            size_ = other.size_;
            kick_ = other.kick_;
            other.run_ = nullptr;
            other.kick_ = nullptr;
        }
        return *this;
    }
    ~Vcpu() { destroy(); }

    /// Takes over a descriptor that KVM_CREATE_VCPU gave, mapping `mmap_size` bytes of it, as many
    /// as Kvm::vcpu_mmap_size() says; it is closed on failure. Nobody else may have that vCPU, and
    /// none may run it meanwhile: this would wait. KVM_GET_MP_STATE, which other descriptors
    /// refuse. Errors: ENOTTY, EINVAL (not a vCPU), ENOMEM; EPROTO (`mmap_size`, which is `detail`,
    /// has no room for kvm_run and what it points to).
    static Result<Vcpu> adopt(Fd fd, std::size_t mmap_size);

    /// Runs the guest until it needs the VMM. KVM_RUN. The reply that the last exit asked for is
    /// taken first. A signal, a Kick or an immediate exit is exit::Interrupted, a fault that the
    /// kernel explains is exit::MemoryFault: exits, not errors. Errors: ENOEXEC (arm64: not
    /// initialised), EPERM (arm64: not finalised), ENOSYS (arm64: an access without syndrome, see
    /// cap::arm_nisv_to_user), EFAULT (memory is gone), EIO, EBADF.
    [[gnu::always_inline]] Result<Exit> run() & KVM_LIFETIMEBOUND {
#if KVMXX_CHECKED
        assert(run_ && "kvm::Vcpu used after it was moved from");
        assert((!kick_ || detail::kick_reaches_this_thread(kick_)) &&
               "kvm::Vcpu runs on a thread where create_kick() was not called");
        Exit::next_generation(*run_);
#endif
        Run& page = *run_;
        const long result = detail::raw_ioctl(fd_, op::run.request, 0);
        if (result < 0) [[unlikely]] {
            const int error = static_cast<int>(-result);
            if (!detail::is_exit(page, error)) {
                return Result<Exit>(std::unexpect, op::run.name, error);
            }
        }
        return Exit(page);
    }
    Result<Exit> run() && = delete;

    /// Has the kernel take the reply to the last exit without entering the guest, so that the
    /// vCPU's state is complete and may be saved. exit::Interrupted says that it is; any other exit
    /// is the rest of the same instruction (an access across pages, a `rep ins`): answer it and
    /// call again. A Kick that comes meanwhile waits for the next run(). KVM_RUN with
    /// immediate_exit. Needs cap::immediate_exit. Errors: as run().
    Result<Exit> complete_pending_io() & KVM_LIFETIMEBOUND;

    /// A handle that stops this vCPU's run() from anywhere, by `signal`, which needs a handler
    /// (install_kick_handler()). To be called on the thread that runs the vCPU, again when that
    /// changes; earlier Kicks follow. Needs cap::immediate_exit. Errors: EINVAL (the signal has no
    /// handler, is a real-time one, which may be lost, or is blocked by this thread), ENOMEM.
    Result<Kick> create_kick(int signal = kick_signal());

    /// What the vCPU is doing. KVM_GET_MP_STATE. Needs cap::mp_state.
    Result<MpState> mp_state() const { return call(fd_, op::get_mp_state); }
    /// Has it do another thing. KVM_SET_MP_STATE. Needs cap::mp_state. Errors: EINVAL (not a state
    /// of this architecture).
    Result<void> set_mp_state(const MpState& state) { return call(fd_, op::set_mp_state, state); }

    /// The signals blocked while the guest runs, as the kernel's 64-bit set: bit n - 1 is signal n.
    /// A signal that is pending and only blocked outside ends run() without running its handler.
    /// KVM_SET_SIGNAL_MASK.
    Result<void> set_signal_mask(u64 blocked);
    /// Back to the thread's own mask. KVM_SET_SIGNAL_MASK with a null pointer.
    Result<void> clear_signal_mask() {
        return detail::answer<void>(
            op::set_signal_mask.name,
            detail::raw_ioctl(fd_, op::set_signal_mask.request, static_cast<void*>(nullptr)));
    }

    /// Enables a capability for this vCPU. KVM_ENABLE_CAP. Needs cap::enable_cap. Errors: EINVAL
    /// (this KVM lacks it or an argument, or not now), and the capability's own.
    template <class T, class... Args>
    Result<void> enable(VcpuCap<T, Args...> cap, std::type_identity_t<Args>... args) {
        return detail::enable_cap(fd_, cap.number, args...);
    }
    /// The same by number, for a capability that is newer than this library. KVM_ENABLE_CAP.
    Result<void> enable_cap(int cap, u64 a = 0, u64 b = 0, u64 c = 0, u64 d = 0) {
        return detail::enable_cap(fd_, cap, a, b, c, d);
    }

    /// Whether the vCPU has the attribute. KVM_HAS_DEVICE_ATTR. Needs cap::vcpu_attributes.
    template <class T>
    Result<bool> has_attr(Attr<T> attr) const {
        return detail::has_device_attr(fd_, attr);
    }
    /// The attribute's value. KVM_GET_DEVICE_ATTR. Needs cap::vcpu_attributes. Errors: ENXIO.
    template <class T>
    Result<T> attr(Attr<T> attr) const {
        return detail::device_attr(fd_, attr);
    }
    /// Changes the attribute. KVM_SET_DEVICE_ATTR. Needs cap::vcpu_attributes. Errors: ENXIO (no
    /// such attribute), EINVAL (the value), EBUSY.
    template <class T>
    Result<void> set_attr(Attr<T> attr, const std::type_identity_t<T>& value) {
        return detail::set_device_attr(fd_, attr, value);
    }

    /// One register. KVM_GET_ONE_REG. Needs cap::one_reg (x86_64: since 6.18). Errors: ENOENT,
    /// EINVAL (no such register), EPERM (not before the vCPU is finalised).
    template <class T>
    Result<T> one_reg(RegId<T> id) const {
        return detail::one_reg(fd_, id);
    }
    /// Sets it. KVM_SET_ONE_REG. Needs cap::one_reg. Errors: ENOENT, EINVAL, EBUSY (not once it has
    /// run).
    template <class T>
    Result<void> set_one_reg(RegId<T> id, const std::type_identity_t<T>& value) {
        return detail::set_one_reg(fd_, id, value);
    }
    /// The same for an id of reg_list(): `value` is reg_size(id) bytes. KVM_GET_ONE_REG. Needs
    /// cap::one_reg. Errors: EMSGSIZE (another length), ENOENT, EINVAL, EPERM.
    Result<void> one_reg(u64 id, std::span<std::byte> value) const {
        return detail::one_reg_bytes(fd_, id, value);
    }
    /// Sets it by such an id. KVM_SET_ONE_REG. Needs cap::one_reg. Errors: EMSGSIZE (another
    /// length), ENOENT, EINVAL, EBUSY.
    Result<void> set_one_reg(u64 id, std::span<const std::byte> value) {
        return detail::set_one_reg_bytes(fd_, id, value);
    }
    /// The ids of all registers that the vCPU has. KVM_GET_REG_LIST. Needs cap::one_reg. Errors:
    /// ENOEXEC (arm64: before init()), ENOMEM.
    Result<RegIdList> reg_list() const { return detail::reg_list(fd_); }

    /// Maps `size` bytes of guest memory from `address` on before the guest touches them; 0, or how
    /// many bytes were left when a signal came. KVM_PRE_FAULT_MEMORY. Needs cap::pre_fault_memory.
    /// Since 6.11. Errors: EINVAL (unaligned), ENOENT (no slot there), EAGAIN, EINTR (nothing was
    /// mapped).
    Result<u64> pre_fault_memory(Gpa address, u64 size);

    /// The vCPU's statistics. KVM_GET_STATS_FD. Needs cap::binary_stats_fd. Since 5.14.
    Result<Stats> stats() const;

    /// The kvm_run page itself. Between runs only; Run::immediate_exit belongs to Kick.
    Run& raw() { return *run_; }
    const Run& raw() const { return *run_; }

private:
    friend class CoalescedRing;  // for size_
    friend class Vm;
    /// For a descriptor that the kernel has just given.
    static Result<Vcpu> map(Fd fd, std::size_t mmap_size) {
        if (mmap_size < arch::least_vcpu_mmap_size) [[unlikely]] {
            return fail("mmap(vcpu)", EPROTO, static_cast<u32>(mmap_size));
        }
        const long page = detail::sys(arch::nr_mmap, nullptr, mmap_size, 3 /* read, write */,
                                      1 /* shared */, fd.number(), 0);
        if (page < 0) [[unlikely]] {
            return fail("mmap(vcpu)", static_cast<int>(-page));
        }
        return Vcpu(static_cast<Fd&&>(fd), reinterpret_cast<Run*>(page), mmap_size);
    }
    Vcpu(Fd fd, Run* run, std::size_t size) : VcpuOps(static_cast<Fd&&>(fd), run), size_(size) {}
    [[gnu::always_inline]] void destroy() {
        if (run_) {
            if (kick_) [[unlikely]] {
                detail::kick_detach(kick_);
            }
            (void)detail::sys(arch::nr_munmap, run_, size_);
        }
    }

    std::size_t size_;
    Kick::State* kick_ = nullptr;
};

}  // namespace kvm

// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>
#include <vmm/fake_exit.hpp>
#include <vmm/hypervisor.hpp>

/// A scripted hypervisor: exits in, state out. Its vCPUs execute nothing; each plays its script,
/// and everything that a machine asks of it is kept to be looked at, or refused as a test wants.
/// Needs no /dev/kvm.
namespace vmm::fake {

/// The guest waits for an interrupt, and none comes: run() goes on until a Kick, each time. With
/// interrupts off it can never run again.
struct Halt {
    enum class Interrupts { off, on } interrupts = Interrupts::off;
};
/// The guest runs and never exits of itself: run() goes on until a Kick, each time.
struct Spin {};
/// The guest waits until an interrupt line has this level, or for a Kick as Halt with interrupts
/// on.
struct AwaitLine {
    kvm::Gsi gsi{};
    kvm::Level level = kvm::Level::high;
};
/// The guest waits for an interrupt at that GSI: an irqfd that is signalled, or a line that rises.
/// Each interrupt is awaited once; several that come before are one.
struct AwaitPulse {
    kvm::Gsi gsi{};
};
/// The guest waits for a message with this data: of KVM_SIGNAL_MSI, or of an irqfd whose GSI is
/// routed to it. Each is awaited once.
struct AwaitMessage {
    std::uint32_t data = 0;
};
/// run() fails.
struct RunError {
    int code = 0;
};
/// The guest calls the test: in run(), on the vCPU's thread.
struct Call {
    std::function<void()> function;
};

/// What a vCPU does next. After its last step it is as Halt{}; one without a script has not been
/// started by the guest.
using Step =
    std::variant<ExitData, Halt, Spin, AwaitLine, AwaitPulse, AwaitMessage, RunError, Call>;

/// What was asked of a vCPU.
struct VcpuState {
    kvm::Regs regs{};
    kvm::Sregs sregs{};
    kvm::Fpu fpu{};
    kvm::LapicState lapic{};
    kvm::MpState mp_state{};
    std::map<std::uint32_t, std::uint64_t> msrs;  ///< those that were set
    std::vector<kvm::CpuidEntry2> cpuid;
    std::uint64_t runs = 0;          ///< calls of run()
    std::uint64_t kicks = 0;         ///< calls of Kicks
    std::uint64_t clock_pauses = 0;  ///< kvmclock_ctrl()
    std::size_t steps_left = 0;      ///< of its script
};

/// An irqfd or ioeventfd that was added and not removed.
struct EventFdUse {
    int fd = -1;
    kvm::Gsi gsi{};                           ///< irqfd
    int resample = -1;                        ///< irqfd
    std::optional<kvm::IoAddress> address{};  ///< ioeventfd
};

/// A memory slot.
struct SlotState {
    kvm::Gpa address{};
    std::uint64_t size = 0;
    kvm::Flags<kvm::MemFlag> flags{};
};

/// What was asked of a VM.
struct VmState {
    std::optional<kvm::Gpa> identity_map;
    std::optional<kvm::Gpa> tss;
    bool irqchip = false;
    bool pit = false;
    std::map<int, std::uint64_t> enabled;       ///< capabilities, with their first argument
    std::map<std::uint32_t, SlotState> memory;  ///< by slot
    std::vector<std::pair<kvm::Gsi, kvm::Level>> line_changes;  ///< irq_line(), in order
    std::vector<kvm::Msi> msis;
    std::vector<EventFdUse> irqfds;
    std::vector<EventFdUse> ioeventfds;
    std::vector<kvm::IrqRoutingEntry> routes;  ///< set_gsi_routing(), the last
};

namespace detail {
struct World;
struct VcpuWorld;
}  // namespace detail

/// As kvm::Kick, but for signal handlers.
class Kick {
public:
    void operator()() const;

private:
    friend class Vcpu;
    explicit Kick(std::shared_ptr<detail::VcpuWorld> vcpu) : vcpu_(std::move(vcpu)) {}
    std::shared_ptr<detail::VcpuWorld> vcpu_;
};

/// A vCPU that plays its script. What it has is what kvm::Vcpu has by the same names.
class Vcpu {
public:
    Vcpu(Vcpu&&) noexcept = default;
    Vcpu& operator=(Vcpu&&) noexcept = default;
    ~Vcpu();

    /// The script's next exit. A Kick before or during it is exit::Interrupted.
    kvm::Result<kvm::Exit> run();
    /// Takes the reply to the last exit: exit::Interrupted.
    kvm::Result<kvm::Exit> complete_pending_io();
    kvm::Result<Kick> create_kick();

    kvm::Result<kvm::Regs> regs() const;
    kvm::Result<void> set_regs(const kvm::Regs& regs);
    kvm::Result<kvm::Sregs> sregs() const;
    kvm::Result<void> set_sregs(const kvm::Sregs& sregs);
    kvm::Result<void> set_fpu(const kvm::Fpu& fpu);
    kvm::Result<void> set_cpuid2(const kvm::CpuidList& cpuid);
    kvm::Result<kvm::u64> msr(std::uint32_t index) const;
    kvm::Result<void> set_msr(std::uint32_t index, std::uint64_t value);
    kvm::Result<void> set_msrs(std::span<const kvm::MsrEntry> entries);
    kvm::Result<kvm::LapicState> lapic() const;
    kvm::Result<void> set_lapic(const kvm::LapicState& lapic);
    kvm::Result<kvm::MpState> mp_state() const;
    /// One to one.
    kvm::Result<kvm::Translation> translate(kvm::Gva address) const;
    kvm::Result<void> kvmclock_ctrl();

private:
    friend class Vm;
    explicit Vcpu(std::shared_ptr<detail::VcpuWorld> vcpu) : vcpu_(std::move(vcpu)) {}
    template <class T>
    kvm::Result<void> set(const char* call, T VcpuState::* field, const T& value);
    template <class T>
    kvm::Result<T> get(const char* call, T VcpuState::* field) const;

    std::shared_ptr<detail::VcpuWorld> vcpu_;
};

/// What it has is what kvm::Vm has by the same names.
class Vm {
public:
    Vm(Vm&&) noexcept = default;
    Vm& operator=(Vm&&) noexcept = default;
    ~Vm();

    template <class T>
    kvm::Result<T> check(kvm::Cap<T> cap) const {
        return convert<T>(check_extension(cap.number));
    }
    kvm::Result<int> check_extension(int cap) const;
    template <class T, class... Args>
    kvm::Result<void> enable(kvm::VmCap<T, Args...> cap, std::type_identity_t<Args>... args) const {
        return enable_cap(cap.number, kvm::detail::cap_arg(args)...);
    }
    kvm::Result<void> enable_cap(int cap, std::uint64_t a = 0, std::uint64_t b = 0,
                                 std::uint64_t c = 0, std::uint64_t d = 0) const;
    kvm::Result<void> set_identity_map_addr(kvm::Gpa address) const;
    kvm::Result<void> set_tss_addr(kvm::Gpa address) const;
    kvm::Result<void> create_irqchip() const;
    kvm::Result<void> create_pit2(kvm::Flags<kvm::x86_64::PitFlag> flags = {}) const;
    kvm::Result<Vcpu> create_vcpu(kvm::VcpuId id) const;
    /// Its memory slots; EEXIST, EINVAL as the kernel has it. What the guest wrote is nothing.
    std::shared_ptr<MemorySlots> memory_slots() const;

    kvm::Result<void> irq_line(kvm::Gsi gsi, kvm::Level level) const;
    kvm::Result<bool> signal_msi(const kvm::Msi& msi) const;
    kvm::Result<void> set_gsi_routing(const kvm::GsiRouting& routing) const;
    kvm::Result<void> add_irqfd(kvm::FdRef event, kvm::Gsi gsi) const;
    kvm::Result<void> add_irqfd(kvm::FdRef event, kvm::Gsi gsi, kvm::FdRef resample) const;
    kvm::Result<void> remove_irqfd(kvm::FdRef event, kvm::Gsi gsi) const;
    kvm::Result<void> add_ioeventfd(kvm::FdRef event, kvm::IoAddress address,
                                    kvm::Datamatch match) const;
    kvm::Result<void> remove_ioeventfd(kvm::FdRef event, kvm::IoAddress address,
                                       kvm::Datamatch match) const;

    /// The kernel's answer in the capability's own type.
    template <class T>
    static kvm::Result<T> convert(kvm::Result<int> answer) {
        if (!answer) {
            return std::unexpected(answer.error());
        }
        if constexpr (std::is_same_v<T, bool>) {
            return *answer != 0;
        } else {
            return T(static_cast<unsigned>(*answer));
        }
    }

private:
    friend class System;
    explicit Vm(std::shared_ptr<detail::World> world) : world_(std::move(world)) {}
    std::shared_ptr<detail::World> world_;
};

/// What it has is what kvm::Kvm has by the same names.
class System {
public:
    template <class T>
    kvm::Result<T> check(kvm::Cap<T> cap) const {
        return Vm::convert<T>(check_extension(cap.number));
    }
    kvm::Result<int> check_extension(int cap) const;
    kvm::Result<kvm::CpuidList> supported_cpuid() const;
    /// Errors: EBUSY (the hypervisor's one VM is there).
    kvm::Result<Vm> create_vm() const;

private:
    friend class Hypervisor;
    friend class Vm;
    explicit System(std::shared_ptr<detail::World> world) : world_(std::move(world)) {}
    std::shared_ptr<detail::World> world_;
};

/// The test's side: what the hypervisor is and does, what was asked of it. It has one VM at a time.
/// Any thread, at any time; what it is belongs before the machine's creation.
class Hypervisor {
public:
    /// Has 64 vCPUs, the capabilities that the toolkit asks for, and a few CPUID leaves.
    Hypervisor();

    /// What a machine is made of.
    System system() const { return System(world_); }

    void set_cap(int number, int value);
    void set_cpuid(std::vector<kvm::CpuidEntry2> leaves);
    /// What a vCPU is to do; `more` steps behind those that are left.
    void script(kvm::VcpuId id, std::vector<Step> more);
    /// The `nth` call from now on of that name ("KVM_CREATE_VCPU") fails, once.
    void fail(std::string_view call, int code, std::size_t nth = 1);
    /// The `nth` call from now on of any name fails, once.
    void fail_any(int code, std::size_t nth);

    /// Every call so far, by the kernel's name, in order.
    std::vector<std::string> calls() const;
    VmState vm() const;
    VcpuState vcpu(kvm::VcpuId id) const;
    /// Replies that were not as the script has them, "vCPU 0, step 3, port 0x3fd: ...".
    std::vector<std::string> mismatches() const;
    /// How many VMs and vCPUs have not been destroyed.
    std::size_t alive() const;

private:
    std::shared_ptr<detail::World> world_;
};

struct Backend {
    using System = fake::System;
    using Vm = fake::Vm;
    using Vcpu = fake::Vcpu;
    using Kick = fake::Kick;
    static Result<void> attach(GuestMemory& memory, const Vm& vm) {
        return memory.attach(vm.memory_slots());
    }
    static constexpr bool executes_code = false;
};
static_assert(vmm::Hypervisor<Backend>);

}  // namespace vmm::fake

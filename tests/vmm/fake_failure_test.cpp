// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <cerrno>
#include <pthread.h>
#include <sys/resource.h>
#include <thread>
#include <vmm/machine/fake_machine.hpp>
#include <vmm/machine_guests.hpp>

/// What a machine asks of its hypervisor, and what becomes of it when that fails. Without KVM.
namespace vmm {
namespace {

using namespace std::chrono_literals;
using test::Buffer;
using test::must;
using test::out;
using test::Resources;

class OnFakeHypervisor : public ::testing::Test {
protected:
    void script(std::vector<fake::Step> steps, std::uint32_t cpu = 0) {
        hypervisor.script(kvm::VcpuId(cpu), std::move(steps));
    }
    Result<FakeMachine> create() {
        return FakeMachine::create(config, console, hypervisor.system());
    }
    Result<End> run() {
        auto machine = create();
        return machine ? machine->run() : std::unexpected(machine.error());
    }
    End end_of(std::vector<fake::Step> steps) {
        script(std::move(steps));
        return must(run());
    }

    fake::Hypervisor hypervisor;
    Buffer console;
    MachineConfig config = [] {
        MachineConfig c;
        c.memory_bytes = 2 << 20;
        c.cpus = 2;
        c.timeout = 20s;
        return c;
    }();
};

/// Uses all that there is: output, an interrupt line, a read, an MSR, an interrupted CPU.
std::vector<fake::Step> a_bit_of_all() {
    return {out(0x3f9, "\x02"),
            out(0x3f8, "x"),
            fake::IoIn{kvm::Port(0x71)},
            fake::Rdmsr{.index = 0x1234},
            fake::OtherExit{kvm::ExitReason::intr},
            out(0x64, "\xfe")};
}

TEST_F(OnFakeHypervisor, EachOfTheMachinesCallsMayFail) {
    const Resources before = Resources::now();
    std::size_t failures = 0;
    for (std::size_t nth = 1;; ++nth) {
        fake::Hypervisor own;
        own.script(kvm::VcpuId(0), a_bit_of_all());
        const std::size_t calls = [&] {
            auto machine = must(FakeMachine::create(config, console, own.system()));
            must(machine.run());
            return own.calls().size();
        }();
        if (nth > calls) {
            break;
        }
        fake::Hypervisor failing;
        failing.script(kvm::VcpuId(0), a_bit_of_all());
        failing.fail_any(EIO, nth);
        {
            auto machine = FakeMachine::create(config, console, failing.system());
            const auto end = machine ? machine->run() : std::unexpected(machine.error());
            if (!end) {
                ++failures;
                EXPECT_EQ(end.error().code, EIO) << end.error().message;
                EXPECT_NE(end.error().message.find(failing.calls()[nth - 1]), std::string::npos)
                    << nth << ": " << end.error().message;
            } else {
                EXPECT_EQ(end->reason, EndReason::reset) << failing.calls()[nth - 1];
            }
        }
        EXPECT_EQ(failing.alive(), 0u);
    }
    EXPECT_GT(failures, 20u);
    EXPECT_EQ(Resources::now(), before);
}

TEST_F(OnFakeHypervisor, WithoutDescriptorsItIsNotMade) {
    (void)create();  // a sanitizer's first look at an object takes descriptors of its own
    const Resources before = Resources::now();
    rlimit old{};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
    bool made = false;
    int refused = 0;
    for (rlim_t more = 0; !made && more < 30; ++more) {
        // One more than the highest that is open: descriptors are not always without holes.
        const int next = dup(0);
        ASSERT_GE(next, 0);
        close(next);
        const rlimit limit{static_cast<rlim_t>(next) + more, old.rlim_max};
        ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
        const auto machine = create();
        ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
        made = machine.has_value();
        if (!made) {
            EXPECT_EQ(machine.error().code, EMFILE) << machine.error().message;
            EXPECT_EQ(Resources::now(), before);
            ++refused;
        }
    }
    EXPECT_TRUE(made);
    EXPECT_GE(refused, 5);
    EXPECT_EQ(Resources::now(), before);
}

/// While it lives no thread can be made: their stacks would not fit.
class NoThreads {
public:
    NoThreads() {
        pthread_getattr_default_np(&old_);
        pthread_attr_t huge;
        pthread_attr_init(&huge);
        pthread_attr_setstacksize(&huge, std::size_t(1) << 47);
        pthread_setattr_default_np(&huge);
        pthread_attr_destroy(&huge);
    }
    ~NoThreads() {
        pthread_setattr_default_np(&old_);
        pthread_attr_destroy(&old_);
    }
    NoThreads(const NoThreads&) = delete;
    NoThreads& operator=(const NoThreads&) = delete;

private:
    pthread_attr_t old_{};
};

TEST_F(OnFakeHypervisor, WithoutThreadsItEndsWithAnError) {
    {
        const NoThreads none;
        const auto end = run();
        EXPECT_NE(test::message(end).find("a thread for a vCPU"), std::string::npos);
        auto machine = must(create());
        EXPECT_NE(test::message(machine.start()).find("a thread for the machine"),
                  std::string::npos);
        EXPECT_EQ(machine.state(), MachineState::ended);
        EXPECT_FALSE(machine.wait());
    }
    script({out(0x64, "\xfe")});
    EXPECT_EQ(must(run()).reason, EndReason::reset);
}

TEST_F(OnFakeHypervisor, GetsWhatAPcHas) {
    const auto machine = must(create());
    const fake::VmState vm = hypervisor.vm();
    EXPECT_TRUE(vm.irqchip);
    EXPECT_TRUE(vm.pit);
    EXPECT_TRUE(vm.tss);
    EXPECT_TRUE(vm.identity_map);
    ASSERT_EQ(vm.memory.size(), 1u);
    EXPECT_EQ(vm.memory.begin()->second.size, config.memory_bytes);
    EXPECT_EQ(vm.enabled.at(kvm::cap::x86_user_space_msr.number), 2u);
    for (std::uint32_t id = 0; id < 2; ++id) {
        const fake::VcpuState cpu = hypervisor.vcpu(kvm::VcpuId(id));
        const auto leaf1 = std::ranges::find(cpu.cpuid, 1u, &kvm::CpuidEntry2::function);
        ASSERT_NE(leaf1, cpu.cpuid.end());
        EXPECT_EQ(leaf1->ebx >> 24, id) << "its APIC id";
        EXPECT_TRUE(leaf1->ecx & (1u << 31)) << "a hypervisor is there";
        EXPECT_TRUE(leaf1->ecx & (1u << 24)) << "the TSC deadline timer";
        EXPECT_EQ(cpu.msrs.at(0x2ff), 0x806u) << "write-back";
        EXPECT_EQ(cpu.lapic.regs[0x351], 0x7u) << "LINT0 takes the PIC's interrupts";
    }
    hypervisor.set_cap(kvm::cap::max_vcpus.number, 1);
    EXPECT_NE(test::message(create()).find("at most 1"), std::string::npos);
}

TEST_F(OnFakeHypervisor, SetsTheLinesOfInterrupts) {
    script({out(0x3f9, "\x02"), fake::AwaitLine{kvm::Gsi(4)}, fake::IoIn{kvm::Port(0x3fa)},
            fake::AwaitLine{kvm::Gsi(4), kvm::Level::low}, out(0x64, "\xfe")});
    EXPECT_EQ(must(run()).reason, EndReason::reset);
    const auto changes = hypervisor.vm().line_changes;
    EXPECT_EQ(changes,
              (decltype(changes){{kvm::Gsi(4), kvm::Level::high}, {kvm::Gsi(4), kvm::Level::low}}));
}

TEST_F(OnFakeHypervisor, EndsByWhatKvmSays) {
    struct {
        fake::ExitData exit;
        EndReason reason;
        const char* cause;
    } const cases[] = {
        {fake::InternalError{1, "\x0f\x0b"}, EndReason::internal_error,
         "emulate an instruction: 0f 0b"},
        {fake::InternalError{2, ""}, EndReason::internal_error, "delivered an exception"},
        {fake::InternalError{3, ""}, EndReason::internal_error, "deliver an event"},
        {fake::InternalError{4, ""}, EndReason::internal_error, "a reason to exit"},
        {fake::InternalError{99, ""}, EndReason::internal_error, "gave up"},
        {fake::FailEntry{0x21}, EndReason::internal_error, "0x21"},
        {fake::MemoryFault{kvm::Gpa(0x5000)}, EndReason::internal_error, "0x5000"},
        {fake::SystemEvent{kvm::exit::SystemEventType::shutdown}, EndReason::power_off, ""},
        {fake::SystemEvent{kvm::exit::SystemEventType::reset}, EndReason::reset, ""},
        {fake::SystemEvent{kvm::exit::SystemEventType(99)}, EndReason::internal_error, "event 99"},
        {fake::OtherExit{kvm::ExitReason::shutdown}, EndReason::triple_fault, ""},
    };
    for (const auto& [exit, reason, cause] : cases) {
        fake::Hypervisor own;
        own.script(kvm::VcpuId(0), {exit});
        const End end = must(must(FakeMachine::create(config, console, own.system())).run());
        EXPECT_EQ(end.reason, reason) << cause;
        EXPECT_NE(end.cause.find(cause), std::string::npos) << end.cause;
    }
}

TEST_F(OnFakeHypervisor, EndsWithTheErrorOfRun) {
    script({fake::RunError{EFAULT}}, 1);
    script({fake::Spin{}});
    const auto end = run();
    EXPECT_EQ(test::code(end), EFAULT);
    EXPECT_TRUE(test::message(end).starts_with("vCPU 1: KVM_RUN")) << test::message(end);
}

TEST_F(OnFakeHypervisor, CountsExitsAndMsrsThatNobodyKnows) {
    script({fake::Rdmsr{.index = 0x123, .error = 1}, fake::Wrmsr{.index = 0x123, .error = 1},
            fake::OtherExit{kvm::ExitReason(200)}, fake::OtherExit{kvm::ExitReason::nmi},
            out(0x64, "\xfe")});
    auto machine = must(create());
    EXPECT_EQ(must(machine.run()).reason, EndReason::reset);
    EXPECT_EQ(hypervisor.mismatches(), std::vector<std::string>());
    const MachineReport report = machine.report();
    EXPECT_EQ(report.msrs, (std::vector<Unhandled>{{0x123, 1, 1}}));
    const auto count = [&](const char* name) {
        const auto found =
            std::ranges::find(report.exits, name, [](const auto& e) { return e.first; });
        return found == report.exits.end() ? 0 : found->second;
    };
    EXPECT_EQ(count("X86_RDMSR"), 1u);
    EXPECT_EQ(count("newer ones"), 1u);
    EXPECT_EQ(count("IO"), 1u);
}

TEST_F(OnFakeHypervisor, TellsEachCpusClockThatItWasPaused) {
    for (const int has : {1, 0}) {
        fake::Hypervisor own;
        own.set_cap(kvm::cap::kvmclock_ctrl.number, has);
        own.script(kvm::VcpuId(0), {fake::Spin{}});
        auto machine = must(FakeMachine::create(config, console, own.system()));
        must(machine.start());
        must(machine.pause());
        const auto runs = own.vcpu(kvm::VcpuId(1)).runs;
        must(machine.resume());
        while (own.vcpu(kvm::VcpuId(1)).runs == runs) {
            std::this_thread::sleep_for(1ms);
        }
        EXPECT_EQ(own.vcpu(kvm::VcpuId(1)).clock_pauses, has ? 1u : 0u);
    }
}

TEST_F(OnFakeHypervisor, APauseThatFailsEndsTheMachine) {
    script({fake::Spin{}});
    auto machine = must(create());
    must(machine.start());
    while (hypervisor.vcpu(kvm::VcpuId(0)).runs == 0 || hypervisor.vcpu(kvm::VcpuId(1)).runs == 0) {
        std::this_thread::sleep_for(1ms);
    }
    hypervisor.fail("KVM_RUN", EIO);
    EXPECT_FALSE(machine.pause());
    EXPECT_EQ(test::code(machine.wait()), EIO);
}

}  // namespace
}  // namespace vmm

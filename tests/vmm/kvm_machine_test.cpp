// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <kvm/kick.hpp>
#include <support/require.hpp>
#include <vmm/machine_behaviour.hpp>
#include <vmm/machine_life.hpp>
#include <vmm/machine_memory.hpp>
#include <vmm/machine_power.hpp>
#include <vmm/machine_soak.hpp>

namespace vmm {
namespace {

using namespace std::chrono_literals;
using namespace std::string_view_literals;

/// Machines on the host's KVM.
struct OnKvm {
    using Machine = vmm::Machine;
    static constexpr int lives = 200;  // 1000 take half a minute
    static constexpr int soak_lives = 16;

    std::string cannot_run() {
        if (auto kvm = kvm::Kvm::open(); !kvm) {
            return Error(kvm.error()).message;
        }
        EXPECT_TRUE(kvm::install_kick_handler());
        return {};
    }
    Result<Machine> create(const MachineConfig& config, const test::Guest&, Console& console,
                           MachineEvents events = {}) {
        return Machine::create(config, console, std::move(events));
    }
};

}  // namespace

namespace test {
INSTANTIATE_TYPED_TEST_SUITE_P(Kvm, AnyMachine, OnKvm);
INSTANTIATE_TYPED_TEST_SUITE_P(Kvm, MachineLife, OnKvm);
INSTANTIATE_TYPED_TEST_SUITE_P(Kvm, MachineMemory, OnKvm);
INSTANTIATE_TYPED_TEST_SUITE_P(Kvm, MachinePower, OnKvm);
INSTANTIATE_TYPED_TEST_SUITE_P(Kvm, MachineSoak, OnKvm);
}  // namespace test

namespace {

/// Copies 8 bytes of real-mode code to 0x1000, sends INIT, SIPI and SIPI to all others, which add
/// themselves to the word at 0x1800 (lock inc) and halt; exits with their number and its own once
/// they are 64. 64-bit, at 2 MiB.
const test::Guest start_all{
    "\xbf\x00\x10\x00\x00\x48\x8d\x35\x40\x00\x00\x00\xb9\x08\x00\x00\x00\xfc\xf3\xa4\x66\xc7\x04\x25"
    "\x00\x18\x00\x00\x01\x00\xbb\x00\x03\xe0\xfe\xc7\x03\x00\x45\x0c\x00\xc7\x03\x01\x46\x0c\x00\xc7"
    "\x03\x01\x46\x0c\x00\xf3\x90\x66\x83\x3c\x25\x00\x18\x00\x00\x40\x75\xf3\x8b\x04\x25\x00\x18\x00"
    "\x00\xe6\xf4\xf4\xf0\xff\x06\x00\x18\xf4\xeb\xfd"sv,
    {}};

using KvmCpus = test::OnMaker<OnKvm>;

TEST_F(KvmCpus, AreSixtyFourThatRun) {
    constexpr std::uint32_t count = 64;
    if (const auto most = test::must(MachineLimits::query()).max_cpus; most < count) {
        GTEST_SKIP() << "this KVM has at most " << most << " vCPUs";
    }
    MachineConfig c = config64(start_all);
    c.cpus = count;
    c.test_devices = true;
    c.timeout = 50s;
    const End end = test::must(machine(start_all, c).run());
    EXPECT_EQ(end.reason, EndReason::test_exit) << describe(end.reason);
    EXPECT_EQ(end.exit_value, count);
}

TEST(MachineLimits, AreWhatTheHostHas) {
    if (!kvm::Kvm::open()) {
        GTEST_SKIP() << "no KVM";
    }
    const MachineLimits limits = test::must(MachineLimits::query());
    EXPECT_GE(limits.max_cpus, 1u);
    EXPECT_EQ(limits.memory_bytes, host_memory_size());
}

}  // namespace
}  // namespace vmm

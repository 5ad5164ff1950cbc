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

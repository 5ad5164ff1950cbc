// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <vmm/machine/fake_machine.hpp>
#include <vmm/machine_behaviour.hpp>

namespace vmm {
namespace {

/// Machines on a scripted hypervisor. At its end every reply was as in the script.
struct OnFake {
    using Machine = FakeMachine;

    ~OnFake() {
        for (const auto& hypervisor : hypervisors) {
            EXPECT_EQ(hypervisor->mismatches(), std::vector<std::string>());
            EXPECT_EQ(hypervisor->alive(), 0u);
        }
    }
    std::string cannot_run() { return {}; }
    Result<Machine> create(const MachineConfig& config, const test::Guest& guest,
                           Console& console) {
        auto& hypervisor = hypervisors.emplace_back(std::make_unique<fake::Hypervisor>());
        hypervisor->script(kvm::VcpuId(0), guest.steps);
        return Machine::create(config, console, hypervisor->system());
    }
    std::vector<std::unique_ptr<fake::Hypervisor>> hypervisors;
};

}  // namespace

namespace test {
INSTANTIATE_TYPED_TEST_SUITE_P(Fake, AnyMachine, OnFake);
}

}  // namespace vmm

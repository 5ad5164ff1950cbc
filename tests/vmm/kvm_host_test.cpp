// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <gtest/gtest.h>

#include <ctime>
#include <support/require.hpp>
#include <vmm/host/examine.hpp>
#include <vmm/host/probe.hpp>

/// probe() on this host's KVM.
namespace vmm::host {
namespace {

class HostOfKvm : public kvm::test::WithKvm {};

TEST_F(HostOfKvm, ProbeAsksForEveryCapability) {
    const Report report = probe({.measure = Measure::no});
    ASSERT_TRUE(report.kvm);
    EXPECT_EQ(report.kvm->api_version, 12);
    ASSERT_EQ(report.kvm->capabilities.size(), std::size(kvm::cap::all));
    const auto vm = kvm().create_vm();
    ASSERT_TRUE(vm);
    for (const Capability& capability : report.kvm->capabilities) {
        ASSERT_TRUE(capability.system) << capability.name << ": " << capability.system.why;
        EXPECT_EQ(*capability.system, kvm().check_extension(capability.number).value())
            << capability.name;
        if (capability.vm) {
            EXPECT_EQ(*capability.vm, vm->check_extension(capability.number).value())
                << capability.name;
        }
        EXPECT_EQ(report.kvm->value(capability.number), *capability.value());
    }
    EXPECT_EQ(report.kvm->value(9999), 0);
}

TEST_F(HostOfKvm, ProbeCountsWhatTheListsHold) {
    const Report report = probe({.measure = Measure::no});
    ASSERT_TRUE(report.kvm);
    EXPECT_EQ(*report.kvm->vcpu_mmap_size, kvm().vcpu_mmap_size().value());
    EXPECT_EQ(*report.kvm->supported_cpuid, kvm().supported_cpuid()->size());
    EXPECT_EQ(*report.kvm->msrs, kvm().msr_index_list()->size());
    EXPECT_EQ(report.kvm->kernel_mode.why, "not measured");
    EXPECT_EQ(report.kvm->exit_latency.why, "not measured");
}

TEST_F(HostOfKvm, ProbeMeasuresExitsAndKernelModeInHalfASecond) {
    const std::clock_t start = std::clock();  // of CPU time: others may have the CPU, too
    const Report report = probe();
    const auto took = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    ASSERT_TRUE(report.kvm);
    ASSERT_TRUE(report.kvm->exit_latency) << report.kvm->exit_latency.why;
    const ExitLatency& latency = *report.kvm->exit_latency;
    EXPECT_GE(latency.exits, 3);
    EXPECT_GT(latency.min, 100u) << "no exit takes less than 100 ns";
    EXPECT_LE(latency.min, latency.median);
    ASSERT_TRUE(report.kvm->kernel_mode) << report.kvm->kernel_mode.why;
    const KernelModeSpeed& speed = *report.kvm->kernel_mode;
    EXPECT_EQ(speed.mode == KernelMode::interpreted,
              speed.instructions_per_second < interpreted_below);
    RecordProperty("instructions_per_second", std::to_string(speed.instructions_per_second));
    EXPECT_LT(took, 2.0) << "less than 0.5 s, but for sanitizers and the lab";
}

TEST_F(HostOfKvm, ProbeSaysTheSameModeEachTime) {
    const auto first = probe().kvm->kernel_mode;
    const auto second = probe().kvm->kernel_mode;
    ASSERT_TRUE(first && second);
    EXPECT_EQ(first->mode, second->mode);
}

TEST_F(HostOfKvm, ExamineFindsNoFailureWhereVmsRun) {
    EXPECT_LT(worst(examine(probe())), Verdict::fail);
}

}  // namespace
}  // namespace vmm::host

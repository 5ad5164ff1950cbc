// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <algorithm>
#include <array>
#include <cerrno>
#include <thread>
#include <vmm/machine_guests.hpp>

/// What a machine does on any hypervisor: one body for each behaviour.
namespace vmm::test {

template <class Maker>
class AnyMachine : public OnMaker<Maker> {};
TYPED_TEST_SUITE_P(AnyMachine);

TYPED_TEST_P(AnyMachine, PrintsAndEndsByTheKeyboardControllersReset) {
    auto m = this->machine(print_and_reset);
    EXPECT_EQ(must(m.run()).reason, EndReason::reset);
    EXPECT_EQ(this->console.text, "Hi");
    EXPECT_TRUE(m.report().ports.empty());
}

TYPED_TEST_P(AnyMachine, EndsByTheResetControlRegister) {
    EXPECT_EQ(must(this->machine(reset_by_cf9).run()).reason, EndReason::reset);
}

TYPED_TEST_P(AnyMachine, EndsByATripleFaultWithTheRegisters) {
    const End end = must(this->machine(triple_fault, this->config64(triple_fault)).run());
    EXPECT_EQ(end.reason, EndReason::triple_fault);
    EXPECT_EQ(end.cpu, 0u);
    for (const char* word : {"vCPU 0:", "rip", "r15", "cr3", "efer", "idt base"}) {
        EXPECT_NE(end.dump.find(word), std::string::npos) << word << "\n" << end.dump;
    }
}

TYPED_TEST_P(AnyMachine, EndsWhenNothingCanWakeIt) {
    EXPECT_EQ(must(this->machine(halt).run()).reason, EndReason::halted);
    MachineConfig three = this->config(halt);
    three.cpus = 3;
    EXPECT_EQ(must(this->machine(halt, three).run()).reason, EndReason::halted);
}

TYPED_TEST_P(AnyMachine, EndsWhenItsTimeIsUp) {
    MachineConfig c = this->config(spin);
    c.timeout = 50ms;
    EXPECT_EQ(must(this->machine(spin, c).run()).reason, EndReason::timeout);
}

TYPED_TEST_P(AnyMachine, StopsFromAnotherThreadAndBeforeItRuns) {
    auto m = this->machine(spin);
    std::jthread stopper([&] {
        std::this_thread::sleep_for(50ms);
        m.stop();
    });
    EXPECT_EQ(must(m.run()).reason, EndReason::stopped);
    auto stopped = this->machine(spin);
    stopped.stop();
    EXPECT_EQ(must(stopped.run()).reason, EndReason::stopped);
}

TYPED_TEST_P(AnyMachine, RunsOnce) {
    auto m = this->machine(print_and_reset);
    must(m.run());
    EXPECT_NE(message(m.run()).find("has run"), std::string::npos);
}

TYPED_TEST_P(AnyMachine, EndsWithTheConsolesError) {
    this->console.error = ENOSPC;
    EXPECT_EQ(code(this->machine(flood).run()), ENOSPC);
}

TYPED_TEST_P(AnyMachine, TakesStringsOfBytesOneByOne) {
    EXPECT_EQ(must(this->machine(strings).run()).reason, EndReason::reset);
    EXPECT_EQ(this->console.text, std::string(16, '\x60')) << "LSR, each time";
}

TYPED_TEST_P(AnyMachine, TakesStringsOfAnyWidthAtTheTestDevices) {
    MachineConfig c = this->config64(test_devices);
    c.test_devices = true;
    const End end = must(this->machine(test_devices, c).run());
    EXPECT_EQ(end.reason, EndReason::test_exit);
    EXPECT_EQ(end.exit_value, 0x55667788u + 0x7788 + 0x20);
}

TYPED_TEST_P(AnyMachine, AnswersWideAccessesThatReachBeyondADevice) {
    auto m = this->machine(wide);
    EXPECT_EQ(must(m.run()).reason, EndReason::reset);
    const auto ports = m.report().ports;
    ASSERT_EQ(ports.size(), 1u);
    EXPECT_EQ(ports[0].address, 0xffffu);
}

TYPED_TEST_P(AnyMachine, AnswersReadsOfNothingWithOnesAndCountsThem) {
    auto m = this->machine(nowhere, this->config64(nowhere));
    EXPECT_EQ(must(m.run()).reason, EndReason::reset);
    EXPECT_EQ(m.report().addresses, (std::vector<Unhandled>{{0xc0000000, 1, 1}}));
}

TYPED_TEST_P(AnyMachine, CountsItsExitsByReasonByCpuAndByDevice) {
    auto m = this->machine(print_and_reset);
    EXPECT_EQ(m.report().uptime.count(), 0) << "not started";
    EXPECT_EQ(must(m.run()).reason, EndReason::reset);
    const MachineReport report = m.report();
    EXPECT_EQ(report.exits, (ExitCounts{{"IO", 3}}));
    EXPECT_EQ(report.cpu_exits, (std::vector<ExitCounts>{{{"IO", 3}}}));
    const auto used = [&](std::uint64_t base) {
        const auto found = std::ranges::find(report.port_devices, base, &BusUsage::base);
        return found == report.port_devices.end() ? BusUsage{} : *found;
    };
    EXPECT_EQ(used(0x3f8), (BusUsage{"serial", 0x3f8, 0, 2}));
    EXPECT_EQ(used(0x60), (BusUsage{"i8042", 0x60, 0, 1}));
    EXPECT_EQ(used(0x70).reads + used(0x70).writes, 0u);
    EXPECT_EQ(report.memory_bytes, this->config(print_and_reset).memory_bytes);
    EXPECT_GT(report.resident_bytes, 0u) << "the image at least";
    EXPECT_LE(report.resident_bytes, report.memory_bytes);
}

TYPED_TEST_P(AnyMachine, ReportsWhileItRuns) {
    auto m = this->machine(flood);
    this->console.text.clear();
    ASSERT_TRUE(m.start());
    ExitCounts before = m.report().exits;
    for (int i = 0; i < 1000 && (before.empty() || m.report().exits == before); ++i) {
        before = m.report().exits;
        std::this_thread::sleep_for(1ms);
    }
    const MachineReport report = m.report();
    ASSERT_FALSE(report.exits.empty());
    EXPECT_EQ(report.exits[0].first, "IO");
    EXPECT_GT(report.exits[0].second, before.empty() ? 0 : before[0].second);
    EXPECT_GT(report.uptime.count(), 0);
    m.stop();
    EXPECT_EQ(must(m.wait()).reason, EndReason::stopped);
}

TYPED_TEST_P(AnyMachine, RefusesNumbersThatAreNone) {
    const auto refused = [&](const MachineConfig& c) {
        return message(this->maker.create(c, halt, this->console));
    };
    MachineConfig c = this->config(halt);
    for (const std::uint64_t bytes :
         {std::uint64_t(0), std::uint64_t(4097), ~std::uint64_t(4095)}) {
        c.memory_bytes = bytes;
        EXPECT_TRUE(refused(c).starts_with("memory: ")) << refused(c);
    }
    c.memory_bytes = 1 << 20;
    for (const std::uint32_t cpus : {0u, 1'000'000u}) {
        c.cpus = cpus;
        EXPECT_TRUE(refused(c).starts_with("cpus: ")) << refused(c);
    }
}

TYPED_TEST_P(AnyMachine, LeavesNoDescriptorsThreadsOrMappingsBehind) {
    must(this->machine(print_and_reset).run());
    const Resources before = Resources::now();
    for (int i = 0; i < 3; ++i) {
        must(this->machine(print_and_reset).run());
        {
            const auto never_run = this->machine(halt);
            EXPECT_TRUE(sanitized || Resources::now().mappings > before.mappings);
        }
        MachineConfig missing = this->config(halt);
        missing.boot.kernel = this->path + "-missing";
        EXPECT_EQ(code(this->maker.create(missing, halt, this->console)), ENOENT);
        const std::string all(2 << 20, 'x');
        const Guest huge{all, {}};
        const MachineConfig too_huge = this->config(huge);
        EXPECT_FALSE(this->maker.create(too_huge, huge, this->console));
    }
    EXPECT_EQ(Resources::now(), before);
}

TYPED_TEST_P(AnyMachine, RunsManyAtOnceInOneProcess) {
    std::array<Buffer, 4> consoles;
    std::vector<std::jthread> threads;
    const MachineConfig c = this->config(print_and_reset);
    for (Buffer& own : consoles) {
        threads.emplace_back([&] {
            TypeParam own_maker;
            auto m = must(own_maker.create(c, print_and_reset, own));
            EXPECT_EQ(must(m.run()).reason, EndReason::reset);
        });
    }
    threads.clear();
    for (const Buffer& own : consoles) {
        EXPECT_EQ(own.text, "Hi");
    }
}

REGISTER_TYPED_TEST_SUITE_P(
    AnyMachine, PrintsAndEndsByTheKeyboardControllersReset, EndsByTheResetControlRegister,
    EndsByATripleFaultWithTheRegisters, EndsWhenNothingCanWakeIt, EndsWhenItsTimeIsUp,
    StopsFromAnotherThreadAndBeforeItRuns, RunsOnce, EndsWithTheConsolesError,
    TakesStringsOfBytesOneByOne, TakesStringsOfAnyWidthAtTheTestDevices,
    AnswersWideAccessesThatReachBeyondADevice, AnswersReadsOfNothingWithOnesAndCountsThem,
    CountsItsExitsByReasonByCpuAndByDevice, ReportsWhileItRuns, RefusesNumbersThatAreNone,
    LeavesNoDescriptorsThreadsOrMappingsBehind, RunsManyAtOnceInOneProcess);

}  // namespace vmm::test

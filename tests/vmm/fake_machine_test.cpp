// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <mutex>
#include <vmm/machine/fake_machine.hpp>
#include <vmm/machine_behaviour.hpp>
#include <vmm/machine_life.hpp>
#include <vmm/machine_memory.hpp>
#include <vmm/machine_power.hpp>
#include <vmm/machine_soak.hpp>

namespace vmm {
namespace {

/// Machines on a scripted hypervisor. At its end every reply was as in the script.
struct OnFake {
    using Machine = FakeMachine;
    static constexpr int lives = 1000;
    static constexpr int soak_lives = 48;

    ~OnFake() {
        for (const auto& hypervisor : hypervisors) {
            EXPECT_EQ(hypervisor->mismatches(), std::vector<std::string>());
            EXPECT_EQ(hypervisor->alive(), 0u);
        }
    }
    std::string cannot_run() { return {}; }
    Result<Machine> create(const MachineConfig& config, const test::Guest& guest, Console& console,
                           MachineEvents events = {}) {
        auto& hypervisor = hypervisors.emplace_back(std::make_unique<fake::Hypervisor>());
        hypervisor->script(kvm::VcpuId(0), guest.steps);
        if (guest.endless) {
            go_on(*hypervisor, guest);
        }
        return Machine::create(config, console, hypervisor->system(), std::move(events));
    }
    std::vector<std::unique_ptr<fake::Hypervisor>> hypervisors;

private:
    /// Behind the last step comes the first again.
    static void go_on(fake::Hypervisor& hypervisor, const test::Guest& guest) {
        hypervisor.script(kvm::VcpuId(0), {fake::Call{[&hypervisor, guest] {
                              hypervisor.script(kvm::VcpuId(0), guest.steps);
                              go_on(hypervisor, guest);
                          }}});
    }
};

}  // namespace

namespace test {
INSTANTIATE_TYPED_TEST_SUITE_P(Fake, AnyMachine, OnFake);
INSTANTIATE_TYPED_TEST_SUITE_P(Fake, MachineLife, OnFake);
INSTANTIATE_TYPED_TEST_SUITE_P(Fake, MachineMemory, OnFake);
INSTANTIATE_TYPED_TEST_SUITE_P(Fake, MachinePower, OnFake);
INSTANTIATE_TYPED_TEST_SUITE_P(Fake, MachineSoak, OnFake);
}  // namespace test

namespace {

TEST(FakeMachine, SaysWhatHappensByItsLog) {
    OnFake maker;
    test::Buffer console;
    std::mutex mutex;
    std::vector<std::string> lines;
    const auto keep = [&](const LogLine& line) {
        const std::lock_guard lock(mutex);
        std::string text(line.text.substr(0, line.text.find(" after")));
        lines.push_back(fmt::format("{} {}: {}", describe(line.level), line.component, text));
    };
    const auto live = [&](LogLevel least) {
        MachineConfig config;
        config.memory_bytes = 2 << 20;
        const test::Guest guest{
            {}, {test::out(0x1234, "x"), test::out(0x1234, "y"), test::out(0x64, "\xfe")}};
        auto m = test::must(maker.create(config, guest, console, {.log = {least, keep}}));
        test::must(m.run());
    };
    live(LogLevel::debug);
    EXPECT_EQ(lines, (std::vector<std::string>{"debug machine: create", "debug machine: vm",
                                               "debug machine: ready", "info machine: running",
                                               "info machine: no device at port 0x1234: written",
                                               "info machine: ended"}));
    lines.clear();
    live(LogLevel::warn);
    EXPECT_TRUE(lines.empty()) << lines[0];
}

TEST(FakeMachine, SaysThatAnInterruptCannotBeGiven) {
    OnFake maker;
    test::Buffer console;
    std::vector<std::string> lines;
    const auto keep = [&](const LogLine& line) { lines.emplace_back(line.text); };
    MachineConfig config;
    config.memory_bytes = 2 << 20;
    // The serial port's interrupt of an empty transmitter.
    const test::Guest guest{
        {}, {test::out(0x3fc, "\x08"), test::out(0x3f9, "\x02"), test::out(0x64, "\xfe")}};
    auto m = test::must(maker.create(config, guest, console, {.log = {LogLevel::warn, keep}}));
    maker.hypervisors.back()->fail("KVM_IRQ_LINE", EIO);
    test::must(m.run());
    ASSERT_EQ(lines.size(), 1u);
    EXPECT_TRUE(lines[0].starts_with("GSI 4: KVM_IRQ_LINE: Input/output error")) << lines[0];
}

TEST(FakeMachine, ReportsWhatItsDevicesHaveDone) {
    OnFake maker;
    test::Buffer console;
    const std::string image = ::testing::TempDir() + "kvmxx-report-" + std::to_string(getpid());
    std::ofstream(image) << std::string(1 << 20, 'x');
    MachineConfig config;
    config.memory_bytes = 2 << 20;
    config.disks.push_back({.image = {image, Access::read_only}});
    config.disks.push_back({.image = {image, Access::read_only}, .bus = DiskBus::nvme});
    config.balloon = {.target_bytes = 1 << 20};
    config.consoles.push_back({});
    config.rng.emplace();
    config.vsock = {.cid = 3, .path = image + ".sock"};
    auto m = test::must(maker.create(config, test::halt, console));
    std::vector<std::string> names;
    for (const DeviceReport& device : m.report().devices) {
        names.push_back(device.name);
        EXPECT_FALSE(device.statistics.empty()) << device.name;
        for (const Statistic& statistic : device.statistics) {
            EXPECT_EQ(statistic.value, statistic.name == "target-bytes" ? 1u << 20 : 0)
                << device.name << " " << statistic.name;
        }
    }
    EXPECT_EQ(names, (std::vector<std::string>{"console", "rng", "balloon", "vsock",
                                               "disk " + image, "disk " + image}));
    std::filesystem::remove(image);
}

TEST(FakeMachine, ShowsTheSlotsThatMemoryHas) {
    OnFake maker;
    test::Buffer console;
    MachineConfig config;
    config.memory_bytes = std::uint64_t(3) << 30 | 2 << 20;
    auto m = test::must(maker.create(config, test::halt, console));
    const auto slots = [&] {
        std::vector<std::pair<std::uint64_t, std::uint64_t>> list;
        for (const auto& [slot, state] : maker.hypervisors[0]->vm().memory) {
            list.emplace_back(state.address.value(), state.size);
        }
        return list;
    };
    using List = decltype(slots());
    const List first{{0, std::uint64_t(3) << 30}, {std::uint64_t(4) << 30, 2 << 20}};
    EXPECT_EQ(slots(), first);
    EXPECT_TRUE(m.add_memory({kvm::Gpa(std::uint64_t(8) << 30), 2 << 20}));
    EXPECT_EQ(slots().size(), 3u);
    EXPECT_EQ(slots().back(), (List::value_type{std::uint64_t(8) << 30, 2 << 20}));
    EXPECT_TRUE(m.remove_memory(kvm::Gpa(std::uint64_t(8) << 30)));
    EXPECT_EQ(slots(), first);
    EXPECT_EQ(test::code(m.remove_memory(kvm::Gpa(std::uint64_t(4) << 30))), EINVAL);
    maker.hypervisors[0]->fail("KVM_SET_USER_MEMORY_REGION", ENOMEM);
    EXPECT_EQ(test::code(m.add_memory({kvm::Gpa(std::uint64_t(8) << 30), 2 << 20})), ENOMEM);
    EXPECT_EQ(m.memory().regions().size(), 2u);
}

}  // namespace
}  // namespace vmm

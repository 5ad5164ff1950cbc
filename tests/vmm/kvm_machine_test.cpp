// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <array>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <kvm/kick.hpp>
#include <kvm/kvm.hpp>
#include <mutex>
#include <string>
#include <string_view>
#include <support/require.hpp>
#include <thread>
#include <unistd.h>
#include <vmm/machine/machine.hpp>
#include <vmm/result.hpp>

namespace vmm {
namespace {

using namespace std::chrono_literals;
using namespace std::string_view_literals;
using test::must;

/// Keeps the output; `error` is what a write says instead.
struct Buffer final : Console {
    Result<std::size_t> write(std::span<const std::byte> bytes) override {
        const std::lock_guard lock(mutex);
        if (error) {
            return fail("buffer: full", error);
        }
        text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        return bytes.size();
    }
    Result<Input> read(std::span<std::byte>, std::size_t& size) override {
        size = 0;
        return Input::end;
    }
    std::mutex mutex;
    std::string text;
    int error = 0;
};

// Real mode, at 0x1000.
constexpr auto print_and_reset = "\xba\xf8\x03\xb0H\xee\xb0i\xee\xb0\xfe\xe6\x64\xf4"sv;
constexpr auto reset_by_cf9 = "\xba\xf9\x0c\xb0\x02\xee\xb0\x06\xee\xf4"sv;
constexpr auto halt = "\xfa\xf4"sv;
constexpr auto spin = "\xeb\xfe"sv;
constexpr auto flood = "\xba\xf8\x03\xb0.\xee\xeb\xfd"sv;
// rep insb of 16 bytes from port 0x3fd to 0x2000, and outsb of them to 0x3f8; reset.
constexpr auto strings =
    "\xbf\x00\x20\xb9\x10\x00\xba\xfd\x03\xfc\xf3\x6c\xbe\x00\x20\xb9\x10\x00\xb2\xf8\xf3\x6e"
    "\xb0\xfe\xe6\x64\xf4"sv;
// Word-wide reads of 0xffff, 0x3ff and 0x64, then a word of 0xfefe to 0x63: reset.
constexpr auto wide = "\xba\xff\xff\xed\xba\xff\x03\xed\xe5\x64\xb8\xfe\xfe\xe7\x63\xf4"sv;
class MachineTest : public kvm::test::WithKvm {
protected:
    void SetUp() override {
        WithKvm::SetUp();
        ASSERT_TRUE(kvm::install_kick_handler());
        path = ::testing::TempDir() + "kvmxx-machine-" + std::to_string(getpid());
    }
    void TearDown() override { std::filesystem::remove(path); }

    MachineConfig config(std::string_view code) {
        std::ofstream(path, std::ios::binary) << code;
        MachineConfig config;
        config.boot.kernel = path;
        config.boot.format = Flat16{0, 0x1000};
        config.memory_bytes = 2 << 20;
        config.timeout = 20s;
        return config;
    }
    Machine machine(std::string_view code) { return must(Machine::create(config(code), console)); }

    std::string path;
    Buffer console;
};

TEST_F(MachineTest, PrintsAndEndsByTheKeyboardControllersReset) {
    Machine m = machine(print_and_reset);
    EXPECT_EQ(must(m.run()).reason, EndReason::reset);
    EXPECT_EQ(console.text, "Hi");
    EXPECT_TRUE(m.report().ports.empty());
}

TEST_F(MachineTest, EndsByTheResetControlRegister) {
    EXPECT_EQ(must(machine(reset_by_cf9).run()).reason, EndReason::reset);
}

TEST_F(MachineTest, EndsByATripleFaultWithTheRegisters) {
    MachineConfig c = config("\x0f\x01\x1d\x02\x00\x00\x00\x0f\x0b\0\0\0\0\0\0\0\0\0\0"sv);
    c.boot.format = Flat64{kvm::Gpa(0x200000)};
    c.memory_bytes = 8 << 20;
    const End end = must(must(Machine::create(c, console)).run());
    EXPECT_EQ(end.reason, EndReason::triple_fault);
    EXPECT_EQ(end.cpu, 0u);
    for (const char* word : {"vCPU 0:", "rip", "r15", "cr3", "efer", "idt base"}) {
        EXPECT_NE(end.dump.find(word), std::string::npos) << word << "\n" << end.dump;
    }
}

TEST_F(MachineTest, EndsWhenNothingCanWakeIt) {
    EXPECT_EQ(must(machine(halt).run()).reason, EndReason::halted);
    MachineConfig three = config(halt);
    three.cpus = 3;
    EXPECT_EQ(must(must(Machine::create(three, console)).run()).reason, EndReason::halted);
}

TEST_F(MachineTest, EndsWhenItsTimeIsUp) {
    MachineConfig c = config(spin);
    c.timeout = 50ms;
    EXPECT_EQ(must(must(Machine::create(c, console)).run()).reason, EndReason::timeout);
}

TEST_F(MachineTest, StopsFromAnotherThreadAndBeforeItRuns) {
    Machine m = machine(spin);
    std::jthread stopper([&] {
        std::this_thread::sleep_for(50ms);
        m.stop();
    });
    EXPECT_EQ(must(m.run()).reason, EndReason::stopped);
    Machine stopped = machine(spin);
    stopped.stop();
    EXPECT_EQ(must(stopped.run()).reason, EndReason::stopped);
}

TEST_F(MachineTest, RunsOnce) {
    Machine m = machine(print_and_reset);
    must(m.run());
    EXPECT_NE(test::message(m.run()).find("has run"), std::string::npos);
}

TEST_F(MachineTest, EndsWithTheConsolesError) {
    console.error = ENOSPC;
    EXPECT_EQ(test::code(machine(flood).run()), ENOSPC);
}

TEST_F(MachineTest, TakesStringsOfBytesOneByOne) {
    Machine m = machine(strings);
    EXPECT_EQ(must(m.run()).reason, EndReason::reset);
    EXPECT_EQ(console.text, std::string(16, '\x60')) << "LSR, each time";
}

TEST_F(MachineTest, AnswersWideAccessesThatReachBeyondADevice) {
    Machine m = machine(wide);
    EXPECT_EQ(must(m.run()).reason, EndReason::reset);
    const auto ports = m.report().ports;
    ASSERT_EQ(ports.size(), 1u);
    EXPECT_EQ(ports[0].address, 0xffffu);
}

TEST_F(MachineTest, RefusesNumbersThatAreNone) {
    MachineConfig c = config(halt);
    c.memory_bytes = 0;
    EXPECT_TRUE(test::message(Machine::create(c, console)).starts_with("memory: "));
    c.memory_bytes = 4097;
    EXPECT_TRUE(test::message(Machine::create(c, console)).starts_with("memory: "));
    c.memory_bytes = std::uint64_t{1} << 60;
    EXPECT_TRUE(test::message(Machine::create(c, console)).starts_with("memory: "));
    c.memory_bytes = 1 << 20;
    c.cpus = 0;
    EXPECT_TRUE(test::message(Machine::create(c, console)).starts_with("cpus: "));
    c.cpus = must(MachineLimits::query()).max_cpus + 1;
    EXPECT_TRUE(test::message(Machine::create(c, console)).starts_with("cpus: "));
}

std::size_t entries(const char* directory) {
    const std::filesystem::directory_iterator all(directory);
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

TEST_F(MachineTest, LeavesNoDescriptorsAndNoThreadsBehind) {
    must(machine(print_and_reset).run());
    const std::size_t fds = entries("/proc/self/fd");
    for (int i = 0; i < 3; ++i) {
        must(machine(print_and_reset).run());
        {
            const Machine never_run = machine(halt);
        }
        MachineConfig missing = config(halt);
        missing.boot.kernel = path + "-missing";
        EXPECT_EQ(test::code(Machine::create(missing, console)), ENOENT);
        MachineConfig huge = config(std::string(2 << 20, 'x'));
        EXPECT_FALSE(Machine::create(huge, console));
    }
    EXPECT_EQ(entries("/proc/self/fd"), fds);
    std::string names;
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
        std::string name;
        std::getline(std::ifstream(task.path() / "comm") >> std::ws, name);
        names += name + "\n";
    }
    EXPECT_EQ(names.find("vcpu"), std::string::npos) << names;
}

TEST_F(MachineTest, RunsManyAtOnceInOneProcess) {
    std::array<Buffer, 4> consoles;
    std::vector<std::jthread> threads;
    const MachineConfig c = config(print_and_reset);
    for (Buffer& own : consoles) {
        threads.emplace_back(
            [&] { EXPECT_EQ(must(must(Machine::create(c, own)).run()).reason, EndReason::reset); });
    }
    threads.clear();
    for (const Buffer& own : consoles) {
        EXPECT_EQ(own.text, "Hi");
    }
}

}  // namespace
}  // namespace vmm

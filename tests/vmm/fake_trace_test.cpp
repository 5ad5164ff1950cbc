// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <fcntl.h>
#include <fstream>
#include <sstream>
#include <thread>
#include <vmm/machine/fake_machine.hpp>
#include <vmm/machine/trace.hpp>
#include <vmm/machine_guests.hpp>

/// Recording and replay, without KVM.
namespace vmm {
namespace {

using namespace std::chrono_literals;
using namespace std::string_view_literals;
using test::Buffer;
using test::in;
using test::must;
using test::out;

std::string read_file(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
}

/// Gives its input at once, keeps the output.
struct Talker final : Console {
    explicit Talker(std::string text) : input(std::move(text)) {
        EXPECT_EQ(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
        EXPECT_EQ(::write(fds[1], input.data(), input.size()), static_cast<ssize_t>(input.size()));
    }
    ~Talker() override {
        close(fds[0]);
        close(fds[1]);
    }
    Result<std::size_t> write(std::span<const std::byte> bytes) override {
        return buffer.write(bytes);
    }
    Result<Input> read(std::span<std::byte> bytes, std::size_t& size) override {
        const auto n = ::read(fds[0], bytes.data(), bytes.size());
        size = n > 0 ? static_cast<std::size_t>(n) : 0;
        return Input::more;
    }
    int input_fd() const override { return fds[0]; }

    std::string input;
    Buffer buffer;
    int fds[2] = {-1, -1};
};

class Recording : public ::testing::Test {
protected:
    void TearDown() override { std::filesystem::remove(path); }

    MachineConfig config() {
        MachineConfig config;
        config.memory_bytes = 2 << 20;
        config.timeout = 20s;
        config.trace = path;
        return config;
    }
    /// Runs the script to its end and returns the recording.
    Trace record(std::vector<fake::Step> steps) {
        fake::Hypervisor hypervisor;
        hypervisor.script(kvm::VcpuId(0), std::move(steps));
        auto machine = must(FakeMachine::create(config(), console, hypervisor.system()));
        must(machine.run());
        return must(Trace::read(path));
    }
    /// What replaying the recording says after the first `from` in it has become `to`.
    std::string replay_with(const std::string& from, const std::string& to) {
        std::string text = read_file(path);
        const auto at = text.find(from);
        EXPECT_NE(at, text.npos) << from << " in\n" << text;
        if (at != text.npos) {
            text.replace(at, from.size(), to);
        }
        const auto trace = Trace::parse(text, "it");
        Buffer ignored;
        return trace ? test::message(replay(*trace, "it", ignored)) : trace.error().message;
    }

    std::string path = ::testing::TempDir() + "kvmxx-trace-" + std::to_string(getpid());
    Buffer console;
};

/// Uses clocks, interrupt lines, strings, unknown MSRs and nothing at all.
std::vector<fake::Step> busy() {
    return {out(0x70, "\x00"sv),
            fake::IoIn{kvm::Port(0x71)},  // seconds
            out(0x3f9, "\x02"),           // the transmitter's interrupt
            out(0x3f8, "Hi\n"),
            in(0x3fd, std::string(3, '\x60')),
            in(0xffff, "\xff\xff", 2),
            fake::Rdmsr{.index = 0x1234, .error = 1},
            fake::Wrmsr{.index = 0x1234, .value = 5, .error = 1},
            fake::MmioRead{kvm::Gpa(0xc0000000), 4, "\xff\xff\xff\xff"},
            fake::MmioWrite{kvm::Gpa(0xc0000000), "abcd"},
            out(0x64, "\xfe")};
}

TEST_F(Recording, ReplaysAsItWas) {
    const Trace trace = record(busy());
    Buffer again;
    const Replay done = must(replay(trace, path, again));
    EXPECT_EQ(done.exits, busy().size());
    EXPECT_GE(done.effects, 2u) << read_file(path);
    EXPECT_EQ(again.text, "Hi\n");
}

TEST_F(Recording, IsTextThatAPersonCanRead) {
    record(busy());
    const std::string text = read_file(path);
    for (const char* line :
         {"kvmxx-trace 1\n", "config memory 2M\n", "mark create\n", "mark vm\n", "mark start\n",
          "mark run cpu=0\n", "cpu 0 io_out port=0x3f8 size=1 data=48690a took=", "mark console\n",
          "  irq gsi=4 level=1\n", "  clock realtime=", "cpu 0 io_in port=0x3fd size=1 count=3 ",
          "cpu 0 rdmsr index=0x1234 why=2 reply=0x0 error=0x1 took=", "end reset\n"}) {
        EXPECT_NE(text.find(line), text.npos) << line << "is not in\n" << text;
    }
    EXPECT_EQ(text.find("kernel"), text.npos);
}

TEST_F(Recording, AReplayTellsWhereADeviceDoesOtherwise) {
    record(busy());
    EXPECT_NE(replay_with("reply=606060", "reply=606160").find("reply is 606060, not 606160"),
              std::string::npos);
    EXPECT_NE(replay_with("irq gsi=4 level=1", "irq gsi=4 level=0")
                  .find("irq gsi=4 level=0: the device did irq gsi=4 level=1"),
              std::string::npos);
    EXPECT_NE(replay_with("  irq gsi=4 level=1\n", "").find("nothing more: the device did irq"),
              std::string::npos);
    EXPECT_NE(replay_with("  irq gsi=4", "  irq gsi=5 level=1\n  irq gsi=4").find("irq gsi=5"),
              std::string::npos);
    EXPECT_NE(replay_with("end reset", "end power_off").find("end: it is reset, not power_off"),
              std::string::npos);
    EXPECT_NE(replay_with("data=fe", "data=00").find("end: it is none, not reset"),
              std::string::npos);
    EXPECT_NE(replay_with("  clock realtime", "  irq gsi=9 level=1\n  clock realtime")
                  .find("the device did clock realtime="),
              std::string::npos);
}

TEST_F(Recording, HoldsWhatTheConsoleGave) {
    Talker talker("ab");
    // Polls until there is input, reads both bytes, resets.
    fake::Hypervisor hypervisor;
    const std::vector<fake::Step> end{fake::IoIn{kvm::Port(0x3f8)}, fake::IoIn{kvm::Port(0x3f8)},
                                      out(0x64, "\xfe")};
    hypervisor.script(kvm::VcpuId(0), {out(0x3fa, "\x01"), out(0x3f9, "\x01"), out(0x3fc, "\x08"),
                                       fake::AwaitLine{kvm::Gsi(4)},
                                       fake::Call{[] { std::this_thread::sleep_for(50ms); }}});
    hypervisor.script(kvm::VcpuId(0), end);
    auto machine = must(FakeMachine::create(config(), talker, hypervisor.system()));
    EXPECT_EQ(must(machine.run()).reason, EndReason::reset);
    const std::string text = read_file(path);
    EXPECT_NE(text.find("input console data=6162\n  irq gsi=4 level=1\n"), text.npos) << text;
    EXPECT_NE(text.find("reply=61 "), text.npos) << text;
    Buffer again;
    must(replay(must(Trace::read(path)), path, again));
}

TEST_F(Recording, OfManyCpusIsInTheOrderOfTheirAccesses) {
    fake::Hypervisor hypervisor;
    constexpr std::uint32_t cpus = 4;
    for (std::uint32_t cpu = 0; cpu < cpus; ++cpu) {
        std::vector<fake::Step> steps;
        for (std::uint32_t i = 0; i < 200; ++i) {
            // The scratch register: what is read there is what any CPU wrote last.
            steps.emplace_back(out(0x3ff, std::string(1, static_cast<char>(cpu * 16 + i % 16))));
            steps.emplace_back(fake::IoIn{kvm::Port(0x3ff)});
        }
        hypervisor.script(kvm::VcpuId(cpu), std::move(steps));
    }
    MachineConfig c = config();
    c.cpus = cpus;
    auto machine = must(FakeMachine::create(c, console, hypervisor.system()));
    EXPECT_EQ(must(machine.run()).reason, EndReason::halted);
    Buffer again;
    EXPECT_EQ(must(replay(must(Trace::read(path)), path, again)).exits, cpus * 400u);
}

TEST_F(Recording, EndsAtItsLimitAndSaysSo) {
    MachineConfig c = config();
    c.trace_limit = 4096;
    fake::Hypervisor hypervisor;
    hypervisor.script(kvm::VcpuId(0), std::vector<fake::Step>(1000, out(0x80, "x")));
    hypervisor.script(kvm::VcpuId(0), {out(0x64, "\xfe")});
    auto machine = must(FakeMachine::create(c, console, hypervisor.system()));
    must(machine.run());
    EXPECT_LT(read_file(path).size(), 5000u);
    ASSERT_EQ(machine.report().notes.size(), 1u);
    EXPECT_NE(machine.report().notes[0].find("full at 4096"), std::string::npos);
    Buffer again;
    EXPECT_GT(must(replay(must(Trace::read(path)), path, again)).exits, 10u);
}

TEST_F(Recording, OfDevicesBesideTheMachineIsReadAndNotReplayed) {
    MachineConfig c = config();
    c.rng.emplace();
    c.balloon.emplace();
    c.pci = true;
    fake::Hypervisor hypervisor;
    hypervisor.script(kvm::VcpuId(0), {out(0x64, "\xfe")});
    auto machine = must(FakeMachine::create(c, console, hypervisor.system()));
    must(machine.run());
    const Trace trace = must(Trace::read(path));
    EXPECT_EQ(trace.beside, (std::vector<std::string>{"rng", "balloon"}));
    EXPECT_TRUE(trace.config.pci);
    Buffer again;
    const auto refused = replay(trace, path, again);
    EXPECT_EQ(test::code(refused), ENOTSUP);
    EXPECT_TRUE(test::message(refused).ends_with("(--rng, --balloon)")) << test::message(refused);
    EXPECT_TRUE(again.text.empty());
}

TEST_F(Recording, ThatCannotBeWrittenIsAnErrorOrANote) {
    MachineConfig c = config();
    c.trace = "/nonexistent/trace";
    fake::Hypervisor hypervisor;
    const auto refused = FakeMachine::create(c, console, hypervisor.system());
    EXPECT_EQ(test::code(refused), ENOENT);
    EXPECT_TRUE(test::message(refused).starts_with("trace: /nonexistent/trace: "));
    c.trace = "/dev/full";
    hypervisor.script(kvm::VcpuId(0), {out(0x64, "\xfe")});
    auto machine = must(FakeMachine::create(c, console, hypervisor.system()));
    EXPECT_EQ(must(machine.run()).reason, EndReason::reset);
    ASSERT_EQ(machine.report().notes.size(), 1u);
    EXPECT_TRUE(machine.report().notes[0].starts_with("trace: /dev/full: "));
}

TEST_F(Recording, OfAMachineThatIsNotMadeIsNoFile) {
    fake::Hypervisor hypervisor;
    hypervisor.fail("KVM_CREATE_VCPU", ENOMEM);
    EXPECT_FALSE(FakeMachine::create(config(), console, hypervisor.system()));
    EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(Recording, BecomesJsonForTimelines) {
    const Trace trace = record(busy());
    std::string json;
    export_trace_events(trace, [&](std::string_view text) { json += text; });
    for (const char* part :
         {"{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n", "\"args\":{\"name\":\"vCPU 0\"}",
          "\"name\":\"io_out\"", "\"name\":\"guest\"", "\"name\":\"vm\"", "\"name\":\"console\"",
          "\"name\":\"irq gsi=4 level=1\"", "\"name\":\"end reset\"", "\n]}\n"}) {
        EXPECT_NE(json.find(part), json.npos) << part << "is not in\n" << json;
    }
}

/// Made by `kvmxx run --trace` on KVM of guests of tests/cli/program.py. Where a device answers in
/// another way for a good reason, make them anew.
TEST(TraceFile, OfARunOnKvmReplaysHere) {
    const auto data = std::filesystem::path(KVMXX_TEST_DATA);
    std::size_t count = 0;
    for (const auto& file : std::filesystem::directory_iterator(data)) {
        if (file.path().extension() == ".trace") {
            Buffer console;
            EXPECT_GT(
                must(replay(must(Trace::read(file.path())), file.path().native(), console)).exits,
                0u);
            EXPECT_EQ(console.text, "hello q") << file.path();
            ++count;
        }
    }
    EXPECT_GT(count, 0u);
}

TEST(TraceFile, OfAnotherKindIsRefused) {
    for (const std::string_view text : {""sv, "kvmxx-trace 2\n"sv,
                                        "\x7f"
                                        "ELF"sv}) {
        EXPECT_EQ(test::code(Trace::parse(text, "it")), EPROTO);
    }
    EXPECT_EQ(test::code(Trace::read("/nonexistent")), ENOENT);
}

TEST(TraceFile, ThatLiesIsRefusedByLineAndField) {
    const auto refusal = [](std::string_view line) {
        return test::message(Trace::parse("kvmxx-trace 1\n" + std::string(line), "it"));
    };
    EXPECT_EQ(refusal("# comment\n\n1.000 mark create\n"), "succeeded");
    for (const auto& [line, cause] : std::initializer_list<std::pair<const char*, const char*>>{
             {"config memory 7Q", "it: line 2: config: memory: "},
             {"config acpi fi\\nxed", "config: acpi: 'fi\\nxed' "},
             {"config colour red", "there is no setting 'colour'"},
             {"x cpu 0 exit reason=8 took=0.000", "'x' is no time"},
             {"1 mark create", "'1' is no time"},
             {"99999999999999999999.000 mark create", "is no time"},
             {"1.000 cpu 1 exit reason=8 took=0.000", "no such vCPU"},
             {"1.000 cpu 0 jump took=0.000", "'jump' is no exit"},
             {"1.000 cpu 0 io_in port=0x10000 size=1 count=1 reply=00 took=0.000", "'port'"},
             {"1.000 cpu 0 io_in port=1 size=3 count=1 reply=000000 took=0.000", "'size'"},
             {"1.000 cpu 0 io_in port=1 size=4 count=4096 reply=00 took=0.000", "'count'"},
             {"1.000 cpu 0 io_in port=1 size=1 count=0 reply= took=0.000", "'count'"},
             {"1.000 cpu 0 io_in port=1 size=1 count=2 reply=00 took=0.000", "'reply'"},
             {"1.000 cpu 0 io_out port=1 size=2 data=00 took=0.000", "'data'"},
             {"1.000 cpu 0 io_out port=1 size=1 data=0g took=0.000", "'data'"},
             {"1.000 cpu 0 mmio_write address=0 data=000000000000000000 took=0.000", "'data'"},
             {"1.000 cpu 0 mmio_read address=0 size=0 reply= took=0.000", "'reply'"},
             {"1.000 cpu 0 internal_error suberror=1 insn=00112233445566778899aabbccddeeff "
              "took=0.000",
              "'insn'"},
             {"1.000 cpu 0 exit reason=8", "'took'"},
             {"1.000 cpu 0 exit reason=8 took=0.000 more", "'more' is one word too many"},
             {"1.000 input tape", "'tape' is no input"},
             {"1.000 sing", "'sing' is no event"},
             {"  irq gsi=1 level=1", "an effect of nothing"},
             {"1.000 devices\n  irq gsi=1 level=2", "it: line 3: field 'level'"},
             {"1.000 devices\n  smoke", "'smoke' is no effect"},
             {"1.000 devices\nconfig cpus 2", "after an event"},
         }) {
        EXPECT_NE(refusal(line).find(cause), std::string::npos) << line << "\n" << refusal(line);
    }
}

TEST(TraceFile, ThatLiesAboutTheMachineIsRefused) {
    Buffer console;
    const std::string made = "0.500 devices\n  clock monotonic=5\n";
    const auto refusal = [&](std::string_view text) {
        // The PM timer reads its clock once when it is made.
        const Trace trace = must(Trace::parse("kvmxx-trace 1\n" + std::string(text), "it"));
        return test::message(replay(trace, "it", console));
    };
    EXPECT_NE(refusal("config cpus 4000000000\n").find("it: cpus: "), std::string::npos);
    EXPECT_NE(refusal("").find("it: before the first event: nothing more: the device did clock"),
              std::string::npos);
    EXPECT_NE(refusal(made + "1.000 input console data=" + std::string(200, '0') + "\n")
                  .find("the serial port takes"),
              std::string::npos);
    EXPECT_EQ(refusal(made + "1.000 cpu 0 exit reason=4000000000 took=0.000\n"), "succeeded");
    EXPECT_EQ(refusal(made + "1.000 input button\n1.000 input button\n"), "succeeded");
}

}  // namespace
}  // namespace vmm

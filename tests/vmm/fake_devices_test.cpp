// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <future>
#include <set>
#include <thread>
#include <vmm/machine/fake_machine.hpp>
#include <vmm/machine/recorder.hpp>
#include <vmm/machine/trace.hpp>
#include <vmm/machine_guests.hpp>
#include <vmm/virtio_driver.hpp>
#include <vmm/x86_64/layout.hpp>

/// Machines whose devices work beside their vCPUs, without KVM.
namespace vmm {
namespace {

using namespace std::chrono_literals;
using namespace std::string_view_literals;
using test::Buffer;
using test::must;
using test::out;

class WithDevices : public ::testing::Test {
protected:
    void TearDown() override { std::filesystem::remove(path); }

    const std::string path =
        ::testing::TempDir() + "kvmxx-devices-" + std::to_string(getpid()) + ".trace";
    fake::Hypervisor hypervisor;
    Buffer console;
    MachineConfig config = [] {
        MachineConfig c;
        c.memory_bytes = 2 << 20;
        return c;
    }();
};

fake::Step poke(std::uint64_t address, std::uint64_t value, std::size_t size) {
    return fake::MmioWrite{kvm::Gpa(address),
                           std::string(reinterpret_cast<const char*>(&value), size)};
}

/// Sets up the virtio device of PCI's first slot, with one queue, for INTx.
std::vector<fake::Step> start_pci_device(std::uint64_t bar, const virtio::QueueConfig& queue) {
    const std::uint64_t function = x86_64::layout::pci_config.value() + 0x8000;
    return {poke(function + 0x10, bar, 4),
            poke(function + 0x14, 0, 4),
            poke(function + 4, 6, 2),
            poke(bar + 0x14, 3, 1),  // ACKNOWLEDGE, DRIVER
            poke(bar + 8, 1, 4),
            poke(bar + 0xc, 1, 4),  // VERSION_1
            poke(bar + 0x14, 11, 1),
            poke(bar + 0x16, 0, 2),
            poke(bar + 0x18, queue.size, 2),
            poke(bar + 0x20, queue.descriptors.value(), 8),
            poke(bar + 0x28, queue.driver.value(), 8),
            poke(bar + 0x30, queue.device.value(), 8),
            poke(bar + 0x1c, 1, 2),
            poke(bar + 0x14, 15, 1)};
}

TEST(Recorder, TakesEffectsWhileAnInputWaitsForTheirThread) {
    const std::string path = ::testing::TempDir() + "kvmxx-effects-" + std::to_string(getpid());
    {
        MachineConfig c;
        c.trace = path;
        detail::Recorder recorder(c);
        must(recorder.open());
        std::promise<void> done;
        std::thread device;
        EXPECT_TRUE(recorder.try_input([&]() -> decltype(TraceEvent::what) {
            device = std::thread([&] {
                recorder.pin_changed({kvm::Gsi(5), kvm::Level::high});
                done.set_value();
            });
            EXPECT_EQ(done.get_future().wait_for(10s), std::future_status::ready);
            return ButtonPress{};
        }));
        device.join();
    }
    std::filesystem::remove(path);
}

TEST_F(WithDevices, ARecordingDoesNotHaveThemWaitForTheVcpuThatWaitsForThem) {
    constexpr int enough = 2000;
    constexpr std::uint64_t bar = 0xe1000000;
    config.rng = Rate{};
    config.virtio_transport = VirtioTransport::pci;
    config.trace = path;
    auto machine = must(FakeMachine::create(config, console, hypervisor.system()));
    test::QueueDriver queue(machine.memory(), kvm::Gpa(0x10000), 8, virtio::feature::version_1);
    int rounds = 0;
    std::function<void()> go = [&] {
        while (queue.take()) {
        }
        (void)queue.offer({}, std::vector{virtio::Buffer{kvm::Gpa(0x20000), 64}});
        if (++rounds > enough) {
            return hypervisor.script(kvm::VcpuId(0), {out(0x64, "\xfe")});
        }
        // The device's thread raises the pin while this one reads the ISR and the status.
        hypervisor.script(kvm::VcpuId(0),
                          {poke(bar + 0x3000, 0, 2), fake::MmioRead{kvm::Gpa(bar + 0x1000), 1},
                           fake::MmioRead{kvm::Gpa(bar + 0x1000), 1},
                           fake::MmioRead{kvm::Gpa(bar + 0x14), 1}, fake::Call{go}});
    };
    auto steps = start_pci_device(bar, queue.config());
    steps.emplace_back(fake::Call{go});
    hypervisor.script(kvm::VcpuId(0), std::move(steps));
    EXPECT_EQ(must(machine.run()).reason, EndReason::reset);  // or never, and CTest ends it
    const Trace trace = must(Trace::read(path));
    EXPECT_TRUE(std::ranges::any_of(trace.events, [](const TraceEvent& event) {
        return std::holds_alternative<OwnAccord>(event.what) && !event.effects.empty() &&
               std::holds_alternative<PinChange>(event.effects[0]);
    })) << "no pin was set by the devices' thread";
}

/// Devices of all kinds, with their files in a directory of its own.
class WithAllDevices : public WithDevices {
protected:
    void SetUp() override {
        std::ofstream(directory / "disk.img") << std::string(4096, 'd');
        config.consoles = {{"a", PortKind::file, (directory / "made.out").string()},
                           {"b", PortKind::socket, (directory / "b.sock").string()},
                           {"c", PortKind::pty, ""}};
        config.rng = Rate{};
        config.balloon.emplace();
        config.vsock = virtio::VsockOptions{.cid = 3, .path = (directory / "vsock").string()};
        config.disks = {{.image = {.path = (directory / "disk.img").string()}}};
        config.nets.emplace_back();
        config.trace = (directory / "trace").string();
        Buffer ignored;
        if (const auto machine = FakeMachine::create(config, ignored, hypervisor.system());
            !machine && machine.error().code == ENOSYS) {
            config.nets.clear();  // no libslirp
        }
        std::filesystem::remove(directory / "made.out");
        std::filesystem::remove(directory / "trace");
    }
    void TearDown() override { std::filesystem::remove_all(directory); }

    std::set<std::string> files() const {
        std::set<std::string> names;
        for (const auto& file : std::filesystem::directory_iterator(directory)) {
            names.insert(file.path().filename());
        }
        return names;
    }

    const std::filesystem::path directory = [] {
        std::string name =
            (std::filesystem::temp_directory_path() / "kvmxx-devices-XXXXXX").string();
        return std::filesystem::path(::mkdtemp(name.data()));
    }();
};

TEST_F(WithAllDevices, AMachineThatIsNotMadeLeavesNoFilesThreadsAndDescriptors) {
    const std::set<std::string> before = files();
    const std::size_t threads = test::Thread::all().size();
    const test::Resources resources = test::Resources::now();
    for (const auto transport : {VirtioTransport::mmio, VirtioTransport::pci}) {
        config.virtio_transport = transport;
        std::size_t failures = 0;
        for (std::size_t nth = 1;; ++nth) {
            fake::Hypervisor failing;
            failing.fail_any(EIO, nth);
            if (FakeMachine::create(config, console, failing.system())) {
                if (failing.calls().size() < nth) {
                    break;
                }
                std::filesystem::remove(directory / "made.out");  // that call may fail
                std::filesystem::remove(directory / "trace");
            } else {
                ++failures;
            }
            ASSERT_EQ(files(), before) << nth << ": " << failing.calls()[nth - 1];
        }
        EXPECT_GT(failures, 20u);
        EXPECT_EQ(files(), (std::set<std::string>{"disk.img", "made.out", "trace"}));
        std::filesystem::remove(directory / "made.out");
        std::filesystem::remove(directory / "trace");
    }
    EXPECT_EQ(test::Resources::now(), resources);
    EXPECT_EQ(test::Thread::all().size(), threads);
}

TEST_F(WithAllDevices, AFileThatWasThereStaysIfTheMachineIsNotMade) {
    std::ofstream(directory / "made.out") << "before";
    config.vsock->path = (directory / "none" / "vsock").string();
    EXPECT_FALSE(FakeMachine::create(config, console, hypervisor.system()));
    EXPECT_EQ(std::filesystem::file_size(directory / "made.out"), 6u);
    std::filesystem::remove(directory / "made.out");
    EXPECT_FALSE(FakeMachine::create(config, console, hypervisor.system()));
    EXPECT_EQ(files(), (std::set<std::string>{"disk.img"}));
}

TEST_F(WithDevices, AGuestThatFlushesAPageThatAnotherCpusDeviceWritesGoesOn) {
    constexpr int enough = 5000;
    config.cpus = 2;
    config.test_devices = true;
    auto machine = must(FakeMachine::create(config, console, hypervisor.system()));
    // The first CPU flushes the page to which the second has fw_cfg's DMA write.
    constexpr auto page = "\x00\x20\x00\x00"sv, descriptor = "\x00\x00\x10\x00"sv;
    constexpr auto read_8_bytes = "\0\0\0\x0a\0\0\0\x08\0\0\0\0\0\0\x20\0"sv;
    std::atomic<int> flushes = 0, writes = 0;
    const auto done = [&] { return flushes > enough && writes > enough; };
    std::function<void()> flush = [&] {
        ++flushes;
        hypervisor.script(kvm::VcpuId(0),
                          {out(0xe4, page, 4),
                           done() ? fake::Step(out(0x64, "\xfe")) : fake::Step(fake::Call{flush})});
    };
    std::function<void()> write = [&] {
        ++writes;
        must(machine.memory().write(kvm::Gpa(0x1000), std::as_bytes(std::span(read_8_bytes))));
        hypervisor.script(kvm::VcpuId(1),
                          {out(0x518, descriptor, 4),
                           done() ? fake::Step(fake::Halt{}) : fake::Step(fake::Call{write})});
    };
    hypervisor.script(kvm::VcpuId(0), {fake::Call{flush}});
    hypervisor.script(kvm::VcpuId(1), {fake::Call{write}});
    EXPECT_EQ(must(machine.run()).reason, EndReason::reset);
}

}  // namespace
}  // namespace vmm

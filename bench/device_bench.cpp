// SPDX-License-Identifier: Apache-2.0 OR MIT
// Requests per second of the device model, without a guest: a machine on the scripted hypervisor,
// whose vCPU plays the driver, with an exit for each notification and interrupts awaited. Time is
// CPU time of all threads, and beside it of the devices' alone.
#include <benchmark/benchmark.h>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <semaphore>
#include <unistd.h>
#include <vmm/machine/console.hpp>
#include <vmm/machine/fake_machine.hpp>
#include <vmm/virtio_driver.hpp>
#include <vmm/x86_64/layout.hpp>
#include <vmm/x86_64/ports.hpp>

namespace {

using namespace vmm;

template <class T>
T sure(Result<T> result) {
    if (!result) {
        fmt::print(stderr, "device-bench: {}\n", result.error().message);
        std::exit(1);
    }
    if constexpr (!std::is_void_v<T>) {
        return std::move(*result);
    }
}

struct Silent final : Console {
    Result<std::size_t> write(std::span<const std::byte> bytes) override { return bytes.size(); }
    Result<Input> read(std::span<std::byte>, std::size_t& size) override {
        size = 0;
        return Input::end;
    }
};

/// The CPU time of this process's thread of that name, seconds.
double thread_time(std::string_view wanted) {
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
        std::string name;
        std::getline(std::ifstream(task.path() / "comm"), name);
        if (name == wanted) {
            double nanoseconds = 0;
            std::ifstream(task.path() / "schedstat") >> nanoseconds;
            return nanoseconds / 1e9;
        }
    }
    return 0;
}

double process_time() {
    timespec time{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

/// A chain's buffers; `number` tells the requests of one queue apart.
struct Buffers {
    std::vector<virtio::Buffer> readable, writable;
};
using Make = std::function<Buffers(const GuestMemory&, kvm::Gpa at, std::uint64_t number)>;

/// What is asked of the machine's one device.
struct Job {
    MachineConfig config;
    std::uint16_t queues = 1;  ///< of the device
    std::uint16_t queue = 0;   ///< that the requests go to
    std::size_t depth = 1;     ///< so many at once
    Make make;
};

/// A machine whose vCPU keeps its device busy: `depth` requests are always with it.
class Bench {
public:
    explicit Bench(const Job& job) : job_(job) {
        machine_.emplace(sure(FakeMachine::create(job_.config, console_, hypervisor_.system())));
        std::vector<fake::Step> steps;
        const auto set = [&](std::uint64_t offset, std::uint32_t value) {
            steps.emplace_back(write(offset, value));
        };
        set(0x70, 3);
        set(0x24, 1);
        set(0x20, 1);  // VERSION_1 alone
        set(0x70, 11);
        for (std::uint16_t i = 0; i < job_.queues; ++i) {
            rings_.push_back(std::make_unique<test::QueueDriver>(machine_->memory(),
                                                                 kvm::Gpa(0x10000 + 0x20000ull * i),
                                                                 size, virtio::feature::version_1));
            const virtio::QueueConfig& ring = rings_.back()->config();
            set(0x30, i);
            set(0x38, size);
            set(0x80, static_cast<std::uint32_t>(ring.descriptors.value()));
            set(0x90, static_cast<std::uint32_t>(ring.driver.value()));
            set(0xa0, static_cast<std::uint32_t>(ring.device.value()));
            set(0x44, 1);
        }
        set(0x70, 15);
        hypervisor_.script(kvm::VcpuId(0), steps);
        go_on();
        sure(machine_->start());
        idle_.acquire();
    }
    ~Bench() {
        stopping_ = true;
        machine_->stop();
        go_.release();
        (void)machine_->wait();
    }

    /// Has so many requests done.
    void run(std::uint64_t count) {
        wanted_ += count;
        go_.release();
        idle_.acquire();
    }

private:
    static constexpr std::uint16_t size = 64;
    static constexpr std::uint64_t data = 0x100000, room = 0x4000;

    static fake::MmioWrite write(std::uint64_t offset, std::uint32_t value) {
        return {x86_64::layout::virtio_mmio + offset,
                std::string(reinterpret_cast<const char*>(&value), sizeof value)};
    }
    /// A round: requests, a notification, an interrupt and its acknowledgement.
    void go_on() {
        hypervisor_.script(kvm::VcpuId(0),
                           {fake::Call{[this] { take_and_offer(); }}, write(0x50, job_.queue),
                            fake::AwaitPulse{kvm::Gsi(x86_64::gsi::virtio[0])}, write(0x64, 1),
                            fake::Call{[this] { go_on(); }}});
    }
    void take_and_offer() {
        test::QueueDriver& ring = *rings_[job_.queue];
        while (ring.take()) {
            ++done_;
        }
        while (done_ >= wanted_ && !stopping_) {
            idle_.release();
            go_.acquire();
        }
        while (ring.outstanding() < job_.depth) {
            const kvm::Gpa at(data + room * (offered_ % size));
            const Buffers buffers = job_.make(machine_->memory(), at, offered_++);
            (void)ring.offer(buffers.readable, buffers.writable);
        }
    }

    const Job& job_;
    Silent console_;
    fake::Hypervisor hypervisor_;
    std::optional<FakeMachine> machine_;
    std::vector<std::unique_ptr<test::QueueDriver>> rings_;
    std::counting_semaphore<> idle_{0}, go_{0};
    std::atomic<bool> stopping_ = false;
    std::uint64_t wanted_ = 0, done_ = 0, offered_ = 0;
};

void run(benchmark::State& state, const Job& job) {
    constexpr std::uint64_t count = 2000;
    Bench bench(job);
    bench.run(count);
    double devices = 0;
    for (auto _ : state) {
        const double before = process_time(), devices_before = thread_time("devices");
        bench.run(count);
        state.SetIterationTime(process_time() - before);
        devices += thread_time("devices") - devices_before;
    }
    const double requests = static_cast<double>(count) * static_cast<double>(state.iterations());
    state.SetItemsProcessed(static_cast<std::int64_t>(requests));
    state.counters["devices_ns"] = devices / requests * 1e9;
    state.counters["devices_per_s"] = devices > 0 ? requests / devices : 0;
}

MachineConfig machine() {
    MachineConfig config;
    config.memory_bytes = 8 << 20;
    return config;
}

/// Reads or writes of 4 KiB at places that a generator gives, of an image of 64 MiB in memory.
void disk(benchmark::State& state, std::uint32_t type) {
    constexpr std::uint64_t bytes = 64 << 20;
    const std::string path = fmt::format("/dev/shm/kvmxx-device-bench-{}", ::getpid());
    std::ofstream(path, std::ios::binary) << std::string(bytes, 'd');
    Job job{.config = machine(), .depth = static_cast<std::size_t>(state.range(0)), .make = {}};
    job.config.disks.push_back({.image = {.path = path}});
    job.make = [type](const GuestMemory& memory, kvm::Gpa at, std::uint64_t number) -> Buffers {
        const std::uint64_t sector = number * 2654435761 % (bytes / 4096) * 8;
        memory.write(at, std::uint64_t{type}).value();
        memory.write(at + 8, sector).value();
        const virtio::Buffer header{at, 16}, data{at + 0x1000, 4096}, status{at + 0x100, 1};
        return type == 0 ? Buffers{{header}, {data, status}} : Buffers{{header, data}, {status}};
    };
    run(state, job);
    std::filesystem::remove(path);
}
void disk_read(benchmark::State& state) { disk(state, 0); }
void disk_write(benchmark::State& state) { disk(state, 1); }

/// Frames of 1514 bytes to a user network that drops them for what they are, before libslirp.
void net_send(benchmark::State& state) {
    Job job{.config = machine(),
            .queues = 2,
            .queue = 1,
            .depth = static_cast<std::size_t>(state.range(0)),
            .make = {}};
    job.config.nets.emplace_back();
    job.make = [](const GuestMemory&, kvm::Gpa at, std::uint64_t) -> Buffers {
        return {{{at, 12 + 1514}}, {}};
    };
    run(state, job);
}

BENCHMARK(disk_read)->Arg(1)->Arg(16)->UseManualTime();
BENCHMARK(disk_write)->Arg(1)->Arg(16)->UseManualTime();
BENCHMARK(net_send)->Arg(1)->Arg(16)->UseManualTime();

}  // namespace

BENCHMARK_MAIN();

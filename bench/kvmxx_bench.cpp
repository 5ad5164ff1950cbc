// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// kvmxx_bench: the library beside C, by the clock. Names are WHAT/WHO; at the end, each WHO's
// time is divided by C's. Ratios carry over to other machines, times do not.

#include "count_exit/loops.h"

#include <algorithm>
#include <benchmark/benchmark.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <kvm/kvm.hpp>
#include <kvm/throw.hpp>
#include <map>
#include <span>
#include <string>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <vector>
#include <vmm/memory/guest_memory.hpp>

namespace {

using kvm::must;

const kvm::Kvm& system_kvm() {
    static const kvm::Kvm kvm = must(kvm::Kvm::open());
    return kvm;
}

/// A vCPU in real mode whose guest writes to the console for ever.
struct Guest {
    kvm::Vm vm;
    kvm::Vcpu vcpu;
    c_vcpu raw;
};

Guest& guest() {
    static Guest one = [] {
        static constexpr unsigned char code[] = {
            0xba, console_port & 0xff, console_port >> 8, 0xb0, 'k', 0xee, 0xeb, 0xfd};
        void* page = mmap(nullptr, guest_memory_bytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        std::memcpy(static_cast<std::byte*>(page) + 0x1000, code, sizeof code);
        auto vm = must(system_kvm().create_vm());
        (void)must(vm.add_memory(kvm::Slot{0}, kvm::Gpa(0),
                                 {static_cast<std::byte*>(page), guest_memory_bytes}));
        auto vcpu = must(vm.create_vcpu(kvm::VcpuId{0}));
        auto sregs = must(vcpu.sregs());
        sregs.cs.base = 0;
        sregs.cs.selector = 0;
        must(vcpu.set_sregs(sregs));
        kvm::Regs regs{};
        regs.rip = 0x1000;
        regs.rflags = 2;
        must(vcpu.set_regs(regs));
        const c_vcpu raw{vcpu.fd().number(), &vcpu.raw()};
        return Guest{std::move(vm), std::move(vcpu), raw};
    }();
    return one;
}

/// Runs `work` per iteration; a negative result is a failure.
template <class Work>
void measure(benchmark::State& state, Work work) {
    for (auto _ : state) {
        if (work() < 0) {
            state.SkipWithError("the kernel refused");
            return;
        }
    }
}

constexpr long exits_at_once = 16;

void add_exits() {
    benchmark::RegisterBenchmark("exit/kvmxx", [](benchmark::State& state) {
        measure(state, [] { return loop_kvmxx(guest().vcpu, exits_at_once); });
    });
    benchmark::RegisterBenchmark("exit/C", [](benchmark::State& state) {
        measure(state, [] { return loop_raw(&guest().raw, exits_at_once); });
    });
    benchmark::RegisterBenchmark("exit/C-glibc", [](benchmark::State& state) {
        measure(state, [] { return loop_glibc(&guest().raw, exits_at_once); });
    });
}

template <class T, class Ours>
void add_call(const char* what, unsigned long request, Ours ours) {
    benchmark::RegisterBenchmark((std::string(what) + "/kvmxx").c_str(),
                                 [=](benchmark::State& state) {
                                     measure(state, [&] {
                                         auto result = ours(guest().vcpu);
                                         benchmark::DoNotOptimize(result);
                                         return result ? 0 : -1;
                                     });
                                 });
    benchmark::RegisterBenchmark((std::string(what) + "/C").c_str(), [=](benchmark::State& state) {
        T value{};
        if (std::string_view(what).starts_with("set_")) {
            if (ioctl(guest().raw.fd,
                      what == std::string_view("set_regs") ? 0x8090ae81 : 0x8138ae83, &value) < 0) {
                state.SkipWithError("the kernel refused");
                return;
            }
        }
        measure(state, [&] {
            const int result = ioctl(guest().raw.fd, request, &value);
            benchmark::DoNotOptimize(value);
            return result;
        });
    });
}

void add_calls() {
    add_call<kvm::Regs>("regs", kvm::op::x86_64::get_regs.request,
                        [](kvm::Vcpu& vcpu) { return vcpu.regs(); });
    add_call<kvm::Sregs>("sregs", kvm::op::x86_64::get_sregs.request,
                         [](kvm::Vcpu& vcpu) { return vcpu.sregs(); });
    add_call<kvm::Regs>("set_regs", kvm::op::x86_64::set_regs.request, [](kvm::Vcpu& vcpu) {
        static const kvm::Regs regs = must(vcpu.regs());
        return vcpu.set_regs(regs);
    });
    add_call<kvm::Sregs>("set_sregs", kvm::op::x86_64::set_sregs.request, [](kvm::Vcpu& vcpu) {
        static const kvm::Sregs sregs = must(vcpu.sregs());
        return vcpu.set_sregs(sregs);
    });
}

void add_creation() {
    benchmark::RegisterBenchmark("vm/kvmxx", [](benchmark::State& state) {
        measure(state, [] { return -create_kvmxx(system_kvm()); });
    });
    benchmark::RegisterBenchmark("vm/C", [](benchmark::State& state) {
        measure(state, [] { return -create_raw(system_kvm().fd().number()); });
    });
}

constexpr std::size_t largest_copy = 64 << 20;

std::span<std::byte> copy_buffer() {
    static std::vector<std::byte> buffer(largest_copy);
    return buffer;
}

/// One copy of `bytes` bytes by us and by memcpy, between the same two places.
template <class Ours, class Plain>
void add_copy(const std::string& what, std::size_t bytes, Ours ours, Plain plain) {
    const auto add = [&](const char* who, auto copy) {
        benchmark::RegisterBenchmark((what + "/" + who).c_str(), [=](benchmark::State& state) {
            measure(state, [&] {
                const int done = copy(copy_buffer().first(bytes));
                benchmark::ClobberMemory();
                return done;
            });
        })->ComputeStatistics("least", [](const std::vector<double>& times) {
            return *std::ranges::min_element(times);
        });
    };
    add("kvmxx", ours);
    add("C", plain);
}

/// Guest memory needs no VM to be copied to and from.
void add_memory() {
    static const auto guest_memory = [] {
        const vmm::Region region{kvm::Gpa(0), 128 << 20};
        auto memory = vmm::GuestMemory::create({&region, 1});
        if (!memory) {
            std::fprintf(stderr, "kvmxx_bench: %s\n", memory.error().message.c_str());
            std::exit(2);
        }
        return std::move(*memory);
    }();
    // Touched beforehand: a page fault would be taken for the first copy's time.
    (void)copy_buffer();
    (void)guest_memory.fill(kvm::Gpa(0), 128 << 20, std::byte(1));
    const kvm::Gpa address(0x10000);
    for (std::size_t bytes = 32; bytes <= largest_copy; bytes *= bytes < 4096 ? 2 : 4) {
        std::byte* const host = guest_memory.host_span(address, bytes)->data();
        add_copy(
            "copy-" + std::to_string(bytes), bytes,
            [=](auto buffer) { return guest_memory.write(address, buffer) ? 0 : -1; },
            [=](auto buffer) {
                std::memcpy(host, buffer.data(), buffer.size());
                return 0;
            });
        add_copy(
            "fetch-" + std::to_string(bytes), bytes,
            [=](auto buffer) { return guest_memory.read(address, buffer) ? 0 : -1; },
            [=](auto buffer) {
                std::memcpy(buffer.data(), host, buffer.size());
                return 0;
            });
    }
}

/// Prints as usual, and at the end the ratios of the medians.
class Ratios : public benchmark::ConsoleReporter {
public:
    Ratios() : ConsoleReporter(OO_Tabular) {}

    void ReportRuns(const std::vector<Run>& runs) override {
        for (const Run& run : runs) {
            // The least comes after the median, where there is one.
            const bool is_wanted =
                run.run_type == Run::RT_Aggregate &&
                (run.aggregate_name == "median" || run.aggregate_name == "least");
            if (!run.error_occurred && is_wanted) {
                const std::string name = run.run_name.function_name;
                const auto slash = name.rfind('/');
                times_[name.substr(0, slash)][name.substr(slash + 1)] = run.GetAdjustedCPUTime();
            }
        }
        ConsoleReporter::ReportRuns(runs);
    }
    void Finalize() override {
        std::puts(
            "\nratios of the medians, for copies of the least times, to C's (exits, VMs: inline system call; registers: ioctl(); copies: memcpy)");
        for (const auto& [what, times] : times_) {
            const auto base = times.find("C");
            for (const auto& [who, time] : times) {
                if (base != times.end() && who != "C") {
                    std::printf("  %-16s %-10s %.3f\n", what.c_str(), who.c_str(),
                                time / base->second);
                }
            }
        }
    }

private:
    std::map<std::string, std::map<std::string, double>> times_;
};

}  // namespace

int main(int argc, char** argv) {
    // Interleaved at random, so that a change in the machine's load meets all alike.
    std::vector<std::string> defaults{"--benchmark_enable_random_interleaving=true",
                                      "--benchmark_repetitions=15", "--benchmark_min_time=0.02",
                                      "--benchmark_report_aggregates_only=true"};
    std::vector<char*> arguments{argv[0]};
    for (auto& text : defaults) {
        arguments.push_back(text.data());
    }
    arguments.insert(arguments.end(), argv + 1, argv + argc);
    int count = static_cast<int>(arguments.size());
    benchmark::Initialize(&count, arguments.data());
    if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) {
        return 2;
    }
    if (auto kvm = kvm::Kvm::open()) {
        add_exits();
        add_calls();
        add_creation();
    } else {
        char text[300];
        std::printf("without KVM: %s\n", kvm::describe(kvm.error(), text, sizeof text));
    }
    add_memory();
    Ratios reporter;
    benchmark::RunSpecifiedBenchmarks(&reporter);
    return 0;
}

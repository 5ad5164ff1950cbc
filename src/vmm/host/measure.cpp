// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "measure.hpp"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <kvm/try.hpp>
#include <memory>
#include <vmm/error.hpp>
#include <vmm/host/probe.hpp>

namespace vmm::host {

namespace {

using Clock = std::chrono::steady_clock;
using namespace kvm::literals;

// Guest-physical addresses: three page tables that map the first 2 MiB to itself, and the code.
constexpr std::size_t memory_size = 0x4000;
constexpr std::uint64_t pml4 = 0x0, pdpt = 0x1000, pd = 0x2000, code = 0x3000;

// rcx times around an empty loop, then port writes without end.
constexpr unsigned char program[] = {
    0x48, 0xff, 0xc9,  // loop:  dec rcx
    0x75, 0xfb,        //        jnz loop
    0xe6, 0x80,        // exit:  out 0x80, al
    0xeb, 0xfc,        //        jmp exit
};
constexpr std::uint64_t loop_at = code, exit_at = code + 5;
constexpr unsigned instructions_per_loop = 2;

struct Unmap {
    void operator()(std::byte* memory) const { ::munmap(memory, memory_size); }
};
using GuestMemory = std::unique_ptr<std::byte, Unmap>;

/// A vCPU in 64-bit mode at privilege level 0, about to run `program`. Members end in reverse
/// order: the memory outlives the VM that borrows it.
struct Guest {
    GuestMemory memory;
    kvm::Vm vm;
    kvm::Vcpu vcpu;

    /// Runs to the next port write: the nanoseconds that it took.
    Result<std::uint64_t> run_to_exit();
    /// Times `loops` turns of the loop and one exit, in nanoseconds.
    Result<std::uint64_t> run_loop(std::uint64_t loops);
};

kvm::Segment code_segment() {
    kvm::Segment cs{};
    cs.limit = 0xffffffff;
    cs.selector = 0x8;
    cs.type = 11;  // execute, read, accessed
    cs.present = cs.s = cs.l = cs.g = 1;
    return cs;
}

kvm::Segment data_segment() {
    kvm::Segment ds = code_segment();
    ds.selector = 0x10;
    ds.type = 3;  // read, write, accessed
    ds.l = 0;
    ds.db = 1;
    return ds;
}

/// 64-bit mode: SDM volume 3, 10.8.5 "Initializing IA-32e Mode"; APM volume 2, chapter 14.
void set_long_mode(kvm::Sregs& sregs) {
    sregs.cs = code_segment();
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data_segment();
    sregs.cr0 = 0x80050033;  // PG, AM, WP, NE, ET, MP, PE
    sregs.cr3 = pml4;
    sregs.cr4 = 0x20;    // PAE
    sregs.efer = 0x500;  // LMA, LME
}

void write_guest(std::byte* memory) {
    const auto put = [memory](std::uint64_t at, std::uint64_t entry) {
        std::memcpy(memory + at, &entry, sizeof entry);
    };
    put(pml4, pdpt | 3);  // present, writable
    put(pdpt, pd | 3);
    put(pd, 0x83);  // and 2 MiB long
    std::memcpy(memory + code, program, sizeof program);
}

Result<Guest> make_guest(const kvm::Kvm& kvm) {
    void* mapping = ::mmap(nullptr, memory_size, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping == MAP_FAILED) {
        return fail_errno("memory for a guest", errno);
    }
    GuestMemory memory(static_cast<std::byte*>(mapping));
    write_guest(memory.get());

    kvm::Vm vm = KVM_TRY(kvm.create_vm());
    KVM_TRY(vm.add_memory(kvm::Slot{0}, 0_gpa, {memory.get(), memory_size}));
    kvm::Vcpu vcpu = KVM_TRY(vm.create_vcpu(kvm::VcpuId{0}));
    kvm::Sregs sregs = KVM_TRY(vcpu.sregs());
    set_long_mode(sregs);
    KVM_TRY(vcpu.set_sregs(sregs));
    kvm::Regs regs{};
    regs.rip = exit_at;
    regs.rflags = 2;
    KVM_TRY(vcpu.set_regs(regs));
    return Guest{std::move(memory), std::move(vm), std::move(vcpu)};
}

std::uint64_t since(Clock::time_point start) {
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start).count());
}

Result<std::uint64_t> Guest::run_to_exit() {
    const auto start = Clock::now();
    for (int interruptions = 0; interruptions < 1000; ++interruptions) {
        const kvm::Exit exit = KVM_TRY(vcpu.run());
        if (exit.reason() == kvm::ExitReason::io) {
            return since(start);
        }
        if (exit.reason() != kvm::ExitReason::intr) {
            return fail(fmt::format("a guest of {} bytes ended with KVM_EXIT_{} ({})",
                                    sizeof program, kvm::name(exit.reason()),
                                    static_cast<unsigned>(exit.reason())));
        }
    }
    return fail("signals interrupted the guest without end", EINTR);
}

Result<std::uint64_t> Guest::run_loop(std::uint64_t loops) {
    // The last exit's reply must be in before the registers change.
    KVM_TRY(vcpu.complete_pending_io());
    kvm::Regs regs{};
    regs.rip = loop_at;
    regs.rcx = loops;
    regs.rflags = 2;
    KVM_TRY(vcpu.set_regs(regs));
    return run_to_exit();
}

/// At most 1000 exits, at least 3, for 100 ms if there is time for more than 3.
Result<ExitLatency> measure_exits(Guest& guest) {
    constexpr int warm_up = 2;
    std::vector<std::uint64_t> times;
    const auto start = Clock::now();
    for (int i = 0; i < warm_up + 3 || (i < 1000 && since(start) < 100'000'000); ++i) {
        const std::uint64_t time = KVM_TRY(guest.run_to_exit());
        if (i >= warm_up) {
            times.push_back(time);
        }
    }
    std::sort(times.begin(), times.end());
    return ExitLatency{static_cast<int>(times.size()), times.front(), times[times.size() / 2]};
}

/// Loops that double until one takes 2 ms, and then the best of some of that length: whoever shares
/// the CPU can only make a loop slower, and seldom all of them. The exit is part of each, and 2 ms
/// make it small. An interpreter is done after the first few.
Result<KernelModeSpeed> measure_kernel_mode(Guest& guest) {
    constexpr std::uint64_t long_enough = 2'000'000, most_loops = std::uint64_t(1) << 28;
    const auto start = Clock::now();
    std::uint64_t loops = 500;
    double best = 0;
    int at_length = 0;
    while (at_length < 10 && since(start) < 150'000'000) {
        const std::uint64_t time = KVM_TRY(guest.run_loop(loops));
        best = std::max(best, static_cast<double>(loops) * instructions_per_loop * 1e9 /
                                  static_cast<double>(std::max<std::uint64_t>(time, 1)));
        if (time >= long_enough || loops >= most_loops) {
            ++at_length;
        } else {
            loops *= 2;
        }
    }
    return KernelModeSpeed{best < interpreted_below ? KernelMode::interpreted : KernelMode::native,
                           best};
}

template <class T>
Found<T> found(Result<T> result) {
    return result ? Found<T>(std::move(*result)) : Found<T>::missing(result.error().message);
}

}  // namespace

Measured measure(const kvm::Kvm& kvm) {
    auto guest = make_guest(kvm);
    if (!guest) {
        const std::string why = guest.error().message;
        return {Found<ExitLatency>::missing(why), Found<KernelModeSpeed>::missing(why)};
    }
    auto exits = measure_exits(*guest);
    if (!exits) {
        const std::string why = exits.error().message;
        return {Found<ExitLatency>::missing(why), Found<KernelModeSpeed>::missing(why)};
    }
    return {found(std::move(exits)), found(measure_kernel_mode(*guest))};
}

}  // namespace vmm::host

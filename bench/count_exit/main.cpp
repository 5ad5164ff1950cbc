// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// count-exit: user instructions per exit and per VM, the library's beside hand-written C's.

#include "loops.h"
#include "stepper.hpp"
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <kvm/kvm.hpp>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

constexpr int exits = 12;
constexpr long most_per_exit = 27;
constexpr long most_per_vm = 324;
constexpr int skipped = 77;

long heap_allocations = 0;

/// A vCPU in real mode whose guest writes to the console for ever.
struct Guest {
    kvm::Vm vm;
    std::span<std::byte> memory;
    kvm::Vcpu vcpu;
};

[[noreturn]] void die(const kvm::Error& error) {
    char text[300];
    std::fprintf(stderr, "count-exit: %s\n", kvm::describe(error, text, sizeof text));
    std::exit(2);
}

template <class T>
T good(kvm::Result<T> result) {
    if (!result) {
        die(result.error());
    }
    if constexpr (!std::is_void_v<T>) {
        return std::move(*result);
    }
}

Guest guest(const kvm::Kvm& kvm) {
    static constexpr unsigned char code[] = {
        0xba,
        console_port & 0xff,
        console_port >> 8,  // mov dx, console_port
        0xb0,
        'k',   // mov al, 'k'
        0xee,  // out dx, al
        0xeb,
        0xfd,  // jmp to the out
    };
    void* page = mmap(nullptr, guest_memory_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        die({"mmap", errno});
    }
    const std::span<std::byte> memory{static_cast<std::byte*>(page), guest_memory_bytes};
    std::memcpy(memory.data() + 0x1000, code, sizeof code);
    auto vm = good(kvm.create_vm());
    (void)good(vm.add_memory(kvm::Slot{0}, kvm::Gpa(0), memory));
    auto vcpu = good(vm.create_vcpu(kvm::VcpuId{0}));
    auto sregs = good(vcpu.sregs());
    sregs.cs.base = 0;
    sregs.cs.selector = 0;
    good(vcpu.set_sregs(sregs));
    kvm::Regs regs{};
    regs.rip = 0x1000;
    regs.rflags = 2;
    good(vcpu.set_regs(regs));
    return {std::move(vm), memory, std::move(vcpu)};
}

/// The count that repeats: every exit but the first, which binds symbols, must cost the same.
long steady(const char* what, const stepper::Counts& counts) {
    if (!counts.failure.empty() || counts.steps.size() < 3) {
        std::fprintf(stderr, "count-exit: %s: %s\n", what,
                     counts.failure.empty() ? "too few exits" : counts.failure.c_str());
        std::exit(2);
    }
    const long last = counts.steps.back();
    if (std::any_of(counts.steps.begin() + 1, counts.steps.end(),
                    [&](long n) { return n != last; })) {
        std::fprintf(stderr, "count-exit: %s: the exits differ:", what);
        for (const long n : counts.steps) {
            std::fprintf(stderr, " %ld", n);
        }
        std::fputc('\n', stderr);
    }
    return *std::max_element(counts.steps.begin() + 1, counts.steps.end());
}

template <class Loop>
long per_exit(const kvm::Kvm& kvm, const char* what, Loop loop) {
    return steady(what, stepper::count({SYS_ioctl, kvm::op::run.request}, [&] {
                      Guest g = guest(kvm);
                      return loop(g.vcpu) == exits * 'k' ? 0 : 1;
                  }));
}

[[gnu::noinline]] void mark() {
    long result;
    asm volatile("syscall" : "=a"(result) : "a"(SYS_getppid) : "rcx", "r11", "memory");
}

template <class Create>
long per_vm(const char* what, Create create) {
    return steady(what, stepper::count({SYS_getppid}, [&] {
                      for (int i = 0; i < 4; ++i) {
                          mark();
                          if (const int error = create()) {
                              return error;
                          }
                      }
                      mark();
                      return 0;
                  }));
}

/// What the library may cost: no more than a number, and where the job is one path, than C's.
struct Limit {
    long most;
    bool or_raw;
};

bool report(const char* what, long ours, long raw, long glibc, Limit limit) {
    const bool good = ours <= limit.most && (!limit.or_raw || ours <= raw);
    std::printf("%-40s %6ld %9ld %9ld %9ld  %s\n", what, ours, raw, glibc, limit.most,
                good ? "" : "TOO MANY");
    return good;
}

}  // namespace

// Every allocation of the process, the library's and C++'s own among them.
extern "C" void* __libc_malloc(std::size_t);
extern "C" void* __libc_calloc(std::size_t, std::size_t);
extern "C" void* malloc(std::size_t size) {
    ++heap_allocations;
    return __libc_malloc(size);
}
extern "C" void* calloc(std::size_t count, std::size_t size) {
    ++heap_allocations;
    return __libc_calloc(count, size);
}

int main(int argc, char** argv) {
    if (argc > 1) {
        std::puts(
            "count-exit: counts user instructions by single-stepping: of an exit, of a VM.\n"
            "Status 1 if the library needs more than hand-written C, 77 without /dev/kvm.");
        return std::strcmp(argv[1], "--help") ? 2 : 0;
    }
    auto kvm = kvm::Kvm::open();
    if (!kvm) {
        char text[300];
        std::printf("skipped: %s\n", kvm::describe(kvm.error(), text, sizeof text));
        return skipped;
    }
    const int fd = kvm->fd().number();
    const auto raw_vcpu = [](kvm::Vcpu& vcpu) { return c_vcpu{vcpu.fd().number(), &vcpu.raw()}; };

    std::printf("compiled by %s, -O2\n%-40s %6s %9s %9s %9s\n", COMPILER, "user instructions",
                "kvmxx", "C inline", "C glibc", "at most");
    bool good =
        report("one PIO exit, KVM_RUN to KVM_RUN",
               per_exit(*kvm, "kvmxx", [](kvm::Vcpu& vcpu) { return loop_kvmxx(vcpu, exits); }),
               per_exit(*kvm, "C, inline",
                        [&](kvm::Vcpu& vcpu) {
                            const auto raw = raw_vcpu(vcpu);
                            return loop_raw(&raw, exits);
                        }),
               per_exit(*kvm, "C, glibc",
                        [&](kvm::Vcpu& vcpu) {
                            const auto raw = raw_vcpu(vcpu);
                            return loop_glibc(&raw, exits);
                        }),
               {most_per_exit, true});
    good &= report("VM + memory + vCPU, made and destroyed",
                   per_vm("kvmxx", [&] { return create_kvmxx(*kvm); }),
                   per_vm("C, inline", [&] { return create_raw(fd); }),
                   per_vm("C, glibc", [&] { return create_glibc(fd); }), {most_per_vm, false});
    const long before = heap_allocations;
    if (const int error = create_kvmxx(*kvm)) {
        die({"create_kvmxx", error});
    }
    const long allocations = heap_allocations - before;
    std::printf("%-40s %6ld %9s %9s %9d  %s\n", "heap allocations for that", allocations, "-", "-",
                0, allocations ? "TOO MANY" : "");
    return good && allocations == 0 ? 0 : 1;
}

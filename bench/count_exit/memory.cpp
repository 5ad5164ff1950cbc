// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// count-memory: user instructions of an access to guest memory, the call of a function around it
// included, beside a plain access to the host's memory.

#include "stepper.hpp"
#include <array>
#include <cstdio>
#include <cstdlib>
#include <sys/syscall.h>
#include <vmm/memory/guest_memory.hpp>

namespace {

using vmm::GuestMemory;
using Access = bool (*)(const GuestMemory&, std::uint64_t, std::uint32_t&);

bool plain(const GuestMemory&, std::uint64_t address, std::uint32_t& value) {
    value = *reinterpret_cast<const volatile std::uint32_t*>(address);
    return true;
}
bool read(const GuestMemory& memory, std::uint64_t address, std::uint32_t& value) {
    const auto got = memory.read<std::uint32_t>(kvm::Gpa(address));
    value = got ? *got : 0;
    return got.has_value();
}
bool load_acquire(const GuestMemory& memory, std::uint64_t address, std::uint32_t& value) {
    const auto got = memory.load_acquire<std::uint32_t>(kvm::Gpa(address));
    value = got ? *got : 0;
    return got.has_value();
}
bool write(const GuestMemory& memory, std::uint64_t address, std::uint32_t& value) {
    return memory.write(kvm::Gpa(address), value).has_value();
}
bool store_release(const GuestMemory& memory, std::uint64_t address, std::uint32_t& value) {
    return memory.store_release(kvm::Gpa(address), value).has_value();
}

[[gnu::noinline]] void mark() {
    long result;
    asm volatile("syscall" : "=a"(result) : "a"(SYS_getppid) : "rcx", "r11", "memory");
}

/// From one mark to the next, with the access between them, or with none.
long count(const GuestMemory& memory, Access access, std::uint64_t address) {
    const auto counts = stepper::count({SYS_getppid}, [&] {
        std::uint32_t value = 1;
        bool good = true;
        for (int i = 0; i < 3; ++i) {
            mark();
            if (const Access now = access) {
                good &= now(memory, address, value);
            }
        }
        mark();
        return good ? 0 : 1;
    });
    if (!counts.failure.empty()) {
        std::fprintf(stderr, "count-memory: %s\n", counts.failure.c_str());
        std::exit(2);
    }
    return counts.steps.back();
}

}  // namespace

int main(int argc, char**) {
    if (argc > 1) {
        std::puts("count-memory: counts user instructions of accesses to guest memory.");
        return 0;
    }
    const std::array regions{vmm::Region{kvm::Gpa(0), 1 << 20},
                             vmm::Region{kvm::Gpa(1ull << 32), 1 << 20}};
    auto made = GuestMemory::create(regions);
    if (!made) {
        std::fprintf(stderr, "count-memory: %s\n", made.error().message.c_str());
        return 2;
    }
    GuestMemory& memory = *made;
    const std::uint64_t high = 1ull << 32;
    const auto host = reinterpret_cast<std::uintptr_t>(memory.host_span(kvm::Gpa(0), 4)->data());
    const long nothing = count(memory, nullptr, 0);
    std::printf("compiled by %s, -O2\n%-44s %7s %7s\n", COMPILER,
                "user instructions, 32-bit, the call included", "first", "second");
    const auto report = [&](const char* what, Access access) {
        std::printf("%-44s %7ld %7ld\n", what, count(memory, access, 0x1000) - nothing,
                    count(memory, access, high + 0x1000) - nothing);
    };
    std::printf("%-44s %7ld\n", "a plain load", count(memory, plain, host) - nothing);
    report("read", read);
    report("load_acquire", load_acquire);
    report("write", write);
    report("store_release", store_release);
    if (auto started = memory.start_dirty_tracking(); !started) {
        std::fprintf(stderr, "count-memory: %s\n", started.error().message.c_str());
        return 2;
    }
    report("write, dirty pages being tracked", write);
    return 0;
}

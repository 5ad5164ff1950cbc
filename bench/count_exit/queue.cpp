// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// count-queue: user instructions of what a virtio device does with its queue for a chain, and for
// being woken.

#include "stepper.hpp"
#include <array>
#include <cstdio>
#include <cstdlib>
#include <sys/syscall.h>
#include <vmm/virtio/queue.hpp>

namespace {

using namespace vmm;
using namespace vmm::virtio;

constexpr std::uint16_t size = 256, rounds = 4;

[[noreturn]] void end(const char* why) {
    std::fprintf(stderr, "count-queue: %s\n", why);
    std::exit(2);
}

template <class T>
void put(const GuestMemory& memory, std::uint64_t address, T value) {
    if (!memory.write(kvm::Gpa(address), value)) {
        end("no guest memory");
    }
}

[[gnu::noinline]] void mark() {
    long result;
    asm volatile("syscall" : "=a"(result) : "a"(SYS_getppid) : "rcx", "r11", "memory");
}

struct Shape {
    std::uint64_t features;
    unsigned buffers;
    bool indirect;
};

/// A descriptor whose flags, and what stands beside them, are in the order of its ring.
void describe(const GuestMemory& memory, bool packed, std::uint64_t at, std::uint32_t length,
              unsigned flags, unsigned other, std::uint64_t address) {
    put(memory, at, address);
    put(memory, at + 8, length);
    put(memory, at + 12, static_cast<std::uint16_t>(packed ? other : flags));
    put(memory, at + 14, static_cast<std::uint16_t>(packed ? flags : other));
}

/// What a driver does for `rounds` chains of that shape.
void offer(const GuestMemory& memory, const QueueConfig& config, const Shape& shape) {
    const bool packed = shape.features & feature::ring_packed;
    const unsigned available = packed ? 1u << 7 : 0;
    unsigned slot = 0;
    for (unsigned round = 0; round < rounds; ++round) {
        const unsigned head = slot;
        const std::uint64_t table = 0x10000 + 0x1000 * round;
        for (unsigned i = 0; i < shape.buffers; ++i) {
            const bool last = i + 1 == shape.buffers;
            const std::uint64_t place =
                shape.indirect ? table + 16 * i : config.descriptors.value() + 16 * (slot + i);
            const unsigned next = last || (packed && shape.indirect) ? 0 : 1;
            describe(memory, packed, place, 512, next | (last && i > 0 ? 2 : 0) | available,
                     packed ? round : (shape.indirect ? i + 1 : slot + i + 1), 0x20000);
        }
        if (shape.indirect) {
            describe(memory, packed, config.descriptors.value() + 16 * slot, 16 * shape.buffers,
                     4 | available, round, table);
        }
        slot += shape.indirect ? 1 : shape.buffers;
        if (!packed) {
            put(memory, config.driver.value() + 4 + 2 * round, static_cast<std::uint16_t>(head));
        }
    }
    if (!packed) {
        put(memory, config.driver.value() + 2, rounds);
    }
}

enum class Work { nothing, chain, wake };

long count(const Shape& shape, Work work) {
    const std::array regions{Region{kvm::Gpa(0), 1 << 20}};
    const auto memory = GuestMemory::create(regions);
    if (!memory) {
        end(memory.error().message.c_str());
    }
    const QueueConfig config{size, kvm::Gpa(0x1000), kvm::Gpa(0x3000), kvm::Gpa(0x4000)};
    auto queue = Queue::create(*memory, config, shape.features);
    if (!queue) {
        end(queue.error().message.c_str());
    }
    offer(*memory, config, shape);
    const auto counts = stepper::count({SYS_getppid}, [&] {
        Chain chain;
        bool good = true;
        for (int i = 0; i < rounds; ++i) {
            mark();
            if (work == Work::chain) {
                const auto popped = queue->pop(chain);
                good &= popped && *popped;
                queue->push(chain, 512);
            } else if (work == Work::wake) {
                queue->disable_notifications();
                good &= queue->enable_notifications();
                good &= !queue->needs_interrupt();
            }
        }
        mark();
        return good ? 0 : 1;
    });
    if (!counts.failure.empty()) {
        end(counts.failure.c_str());
    }
    return counts.steps.back();  // not the first: then vectors have memory already
}

}  // namespace

int main(int argc, char**) {
    if (argc > 1) {
        std::puts("count-queue: counts user instructions of a virtqueue's device.");
        return 0;
    }
    const long nothing = count({0, 1, false}, Work::nothing);
    std::printf("compiled by %s, -O2\n%-44s %7s %7s\n", COMPILER, "user instructions", "split",
                "packed");
    const auto report = [&](const char* what, unsigned buffers, bool indirect, Work work) {
        const std::uint64_t features =
            feature::version_1 | feature::event_idx | feature::indirect_desc;
        std::printf("%-44s %7ld %7ld\n", what, count({features, buffers, indirect}, work) - nothing,
                    count({features | feature::ring_packed, buffers, indirect}, work) - nothing);
    };
    report("pop and push, a chain of 1", 1, false, Work::chain);
    report("pop and push, a chain of 3", 3, false, Work::chain);
    report("pop and push, 3 in an indirect table", 3, true, Work::chain);
    report("notifications off and on, no interrupt", 1, false, Work::wake);
    return 0;
}

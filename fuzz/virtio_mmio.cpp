// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A driver that does what it likes to the registers of a virtio device by MMIO, and to its rings.
#include "records.hpp"

#include <algorithm>
#include <array>
#include <vmm/virtio/mmio.hpp>
#include <vmm/virtio_echo.hpp>

namespace {

using namespace vmm;
using namespace vmm::fuzz;
using virtio::MmioDevice;

struct NoDoorbells final : Doorbells {
    Result<bool> add(kvm::FdRef, kvm::IoAddress, kvm::Datamatch) override { return false; }
    void remove(kvm::FdRef, kvm::IoAddress, kvm::Datamatch) override {}
};

struct NoPulse final : InterruptPulse {
    void pulse() override {}
};

constexpr kvm::Gpa base{0xd0000000};

void set(Bus& bus, std::uint64_t offset, std::uint64_t value) {
    access(bus, base.value() + offset, 3 << 4, value);
}

/// What a driver does in the end, but with any size.
void start(Bus& bus, std::uint32_t size) {
    constexpr std::array<std::pair<std::uint64_t, std::uint64_t>, 8> before{{{0x70, 3},
                                                                             {0x24, 1},
                                                                             {0x20, 1},
                                                                             {0x70, 11},
                                                                             {0x30, 0},
                                                                             {0x80, 0},
                                                                             {0x90, 0x80000},
                                                                             {0xa0, 0x90000}}};
    for (const auto& [offset, value] : before) {
        set(bus, offset, value);
    }
    set(bus, 0x38, size);
    set(bus, 0x44, 1);
    set(bus, 0x70, 15);
}

/// Takes a chain of each queue, and gives it back.
void use(virtio::Host& host) {
    for (std::uint16_t i = 0; i < test::EchoDevice::sizes.size(); ++i) {
        virtio::Queue* const queue = host.queue(i);
        if (!queue) {
            continue;
        }
        if (queue->config().size > test::EchoDevice::sizes[i]) {
            fail_now("a queue is longer than its device offers");
        }
        virtio::Chain chain;
        const auto popped = queue->pop(chain);
        if (!popped) {
            host.disable(popped.error().message);
        } else if (*popped) {
            queue->push(chain, 1);
            host.interrupt(i);
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    constexpr std::size_t most_records = 1024;
    static const GuestMemory memory =
        check(GuestMemory::create(std::array{Region{kvm::Gpa(0), 0x100000}}));
    static const std::unique_ptr<Reactor> reactor = check(Reactor::create());
    constexpr std::array<kvm::Gpa, 3> areas{kvm::Gpa(0), kvm::Gpa(0x80000), kvm::Gpa(0x90000)};
    for (const kvm::Gpa area : areas) {
        check(memory.write(area, std::array<std::byte, 512>{}));
    }
    Records input(std::as_bytes(std::span(data, size)));
    NoDoorbells doorbells;
    NoPulse pulse;
    const auto make = [&](virtio::Device& device) {
        return check(MmioDevice::create(device, {memory, *reactor, pulse, doorbells, base, {}}));
    };
    auto device = std::make_unique<test::EchoDevice>();
    auto mmio = make(*device);
    for (std::size_t n = 0; input.more() && n < most_records; ++n) {
        const unsigned kind = input.next<std::uint8_t>();
        const auto where = input.next<std::uint16_t>();
        const auto value = input.next<std::uint64_t>();
        Bus bus;
        check(bus.add(base.value(), MmioDevice::size, *mmio, "virtio"));
        switch (kind & 7) {
            case 0:
                access(bus, base.value() + where % MmioDevice::size, kind, value);
                break;
            case 1:
            case 2:  // a register, as wide as it is
                access(bus, base.value() + where % 64 * 4, (kind & 8) | 3 << 4, value);
                break;
            case 3:
                check(memory.write(areas[where % areas.size()] + where / 4 % 64 * 8, value));
                break;
            case 4:
                start(bus, static_cast<std::uint32_t>(value));
                break;
            case 5:
                if (device->host) {
                    where & 1 ? device->host->config_changed() : use(*device->host);
                }
                break;
            case 6:
                reactor->turn(std::chrono::milliseconds(0));
                break;
            default: {  // goes on elsewhere
                const auto state = check(mmio->save());
                auto other = std::make_unique<test::EchoDevice>();
                auto to = make(*other);
                check(to->restore(state));
                mmio = std::move(to);
                device = std::move(other);
            }
        }
    }
    return 0;
}

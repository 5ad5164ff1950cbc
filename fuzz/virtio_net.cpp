// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A network card against a driver that writes what it likes: the input is steps, each of which
// changes a little guest memory (in which the queues are), rings a queue's bell, has a frame
// arrive, or resets the device. Nothing may be read or written outside the guest.
#include <array>
#include <cstring>
#include <vmm/net_loop.hpp>
#include <vmm/virtio/net.hpp>

namespace {

using namespace vmm;

constexpr std::uint64_t ram = 64 << 10;
constexpr std::uint16_t queue_size = 16;

struct Input {
    std::span<const std::uint8_t> rest;
    std::uint8_t byte() {
        const std::uint8_t value = rest.empty() ? 0 : rest[0];
        rest = rest.subspan(rest.empty() ? 0 : 1);
        return value;
    }
    std::uint16_t word() { return static_cast<std::uint16_t>(byte() | byte() << 8); }
    std::span<const std::byte> take(std::size_t n) {
        const auto part = rest.first(std::min(n, rest.size()));
        rest = rest.subspan(part.size());
        return std::as_bytes(part);
    }
};

void start(virtio::Transport& transport, std::uint64_t features) {
    transport.set_status(0);
    transport.set_status(virtio::status::acknowledge | virtio::status::driver);
    for (std::uint32_t word = 0; word < 2; ++word) {
        transport.select_device_features(word);
        transport.select_driver_features(word);
        const std::uint64_t wanted = features | virtio::feature::version_1;
        transport.set_driver_features(transport.device_features() &
                                      static_cast<std::uint32_t>(wanted >> (32 * word)));
    }
    transport.set_status(virtio::status::features_ok);
    for (std::uint16_t i = 0; i < transport.queue_count(); ++i) {
        transport.select_queue(i);
        transport.change_queue([&](virtio::QueueConfig& config) {
            const kvm::Gpa at{0x800ull * i};
            config = {queue_size, at, at + 0x200, at + 0x400};
        });
        transport.enable_queue(virtio::Transport::Enable::yes);
    }
    transport.set_status(virtio::status::driver_ok);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const auto reactor = Reactor::create().value();
    static const GuestMemory memory =
        GuestMemory::create(std::array{Region{kvm::Gpa(0), ram}}).value();
    (void)memory.fill(kvm::Gpa(0), ram, std::byte{0});
    Input input{{data, size}};

    // One card serves many runs, reset before each: making it would take longer than a run does.
    static test::NoInterrupts interrupts;
    static auto loop = std::make_unique<test::LoopBackend>(std::uint16_t{2});
    static test::LoopBackend& backend = *loop;
    static const auto device =
        virtio::Net::create(std::move(loop), {.mtu = 1500}, *reactor).value();
    static const auto transport =
        virtio::Transport::create({*device, memory, *reactor, interrupts, {}}).value();
    transport->set_status(0);
    backend.reset();
    backend.echo = (input.byte() & 1) != 0;
    const std::uint64_t features =
        std::uint64_t(input.word()) << 24 | 0xffffff | std::uint64_t(input.byte()) << 48;
    start(*transport, features);
    for (int steps = 0; steps < 64 && !input.rest.empty(); ++steps) {
        const std::uint8_t what = input.byte();
        const std::uint8_t number = what >> 4;
        switch (what & 7) {
            case 0:
            case 1:
                transport->notify(number % transport->queue_count());
                break;
            case 2: {
                const auto at = input.word();
                const auto bytes = input.take(number * 4u + 1u);
                (void)memory.write(kvm::Gpa(at), bytes);
                break;
            }
            case 3: {  // a descriptor with its head made available, of a split ring
                const std::uint64_t queue = number % 5 * 0x800ull;
                const std::uint16_t index =
                    memory.read<std::uint16_t>(kvm::Gpa(queue + 0x202)).value_or(std::uint16_t{0});
                const std::uint64_t slot = index % queue_size;
                const std::array<std::uint16_t, 8> descriptor{
                    input.word(),
                    0,
                    0,
                    0,
                    input.word(),
                    static_cast<std::uint16_t>(number / 8),
                    input.byte(),
                    input.byte()};
                (void)memory.write(kvm::Gpa(queue + 16 * slot),
                                   std::as_bytes(std::span(descriptor)));
                (void)memory.write(kvm::Gpa(queue + 0x204 + 2 * slot),
                                   static_cast<std::uint16_t>(slot));
                (void)memory.write(kvm::Gpa(queue + 0x202), static_cast<std::uint16_t>(index + 1));
                break;
            }
            case 4: {
                const auto bytes = input.take(input.byte());
                std::vector<std::byte> frame(bytes.begin(), bytes.end());
                frame.resize(frame.size() + 60u * number * number);
                backend.arrive(number % 2, std::move(frame));
                break;
            }
            case 5:
                backend.full = (number & 1) != 0;
                backend.refuse = (number & 2) != 0;
                backend.set_link((number & 4) != 0 ? net::Link::down : net::Link::up);
                backend.room();
                break;
            case 6: {
                const auto saved = transport->save();
                if (saved && (number & 1) != 0) {
                    (void)device->restore(saved->device);
                }
                break;
            }
            default:
                if (number == 0) {
                    start(*transport, features);
                } else {
                    std::array<std::byte, 8> config{};
                    transport->read_config(number, config);
                    transport->write_config(number, config);
                }
        }
        if (number == 15) {
            reactor->turn(std::chrono::milliseconds(0));
        }
    }
    return 0;
}

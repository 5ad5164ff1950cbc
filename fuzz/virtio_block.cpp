// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A driver that does what it likes to virtio-blk. The first byte says how the queue is: bit 0
// packed, bit 1 a read-only disk, bit 2 without a cache. Then records: what kind, with 3 bits of
// arguments above, and what each takes.
#include "disk.hpp"
#include "records.hpp"

#include <array>
#include <vmm/virtio/block.hpp>
#include <vmm/virtio/transport.hpp>
#include <vmm/virtio_driver.hpp>

namespace {

using namespace vmm;

using fuzz::check;
using fuzz::Records;

struct Nobody final : virtio::Interrupts {
    void used(std::uint16_t) override {}
    void config() override {}
};

using fuzz::ram;

/// A disk and its transport, which serve many runs, reset before each: making them would take
/// longer than a run does.
struct Machine {
    explicit Machine(Access access) : reactor(check(Reactor::create())) {
        auto disk = fuzz::make_disk(*reactor, access);
        device = check(virtio::Block::create(std::move(disk), {.queue_size = 64}, *reactor));
        transport = check(virtio::Transport::create({*device, memory(), *reactor, nobody, {}}));
    }
    static const GuestMemory& memory() {
        static const GuestMemory all =
            check(GuestMemory::create(std::array{Region{kvm::Gpa(0), ram}}));
        return all;
    }

    Nobody nobody;
    std::unique_ptr<Reactor> reactor;
    std::unique_ptr<virtio::Block> device;
    std::unique_ptr<virtio::Transport> transport;
};

virtio::Buffer buffer(Records& input) {
    const auto address = input.next<std::uint32_t>();
    const auto length = input.next<std::uint16_t>();
    switch (address >> 28) {  // most are in RAM, some anywhere
        case 0:
            return {kvm::Gpa(std::uint64_t{address} << 36), length};
        case 1:
            return {kvm::Gpa(ram - address % 4096), length};
        case 2:
            return {kvm::Gpa(address % ram), ~std::uint32_t{0} - length};
        default:
            return {kvm::Gpa(0x10000 + address % 0x8000), length};
    }
}

/// Offers a header that may be right, and buffers.
void offer(test::QueueDriver& queue, const GuestMemory& memory, Records& input, unsigned kind) {
    static constexpr std::array<std::uint32_t, 8> types{0, 1, 4, 8, 11, 13, 99, 0};
    const auto sector = input.next<std::uint8_t>();
    const kvm::Gpa at(0x8000 + 32 * (input.next<std::uint8_t>() % 64));
    check(memory.write(at, types[kind]));
    check(memory.write(at + 8, sector == 0xff ? ~std::uint64_t{0} : std::uint64_t{sector}));
    std::vector<virtio::Buffer> readable{{at, 16}};
    std::vector<virtio::Buffer> writable;
    const auto shape = input.next<std::uint8_t>();
    for (int n = shape & 3; n > 0; --n) {
        readable.push_back(buffer(input));
    }
    for (int n = shape >> 2 & 3; n > 0; --n) {
        writable.push_back(buffer(input));
    }
    if (shape & 16) {
        readable[0] = buffer(input);
    }
    if (shape & 32) {
        writable.push_back({kvm::Gpa(0x7000), 1});
    }
    (void)queue.offer(
        readable, writable,
        shape & 64 ? test::QueueDriver::Layout::indirect : test::QueueDriver::Layout::direct);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const GuestMemory& memory = Machine::memory();
    Records input(std::as_bytes(std::span(data, size)));
    const auto setup = input.next<std::uint8_t>();
    static Machine writable(Access::read_write);
    static Machine read_only(Access::read_only);
    const Machine& machine = setup & 2 ? read_only : writable;
    virtio::Transport* const transport = machine.transport.get();

    namespace feature = virtio::feature;
    std::uint64_t features = machine.device->features() | feature::version_1;
    features &= setup & 1 ? ~std::uint64_t{0} : ~feature::ring_packed;
    features &= setup & 4 ? ~(std::uint64_t{1} << 9) : ~std::uint64_t{0};
    const auto start = [&] {
        transport->set_status(0);
        transport->set_status(3);
        for (std::uint32_t word = 0; word < 2; ++word) {
            transport->select_driver_features(word);
            transport->set_driver_features(static_cast<std::uint32_t>(features >> (32 * word)));
        }
        transport->set_status(virtio::status::features_ok);
        test::QueueDriver queue(memory, kvm::Gpa(0x40000), 64, features);
        check(memory.fill(kvm::Gpa(0x40000), test::QueueDriver::footprint(64), std::byte{0}));
        transport->select_queue(0);
        transport->change_queue([&](virtio::QueueConfig& c) { c = queue.config(); });
        transport->enable_queue(virtio::Transport::Enable::yes);
        transport->set_status(virtio::status::driver_ok);
        return queue;
    };
    std::optional<test::QueueDriver> queue(start());
    for (int n = 0; input.more() && n < 256; ++n) {
        const unsigned kind = input.next<std::uint8_t>();
        const unsigned argument = kind >> 3 & 7;
        switch (kind & 7) {
            case 0:  // data, for lists of ranges
                check(memory.write(kvm::Gpa(0x10000 + input.next<std::uint16_t>() % 0x8000),
                                   input.next<std::uint64_t>()));
                break;
            case 1: {
                const auto value = input.next<std::uint64_t>();
                transport->write_config(argument * 8, std::as_bytes(std::span(&value, 1)));
                break;
            }
            case 2:
                queue.reset();
                queue.emplace(start());
                break;
            case 3:  // the rings themselves
                check(memory.write(kvm::Gpa(0x40000 + input.next<std::uint16_t>() % 4096),
                                   input.next<std::uint16_t>()));
                break;
            default:
                offer(*queue, memory, input, argument);
                transport->notify(0);
                while (machine.reactor->turn(std::chrono::milliseconds(0)) > 0) {
                }
        }
    }
    transport->set_status(0);
    return 0;
}

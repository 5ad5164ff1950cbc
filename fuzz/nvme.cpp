// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A driver that does what it likes to an NVMe controller. The first byte says how it is: bit 0 a
// read-only disk, bit 1 with doorbell buffers, bit 2 without messages. Then records: what kind,
// with 5 bits of arguments above, and what each takes.
#include "disk.hpp"
#include "records.hpp"

#include <vmm/nvme/pci.hpp>
#include <vmm/pci/root.hpp>

namespace {

using namespace vmm;

using fuzz::check;
using fuzz::Records;

constexpr std::uint64_t bar = 0xe1000000;
constexpr std::uint64_t admin_queue = 0x4000, admin_completions = 0x6000, buffers = 0x8000;
constexpr std::uint64_t queue = 0xa000, completions = 0xb000, data = 0x10000;
constexpr std::uint32_t entries = 8;

struct Messages final : MessageController {
    struct Message final : MessageInterrupt {
        Result<void> set(const std::optional<kvm::Msi>&) override { return {}; }
        void pulse() override {}
    };
    Result<std::unique_ptr<MessageInterrupt>> create_message() override {
        return std::make_unique<Message>();
    }
};

struct NoDoorbells final : Doorbells {
    Result<bool> add(kvm::FdRef, kvm::IoAddress, kvm::Datamatch) override { return false; }
    void remove(kvm::FdRef, kvm::IoAddress, kvm::Datamatch) override {}
};

struct Line final : InterruptLine {
    void set(kvm::Level) override {}
};

/// Most are in RAM, some anywhere; most begin with a page.
std::uint64_t address(Records& input) {
    const auto value = input.next<std::uint32_t>();
    switch (value >> 28) {
        case 0:
            return std::uint64_t{value} << 36;
        case 1:
            return fuzz::ram - value % 4096;
        case 2:
            return data + value % 0x8000;
        default:
            return data + value % 0x8000 / 4096 * 4096;
    }
}

class Driver {
public:
    Driver(Bus& bus, const GuestMemory& memory, bool has_buffers)
        : bus_(bus), memory_(memory), has_buffers_(has_buffers) {}

    void set(std::uint64_t offset, std::uint64_t value, std::size_t size = 4) {
        bus_.write(bar + offset, std::as_bytes(std::span(&value, 1)).first(size));
    }

    /// A controller that works, with one I/O queue.
    void start() {
        using namespace nvme;
        set(reg::cc, 0);
        tails_ = {};
        check(memory_.fill(kvm::Gpa(admin_queue), data - admin_queue, std::byte{0}));
        set(reg::aqa, (entries - 1) << 16 | (entries - 1));
        set(reg::asq, admin_queue, 8);
        set(reg::acq, admin_completions, 8);
        set(reg::cc, cc::submission_64 | cc::completion_16 | cc::enable);
        run({.opcode = 5, .prp1 = completions, .cdw10 = (entries - 1) << 16 | 1, .cdw11 = 3});
        run({.opcode = 1, .prp1 = queue, .cdw10 = (entries - 1) << 16 | 1, .cdw11 = 1 << 16 | 1});
        if (has_buffers_) {
            run({.opcode = 0x7c, .prp1 = buffers, .prp2 = buffers + 4096});
        }
    }
    void put(const nvme::Command& command, std::uint16_t id) {
        const std::uint64_t base = id == 0 ? admin_queue : queue;
        check(
            memory_.write(kvm::Gpa(base + 64 * tails_[id]), std::as_bytes(std::span(&command, 1))));
        tails_[id] = (tails_[id] + 1) % entries;
    }
    void ring(std::uint16_t id) {
        check(memory_.write(kvm::Gpa(buffers + 8ull * id), tails_[id]));
        set(nvme::reg::doorbells + 8ull * id, tails_[id]);
    }
    /// Says that all completions were taken.
    void take(std::uint16_t id) {
        check(memory_.write(kvm::Gpa(buffers + 8ull * id + 4), tails_[id]));
        set(nvme::reg::doorbells + 8ull * id + 4, tails_[id]);
    }

private:
    void run(const nvme::Command& command) {
        put(command, 0);
        ring(0);
        take(0);
    }

    Bus& bus_;
    const GuestMemory& memory_;
    bool has_buffers_;
    std::array<std::uint32_t, 2> tails_{};
};

nvme::Command command(Records& input, unsigned argument, bool admin) {
    static constexpr std::array<std::uint8_t, 16> of_admin{0,   1,   2,    4,    5, 6, 8, 9,
                                                           0xa, 0xc, 0x7c, 0x80, 2, 6, 9, 0xff};
    static constexpr std::array<std::uint8_t, 8> of_disk{0, 1, 2, 8, 9, 5, 2, 1};
    nvme::Command made{.opcode = admin ? of_admin[argument % 16] : of_disk[argument % 8]};
    made.id = input.next<std::uint8_t>();
    made.flags = argument == 31 ? input.next<std::uint8_t>() : std::uint8_t{0};
    made.nsid = argument == 30 ? input.next<std::uint8_t>() : 1U;
    made.prp1 = address(input);
    made.prp2 = address(input);
    made.cdw10 = input.next<std::uint16_t>();
    made.cdw10 |= admin ? std::uint32_t{input.next<std::uint8_t>()} << 16 : 0U;
    made.cdw11 = input.next<std::uint8_t>();
    made.cdw11 |= admin ? std::uint32_t{input.next<std::uint8_t>()} << 16 : 0U;
    made.cdw12 = input.next<std::uint16_t>();
    made.cdw12 |= std::uint32_t{input.next<std::uint8_t>()} << 24;
    if (!admin && made.cdw11 != 4) {
        made.cdw11 = made.cdw11 > 250 ? ~0U : 0U;  // where most blocks are
    }
    return made;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    static const GuestMemory memory =
        check(GuestMemory::create(std::array{Region{kvm::Gpa(0), fuzz::ram}}));
    Records input(std::as_bytes(std::span(bytes, size)));
    const auto setup = input.next<std::uint8_t>();
    const auto reactor = check(Reactor::create());
    Messages messages;
    NoDoorbells doorbells;
    Line line;
    Bus bus;
    auto disk = fuzz::make_disk(*reactor, setup & 1 ? Access::read_only : Access::read_write);
    const nvme::PciDevice::Wires wires{memory, *reactor, messages, doorbells, {}};
    auto device = check(nvme::PciDevice::create(std::move(disk), {.queues = 2}, wires));
    pci::Root root({bus, {{kvm::Gpa(bar), 0x1000000}}, {16}, {&line}, {}});
    check(root.add(*device));
    const auto configure = [&](std::uint16_t offset, std::uint32_t value, std::size_t length) {
        root.config_space().write(0x8000u + offset,
                                  std::as_bytes(std::span(&value, 1)).first(length));
    };
    configure(pci::reg::bar, static_cast<std::uint32_t>(bar), 4);
    configure(pci::reg::command, pci::command::memory, 2);
    if (!(setup & 4)) {
        configure(pci::reg::end_of_header + 2, pci::Msix::enable, 2);
    }

    Driver driver(bus, memory, (setup & 2) != 0);
    driver.start();
    for (int n = 0; input.more() && n < 256; ++n) {
        const unsigned kind = input.next<std::uint8_t>();
        const unsigned argument = kind >> 3;
        switch (kind & 7) {
            case 0:  // lists, ranges, queues, doorbell buffers
                check(memory.write(kvm::Gpa(admin_queue + input.next<std::uint16_t>()),
                                   argument & 1 ? address(input) : input.next<std::uint64_t>()));
                break;
            case 1: {
                const auto offset = input.next<std::uint16_t>();
                driver.set(argument & 1 ? offset % 0x40u : offset % 0x4000u,
                           input.next<std::uint64_t>(), 1 + argument % 8);
                break;
            }
            case 2:
                driver.start();
                break;
            case 3:
                driver.take(argument & 1);
                break;
            default: {
                const bool admin = (kind & 7) < 6;
                driver.put(command(input, argument, admin), admin ? 0 : 1);
                driver.ring(admin ? 0 : 1);
                if (argument & 1) {
                    driver.take(admin ? 0 : 1);
                }
            }
        }
        while (reactor->turn(std::chrono::milliseconds(0)) > 0) {
        }
    }
    const auto snapshot = device->save();
    device.reset();
    disk = fuzz::make_disk(*reactor, Access::read_write);
    device = check(nvme::PciDevice::create(std::move(disk), {.queues = 2}, wires));
    check(device->restore(snapshot));
    while (reactor->turn(std::chrono::milliseconds(0)) > 0) {
    }
    return 0;
}

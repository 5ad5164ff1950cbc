// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include "block_fixture.hpp"
#include "pci_fixture.hpp"

#include <atomic>
#include <chrono>
#include <vmm/nvme/pci.hpp>
#include <vmm/nvme/prp.hpp>

namespace vmm::test {

/// An NVMe controller in slot 1, as its driver sees it, on a reactor that the test turns. Guest
/// memory is RAM, at `hole` nothing, and at `rom` memory that cannot be written.
class Nvme : public ::testing::Test {
protected:
    using Command = nvme::Command;
    using Status = nvme::Status;

    static constexpr std::uint64_t bar = PciBus::window, hole = 16 << 20, rom = 17 << 20;
    static constexpr std::uint64_t size = 1 << 20, blocks = size / 512;
    static constexpr std::uint32_t no_status = 0xffff;

    struct Done {
        std::uint16_t id = 0;
        std::uint16_t queue = 0;
        Status status{};
        bool may_retry = true;
        std::uint32_t result = 0;
    };
    /// A queue pair as its driver has it.
    struct Pair {
        std::uint64_t submissions = 0, completions = 0;
        std::uint32_t entries = 0;
        std::uint32_t tail = 0, head = 0;
        bool phase = true;
    };

    /// A controller on the scripted engine, or, with a `kind`, a real one.
    void make(const nvme::Controller::Options& options = {}, Access access = Access::read_write,
              std::optional<block::EngineKind> kind = {}) {
        device.reset();
        bus.reset();
        auto disk = make_disk(file, access, kind, *reactor, log.log, engine);
        device = must(nvme::PciDevice::create(std::move(disk), options,
                                              {memory, *reactor, messages, doorbells, log.log}));
        bus.emplace();
        must(bus->root.add(*device));
        bus->place(1, bar);
        pairs.clear();
    }
    void TearDown() override { device.reset(); }

    template <class T = std::uint32_t>
    T get(std::uint64_t offset) {
        return bus->read<T>(bar + offset);
    }
    template <class T = std::uint32_t>
    void set(std::uint64_t offset, T value) {
        bus->write<T>(bar + offset, value);
    }
    std::uint32_t csts() { return get(nvme::reg::csts); }
    bool failed() { return (csts() & nvme::csts::fatal) != 0; }

    /// The MSI-X capability, which is the only one, and its vectors send their numbers.
    void enable_messages() {
        const auto at = bus->read_config<std::uint8_t>(1, pci::reg::capabilities);
        const auto last = bus->read_config<std::uint16_t>(1, at + 2u) & 0x7ffu;
        for (std::uint32_t vector = 0; vector <= last; ++vector) {
            const std::uint64_t entry = nvme::PciDevice::table_offset + vector * 16ull;
            set<std::uint64_t>(entry, 0xfee00000);
            set(entry + 8, vector);
            set(entry + 12, 0u);
        }
        bus->write_config<std::uint16_t>(1, at + 2u, pci::Msix::enable);
    }
    static constexpr std::uint32_t enabled =
        nvme::cc::submission_64 | nvme::cc::completion_16 | nvme::cc::enable;

    /// The driver sets up the admin queues of so many entries, and enables the controller.
    void enable(std::uint32_t entries = 32) {
        enable_messages();
        pairs[0] = new_pair(entries);
        set(nvme::reg::aqa, (entries - 1) << 16 | (entries - 1));
        set<std::uint64_t>(nvme::reg::asq, pairs[0].submissions);
        set<std::uint64_t>(nvme::reg::acq, pairs[0].completions);
        set(nvme::reg::cc, enabled);
    }
    Pair new_pair(std::uint32_t entries) {
        return {.submissions = allocate(entries * 64ull),
                .completions = allocate(entries * 16ull),
                .entries = entries};
    }
    /// Everything until there are I/O queues, 1 and so on.
    void start(std::uint16_t queues = 1, std::uint32_t entries = 64) {
        enable();
        ASSERT_EQ(csts(), nvme::csts::ready);
        for (std::uint16_t id = 1; id <= queues; ++id) {
            pairs[id] = new_pair(entries);
            ASSERT_EQ(create_completion(id, pairs[id].completions, entries, id), Status::success);
            ASSERT_EQ(create_submission(id, pairs[id].submissions, entries, id), Status::success);
        }
    }
    Status create_queue(std::uint8_t opcode, std::uint32_t id, std::uint64_t base,
                        std::uint32_t entries, std::uint32_t cdw11) {
        return admin({.opcode = opcode,
                      .prp1 = base,
                      .cdw10 = (entries - 1) << 16 | id,
                      .cdw11 = cdw11})
            .status;
    }
    Status create_completion(std::uint32_t id, std::uint64_t base, std::uint32_t entries,
                             std::uint32_t vector, std::uint32_t flags = 3) {
        return create_queue(0x05, id, base, entries, vector << 16 | flags);
    }
    Status create_submission(std::uint32_t id, std::uint64_t base, std::uint32_t entries,
                             std::uint32_t completion, std::uint32_t flags = 1) {
        return create_queue(0x01, id, base, entries, completion << 16 | flags);
    }

    /// Puts a command in a queue, without a word to the device. Its id.
    std::uint16_t put(Command command, std::uint16_t queue = 1) {
        Pair& pair = pairs.at(queue);
        command.id = ++next_id;
        must(memory.write(kvm::Gpa(pair.submissions + pair.tail * 64ull),
                          std::as_bytes(std::span(&command, 1))));
        pair.tail = (pair.tail + 1) % pair.entries;
        return command.id;
    }
    void ring(std::uint16_t queue = 1) {
        set(nvme::reg::doorbells + 8ull * queue, pairs.at(queue).tail);
    }
    /// What is in the next completion, if it is there; the device is told that it was taken.
    std::optional<Done> take(std::uint16_t queue = 1) {
        Pair& pair = pairs.at(queue);
        nvme::Completion entry;
        must(memory.read(kvm::Gpa(pair.completions + pair.head * 16ull),
                         std::as_writable_bytes(std::span(&entry, 1))));
        if ((entry.id_and_status >> 16 & 1) != (pair.phase ? 1u : 0u)) {
            return std::nullopt;
        }
        pair.head = (pair.head + 1) % pair.entries;
        pair.phase = pair.phase != (pair.head == 0);
        if (tells_heads) {
            set(nvme::reg::doorbells + 8ull * queue + 4, pair.head);
        }
        return Done{static_cast<std::uint16_t>(entry.id_and_status), entry.submission_queue,
                    static_cast<Status>(entry.id_and_status >> 17 & 0x7ff),
                    (entry.id_and_status >> 31) == 0, entry.result};
    }
    std::optional<Done> wait(std::uint16_t queue = 1) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        for (;;) {
            const auto done = take(queue);
            if (done || std::chrono::steady_clock::now() > end) {
                return done;
            }
            reactor->turn(std::chrono::milliseconds(10));
        }
    }
    Done run(const Command& command, std::uint16_t queue = 1) {
        const std::uint16_t id = put(command, queue);
        ring(queue);
        const auto done = wait(queue);
        EXPECT_TRUE(done.has_value()) << "no completion";
        EXPECT_EQ(done.value_or(Done{}).id, id);
        return done.value_or(Done{.status = Status::internal_error});
    }
    Done admin(const Command& command) { return run(command, 0); }
    /// A read that the disk has and does not end; its id.
    std::uint16_t begin_read() {
        engine->holds = true;
        const std::uint16_t id = put(reads(0, 1, allocate(4096)));
        ring();
        settle();
        return id;
    }
    void settle() {
        while (reactor->turn(std::chrono::milliseconds(0)) > 0) {
        }
    }

    static Command transfer(nvme::Opcode opcode, std::uint64_t block, std::uint32_t count,
                            std::uint64_t prp1, std::uint64_t prp2 = 0) {
        return {.opcode = static_cast<std::uint8_t>(opcode),
                .nsid = 1,
                .prp1 = prp1,
                .prp2 = prp2,
                .cdw10 = static_cast<std::uint32_t>(block),
                .cdw11 = static_cast<std::uint32_t>(block >> 32),
                .cdw12 = count - 1};
    }
    static Command reads(std::uint64_t block, std::uint32_t count, std::uint64_t prp1,
                         std::uint64_t prp2 = 0) {
        return transfer(nvme::Opcode::read, block, count, prp1, prp2);
    }
    static Command writes(std::uint64_t block, std::uint32_t count, std::uint64_t prp1,
                          std::uint64_t prp2 = 0) {
        return transfer(nvme::Opcode::write, block, count, prp1, prp2);
    }

    /// Pages of guest memory of its own.
    std::uint64_t allocate(std::uint64_t bytes) {
        const std::uint64_t at = next_free;
        next_free += (bytes + 4095) & ~4095ull;
        if (next_free > hole) {
            throw std::runtime_error("the test's guest memory is full");
        }
        return at;
    }
    std::string text_at(std::uint64_t address, std::size_t length) {
        std::string text(length, '\0');
        must(memory.read(kvm::Gpa(address), std::as_writable_bytes(std::span(text))));
        return text;
    }
    void put_text(std::uint64_t address, std::string_view text) {
        must(memory.write(kvm::Gpa(address), bytes(text)));
    }
    template <class T>
    T value_at(std::uint64_t address) {
        return must(memory.read<T>(kvm::Gpa(address)));
    }
    /// How many lines of the log have that text.
    std::size_t complaints(std::string_view text) const {
        return static_cast<std::size_t>(std::ranges::count_if(
            log.lines, [&](const auto& line) { return line.find(text) != line.npos; }));
    }

    ImageFile file{size};
    TestLog log;
    GuestMemory memory = must(GuestMemory::create(
        std::array{Region{kvm::Gpa(0), hole},
                   Region{kvm::Gpa(rom), 64 << 10, backing::Anonymous{}, Access::read_only}}));
    std::unique_ptr<Reactor> reactor = must(Reactor::create());
    TestMessages messages;
    TestDoorbells doorbells;
    ScriptedEngine* engine = nullptr;
    std::unique_ptr<nvme::PciDevice> device;
    std::optional<PciBus> bus;  // after the device, whose functions it has
    std::map<std::uint16_t, Pair> pairs;
    bool tells_heads = true;
    std::atomic<std::uint16_t> next_id = 0x100;
    std::uint64_t next_free = 0x1000;
};

}  // namespace vmm::test

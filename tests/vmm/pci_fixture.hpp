// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <deque>
#include <map>
#include <vmm/device_fixture.hpp>
#include <vmm/pci/root.hpp>
#include <vmm/result.hpp>

namespace vmm::test {

/// Messages that remember.
struct TestMessages final : MessageController {
    struct Message final : MessageInterrupt {
        Message(TestMessages& o) : owner(o) {}
        Result<void> set(const std::optional<kvm::Msi>& m) override {
            if (owner.refuses) {
                sent_to.reset();
                return fail("messages: no more", ENOSPC);
            }
            sent_to = m;
            return {};
        }
        void pulse() override {
            if (sent_to) {
                owner.sent.push_back(sent_to->data);
            }
        }
        TestMessages& owner;
        std::optional<kvm::Msi> sent_to;
    };
    Result<std::unique_ptr<MessageInterrupt>> create_message() override {
        return std::make_unique<Message>(*this);
    }
    std::vector<std::uint32_t> sent;  ///< each message's data
    bool refuses = false;
};

/// Doorbells that are remembered: where each descriptor's is.
struct TestDoorbells final : Doorbells {
    Result<bool> add(kvm::FdRef event, kvm::IoAddress address, kvm::Datamatch) override {
        if (!present) {
            return false;
        }
        if (!at.emplace(address.value(), event.number()).second) {
            return fail("doorbells: one is there", EEXIST);
        }
        return true;
    }
    void remove(kvm::FdRef, kvm::IoAddress address, kvm::Datamatch) override {
        removed += at.erase(address.value());
    }
    std::map<std::uint64_t, int> at;
    std::size_t removed = 0;
    bool present = true;
};

/// A bus with PCI as a machine has it: the guest's accesses, by either mechanism.
struct PciBus {
    static constexpr std::uint64_t config_space = 0xe0000000, window = 0xe1000000,
                                   window_size = 0x0f000000, high = 0x1000000000,
                                   high_size = 0x40000000;

    PciBus() {
        must(memory.add(config_space, pci::Root::config_space_size, root.config_space(), "ECAM"));
        must(memory.add(0xfed00000, 0x1000, other, "other"));
        must(memory.add(window + 0x100000, 0x1000, other, "in the window"));
        must(ports.add(0xcf8, pci::Root::ports, *config_ports, "PCI"));
    }

    template <class T>
    T read(std::uint64_t address) {
        T value{};
        memory.read(address, std::as_writable_bytes(std::span(&value, 1)));
        return value;
    }
    template <class T>
    void write(std::uint64_t address, T value) {
        memory.write(address, std::as_bytes(std::span(&value, 1)));
    }
    static std::uint64_t config(std::uint32_t slot, std::uint64_t offset) {
        return config_space + slot * 0x8000 + offset;
    }
    template <class T>
    T read_config(std::uint32_t slot, std::uint64_t offset) {
        return read<T>(config(slot, offset));
    }
    template <class T>
    void write_config(std::uint32_t slot, std::uint64_t offset, T value) {
        write<T>(config(slot, offset), value);
    }
    /// Of a 64-bit BAR 0, with memory enabled.
    void place(std::uint32_t slot, std::uint64_t address) {
        write_config<std::uint16_t>(slot, pci::reg::command, 0);
        write_config<std::uint32_t>(slot, pci::reg::bar, static_cast<std::uint32_t>(address));
        write_config<std::uint32_t>(slot, pci::reg::bar + 4,
                                    static_cast<std::uint32_t>(address >> 32));
        write_config<std::uint16_t>(slot, pci::reg::command,
                                    pci::command::memory | pci::command::master);
    }

    struct Nothing final : BusDevice {
        void read(std::uint64_t, std::span<std::byte>) override {}
        void write(std::uint64_t, std::span<const std::byte> data) override {
            written += data.size();
        }
        std::uint64_t written = 0;
    };
    Bus memory, ports;
    std::deque<TestLine> lines{4};
    Nothing other, reset;
    pci::Root root{{memory,
                    {{kvm::Gpa(window), window_size}, {kvm::Gpa(high), high_size}},
                    {16, 17, 18, 19},
                    {&lines[0], &lines[1], &lines[2], &lines[3]},
                    {}}};
    std::unique_ptr<BusDevice> config_ports = root.create_ports(reset);
};

/// A function whose registers are an array, and whose interrupt a test raises.
struct TestFunction final : pci::Function {
    struct Registers final : BusDevice {
        void read(std::uint64_t offset, std::span<std::byte> data) override {
            for (std::byte& byte : data) {
                byte = std::byte(value + offset++);
            }
        }
        void write(std::uint64_t, std::span<const std::byte>) override { ++writes; }
        std::uint8_t value = 0;
        std::atomic<int> writes = 0;
    };
    explicit TestFunction(std::uint8_t value = 0, std::uint64_t size = 0x1000)
        : Function({0x1234, 0x5678, 0x010203, 4, 0x9abc, 0xdef0}) {
        registers.value = value;
        add_bar64(size, registers);
    }
    std::string_view name() const override { return "test function"; }
    using Function::add_bar32;
    using Function::add_capability;
    using Function::set_interrupt;
    void bar_placed(std::size_t, std::optional<kvm::Gpa> address) override { placed = address; }

    Registers registers;
    std::optional<kvm::Gpa> placed;
};

}  // namespace vmm::test

// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <kvm/types.hpp>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>
#include <vmm/device/bus.hpp>
#include <vmm/device/lines.hpp>

/// PCI: functions with their configuration space and registers, on one bus below a host bridge.
/// PCI Local Bus 3.0, chapters 3 and 6; PCI Express 5.0, 7.2.
namespace vmm::pci {

/// Where things are in the configuration space of a function: header type 0.
namespace reg {
inline constexpr std::uint16_t vendor = 0x00, device = 0x02, command = 0x04, status = 0x06;
inline constexpr std::uint16_t revision = 0x08, class_code = 0x09, bar = 0x10;
inline constexpr std::uint16_t subsystem_vendor = 0x2c, subsystem = 0x2e, capabilities = 0x34;
inline constexpr std::uint16_t interrupt_line = 0x3c, interrupt_pin = 0x3d, end_of_header = 0x40;
}  // namespace reg

/// Bits of the command register.
namespace command {
inline constexpr std::uint16_t memory = 1 << 1, master = 1 << 2, parity = 1 << 6, serr = 1 << 8;
inline constexpr std::uint16_t no_interrupt = 1 << 10;
}  // namespace command

/// What a function says that it is.
struct Identity {
    std::uint16_t vendor = 0;
    std::uint16_t device = 0;
    std::uint32_t class_code = 0;  ///< 24 bits: class, subclass, interface
    std::uint8_t revision = 0;
    std::uint16_t subsystem_vendor = 0;
    std::uint16_t subsystem = 0;
};

class Msix;

/// A pin that several functions share: up while one of them raises it. Any thread.
class SharedLine {
public:
    explicit SharedLine(InterruptLine& line) : line_(line) {}
    /// Once each in turn, by each function.
    void raise();
    void lower();

private:
    InterruptLine& line_;
    std::mutex mutex_;
    unsigned raised_ = 0;  // by how many
};

/// A function of a PCI device: its configuration space. The guest may write anything anywhere.
/// Methods are the bus's, one at a time, unless they say otherwise.
class Function {
public:
    static constexpr std::uint16_t config_size = 256;  ///< what is beyond reads as 0

    explicit Function(const Identity& identity);
    Function(const Function&) = delete;
    Function& operator=(const Function&) = delete;
    virtual ~Function() = default;

    virtual std::string_view name() const = 0;

    /// Of any length; what is beyond the space is not touched.
    void read_config(std::uint16_t offset, std::span<std::byte> data);
    void write_config(std::uint16_t offset, std::span<const std::byte> data);

    /// A range of addresses that the guest places.
    struct Bar {
        std::uint16_t offset = 0;  ///< in the configuration space
        bool wide = false;         ///< 64 bits
        std::uint64_t size = 0;
        BusDevice* registers = nullptr;
    };
    std::span<const Bar> bars() const { return bars_; }
    /// Where the guest wants it: nowhere if memory is not enabled.
    std::optional<std::uint64_t> wanted(const Bar& bar) const;
    /// Bar `index` answers there now, or nowhere.
    virtual void bar_placed(std::size_t /*index*/, std::optional<kvm::Gpa> /*address*/) {}

    /// The pin that it interrupts by, if it does: number 1 to 4, INTA to INTD.
    void connect(SharedLine& line, std::uint8_t pin);

    /// The space, for a snapshot, and back: what a guest can write of it. Errors: EINVAL.
    std::span<const std::byte> config() const { return values_; }
    Result<void> restore_config(std::span<const std::byte> bytes);

protected:
    /// `size` is a power of two from 16 on. The first is BAR 0, ones of 64 bits take two; six at
    /// most.
    void add_bar64(std::uint64_t size, BusDevice& registers);
    void add_bar32(std::uint32_t size, BusDevice& registers);
    /// Appends a capability: its bytes after the id and the pointer, and which bits of them a guest
    /// can write. Its offset.
    std::uint16_t add_capability(std::uint8_t id, std::span<const std::byte> body,
                                 std::span<const std::byte> writable);
    /// The same of MSI-X, whose table and pending bits are at these offsets of BAR 0.
    std::uint16_t add_msix(const Msix& msix, std::uint32_t table, std::uint32_t pending);

    /// The guest is about to read, or has written, bytes of the configuration space.
    virtual void config_read(std::uint16_t /*offset*/, std::size_t /*size*/) {}
    virtual void config_written(std::uint16_t /*offset*/, std::size_t /*size*/) {}
    /// A register of 1, 2 or 4 bytes.
    template <class T>
    T get(std::uint16_t offset) const {
        T value{};
        std::memcpy(&value, values_.data() + offset, sizeof value);
        return value;
    }
    std::span<std::byte> raw(std::uint16_t offset, std::size_t size) {
        return std::span(values_).subspan(offset, size);
    }

    /// The level that the function's interrupt has, which the pin follows unless the guest disabled
    /// it. Any thread.
    void set_interrupt(kvm::Level level);

private:
    void put(std::uint16_t offset, std::uint64_t value, std::size_t size);
    void set_writable(std::uint16_t offset, std::uint64_t mask, std::size_t size);
    void add_bar(bool wide, std::uint64_t size, BusDevice& registers);
    void update_pin();  // with pin_mutex_ held

    std::array<std::byte, config_size> values_{};
    std::array<std::byte, config_size> writable_{};
    std::vector<Bar> bars_;
    std::uint16_t next_bar_ = reg::bar;
    std::uint16_t last_link_ = reg::capabilities;  // what points to the next capability
    std::uint16_t free_ = reg::end_of_header;

    std::mutex pin_mutex_;  // of what follows
    SharedLine* line_ = nullptr;
    bool pending_ = false, disabled_ = false, raised_ = false;
};

}  // namespace vmm::pci

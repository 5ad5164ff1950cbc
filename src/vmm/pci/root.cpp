// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <cerrno>
#include <fmt/format.h>
#include <vmm/pci/root.hpp>

namespace vmm::pci {

namespace {

constexpr std::uint64_t function_size = 4096;  // of configuration space
constexpr std::uint64_t slot_size = 8 * function_size;

}  // namespace

/// 00:00.0, by which guests see that there is a PC's bus.
class Root::Bridge final : public Function {
public:
    Bridge() : Function({0x1b36, 0x0008, 0x060000, 0, 0x1af4, 0x1100}) {}
    std::string_view name() const override { return "PCI host bridge"; }
};

class Root::ConfigSpace final : public BusDevice {
public:
    explicit ConfigSpace(Root& root) : root_(root) {}
    void read(std::uint64_t offset, std::span<std::byte> data) override {
        root_.read(offset, data);
    }
    void write(std::uint64_t offset, std::span<const std::byte> data) override {
        root_.write(offset, data);
    }

private:
    Root& root_;
};

/// An address register of 32 bits at 0, and a window of four bytes at 4.
class Root::Ports final : public BusDevice {
public:
    Ports(Root& root, BusDevice& second) : root_(root), second_(second) {}

    void read(std::uint64_t offset, std::span<std::byte> data) override {
        if (offset == 0 && data.size() == 4) {
            const std::uint32_t value = address_.load(std::memory_order_relaxed);
            std::memcpy(data.data(), &value, sizeof value);
        } else if (offset == 1) {
            second_.read(0, data.first(1));
        } else if (const auto at = target(offset, data.size())) {
            root_.read(*at, data);
        }
    }
    void write(std::uint64_t offset, std::span<const std::byte> data) override {
        if (offset == 0 && data.size() == 4) {
            std::uint32_t value = 0;
            std::memcpy(&value, data.data(), sizeof value);
            address_.store(value & writable, std::memory_order_relaxed);
        } else if (offset == 1) {
            second_.write(0, data.first(1));
        } else if (const auto at = target(offset, data.size())) {
            root_.write(*at, data);
        }
    }

private:
    static constexpr std::uint32_t enable = 0x80000000, bus = 0xff0000, writable = 0x80fffffc;

    /// What an access to the window means; nothing if it is none, or of another bus.
    std::optional<std::uint64_t> target(std::uint64_t offset, std::size_t size) const {
        const std::uint32_t address = address_.load(std::memory_order_relaxed);
        if (offset < 4 || offset + size > ports || !(address & enable) || (address & bus)) {
            return std::nullopt;
        }
        return std::uint64_t{address & 0xff00} << 4 | (address & 0xfc) | (offset - 4);
    }

    Root& root_;
    BusDevice& second_;
    std::atomic<std::uint32_t> address_ = 0;
};

Root::Root(Wires wires)
    : wires_(std::move(wires)), bridge_(std::make_unique<Bridge>()),
      config_space_(std::make_unique<ConfigSpace>(*this)) {
    for (InterruptLine* const line : wires_.lines) {
        lines_.emplace_back(*line);
    }
    functions_.push_back(bridge_.get());
}

Root::~Root() = default;

BusDevice& Root::config_space() { return *config_space_; }

std::unique_ptr<BusDevice> Root::create_ports(BusDevice& second) {
    return std::make_unique<Ports>(*this, second);
}

Result<std::uint32_t> Root::add(Function& function) {
    const std::lock_guard lock(mutex_);
    if (functions_.size() == slots) {
        return fail(fmt::format("{}: PCI has no place for more than {} devices", function.name(),
                                slots - 1),
                    ENOSPC);
    }
    const auto slot = static_cast<std::uint32_t>(functions_.size());
    functions_.push_back(&function);
    for (std::size_t i = 0; i < function.bars().size(); ++i) {
        const Function::Bar& bar = function.bars()[i];
        placements_.push_back({&function, i,
                               wires_.memory.add_movable(bar.size, *bar.registers, function.name()),
                               std::nullopt});
    }
    if (!lines_.empty()) {
        function.connect(*std::next(lines_.begin(), slot % lines_.size()), 1);
    }
    return slot;
}

Function* Root::find(std::uint64_t address) {
    const std::uint64_t slot = address / slot_size;
    const bool first = address % slot_size < function_size;
    return first && slot < functions_.size() ? functions_[slot] : nullptr;
}

/// What reaches beyond a function's space is not the next one's.
void Root::read(std::uint64_t address, std::span<std::byte> data) {
    const std::lock_guard lock(mutex_);
    if (Function* const function = find(address)) {
        const auto offset = static_cast<std::uint16_t>(address % function_size);
        function->read_config(
            offset, data.first(std::min<std::size_t>(data.size(), function_size - offset)));
    }
}

void Root::write(std::uint64_t address, std::span<const std::byte> data) {
    const std::lock_guard lock(mutex_);
    if (Function* const function = find(address)) {
        const auto offset = static_cast<std::uint16_t>(address % function_size);
        function->write_config(offset, data);
        if (offset < reg::subsystem_vendor) {  // the command register and the BARs
            settle_locked();
        }
    }
}

void Root::settle() {
    const std::lock_guard lock(mutex_);
    settle_locked();
}

bool Root::in_window(std::uint64_t address, std::uint64_t size) const {
    return std::ranges::any_of(wires_.windows, [&](const Range& window) {
        const std::uint64_t first = window.first.value();
        return address >= first && address - first < window.size &&
               size <= window.size - (address - first);
    });
}

void Root::put(Placement& placement, std::optional<std::uint64_t> address) {
    placement.address = address;
    placement.function->bar_placed(placement.index,
                                   address ? std::optional(kvm::Gpa(*address)) : std::nullopt);
}

/// First what is not to be where it is goes, so that there is room for the others.
void Root::settle_locked() {
    const auto wish = [](const Placement& placement) {
        return placement.function->wanted(placement.function->bars()[placement.index]);
    };
    for (Placement& placement : placements_) {
        if (placement.address && placement.address != wish(placement)) {
            wires_.memory.take_away(placement.handle);
            put(placement, std::nullopt);
        }
    }
    for (Placement& placement : placements_) {
        const auto address = wish(placement);
        const std::uint64_t size = placement.function->bars()[placement.index].size;
        if (!address || placement.address || !in_window(*address, size)) {
            continue;
        }
        if (auto placed = wires_.memory.place(placement.handle, *address); placed) {
            put(placement, address);
        } else {
            wires_.log.say(complaints_, LogLevel::debug, "PCI", placed.error().message);
        }
    }
}

std::vector<acpi::Device> Root::acpi_nodes(kvm::Gpa config_space) const {
    using namespace acpi;
    std::vector<Resource> resources{Window{Window::Kind::bus, 0, 0}};
    for (const Range& window : wires_.windows) {
        const std::uint64_t first = window.first.value();
        resources.push_back(Window{Window::Kind::memory, first, first + window.size - 1});
    }
    std::vector<aml::Code> routes;  // ACPI 6.5, 6.2.13
    for (std::uint32_t slot = 1; slot < functions_.size() && !wires_.gsis.empty(); ++slot) {
        constexpr std::uint64_t any_function = 0xffff, pin_a = 0;
        const std::uint32_t gsi = wires_.gsis[slot % wires_.gsis.size()];
        routes.push_back(aml::package({aml::integer(std::uint64_t{slot} << 16 | any_function),
                                       aml::integer(pin_a), aml::integer(0), aml::integer(gsi)}));
    }
    const aml::Code more{aml::name("_CID", aml::eisa_id("PNP0A03")),
                         aml::name("_SEG", aml::integer(0)), aml::name("_BBN", aml::integer(0)),
                         aml::name("_PRT", aml::package(routes))};
    const Memory32 reserved{static_cast<std::uint32_t>(config_space.value()),
                            static_cast<std::uint32_t>(config_space_size)};
    return {{"PCI0", "PNP0A08", 0, std::move(resources), more},
            {"PCIC", "PNP0C02", 0, {reserved}, {}}};
}

}  // namespace vmm::pci

// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <gtest/gtest.h>

#include <vmm/pci_fixture.hpp>
#include <vmm/virtio/pci.hpp>
#include <vmm/virtio_driver.hpp>
#include <vmm/virtio_echo.hpp>

namespace vmm {

namespace {

using namespace virtio;
using pci::Msix;
using test::code;
using test::EchoDevice;
using test::must;
using test::PciBus;
using test::TestDoorbells;
using test::TestMessages;

constexpr std::uint64_t bar = PciBus::window;
constexpr std::uint8_t ready =
    status::acknowledge | status::driver | status::features_ok | status::driver_ok;

/// A virtio device in slot 1, as its driver sees it, on a reactor that the test turns.
class VirtioPci : public ::testing::Test {
protected:
    void SetUp() override {
        must(bus.root.add(*pci));
        bus.place(1, bar);
    }
    /// The offset of the nth capability of that kind; 0 if there is none.
    std::uint16_t find(std::uint8_t id, std::uint8_t structure = 0) {
        auto at = bus.read_config<std::uint8_t>(1, pci::reg::capabilities);
        while (at != 0 && (bus.read_config<std::uint8_t>(1, at) != id ||
                           (structure && bus.read_config<std::uint8_t>(1, at + 3u) != structure))) {
            at = bus.read_config<std::uint8_t>(1, at + 1u);
        }
        return at;
    }
    void set_msix(std::uint16_t control) {
        bus.write_config<std::uint16_t>(1, find(Msix::capability_id) + 2u, control);
    }
    void set_entry(std::uint32_t vector, std::uint32_t data, std::uint32_t control = 0) {
        const std::uint64_t at = bar + PciDevice::table_offset + vector * Msix::entry_size;
        bus.write<std::uint64_t>(at, 0xfee00000);
        bus.write<std::uint32_t>(at + 8, data);
        bus.write<std::uint32_t>(at + 12, control);
    }
    /// Until the driver is ready; queue `q` has vector `q + 1`.
    void start() {
        bus.write<std::uint8_t>(bar + 20, status::acknowledge | status::driver);
        bus.write<std::uint32_t>(bar + 8, 1);
        bus.write<std::uint32_t>(bar + 12, 1);  // VERSION_1
        bus.write<std::uint8_t>(bar + 20, ready & ~status::driver_ok);
        bus.write<std::uint16_t>(bar + 16, 0);
        for (std::uint16_t q = 0; q < 2; ++q) {
            bus.write<std::uint16_t>(bar + 22, q);
            bus.write<std::uint16_t>(bar + 24, 8);
            bus.write<std::uint16_t>(bar + 26, static_cast<std::uint16_t>(q + 1));
            drivers.emplace_back(memory, kvm::Gpa(0x1000 + q * 0x10000u), std::uint16_t{8},
                                 feature::version_1);
            const QueueConfig& config = drivers.back().config();
            bus.write<std::uint64_t>(bar + 32, config.descriptors.value());
            bus.write<std::uint32_t>(bar + 40, static_cast<std::uint32_t>(config.driver.value()));
            bus.write<std::uint32_t>(bar + 44, 0);
            bus.write<std::uint64_t>(bar + 48, config.device.value());
            bus.write<std::uint16_t>(bar + 28, 1);
        }
        bus.write<std::uint8_t>(bar + 20, ready);
        settle();
    }
    void settle() {
        while (reactor->turn(std::chrono::milliseconds(0)) > 0) {
        }
    }
    /// The device uses a buffer of that queue.
    void use(std::uint16_t q) {
        ASSERT_TRUE(drivers[q].offer({}, std::array{Buffer{kvm::Gpa(0x80000), 16}}));
        Chain chain;
        ASSERT_TRUE(must(device.host->queue(q)->pop(chain)));
        device.host->queue(q)->push(chain, 0);
        device.host->interrupt(q);
    }

    PciBus bus;
    GuestMemory memory = must(GuestMemory::create(std::array{Region{kvm::Gpa(0), 1 << 20}}));
    std::unique_ptr<Reactor> reactor = must(Reactor::create());
    EchoDevice device;
    TestMessages messages;
    TestDoorbells doorbells;
    std::vector<std::string> complaints;
    PciDevice::Wires wires{
        memory, *reactor, messages, doorbells,
        Log(LogLevel::warn, [this](const LogLine& line) { complaints.emplace_back(line.text); })};
    std::unique_ptr<PciDevice> pci = must(PciDevice::create(device, wires));
    std::vector<test::QueueDriver> drivers;
};

TEST_F(VirtioPci, has_its_ids_and_capabilities) {
    EXPECT_EQ(bus.read_config<std::uint32_t>(1, 0), 0x10441af4u);
    EXPECT_GE(bus.read_config<std::uint8_t>(1, pci::reg::revision), 1);
    for (std::uint8_t structure = 1; structure <= 5; ++structure) {
        const std::uint16_t at = find(9, structure);
        ASSERT_NE(at, 0) << int{structure};
        EXPECT_EQ(at % 4, 0);
        if (structure != 5) {
            EXPECT_EQ(bus.read_config<std::uint8_t>(1, at + 4u), 0);
            EXPECT_LE(bus.read_config<std::uint32_t>(1, at + 8u) +
                          bus.read_config<std::uint32_t>(1, at + 12u),
                      PciDevice::bar_size);
        }
    }
    EXPECT_EQ(bus.read_config<std::uint32_t>(1, find(9, 2) + 16u), 4u);  // the multiplier
    const std::uint16_t msix = find(Msix::capability_id);
    EXPECT_EQ(bus.read_config<std::uint16_t>(1, msix + 2u), 2);  // three vectors
    EXPECT_EQ(bus.read_config<std::uint32_t>(1, msix + 4u), PciDevice::table_offset);
    EXPECT_EQ(bus.read_config<std::uint32_t>(1, msix + 8u), PciDevice::pending_offset);
}

TEST_F(VirtioPci, a_driver_finds_and_starts_the_device) {
    EXPECT_EQ(bus.read<std::uint16_t>(bar + 18), 2);
    bus.write<std::uint16_t>(bar + 22, 1);
    EXPECT_EQ(bus.read<std::uint16_t>(bar + 24), 16);
    EXPECT_EQ(bus.read<std::uint16_t>(bar + 30), 1);
    EXPECT_EQ(bus.read<std::uint32_t>(bar + PciDevice::config_offset), 0x04030201u);
    start();
    EXPECT_EQ(device.activations, 1);
    EXPECT_EQ(device.accepted, feature::version_1);
    EXPECT_EQ(bus.read<std::uint8_t>(bar + 20), ready);
    EXPECT_EQ(bus.read<std::uint64_t>(bar + 32), drivers[1].config().descriptors.value());
    EXPECT_EQ(bus.read<std::uint32_t>(bar + 44), 0u);
    device.notifications.clear();
    bus.write<std::uint16_t>(bar + PciDevice::notify_offset + 4, 1);
    settle();
    EXPECT_EQ(device.notifications, std::vector<std::uint16_t>{1});
}

TEST_F(VirtioPci, without_msix_it_interrupts_by_its_pin_until_the_isr_is_read) {
    start();
    use(0);
    use(1);
    EXPECT_TRUE(bus.lines[1].up());
    EXPECT_EQ(bus.read<std::uint8_t>(bar + PciDevice::isr_offset), 1);
    EXPECT_FALSE(bus.lines[1].up());
    EXPECT_EQ(bus.read<std::uint8_t>(bar + PciDevice::isr_offset), 0);
    device.host->config_changed();
    EXPECT_EQ(bus.read<std::uint8_t>(bar + PciDevice::isr_offset), 2);
    EXPECT_TRUE(messages.sent.empty());
}

TEST_F(VirtioPci, with_msix_each_queue_and_the_configuration_has_its_message) {
    set_msix(Msix::enable);
    for (std::uint32_t vector = 0; vector < 3; ++vector) {
        set_entry(vector, 0x40 + vector);
    }
    start();
    use(1);
    use(0);
    device.host->config_changed();
    EXPECT_EQ(messages.sent, (std::vector<std::uint32_t>{0x42, 0x41, 0x40}));
    EXPECT_EQ(bus.read<std::uint8_t>(bar + PciDevice::isr_offset), 0);
    EXPECT_FALSE(bus.lines[1].up());
}

TEST_F(VirtioPci, a_masked_vector_is_pending_and_goes_out_when_it_is_unmasked) {
    set_msix(Msix::enable);
    set_entry(1, 0x41, 1);
    start();
    use(0);
    use(0);
    EXPECT_TRUE(messages.sent.empty());
    EXPECT_EQ(bus.read<std::uint64_t>(bar + PciDevice::pending_offset), 2u);
    set_entry(1, 0x51);
    EXPECT_EQ(messages.sent, std::vector<std::uint32_t>{0x51});
    EXPECT_EQ(bus.read<std::uint32_t>(bar + PciDevice::pending_offset), 0u);
    set_msix(Msix::enable | Msix::mask_all);
    use(0);
    EXPECT_EQ(messages.sent.size(), 1u);
    set_msix(Msix::enable);
    EXPECT_EQ(messages.sent.size(), 2u);
}

TEST_F(VirtioPci, vectors_that_are_not_there_are_none) {
    bus.write<std::uint16_t>(bar + 16, 3);
    EXPECT_EQ(bus.read<std::uint16_t>(bar + 16), PciDevice::no_vector);
    bus.write<std::uint16_t>(bar + 22, 0);
    bus.write<std::uint16_t>(bar + 26, 2);
    EXPECT_EQ(bus.read<std::uint16_t>(bar + 26), 2);
    bus.write<std::uint16_t>(bar + 22, 2);  // no such queue
    bus.write<std::uint16_t>(bar + 26, 1);
    EXPECT_EQ(bus.read<std::uint16_t>(bar + 26), PciDevice::no_vector);
    EXPECT_EQ(bus.read<std::uint16_t>(bar + 24), 0);
    set_msix(Msix::enable);
    start();
    bus.write<std::uint16_t>(bar + 22, 0);
    bus.write<std::uint16_t>(bar + 26, 0xffff);
    set_entry(1, 0x41);
    use(0);
    EXPECT_TRUE(messages.sent.empty());
}

TEST_F(VirtioPci, table_accesses_outside_or_odd_do_nothing) {
    const std::uint64_t table = bar + PciDevice::table_offset;
    bus.write<std::uint32_t>(table + 3 * Msix::entry_size, 0x1234);
    EXPECT_EQ(bus.read<std::uint32_t>(table + 3 * Msix::entry_size), ~0u);
    bus.write<std::uint16_t>(table, 0x1234);
    bus.write<std::uint32_t>(table + 2, 0x1234);
    bus.write<std::uint64_t>(table + 4, 0x1234);
    EXPECT_EQ(bus.read<std::uint64_t>(table), 0u);
    EXPECT_EQ(bus.read<std::uint64_t>(table + 8), std::uint64_t{1} << 32);
    bus.write<std::uint64_t>(table + 2 * Msix::entry_size + 8, ~std::uint64_t{0});
    EXPECT_EQ(bus.read<std::uint64_t>(table + 2 * Msix::entry_size + 8), 0x1ffffffffu);
    bus.write<std::uint64_t>(bar + PciDevice::pending_offset, ~std::uint64_t{0});
    EXPECT_EQ(bus.read<std::uint64_t>(bar + PciDevice::pending_offset), 0u);
}

TEST_F(VirtioPci, a_message_that_is_refused_is_said_once) {
    messages.refuses = true;
    set_msix(Msix::enable);
    set_entry(1, 0x41);
    start();
    use(0);
    EXPECT_TRUE(messages.sent.empty());
    EXPECT_FALSE(complaints.empty());
}

TEST_F(VirtioPci, doorbells_go_with_the_bar) {
    const std::uint64_t at = bar + PciDevice::notify_offset;
    EXPECT_EQ(doorbells.at.size(), 2u);
    EXPECT_TRUE(doorbells.at.contains(at) && doorbells.at.contains(at + 4));
    bus.place(1, PciBus::high);
    EXPECT_TRUE(doorbells.at.contains(PciBus::high + PciDevice::notify_offset));
    EXPECT_EQ(doorbells.at.size(), 2u);
    bus.place(1, 0xfee00000);
    EXPECT_TRUE(doorbells.at.empty());
    bus.place(1, bar);
    pci.reset();
    EXPECT_TRUE(doorbells.at.empty());
}

TEST_F(VirtioPci, a_reset_forgets_vectors_and_interrupts) {
    start();
    use(0);
    bus.write<std::uint8_t>(bar + 20, 0);
    EXPECT_FALSE(bus.lines[1].up());
    EXPECT_EQ(bus.read<std::uint16_t>(bar + 16), PciDevice::no_vector);
    EXPECT_EQ(bus.read<std::uint8_t>(bar + 20), 0);
    EXPECT_EQ(device.host, nullptr);
}

TEST_F(VirtioPci, odd_accesses_of_registers_do_nothing) {
    for (std::uint64_t offset = 0; offset < 0x80; ++offset) {
        const auto before = bus.read<std::uint64_t>(bar + 32);
        bus.write<std::uint64_t>(bar + offset, offset < 32 || offset % 8 ? 0x4141414141414141 : 0);
        EXPECT_EQ(bus.read<std::uint64_t>(bar + 32), before);
    }
    bus.write<std::uint32_t>(bar + 20, 0x0f0f0f0f);
    EXPECT_EQ(bus.read<std::uint8_t>(bar + 20), 0);
    bus.write<std::uint16_t>(bar + 28, 2);  // queue_enable is 1 or nothing
    EXPECT_EQ(bus.read<std::uint16_t>(bar + 28), 0);
    bus.write<std::uint16_t>(bar + PciDevice::notify_offset + 0x800, 1);
    bus.write<std::uint64_t>(bar + PciDevice::isr_offset, ~std::uint64_t{0});
    EXPECT_EQ(device.activations, 0);
}

TEST_F(VirtioPci, the_window_in_the_configuration_space_reaches_registers) {
    const std::uint64_t at = find(9, 5);
    const auto set = [&](std::uint8_t in_bar, std::uint32_t offset, std::uint32_t size) {
        bus.write_config<std::uint8_t>(1, at + 4, in_bar);
        bus.write_config<std::uint32_t>(1, at + 8, offset);
        bus.write_config<std::uint32_t>(1, at + 12, size);
    };
    bus.write_config<std::uint16_t>(1, pci::reg::command, 0);  // also when the BAR is nowhere
    set(0, 18, 2);
    EXPECT_EQ(bus.read_config<std::uint16_t>(1, at + 16), 2);
    set(0, 20, 1);
    bus.write_config<std::uint8_t>(1, at + 16, status::acknowledge);
    EXPECT_EQ(bus.read_config<std::uint8_t>(1, at + 16), status::acknowledge);
    bus.write_config<std::uint32_t>(1, at + 16, 0xaa000000 | status::driver);
    const struct {
        std::uint8_t in_bar;
        std::uint32_t offset, size;
    } odd[] = {{1, 20, 1}, {0, 20, 3}, {0, 20, 0},  {0, 20, 8},      {0, 21, 2},
               {0, 22, 4}, {5, 0, 4},  {0, ~0u, 1}, {0, 0x10000, 4}, {0, 20, ~0u}};
    for (const auto& [in_bar, offset, size] : odd) {
        set(in_bar, offset, size);
        bus.write_config<std::uint32_t>(1, at + 16, 0);
        (void)bus.read_config<std::uint32_t>(1, at + 16);
    }
    set(0, 20, 1);
    EXPECT_EQ(bus.read_config<std::uint8_t>(1, at + 16), status::acknowledge | status::driver);
}

TEST_F(VirtioPci, is_saved_and_goes_on_elsewhere) {
    set_msix(Msix::enable);
    set_entry(1, 0x41);
    set_entry(2, 0x42, 1);
    start();
    use(1);
    const DeviceSnapshot snapshot = must(pci->save());
    PciBus other_bus;
    EchoDevice other;
    auto restored = must(PciDevice::create(other, wires));
    must(other_bus.root.add(*restored));
    doorbells.at.clear();
    must(restored->restore(snapshot));
    other_bus.root.settle();
    EXPECT_EQ(other.activations, 1);
    EXPECT_EQ(other_bus.read<std::uint8_t>(bar + 20), ready);
    EXPECT_EQ(other_bus.read<std::uint16_t>(bar + 16), 0);
    EXPECT_EQ(other_bus.read<std::uint64_t>(bar + PciDevice::pending_offset), 4u);
    EXPECT_TRUE(doorbells.at.contains(bar + PciDevice::notify_offset));
    other.host->interrupt(0);
    EXPECT_EQ(must(restored->save()).transport, snapshot.transport);
    for (std::size_t size : {std::size_t{0}, std::size_t{100}, snapshot.transport.size() - 1}) {
        DeviceSnapshot cut = snapshot;
        cut.transport.resize(size);
        EXPECT_EQ(code(restored->restore(cut)), EINVAL);
    }
}

TEST_F(VirtioPci, what_it_tells_as_it_goes_on_elsewhere_is_not_lost) {
    start();
    const DeviceSnapshot snapshot = must(pci->save());
    PciBus other_bus;
    EchoDevice other;
    other.has_news = true;
    auto restored = must(PciDevice::create(other, wires));
    must(other_bus.root.add(*restored));
    doorbells.at.clear();
    must(restored->restore(snapshot));
    other_bus.root.settle();
    EXPECT_EQ(other_bus.read<std::uint8_t>(bar + PciDevice::isr_offset), 2);
}

TEST_F(VirtioPci, doorbells_that_cannot_be_placed_fill_no_log) {
    for (const std::uint64_t at : {bar, bar + PciDevice::bar_size}) {
        for (std::uint64_t q = 0; q < 2; ++q) {
            doorbells.at[at + PciDevice::notify_offset + 4 * q] = -1;
        }
    }
    for (std::uint64_t i = 0; i < 50; ++i) {
        bus.place(1, bar + i % 2 * PciDevice::bar_size);
    }
    EXPECT_GE(complaints.size(), LogLimit::first);
    EXPECT_LE(complaints.size(), LogLimit::first + 5);
}

}  // namespace

}  // namespace vmm

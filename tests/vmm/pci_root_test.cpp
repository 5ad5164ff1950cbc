// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <gtest/gtest.h>

#include <thread>
#include <vmm/pci_fixture.hpp>

namespace vmm {

namespace {

using namespace pci;
using kvm::Level;
using test::code;
using test::must;
using test::PciBus;
using test::TestFunction;

TEST(Pci, a_guest_finds_bridge_and_functions_and_nothing_else) {
    PciBus bus;
    TestFunction function;
    EXPECT_EQ(must(bus.root.add(function)), 1u);
    EXPECT_EQ(bus.read_config<std::uint32_t>(0, 0), 0x00081b36u);
    EXPECT_EQ(bus.read_config<std::uint32_t>(1, 0), 0x56781234u);
    EXPECT_EQ(bus.read_config<std::uint32_t>(1, 8), 0x01020304u);
    EXPECT_EQ(bus.read_config<std::uint32_t>(1, 0x2c), 0xdef09abcu);
    EXPECT_EQ(bus.read_config<std::uint8_t>(1, 0x3d), 1u);
    EXPECT_EQ(bus.read_config<std::uint32_t>(2, 0), ~0u);
    EXPECT_EQ(bus.read_config<std::uint32_t>(31, 0), ~0u);
    EXPECT_EQ(bus.read<std::uint32_t>(PciBus::config(1, 0x1000)), ~0u);  // function 1
    EXPECT_EQ(bus.read_config<std::uint32_t>(1, 0x100), 0u);             // no extended capability
    EXPECT_EQ(bus.read_config<std::uint64_t>(1, 0), 0x0000000056781234u);
}

TEST(Pci, the_ports_lead_to_the_same_registers_and_the_reset_control_stays_where_it_is) {
    PciBus bus;
    TestFunction function;
    must(bus.root.add(function));
    const auto out = [&](std::uint64_t port, auto value) {
        bus.ports.write(port, std::as_bytes(std::span(&value, 1)));
    };
    const auto in = [&]<class T>(std::uint64_t port, T value) {
        bus.ports.read(port, std::as_writable_bytes(std::span(&value, 1)));
        return value;
    };
    EXPECT_EQ(in(0xcfc, std::uint32_t{}), ~0u);  // not enabled
    out(0xcf8, std::uint32_t{0x80000800});
    EXPECT_EQ(in(0xcf8, std::uint32_t{}), 0x80000800u);
    EXPECT_EQ(in(0xcfc, std::uint32_t{}), 0x56781234u);
    EXPECT_EQ(in(0xcfe, std::uint16_t{}), 0x5678u);
    EXPECT_EQ(in(0xcff, std::uint16_t{}), 0xff56u);  // the second byte is beyond
    out(0xcf8, std::uint32_t{0x80010800});           // bus 1
    EXPECT_EQ(in(0xcfc, std::uint32_t{}), ~0u);
    out(0xcf8, std::uint32_t{0x80000900});  // function 1
    EXPECT_EQ(in(0xcfc, std::uint32_t{}), ~0u);
    out(0xcf8, std::uint32_t{0x8000083c});
    out(0xcfc, std::uint8_t{11});
    EXPECT_EQ(bus.read_config<std::uint8_t>(1, 0x3c), 11);
    EXPECT_EQ(bus.reset.written, 0u);
    out(0xcf9, std::uint8_t{6});
    EXPECT_EQ(bus.reset.written, 1u);
    EXPECT_EQ(in(0xcf8, std::uint32_t{}), 0x8000083cu);
}

TEST(Pci, only_what_is_writable_is_written) {
    PciBus bus;
    TestFunction function;
    must(bus.root.add(function));
    for (std::uint64_t offset = 0; offset < 0x1000; offset += 8) {
        bus.write_config<std::uint64_t>(1, offset, ~std::uint64_t{0});
    }
    EXPECT_EQ(bus.read_config<std::uint32_t>(1, 0), 0x56781234u);
    EXPECT_EQ(bus.read_config<std::uint16_t>(1, reg::command), 0x0546u);
    EXPECT_EQ(bus.read_config<std::uint64_t>(1, reg::bar), ~std::uint64_t{0xfff} | 4);
    EXPECT_EQ(bus.read_config<std::uint32_t>(1, reg::bar + 8), 0u);
    EXPECT_EQ(bus.read_config<std::uint32_t>(1, 0x30), 0u);  // no ROM
    EXPECT_EQ(bus.read_config<std::uint8_t>(1, 0x3d), 1u);
    EXPECT_FALSE(function.placed);
}

TEST(Pci, a_bar_answers_where_it_was_put_while_memory_is_enabled) {
    PciBus bus;
    TestFunction function(7);
    must(bus.root.add(function));
    bus.place(1, PciBus::window);
    EXPECT_EQ(function.placed, kvm::Gpa(PciBus::window));
    EXPECT_EQ(bus.read<std::uint8_t>(PciBus::window), 7);
    bus.place(1, PciBus::high + 0x2000);
    EXPECT_EQ(bus.read<std::uint8_t>(PciBus::high + 0x2001), 8);
    EXPECT_EQ(bus.read<std::uint8_t>(PciBus::window), 0xff);
    bus.write_config<std::uint16_t>(1, reg::command, 0);
    EXPECT_EQ(bus.read<std::uint8_t>(PciBus::high + 0x2001), 0xff);
    EXPECT_FALSE(function.placed);
}

TEST(Pci, a_bar_outside_of_the_windows_or_over_others_answers_nowhere) {
    PciBus bus;
    TestFunction function(7);
    must(bus.root.add(function));
    for (const std::uint64_t bad :
         {std::uint64_t{0}, std::uint64_t{0x100000}, std::uint64_t{0xfee00000},
          std::uint64_t{0xfed00000}, PciBus::config_space, PciBus::window - 0x1000,
          PciBus::window + PciBus::window_size, PciBus::window + 0x100000,
          PciBus::high + PciBus::high_size, ~std::uint64_t{0xfff}}) {
        bus.place(1, bad);
        EXPECT_FALSE(function.placed) << std::hex << bad;
    }
    EXPECT_EQ(bus.read_config<std::uint32_t>(1, 0), 0x56781234u);
    bus.place(1, PciBus::window + PciBus::window_size - 0x1000);
    EXPECT_TRUE(function.placed);
}

TEST(Pci, a_bar_that_reaches_beyond_its_window_answers_nowhere) {
    PciBus bus;
    TestFunction function(7, 0x40000000);
    must(bus.root.add(function));
    bus.place(1, 0xc0000000);  // the window is within
    EXPECT_FALSE(function.placed);
    bus.place(1, PciBus::high);
    EXPECT_TRUE(function.placed);
}

TEST(Pci, of_two_bars_in_one_place_the_first_answers_and_then_the_other) {
    PciBus bus;
    TestFunction a(1), b(2);
    must(bus.root.add(a));
    must(bus.root.add(b));
    bus.place(1, PciBus::window);
    bus.place(2, PciBus::window);
    EXPECT_EQ(bus.read<std::uint8_t>(PciBus::window), 1);
    EXPECT_FALSE(b.placed);
    bus.place(1, PciBus::window + 0x1000);
    EXPECT_EQ(bus.read<std::uint8_t>(PciBus::window), 2);
    EXPECT_EQ(bus.read<std::uint8_t>(PciBus::window + 0x1000), 1);
}

TEST(Pci, there_are_31_devices_and_no_more) {
    PciBus bus;
    std::deque<TestFunction> functions(32);
    for (std::uint32_t i = 1; i < Root::slots; ++i) {
        EXPECT_EQ(must(bus.root.add(functions[i - 1])), i);
        bus.place(i, PciBus::window + i * 0x1000);
    }
    EXPECT_EQ(code(bus.root.add(functions[31])), ENOSPC);
    for (std::uint32_t i = 1; i < Root::slots; ++i) {
        EXPECT_TRUE(functions[i - 1].placed);
    }
}

TEST(Pci, functions_share_pins) {
    PciBus bus;
    std::deque<TestFunction> functions(5);
    for (TestFunction& function : functions) {
        must(bus.root.add(function));
    }
    functions[0].set_interrupt(Level::high);  // slots 1 and 5 have the second pin
    functions[4].set_interrupt(Level::high);
    EXPECT_TRUE(bus.lines[1].up());
    EXPECT_EQ(bus.read_config<std::uint16_t>(1, reg::status) & 8, 8);
    EXPECT_EQ(bus.read_config<std::uint16_t>(2, reg::status) & 8, 0);
    functions[0].set_interrupt(Level::low);
    EXPECT_TRUE(bus.lines[1].up());
    bus.write_config<std::uint16_t>(5, reg::command, command::no_interrupt);
    EXPECT_FALSE(bus.lines[1].up());
    EXPECT_EQ(bus.read_config<std::uint16_t>(5, reg::status) & 8, 8);
    bus.write_config<std::uint16_t>(5, reg::command, 0);
    EXPECT_TRUE(bus.lines[1].up());
    functions[4].set_interrupt(Level::low);
    functions[4].set_interrupt(Level::low);
    EXPECT_FALSE(bus.lines[1].up());
    EXPECT_EQ(bus.lines[1].changes, 4);
}

TEST(Pci, capabilities_are_a_list) {
    PciBus bus;
    TestFunction function;
    const std::array<std::byte, 3> body{std::byte{0xaa}, std::byte{0xbb}, std::byte{0xcc}};
    const std::array<std::byte, 3> writable{std::byte{0}, std::byte{0xf0}, std::byte{0}};
    EXPECT_EQ(function.add_capability(9, body, writable), 0x40);
    EXPECT_EQ(function.add_capability(9, body, writable), 0x48);
    must(bus.root.add(function));
    EXPECT_EQ(bus.read_config<std::uint16_t>(1, reg::status), 0x10);
    EXPECT_EQ(bus.read_config<std::uint8_t>(1, reg::capabilities), 0x40);
    EXPECT_EQ(bus.read_config<std::uint32_t>(1, 0x40), 0xbbaa4809u);
    EXPECT_EQ(bus.read_config<std::uint32_t>(1, 0x48), 0xbbaa0009u);
    bus.write_config<std::uint32_t>(1, 0x40, 0);
    EXPECT_EQ(bus.read_config<std::uint32_t>(1, 0x40), 0x0baa4809u);
}

TEST(Pci, a_configuration_that_is_saved_goes_on) {
    PciBus bus, other;
    TestFunction one(7), two(7);
    must(bus.root.add(one));
    must(other.root.add(two));
    bus.place(1, PciBus::window + 0x3000);
    must(two.restore_config(one.config()));
    other.root.settle();
    EXPECT_EQ(other.read<std::uint8_t>(PciBus::window + 0x3000), 7);
    EXPECT_EQ(code(two.restore_config({})), EINVAL);
}

TEST(Pci, acpi_tells_of_windows_and_interrupts_only_of_what_is_there) {
    PciBus bus;
    std::deque<TestFunction> functions(2);
    for (TestFunction& function : functions) {
        must(bus.root.add(function));
    }
    const auto nodes = bus.root.acpi_nodes(kvm::Gpa(PciBus::config_space));
    ASSERT_EQ(nodes.size(), 2u);
    EXPECT_EQ(nodes[0].hardware_id, "PNP0A08");
    EXPECT_EQ(nodes[0].resources.size(), 3u);
    EXPECT_EQ(std::get<acpi::Memory32>(nodes[1].resources[0]).base, PciBus::config_space);
}

TEST(Pci, bars_move_while_others_are_used) {
    PciBus bus;
    std::deque<TestFunction> functions(4);
    for (TestFunction& function : functions) {
        must(bus.root.add(function));
    }
    bus.place(4, PciBus::window + 0x8000);
    std::atomic<bool> stop = false;
    std::vector<std::jthread> threads;
    for (std::uint32_t t = 0; t < 2; ++t) {
        threads.emplace_back([&] {
            while (!stop) {  // the one that stays always answers
                const auto value = bus.read<std::uint8_t>(PciBus::window + 0x8000);
                if (value != 0) {
                    ADD_FAILURE() << "read " << int{value};
                    return;
                }
                bus.write<std::uint8_t>(PciBus::window, 1);
            }
        });
    }
    for (std::uint32_t i = 0; i < 3000; ++i) {
        bus.place(1 + i % 3, PciBus::window + (i % 5) * 0x1000);
    }
    stop = true;
}

}  // namespace

}  // namespace vmm

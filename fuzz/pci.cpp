// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A guest that does what it likes to PCI's configuration spaces, by either mechanism, and to what
// its BARs are.
#include "records.hpp"

#include <vmm/pci_fixture.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace vmm;
    using test::PciBus;
    using test::TestFunction;
    constexpr std::size_t most_records = 1024;
    fuzz::Records input(std::as_bytes(std::span(data, size)));
    PciBus bus;
    TestFunction small(1), large(2, 0x10000000), more(3);
    more.add_bar32(0x1000, more.registers);
    more.add_capability(9, std::array<std::byte, 6>{},
                        std::array<std::byte, 6>{std::byte{0}, std::byte{0xff}});
    for (TestFunction* const function : {&small, &large, &more}) {
        fuzz::check(bus.root.add(*function));
    }
    for (std::size_t n = 0; input.more() && n < most_records; ++n) {
        const unsigned kind = input.next<std::uint8_t>();
        const auto where = input.next<std::uint32_t>();
        const auto value = input.next<std::uint64_t>();
        switch (kind & 7) {
            case 0:
                fuzz::access(bus.memory, PciBus::config_space + where % 0x100000, kind, value);
                break;
            case 1:  // the registers that are there
                fuzz::access(bus.memory, PciBus::config(where / 64 % 5, where % 64), kind, value);
                break;
            case 2:
                fuzz::access(bus.ports, 0xcf8 + where % 8, kind, value);
                break;
            case 3:
                bus.place(1 + where % 3, value);
                break;
            case 4:
                bus.place(1 + where % 3, PciBus::window + (value % 64 << 12));
                break;
            case 5:
                fuzz::access(bus.memory, PciBus::window + where % 0x40000, kind, value);
                break;
            case 6:
                small.set_interrupt(kvm::Level(where & 1));
                more.set_interrupt(kvm::Level(where >> 1 & 1));
                break;
            default:
                fuzz::access(bus.memory, value, kind, where);
        }
        for (const TestFunction* const function : {&small, &large}) {
            const auto at = function->placed;
            const auto end = at ? at->value() + function->bars()[0].size : 0;
            const bool low =
                at && at->value() >= PciBus::window && end <= PciBus::window + PciBus::window_size;
            const bool high =
                at && at->value() >= PciBus::high && end <= PciBus::high + PciBus::high_size;
            if (at && !low && !high) {
                fuzz::fail_now("a BAR answers outside of the windows");
            }
        }
        if (small.placed && large.placed && *small.placed >= *large.placed &&
            *small.placed - *large.placed < large.bars()[0].size) {
            fuzz::fail_now("two BARs answer in one place");
        }
    }
    return 0;
}

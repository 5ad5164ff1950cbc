// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A driver that does what it likes to the registers of a virtio device that is a PCI function.
#include "records.hpp"

#include <vmm/pci_fixture.hpp>
#include <vmm/virtio/pci.hpp>
#include <vmm/virtio_echo.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace vmm;
    using test::PciBus;
    using virtio::PciDevice;
    constexpr std::size_t most_records = 1024;
    static const GuestMemory memory =
        fuzz::check(GuestMemory::create(std::array{Region{kvm::Gpa(0), 0x100000}}));
    static const std::unique_ptr<Reactor> reactor = fuzz::check(Reactor::create());
    fuzz::Records input(std::as_bytes(std::span(data, size)));
    PciBus bus;
    test::EchoDevice device;
    test::TestMessages messages;
    test::TestDoorbells doorbells;
    const auto pci =
        fuzz::check(PciDevice::create(device, {memory, *reactor, messages, doorbells, {}}));
    fuzz::check(bus.root.add(*pci));
    bus.place(1, PciBus::window);
    for (std::size_t n = 0; input.more() && n < most_records; ++n) {
        const unsigned kind = input.next<std::uint8_t>();
        const auto where = input.next<std::uint16_t>();
        const auto value = input.next<std::uint64_t>();
        const auto bar = bus.read_config<std::uint64_t>(1, pci::reg::bar) & ~std::uint64_t{15};
        switch (kind & 7) {
            case 0:
                fuzz::access(bus.memory, PciBus::config(1, where % 256), kind, value);
                break;
            case 1:
                fuzz::access(bus.memory, bar + where, kind, value);
                break;
            case 2:
                fuzz::access(bus.memory, bar + where % 64, kind, value);
                break;
            case 3:
                fuzz::access(bus.memory, bar + PciDevice::table_offset + where % 64, kind, value);
                break;
            case 4:
                bus.place(1, where & 1 ? value : PciBus::window + (value % 64 << 16));
                break;
            case 5:
                if (device.host) {
                    where & 1 ? device.host->config_changed() : device.host->interrupt(where & 3);
                } else {  // what a driver does in the end
                    bus.write<std::uint32_t>(bar + 8, 1);
                    bus.write<std::uint32_t>(bar + 12, 1);
                    bus.write<std::uint8_t>(bar + 20, 11);
                    bus.write<std::uint8_t>(bar + 20, 15);
                }
                break;
            case 6:
                reactor->turn(std::chrono::milliseconds(0));
                break;
            default:
                (void)pci->restore(fuzz::check(pci->save()));
                bus.root.settle();
        }
        if (doorbells.at.size() != 0 && doorbells.at.size() != 2) {
            fuzz::fail_now("doorbells are left behind");
        }
    }
    return 0;
}

// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <gtest/gtest.h>
#include <vmm/machine/settings.hpp>
#include <vmm/result.hpp>

namespace vmm {
namespace {

TEST(Configurations, AreCheckedBeforeAnythingIsMade) {
    const auto refused = [](auto change) {
        MachineConfig config;
        change(config);
        const auto done = check(config);
        if (done) {
            return std::string("taken");
        }
        EXPECT_TRUE(done.error().message.starts_with(done.error().setting + ": "));
        EXPECT_TRUE(find_setting(done.error().setting)) << done.error().setting;
        return done.error().message;
    };
    EXPECT_EQ(refused([](MachineConfig&) {}), "taken");
    EXPECT_EQ(refused([](MachineConfig& c) { c.cpus = 0; }), "cpus: a machine needs one");
    EXPECT_EQ(refused([](MachineConfig& c) { c.memory_bytes = 0; }),
              "memory: a machine needs some");
    EXPECT_EQ(refused([](MachineConfig& c) { c.memory_bytes = 4097; }),
              "memory: 4097 is no multiple of 4096");
    EXPECT_EQ(refused([](MachineConfig& c) { c.cpu_affinity = {{}, {0}}; }),
              "cpu-affinity: 1=0: there is no CPU 1, cpus is 1");
    EXPECT_EQ(refused([](MachineConfig& c) { c.cpu_affinity = {{0, 4000}}; }),
              "cpu-affinity: 0=0,4000: the host has no CPU 4000");
    EXPECT_EQ(refused([](MachineConfig& c) { c.cpu_affinity = {{0}, {}, {}}; }), "taken");
    EXPECT_TRUE(refused([](MachineConfig& c) {
                    c.memory_bytes = std::uint64_t(1) << 50;
                }).starts_with("memory: 1024 TiB are more than the host has"));
}

TEST(Configurations, OfMoreDevicesThanThereArePlacesForAreRefused) {
    MachineConfig config;
    config.disks.resize(9);
    config.rng.emplace();
    config.nets.resize(1);
    EXPECT_EQ(test::message(check(config)), "succeeded");
    config.disks.resize(10);
    EXPECT_EQ(test::message(check(config)),
              "disk: there is no place for more than 11 virtio devices, and these are 12 "
              "(virtio-transport pci has more)");
    config.disks[3].bus = DiskBus::nvme;
    EXPECT_EQ(test::message(check(config)), "succeeded");
    config.virtio_transport = VirtioTransport::pci;
    config.nets.resize(20);
    EXPECT_EQ(test::message(check(config)), "succeeded");
    config.nets.resize(21);
    EXPECT_EQ(test::message(check(config)),
              "net: PCI has no place for more than 31 devices, and these are 32");
}

}  // namespace
}  // namespace vmm

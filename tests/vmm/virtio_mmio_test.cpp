// SPDX-License-Identifier: Apache-2.0 OR MIT
// A device's registers, as a driver meets them. No KVM is needed.
#include "result.hpp"
#include "virtio_echo.hpp"

#include <cstring>
#include <gtest/gtest.h>
#include <vmm/virtio/mmio.hpp>

namespace vmm::test {
namespace {

using namespace virtio;
namespace st = virtio::status;

class VirtioMmioTest : public testing::Test {
protected:
    struct Pulse final : InterruptPulse {
        void pulse() override { ++count; }
        int count = 0;
    };
    struct Bells final : Doorbells {
        Result<bool> add(kvm::FdRef, kvm::IoAddress address, kvm::Datamatch) override {
            if (fail_at == added.size()) {
                return fail("no more doorbells", ENOSPC);
            }
            added.push_back(address.value());
            return true;
        }
        void remove(kvm::FdRef, kvm::IoAddress address, kvm::Datamatch) override {
            removed.push_back(address.value());
        }
        std::vector<std::uint64_t> added, removed;
        std::size_t fail_at = ~std::size_t{0};
    };

    static GuestMemory make_memory() {
        const Region region{.address = kvm::Gpa(0), .size = 1 << 20};
        return must(GuestMemory::create({&region, 1}));
    }
    std::unique_ptr<MmioDevice> make(Device& echo) {
        return must(MmioDevice::create(echo, wires()));
    }
    MmioDevice::Wires wires() {
        return {memory, *reactor, pulse, bells, kvm::Gpa(0xd0000000), log()};
    }
    Log log() {
        return Log(LogLevel::warn, [this](const LogLine& line) { said += line.text; });
    }

    std::uint32_t get(std::uint64_t offset) {
        std::uint32_t value = 0xdeadbeef;
        mmio->read(offset, std::as_writable_bytes(std::span(&value, 1)));
        return value;
    }
    void set(std::uint64_t offset, std::uint32_t value) {
        mmio->write(offset, std::as_bytes(std::span(&value, 1)));
    }
    void set_features(std::uint64_t features) {
        for (const std::uint32_t word : {0u, 1u}) {
            set(0x024, word);
            set(0x020, static_cast<std::uint32_t>(features >> (32 * word)));
        }
    }
    /// As a driver does it: two queues of 4 descriptors.
    void start(std::uint64_t features = feature::version_1) {
        set(0x070, 0);
        set(0x070, st::acknowledge | st::driver);
        set_features(features);
        set(0x070, st::acknowledge | st::driver | st::features_ok);
        for (const std::uint32_t queue : {0u, 1u}) {
            set(0x030, queue);
            set(0x038, 4);
            set(0x080, 0x1000 + 0x1000 * queue);
            set(0x090, 0x1400 + 0x1000 * queue);
            set(0x0a0, 0x1800 + 0x1000 * queue);
            set(0x044, 1);
        }
        set(0x070, st::acknowledge | st::driver | st::features_ok | st::driver_ok);
    }

    GuestMemory memory = make_memory();
    std::unique_ptr<Reactor> reactor = must(Reactor::create());
    Pulse pulse;
    Bells bells;
    std::string said;
    EchoDevice device;
    std::unique_ptr<MmioDevice> mmio = make(device);
};

TEST_F(VirtioMmioTest, SaysWhatItIs) {
    EXPECT_EQ(get(0x000), 0x74726976u);
    EXPECT_EQ(get(0x004), 2u);
    EXPECT_EQ(get(0x008), static_cast<std::uint32_t>(device.type()));
    EXPECT_EQ(get(0x0b0), ~0u) << "no shared memory";
    EXPECT_EQ(get(0x0fc), 0u);
}

TEST_F(VirtioMmioTest, OffersItsFeaturesAndVersion1) {
    set(0x014, 0);
    EXPECT_EQ(get(0x010), static_cast<std::uint32_t>(device.features()));
    set(0x014, 1);
    EXPECT_EQ(get(0x010) & 1, 1u) << "VERSION_1";
    set(0x014, 2);
    EXPECT_EQ(get(0x010), 0u);
}

TEST_F(VirtioMmioTest, ActivatesTheDeviceWithWhatWasAgreedUpon) {
    start(feature::version_1 | feature::event_idx);
    EXPECT_EQ(get(0x070), st::acknowledge | st::driver | st::features_ok | st::driver_ok);
    EXPECT_EQ(device.activations, 1);
    EXPECT_EQ(device.accepted, feature::version_1 | feature::event_idx);
    ASSERT_TRUE(device.host->queue(0));
    EXPECT_EQ(device.host->queue(0)->config(),
              (QueueConfig{4, kvm::Gpa(0x1000), kvm::Gpa(0x1400), kvm::Gpa(0x1800)}));
    EXPECT_FALSE(device.host->queue(2)) << "there is none";
}

TEST_F(VirtioMmioTest, FeaturesThatWereNotOfferedAreNotOk) {
    set(0x070, st::acknowledge | st::driver);
    set_features(feature::version_1 | std::uint64_t(1) << 40);
    set(0x070, st::acknowledge | st::driver | st::features_ok);
    EXPECT_EQ(get(0x070), st::acknowledge | st::driver);
}

TEST_F(VirtioMmioTest, NorAreThoseOfADriverFromBeforeVersion1) {
    set(0x070, st::acknowledge | st::driver);
    set_features(0);
    set(0x070, st::acknowledge | st::driver | st::features_ok);
    EXPECT_EQ(get(0x070), st::acknowledge | st::driver);
}

TEST_F(VirtioMmioTest, FeaturesStandOnceTheyAreOk) {
    start();
    set_features(feature::version_1 | feature::event_idx);
    set(0x070, st::acknowledge | st::driver | st::features_ok | st::driver_ok);
    EXPECT_EQ(device.accepted, feature::version_1);
    EXPECT_EQ(device.activations, 1);
}

TEST_F(VirtioMmioTest, ADriverThatIsReadyTooEarlyNeedsAReset) {
    set(0x070, st::acknowledge | st::driver | st::driver_ok);
    EXPECT_TRUE(get(0x070) & st::needs_reset);
    EXPECT_EQ(device.activations, 0);
    EXPECT_NE(said.find("before features"), std::string::npos) << said;
}

TEST_F(VirtioMmioTest, AQueueThatIsNotInMemoryDisablesTheDeviceAndSaysWhy) {
    set(0x070, st::acknowledge | st::driver);
    set_features(feature::version_1);
    set(0x070, st::acknowledge | st::driver | st::features_ok);
    set(0x084, 0xffff);
    set(0x044, 1);
    set(0x070, st::acknowledge | st::driver | st::features_ok | st::driver_ok);
    EXPECT_TRUE(get(0x070) & st::needs_reset);
    EXPECT_EQ(get(0x060), 2u) << "told by a change of the configuration";
    EXPECT_EQ(pulse.count, 1);
    EXPECT_NE(said.find("until its driver resets it"), std::string::npos) << said;
    EXPECT_FALSE(device.host) << "never activated";

    start();  // a better driver
    EXPECT_EQ(device.activations, 1);
}

TEST_F(VirtioMmioTest, AnEnabledQueueStaysWhereItIs) {
    start();
    set(0x030, 0);
    set(0x080, 0x9000);
    set(0x038, 2);
    EXPECT_EQ(device.host->queue(0)->config().descriptors, kvm::Gpa(0x1000));
    set(0x044, 0);
    EXPECT_EQ(get(0x044), 0u);
    EXPECT_FALSE(device.host->queue(0)) << "taken away";
    set(0x044, 1);
    EXPECT_EQ(get(0x044), 0u) << "not while the device works";
    ASSERT_TRUE(device.host->queue(1));
}

TEST_F(VirtioMmioTest, AQueueThatIsNotThereHasNoSizeAndTakesNothing) {
    set(0x030, 2);
    EXPECT_EQ(get(0x034), 0u);
    set(0x038, 4);
    set(0x044, 1);
    EXPECT_EQ(get(0x044), 0u);
    set(0x030, 0x10000);  // not 0
    EXPECT_EQ(get(0x034), 0u);
    set(0x050, 0x10000);
    set(0x050, 77);
    EXPECT_EQ(reactor->turn(std::chrono::milliseconds(0)), 0) << "nobody was notified";
}

TEST_F(VirtioMmioTest, ANotificationReachesTheDeviceOnItsReactor) {
    start();
    device.notifications.clear();
    set(0x050, 1);
    EXPECT_TRUE(device.notifications.empty());
    (void)reactor->turn(std::chrono::seconds(1));
    EXPECT_EQ(device.notifications, std::vector<std::uint16_t>{1});
}

TEST_F(VirtioMmioTest, AnInterruptIsSentOnceUntilItIsAcknowledged) {
    start();
    device.host->config_changed();
    device.host->config_changed();
    EXPECT_EQ(pulse.count, 1);
    EXPECT_EQ(get(0x0fc), 2u) << "the generation";
    EXPECT_EQ(get(0x060), 2u);
    set(0x064, 2);
    EXPECT_EQ(get(0x060), 0u);
    device.host->config_changed();
    EXPECT_EQ(pulse.count, 2);
}

TEST_F(VirtioMmioTest, AResetEndsTheDevice) {
    start();
    device.host->config_changed();
    set(0x070, 0);
    EXPECT_EQ(get(0x070), 0u);
    EXPECT_EQ(get(0x060), 0u);
    EXPECT_GE(device.resets, 1);
    EXPECT_FALSE(device.host);
    set(0x030, 0);
    EXPECT_EQ(get(0x044), 0u);
    set(0x050, 0);
    device.notifications.clear();
    (void)reactor->turn(std::chrono::milliseconds(0));
    EXPECT_TRUE(device.notifications.empty());
}

TEST_F(VirtioMmioTest, ADisabledDeviceIsToldOfNothingMore) {
    start();
    device.host->disable("a lie");
    EXPECT_EQ(said, "disabled until its driver resets it: a lie");
    EXPECT_TRUE(get(0x070) & st::needs_reset);
    EXPECT_FALSE(device.host->queue(0));
    device.notifications.clear();
    set(0x050, 0);
    (void)reactor->turn(std::chrono::milliseconds(0));
    EXPECT_TRUE(device.notifications.empty());
    set(0x070, 0);
    EXPECT_EQ(get(0x070), 0u);
}

TEST_F(VirtioMmioTest, TheConfigurationIsBytesOfAnyWidth) {
    std::array<std::byte, 8> bytes{};
    mmio->read(0x100, std::span(bytes).first<1>());
    EXPECT_EQ(bytes[0], EchoDevice::config[0]);
    mmio->read(0x100 + 1, bytes);
    EXPECT_EQ(
        std::memcmp(bytes.data(), EchoDevice::config.data() + 1, EchoDevice::config.size() - 1), 0);
    EXPECT_EQ(bytes[7], std::byte{0}) << "beyond its end";
    mmio->write(0x102, std::span(bytes).first<2>());
    EXPECT_EQ(device.written_at, 2u);
}

TEST_F(VirtioMmioTest, OtherAccessesToRegistersDoNothing) {
    std::array<std::byte, 8> bytes;
    bytes.fill(std::byte{0xff});
    mmio->read(0x000, bytes);
    mmio->read(0x001, std::span(bytes).first<4>());
    mmio->read(0x002, std::span(bytes).first<2>());
    EXPECT_EQ(bytes[0], std::byte{0xff});
    bytes.fill(std::byte{1});
    mmio->write(0x070, std::span(bytes).first<1>());
    mmio->write(0x06e, std::span(bytes).first<4>());
    EXPECT_EQ(get(0x070), 0u);
    for (std::uint64_t offset = 0; offset < 0x100; offset += 4) {
        (void)get(offset);
        if (offset != 0x070) {
            set(offset, 0xffffffff);
        }
    }
    EXPECT_EQ(device.activations, 0);
}

TEST_F(VirtioMmioTest, EachQueueHasADoorbellAsLongAsTheDeviceIsThere) {
    EXPECT_EQ(bells.added, (std::vector<std::uint64_t>{0xd0000050, 0xd0000050}));
    mmio.reset();
    EXPECT_EQ(bells.removed, bells.added);
}

TEST_F(VirtioMmioTest, WithoutADoorbellThereIsNoDevice) {
    bells.added.clear();
    bells.fail_at = 1;
    EchoDevice other;
    EXPECT_EQ(code(MmioDevice::create(other, wires())), ENOSPC);
    EXPECT_EQ(bells.removed.size(), 1u);
}

TEST_F(VirtioMmioTest, AnotherGoesOnWhereItWas) {
    start(feature::version_1 | feature::event_idx);
    device.host->config_changed();
    const auto snapshot = must(mmio->save());
    const int before = pulse.count;

    EchoDevice second;
    auto restored = make(second);
    must(restored->restore(snapshot));
    EXPECT_EQ(second.activations, 1);
    EXPECT_EQ(second.accepted, feature::version_1 | feature::event_idx);
    EXPECT_EQ(second.restored, device.save());
    EXPECT_EQ(pulse.count, before + 1) << "the one that may be lost";
    EXPECT_EQ(must(restored->save()).queues, snapshot.queues);
}

TEST_F(VirtioMmioTest, FeaturesThatWereNotAgreedUponGoElsewhereAsTheyAre) {
    set(0x070, st::acknowledge | st::driver);
    set_features(~std::uint64_t{0});
    set(0x070, st::acknowledge | st::driver | st::features_ok);  // which it is not
    const auto snapshot = must(mmio->save());
    EchoDevice second;
    auto restored = make(second);
    must(restored->restore(snapshot));
    EXPECT_EQ(must(restored->save()).features, ~std::uint64_t{0});
    auto lie = snapshot;
    lie.status |= st::features_ok;
    EXPECT_EQ(code(make(second)->restore(lie)), EINVAL);
}

TEST_F(VirtioMmioTest, AStateOfAnotherDeviceIsRefused) {
    start();
    const auto good = must(mmio->save());
    auto fewer = good, longer = good;
    fewer.queues.pop_back();
    longer.queues[0].config.size = 32;  // of 8
    for (const auto& snapshot : {fewer, longer}) {
        EchoDevice second;
        auto restored = make(second);
        EXPECT_EQ(code(restored->restore(snapshot)), EINVAL);
        EXPECT_EQ(second.activations, 0);
    }
}

}  // namespace
}  // namespace vmm::test

// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <array>
#include <chrono>
#include <cstring>
#include <map>
#include <vmm/device_fixture.hpp>
#include <vmm/result.hpp>
#include <vmm/virtio/transport.hpp>
#include <vmm/virtio_driver.hpp>

namespace vmm::test {

/// A virtio device behind a Transport, with a driver for each of its queues, on a reactor that the
/// test turns: start(device), then request(), or queue(i).offer() and notify(i).
///
/// Guest memory is RAM, then at `hole` nothing, then a little RAM again, and at `rom` memory that
/// cannot be written.
class VirtioDeviceTest : public ::testing::Test, private virtio::Interrupts {
protected:
    static constexpr kvm::Gpa hole{64 << 20}, beyond{65 << 20}, rom{66 << 20};

    struct Reply {
        std::uint32_t length = 0;      ///< as the device said
        std::vector<std::byte> bytes;  ///< all of the writable buffer

        template <class T>
        T at(std::size_t offset) const {
            T value{};
            std::memcpy(&value, bytes.data() + offset, sizeof value);
            return value;
        }
        std::string text() const { return {reinterpret_cast<const char*>(bytes.data()), length}; }
    };

    /// The driver finds the device: accepts of `features` what is offered (VERSION_1 always), sets
    /// up every queue with `size` descriptors, or as many as the device has, and is ready.
    void start(virtio::Device& device, std::uint64_t features = ~std::uint64_t(0),
               std::uint16_t size = virtio::Queue::max_size) {
        attach(device);
        negotiate(features);
        for (std::uint16_t i = 0; i < transport().queue_count(); ++i) {
            add_queue(i, size);
        }
        transport().set_status(virtio::status::driver_ok);
        settle();
    }
    // The same step by step.
    void attach(virtio::Device& device) {
        stop();
        connect(device);
    }
    /// Another device goes on where the one before was saved; the drivers do not notice.
    void resume(virtio::Device& device, const virtio::DeviceSnapshot& state) {
        transport_.reset();
        connect(device);
        must(transport_->restore(state));
        settle();
    }
    void negotiate(std::uint64_t features) {
        using namespace virtio;
        transport().set_status(status::acknowledge);
        transport().set_status(status::driver);
        features_ = 0;
        for (std::uint32_t word = 0; word < 2; ++word) {
            transport().select_device_features(word);
            const std::uint64_t offered = transport().device_features();
            const auto accepted =
                offered & ((features | feature::version_1) >> (32 * word)) & 0xffffffff;
            transport().select_driver_features(word);
            transport().set_driver_features(static_cast<std::uint32_t>(accepted));
            features_ |= accepted << (32 * word);
        }
        transport().set_status(status::features_ok);
    }
    QueueDriver& add_queue(std::uint16_t index, std::uint16_t size) {
        transport().select_queue(index);
        size = std::min(size, transport().max_queue_size());
        auto driver = std::make_unique<QueueDriver>(memory, allocate(QueueDriver::footprint(size)),
                                                    size, features_);
        transport().change_queue([&](virtio::QueueConfig& config) { config = driver->config(); });
        transport().enable_queue(virtio::Transport::Enable::yes);
        return *(drivers_[index] = std::move(driver));
    }
    /// Takes the device away, which a test does that has it on its stack.
    void stop() {
        transport_.reset();
        drivers_.clear();
    }
    void TearDown() override { stop(); }

    virtio::Transport& transport() { return *transport_; }
    QueueDriver& queue(std::uint16_t index) { return *drivers_.at(index); }
    std::uint64_t features() const { return features_; }
    /// Why the device was disabled; empty if it was not.
    std::string complaint() const { return complaints.empty() ? "" : complaints.back(); }
    bool broken() { return (transport().status() & virtio::status::needs_reset) != 0; }

    /// A piece of guest memory of its own, zeroed once.
    kvm::Gpa allocate(std::uint64_t bytes, std::uint64_t alignment = 16) {
        const std::uint64_t at = (next_free_ + alignment - 1) / alignment * alignment;
        next_free_ = at + bytes;
        if (next_free_ > hole.value()) {
            throw std::runtime_error("the test's guest memory is full");
        }
        return kvm::Gpa(at);
    }
    /// These bytes in a buffer.
    virtio::Buffer put(std::span<const std::byte> data) {
        const virtio::Buffer buffer = room(data.size());
        must(memory.write(buffer.address, data));
        return buffer;
    }
    virtio::Buffer put(std::string_view text) { return put(bytes(text)); }
    /// A buffer for the device to write.
    virtio::Buffer room(std::size_t size) {
        return {allocate(size, 1), static_cast<std::uint32_t>(size)};
    }
    std::vector<std::byte> get(virtio::Buffer buffer) const {
        std::vector<std::byte> data(buffer.length);
        must(memory.read(buffer.address, std::span(data)));
        return data;
    }

    /// Notifies the device, and has it do what it can.
    void notify(std::uint16_t index) {
        transport().notify(index);
        settle();
    }
    /// Has all handlers run that are ready.
    void settle() {
        while (reactor->turn(std::chrono::milliseconds(0)) > 0) {
        }
    }
    /// Turns the reactor until something was used, for some seconds at most.
    std::optional<QueueDriver::Used> wait_used(std::uint16_t index) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
        while (!queue(index).has_used() && std::chrono::steady_clock::now() < end) {
            reactor->turn(std::chrono::milliseconds(10));
        }
        return queue(index).take();
    }
    /// One request of one readable and one writable buffer, and what comes back. Nothing if it is
    /// not used within some seconds, or the device was disabled.
    std::optional<Reply> request(std::uint16_t index, std::span<const std::byte> readable,
                                 std::size_t writable) {
        const std::uint64_t before = next_free_;
        std::vector<virtio::Buffer> out, in;
        if (!readable.empty()) {
            out.push_back(put(readable));
        }
        if (writable > 0) {
            in.push_back(room(writable));
        }
        if (!queue(index).offer(out, in)) {
            return std::nullopt;
        }
        notify(index);
        const auto used = broken() ? std::nullopt : wait_used(index);
        if (!used) {
            return std::nullopt;
        }
        Reply reply{used->length, in.empty() ? std::vector<std::byte>() : get(in[0])};
        next_free_ = before;
        return reply;
    }

    template <class T>
    T read_config(std::uint64_t offset) {
        std::array<std::byte, sizeof(T)> data{};
        transport().read_config(offset, data);
        return std::bit_cast<T>(data);
    }
    template <class T>
    void write_config(std::uint64_t offset, const T& value) {
        transport().write_config(offset, std::as_bytes(std::span(&value, 1)));
    }

    GuestMemory memory = must(GuestMemory::create(
        std::array{Region{kvm::Gpa(0), hole.value()}, Region{beyond, 64 << 10},
                   Region{rom, 64 << 10, backing::Anonymous{}, Access::read_only}}));
    std::unique_ptr<Reactor> reactor = must(Reactor::create());
    std::map<std::uint16_t, int> interrupts;  ///< how many, by queue
    int config_interrupts = 0;
    std::vector<std::string> complaints;

private:
    void connect(virtio::Device& device) {
        transport_ = must(virtio::Transport::create(
            {device, memory, *reactor, *this, Log(LogLevel::warn, [this](const LogLine& line) {
                 complaints.push_back(std::string(line.component) + ": " + std::string(line.text));
             })}));
    }
    void used(std::uint16_t index) override { ++interrupts[index]; }
    void config() override { ++config_interrupts; }

    std::unique_ptr<virtio::Transport> transport_;
    std::map<std::uint16_t, std::unique_ptr<QueueDriver>> drivers_;
    std::uint64_t features_ = 0;
    std::uint64_t next_free_ = 0x1000;
};

}  // namespace vmm::test

// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <cerrno>
#include <fmt/format.h>
#include <kvm/try.hpp>
#include <optional>
#include <vmm/virtio/transport.hpp>

namespace vmm::virtio {

/// A queue: what the driver said of it, and what became of that.
struct Transport::Line {
    Line(kvm::EventFd event, std::uint16_t size)
        : bell(std::move(event)), most(size), config{.size = size} {}

    kvm::EventFd bell;
    Reactor::Watch watch;
    std::uint16_t most;  // descriptors
    QueueConfig config;
    bool enabled = false;
    std::optional<Queue> queue;  // of an active device; it lives on, unused, in a disabled one
};

Result<void> Device::restore(std::span<const std::byte> bytes) {
    if (!bytes.empty()) {
        return fail(fmt::format("{}: a state of another device", name()), EINVAL);
    }
    return {};
}

Transport::Transport(Parts parts) : parts_(std::move(parts)) {}

Result<std::unique_ptr<Transport>> Transport::create(Parts parts) {
    std::unique_ptr<Transport> made(new Transport(std::move(parts)));
    Transport& t = *made;
    for (const std::uint16_t size : t.device().queue_sizes()) {
        auto bell = KVM_TRY(kvm::EventFd::create(0, kvm::EventFdFlag::nonblock));
        const auto index = static_cast<std::uint16_t>(t.queues_.size());
        Line& line = *t.queues_.emplace_back(std::make_unique<Line>(std::move(bell), size));
        line.watch = KVM_TRY(
            t.parts_.reactor.watch(line.bell, Ready::read, [&t, &line, index](kvm::Flags<Ready>) {
                (void)line.bell.read();
                if (t.queue(index)) {
                    t.device().notified(index);
                }
            }));
    }
    return made;
}

Transport::~Transport() {
    parts_.reactor.call([&] {
        device().reset();
        queues_.clear();
    });
}

std::uint64_t Transport::offered() const { return device().features() | feature::version_1; }

Transport::Line* Transport::selected() {
    return queue_select_ < queues_.size() ? queues_[queue_select_].get() : nullptr;
}

Queue* Transport::queue(std::uint16_t index) {
    if (!active_ || index >= queues_.size() || !queues_[index]->enabled) {
        return nullptr;
    }
    auto& queue = queues_[index]->queue;
    return queue ? &*queue : nullptr;
}

void Transport::interrupt(std::uint16_t index) {
    Queue* const used = queue(index);
    if (used && used->needs_interrupt()) {
        parts_.interrupts.used(index);
    }
}

void Transport::config_changed() {
    ++generation_;
    if (active_) {
        parts_.interrupts.config();
    }
}

void Transport::disable(std::string_view why) {
    if (status_ & status::needs_reset) {
        return;
    }
    active_ = false;
    status_ |= status::needs_reset;
    parts_.log.say(disabled_, LogLevel::warn, device().name(),
                   fmt::format("disabled until its driver resets it: {}", why));
    if (status_ & status::driver_ok) {
        parts_.interrupts.config();
    }
}

/// The line's queue, as it is configured: not longer than the device offers.
Result<void> Transport::make_queue(Line& line, const QueueState& state) {
    const std::uint16_t size = line.config.size;
    if (size > line.most) {
        return fail(fmt::format("virtio queue: {} descriptors, at most {}", size, line.most),
                    EINVAL);
    }
    line.queue = KVM_TRY(Queue::create(parts_.memory, line.config, features_, state));
    return {};
}

void Transport::activate() {
    for (auto& line : queues_) {
        if (line->enabled) {
            const QueueState state = line->queue ? line->queue->state() : QueueState{};
            if (auto made = make_queue(*line, state); !made) {
                return disable(made.error().message);
            }
        }
    }
    active_ = true;
    if (auto done = device().activate(*this, features_); !done) {
        return disable(done.error().message);
    }
    for (std::size_t i = 0; i < queues_.size(); ++i) {  // what was there before
        if (queue(static_cast<std::uint16_t>(i))) {
            device().notified(static_cast<std::uint16_t>(i));
        }
    }
}

void Transport::reset() {
    active_ = false;
    device().reset();
    for (auto& line : queues_) {
        line->config = {.size = line->most};
        line->enabled = false;
        line->queue.reset();
    }
    features_ = 0;
    feature_select_ = driver_feature_select_ = 0;
    queue_select_ = 0;
    status_ = 0;
}

std::uint8_t Transport::status() {
    std::uint8_t value = 0;
    parts_.reactor.call([&] { value = status_; });
    return value;
}

void Transport::set_status(std::uint8_t value) {
    parts_.reactor.call([&] {
        if (value == 0) {
            return reset();
        }
        // A bit once set stays until the reset. virtio 1.2, 2.1.1.
        const auto fresh = static_cast<std::uint8_t>(value & ~status_ & ~status::needs_reset);
        status_ |= static_cast<std::uint8_t>(fresh & ~(status::features_ok | status::driver_ok));
        if (fresh & status::features_ok && (features_ & ~offered()) == 0 &&
            features_ & feature::version_1) {
            status_ |= status::features_ok;
        }
        if (fresh & status::driver_ok && !(status_ & status::needs_reset)) {
            status_ |= status::driver_ok;
            if (status_ & status::features_ok) {
                activate();
            } else {
                disable("the driver is ready before features are agreed upon");
            }
        }
    });
}

void Transport::select_device_features(std::uint32_t word) {
    parts_.reactor.call([&] { feature_select_ = word; });
}

std::uint32_t Transport::device_features() {
    std::uint32_t bits = 0;
    parts_.reactor.call([&] {
        if (feature_select_ < 2) {
            bits = static_cast<std::uint32_t>(offered() >> (32 * feature_select_));
        }
    });
    return bits;
}

void Transport::select_driver_features(std::uint32_t word) {
    parts_.reactor.call([&] { driver_feature_select_ = word; });
}

std::uint32_t Transport::driver_features() {
    std::uint32_t bits = 0;
    parts_.reactor.call([&] {
        if (driver_feature_select_ < 2) {
            bits = static_cast<std::uint32_t>(features_ >> (32 * driver_feature_select_));
        }
    });
    return bits;
}

void Transport::set_driver_features(std::uint32_t bits) {
    parts_.reactor.call([&] {
        if (driver_feature_select_ < 2 && !(status_ & status::features_ok)) {
            const std::uint32_t shift = 32 * driver_feature_select_;
            features_ &= ~(std::uint64_t{0xffffffff} << shift);
            features_ |= std::uint64_t{bits} << shift;
        }
    });
}

std::uint16_t Transport::queue_count() const { return static_cast<std::uint16_t>(queues_.size()); }

void Transport::select_queue(std::uint16_t index) {
    parts_.reactor.call([&] { queue_select_ = index; });
}

std::uint16_t Transport::selected_queue() {
    std::uint16_t index = 0;
    parts_.reactor.call([&] { index = queue_select_; });
    return index;
}

std::uint16_t Transport::max_queue_size() {
    std::uint16_t size = 0;
    parts_.reactor.call([&] { size = selected() ? selected()->most : std::uint16_t{0}; });
    return size;
}

QueueSetup Transport::queue_setup() {
    QueueSetup setup;
    parts_.reactor.call([&] {
        if (const Line* line = selected()) {
            setup = {line->config, line->enabled,
                     line->queue ? line->queue->state() : QueueState{}};
        }
    });
    return setup;
}

void Transport::change_queue(const std::function<void(QueueConfig&)>& change) {
    parts_.reactor.call([&] {
        Line* const line = selected();
        if (line && !line->enabled && !active_) {
            change(line->config);
        }
    });
}

void Transport::enable_queue(Enable enable) {
    parts_.reactor.call([&] {
        Line* const line = selected();
        if (line && (enable == Enable::no || !active_)) {
            line->enabled = enable == Enable::yes;
        }
    });
}

std::uint32_t Transport::generation() {
    std::uint32_t value = 0;
    parts_.reactor.call([&] { value = generation_; });
    return value;
}

void Transport::read_config(std::uint64_t offset, std::span<std::byte> data) {
    std::ranges::fill(data, std::byte{0});
    parts_.reactor.call([&] { device().read_config(offset, data); });
}

void Transport::write_config(std::uint64_t offset, std::span<const std::byte> data) {
    parts_.reactor.call([&] { device().write_config(offset, data); });
}

void Transport::notify(std::uint16_t queue) const {
    if (queue < queues_.size()) {
        (void)queues_[queue]->bell.write();  // fails only when it rings already
    }
}

kvm::FdRef Transport::doorbell(std::uint16_t queue) const { return queues_[queue]->bell; }

Result<DeviceSnapshot> Transport::save() {
    DeviceSnapshot snapshot;
    parts_.reactor.call([&] {
        snapshot.device = device().save();
        snapshot.features = features_;
        snapshot.status = status_;
        snapshot.generation = generation_;
        snapshot.feature_select = feature_select_;
        snapshot.driver_feature_select = driver_feature_select_;
        snapshot.queue_select = queue_select_;
        for (const auto& line : queues_) {
            snapshot.queues.push_back(
                {line->config, line->enabled, line->queue ? line->queue->state() : QueueState{}});
        }
    });
    return snapshot;
}

Result<void> Transport::restore(const DeviceSnapshot& snapshot) {
    const bool agreed = (snapshot.status & status::features_ok) != 0;  // else they may be any
    if (snapshot.queues.size() != queues_.size() ||
        (agreed && (snapshot.features & ~offered()) != 0)) {
        return fail(fmt::format("{}: a state of another device", device().name()), EINVAL);
    }
    Result<void> done;
    parts_.reactor.call([&] {
        features_ = snapshot.features;
        status_ = snapshot.status;
        generation_ = snapshot.generation;
        feature_select_ = snapshot.feature_select;
        driver_feature_select_ = snapshot.driver_feature_select;
        queue_select_ = snapshot.queue_select;
        const bool runs =
            agreed && (status_ & status::driver_ok) && !(status_ & status::needs_reset);
        for (std::size_t i = 0; i < queues_.size() && done; ++i) {
            const QueueSetup& setup = snapshot.queues[i];
            Line& line = *queues_[i];
            line.config = setup.config;
            line.enabled = setup.enabled;
            if (runs && setup.enabled) {
                done = make_queue(line, setup.state);
            }
        }
        if (done && (runs || !snapshot.device.empty())) {
            done = device().restore(snapshot.device);
        }
        if (runs && done) {
            activate();
        }
    });
    return done;
}

}  // namespace vmm::virtio

// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <fmt/format.h>
#include <kvm/try.hpp>
#include <vmm/device/signals.hpp>

namespace vmm {

namespace {

/// Not blocking: at the counter's limit there is an interrupt to come in any case.
Result<kvm::EventFd> create_event() {
    return KVM_TRY(kvm::EventFd::create(0, kvm::EventFdFlag::nonblock));
}

class EventPin final : public InterruptPulse {
public:
    EventPin(const Signals& signals, kvm::Gsi gsi, kvm::EventFd event)
        : signals_(signals), gsi_(gsi), event_(std::move(event)) {}
    ~EventPin() override { (void)signals_.remove_irqfd(event_, gsi_); }
    void pulse() override { (void)event_.write(); }

private:
    const Signals& signals_;
    kvm::Gsi gsi_;
    kvm::EventFd event_;
};

class LinePin final : public InterruptPulse {
public:
    LinePin(const Signals& signals, kvm::Gsi gsi) : signals_(signals), gsi_(gsi) {}
    void pulse() override {
        // Fails only without interrupt controllers.
        (void)signals_.irq_line(gsi_, kvm::Level::high);
        (void)signals_.irq_line(gsi_, kvm::Level::low);
    }

private:
    const Signals& signals_;
    kvm::Gsi gsi_;
};

kvm::IrqRoutingEntry entry_of(kvm::Gsi gsi, const kvm::Msi& message) {
    kvm::IrqRoutingEntry entry{};
    entry.gsi = static_cast<std::uint32_t>(gsi);
    entry.type = kvm::IrqRoutingType::msi;
    entry.flags = message.flags;
    entry.u.msi = {message.address_lo, message.address_hi, message.data, message.devid};
    return entry;
}

}  // namespace

Result<std::unique_ptr<InterruptPulse>> create_pin_pulse(const Signals& signals, kvm::Gsi gsi) {
    if (!signals.caps().irqfd) {
        return std::make_unique<LinePin>(signals, gsi);
    }
    kvm::EventFd event = KVM_TRY(create_event());
    KVM_TRY(signals.add_irqfd(event, gsi));
    return std::make_unique<EventPin>(signals, gsi, std::move(event));
}

Result<bool> EventDoorbells::add(kvm::FdRef event, kvm::IoAddress address, kvm::Datamatch match) {
    if (!signals_.caps().ioeventfd) {
        return false;
    }
    KVM_TRY(signals_.add_ioeventfd(event, address, match));
    return true;
}

void EventDoorbells::remove(kvm::FdRef event, kvm::IoAddress address, kvm::Datamatch match) {
    (void)signals_.remove_ioeventfd(event, address, match);  // ENOENT: there was none
}

/// One that has a GSI while it has a message.
class RoutedMessages::Routed final : public MessageInterrupt {
public:
    Routed(RoutedMessages& owner, kvm::EventFd event) : owner_(owner), event_(std::move(event)) {}
    ~Routed() override {
        const std::lock_guard lock(owner_.mutex_);
        disconnect();
    }

    Result<void> set(const std::optional<kvm::Msi>& message) override {
        const std::lock_guard lock(owner_.mutex_);
        if (!message) {
            disconnect();
            return {};
        }
        auto done = connect(*message);
        if (!done) {
            disconnect();
        }
        return done;
    }
    void pulse() override {
        // Not while nothing listens: the counter would wait for the next message.
        if (connected_.load(std::memory_order_acquire)) {
            (void)event_.write();
        }
    }

private:
    Result<void> connect(const kvm::Msi& message) {
        if (!gsi_) {
            gsi_ = KVM_TRY(owner_.free_gsi());
        }
        owner_.entries_.insert_or_assign(*gsi_, entry_of(*gsi_, message));
        KVM_TRY(owner_.update());
        if (!connected_) {
            KVM_TRY(owner_.signals_.add_irqfd(event_, *gsi_));
            connected_.store(true, std::memory_order_release);
        }
        return {};
    }
    /// What the kernel's table has for the GSI stays there, without use, until the next update.
    void disconnect() {
        if (connected_.exchange(false)) {
            (void)owner_.signals_.remove_irqfd(event_, *gsi_);
            (void)event_.read();  // of a pulse that came meanwhile
        }
        if (gsi_) {
            owner_.entries_.erase(*gsi_);
            gsi_.reset();
        }
    }

    RoutedMessages& owner_;
    kvm::EventFd event_;
    std::optional<kvm::Gsi> gsi_;
    std::atomic<bool> connected_ = false;
};

class RoutedMessages::Signalled final : public MessageInterrupt {
public:
    explicit Signalled(const Signals& signals) : signals_(signals) {}
    Result<void> set(const std::optional<kvm::Msi>& message) override {
        const std::lock_guard lock(mutex_);
        message_ = message;
        return {};
    }
    void pulse() override {
        const std::lock_guard lock(mutex_);
        if (message_) {
            (void)signals_.signal_msi(*message_);  // what the guest made of it is its own
        }
    }

private:
    const Signals& signals_;
    std::mutex mutex_;  // of what follows
    std::optional<kvm::Msi> message_;
};

RoutedMessages::RoutedMessages(const Signals& signals, std::vector<kvm::IrqRoutingEntry> pins)
    : signals_(signals), caps_(signals.caps()), pins_(std::move(pins)) {
    std::uint32_t first = 0;
    for (const kvm::IrqRoutingEntry& pin : pins_) {
        first = std::max(first, pin.gsi + 1);
    }
    first_ = kvm::Gsi(first);
}

Result<std::unique_ptr<MessageInterrupt>> RoutedMessages::create_message() {
    if (!caps_.irqfd || caps_.irq_routing <= pins_.size()) {
        return std::make_unique<Signalled>(signals_);
    }
    kvm::EventFd event = KVM_TRY(create_event());
    return std::make_unique<Routed>(*this, std::move(event));
}

Result<kvm::Gsi> RoutedMessages::free_gsi() const {
    const auto most = caps_.irq_routing - pins_.size();
    if (entries_.size() >= most) {
        return fail(fmt::format("messages: {} have GSIs, and there are no more", most), ENOSPC);
    }
    auto gsi = static_cast<std::uint32_t>(first_);
    for (const auto& [taken, entry] : entries_) {
        if (taken != kvm::Gsi(gsi)) {
            break;
        }
        ++gsi;
    }
    return kvm::Gsi(gsi);
}

Result<void> RoutedMessages::update() const {
    auto routing = KVM_TRY(kvm::GsiRouting::with_capacity(pins_.size() + entries_.size()));
    for (const kvm::IrqRoutingEntry& pin : pins_) {
        KVM_TRY(routing.push_back(pin));
    }
    for (const auto& [gsi, entry] : entries_) {
        KVM_TRY(routing.push_back(entry));
    }
    KVM_TRY(signals_.set_gsi_routing(routing));
    return {};
}

}  // namespace vmm

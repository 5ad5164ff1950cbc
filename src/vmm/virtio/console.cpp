// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <kvm/try.hpp>
#include <vmm/virtio/console.hpp>
#include <vmm/virtio/pop.hpp>

namespace vmm::virtio {

namespace {

// virtio 1.2, 5.3.3 and 5.3.4.
constexpr std::uint64_t f_size = 1 << 0;
constexpr std::uint64_t f_multiport = 1 << 1;
struct Configuration {
    std::uint16_t columns;
    std::uint16_t rows;
    std::uint32_t ports;
    std::uint32_t emergency_write;  // not offered
};

// 5.3.6.2.
struct Control {
    std::uint32_t id;
    std::uint16_t event;
    std::uint16_t value;
};
namespace event {
constexpr std::uint16_t device_ready = 0, port_add = 1, port_ready = 3, console_port = 4,
                        resize = 5, port_open = 6, port_name = 7;
}
constexpr std::uint16_t control_receive = 2, control_transmit = 3;

constexpr std::uint16_t queue_size = 64;
constexpr std::size_t chains_at_once = 128;
constexpr std::uint64_t bytes_at_once = 256 << 10;  // of a port, in each direction
constexpr std::size_t block = 4096;

struct SavedPort {
    std::uint64_t written;
    std::uint8_t to_tell;
    std::uint8_t ready;
    std::uint8_t guest_open;
    std::uint8_t told_connected;
    std::uint8_t unused[4];
};

}  // namespace

Console::Console(std::vector<ConsolePort> ports, ConsoleSize size) : size_(size) {
    for (ConsolePort& port : ports) {
        ports_.push_back({.name = std::move(port.name), .peer = std::move(port.peer)});
    }
    sizes_.assign(multiport() ? 2 + 2 * ports_.size() : 2, queue_size);
}

Console::~Console() { reset(); }

bool Console::multiport() const { return ports_.size() > 1 || !ports_[0].name.empty(); }

std::uint64_t Console::features() const {
    return feature::rings | f_size | (multiport() ? f_multiport : 0);
}

/// The port's transmit queue is the one behind it. Between those of the first two ports are the
/// control queues.
std::uint16_t Console::receive_queue(std::size_t port) {
    return static_cast<std::uint16_t>(port == 0 ? 0 : 2 + 2 * port);
}

void Console::read_config(std::uint64_t offset, std::span<std::byte> data) const {
    read_part(
        Configuration{size_.columns, size_.rows, static_cast<std::uint32_t>(ports_.size()), 0},
        offset, data);
}

void Console::resize(ConsoleSize size) {
    if (size == size_) {
        return;
    }
    size_ = size;
    if (!host_) {
        return;
    }
    host_->config_changed();
    if (features_ & f_multiport) {
        ports_[0].to_tell |= Tell::sized;
        serve_all();
    }
}

Result<void> Console::activate(Host& host, std::uint64_t features) {
    host_ = &host;
    features_ = features;
    again_ = KVM_TRY(host.reactor().timer([this] { serve_all(); }));
    const std::size_t used = features & f_multiport ? ports_.size() : 1;
    for (std::size_t i = 0; i < used; ++i) {
        KVM_TRY(ports_[i].peer->start(host.reactor(), [this, i] { serve(i); }));
    }
    if (features & f_size && !(features & f_multiport) && size_ != ConsoleSize{}) {
        host.config_changed();  // without control messages, Linux does not read it before
    }
    return {};
}

void Console::reset() {
    for (Port& port : ports_) {
        port.peer->stop();
        port.to_tell = 0;
        port.ready = port.guest_open = port.told_connected = false;
        port.written = 0;
    }
    again_.reset();
    host_ = nullptr;
}

void Console::notified(std::uint16_t queue) {
    if (!(features_ & f_multiport)) {
        return serve(0);
    }
    if (queue == control_receive || queue == control_transmit) {
        return serve_all();
    }
    serve(queue < control_receive ? 0 : (queue - 2U) / 2);
}

void Console::serve_all() {
    const std::size_t used = features_ & f_multiport ? ports_.size() : 1;
    for (std::size_t i = 0; i < used; ++i) {
        serve(i);
    }
}

/// Does what can be done for a port now.
void Console::serve(std::size_t index) {
    const auto all = [&]() -> Result<bool> {
        const bool output = KVM_TRY(transmit(index));
        const bool input = KVM_TRY(receive(index));
        if (features_ & f_multiport) {
            KVM_TRY(serve_control());
        }
        return output || input;
    };
    const auto more = all();
    if (!more) {
        host_->disable(more.error().message);
    } else if (*more) {
        again_->start({});
    }
}

/// The guest's bytes to the peer. True if some were left for later.
Result<bool> Console::transmit(std::size_t index) {
    Port& port = ports_[index];
    const auto number = static_cast<std::uint16_t>(receive_queue(index) + 1);
    Queue* const queue = host_->queue(number);
    std::uint64_t budget = bytes_at_once;
    std::size_t done = 0;
    bool waits = false;
    while (queue && !waits && done < chains_at_once && KVM_TRY(pop_or_wait(*queue, chain_))) {
        waits = !KVM_TRY(write_chain(port, budget));
        if (waits) {
            queue->undo_pop(chain_);
        } else {
            queue->push(chain_, 0);
            ++done;
        }
    }
    if (done > 0) {
        host_->interrupt(number);
    }
    return done == chains_at_once || budget == 0;
}

/// Whether the peer took all of it; if not, where to go on is kept.
Result<bool> Console::write_chain(Port& port, std::uint64_t& budget) {
    std::array<std::byte, block> bytes;
    const std::uint64_t end = chain_.readable_bytes();
    while (port.written < end) {
        const auto part =
            std::span(bytes).first(std::min({std::uint64_t{block}, end - port.written, budget}));
        if (part.empty()) {
            return false;
        }
        KVM_TRY(read(host_->memory(), chain_.readable, port.written, part));
        const std::size_t taken = port.peer->write(part);
        port.written += taken;
        written_bytes_ += taken;
        budget -= taken;
        if (taken < part.size()) {
            return false;
        }
    }
    port.written = 0;
    return true;
}

/// The peer's bytes to the guest. True if some were left for later.
Result<bool> Console::receive(std::size_t index) {
    Port& port = ports_[index];
    const std::uint16_t number = receive_queue(index);
    Queue* const queue = host_->queue(number);
    std::array<std::byte, block> bytes;
    std::size_t done = 0;
    const bool wanted = !(features_ & f_multiport) || port.guest_open;
    while (queue && wanted && done < chains_at_once && KVM_TRY(pop_or_wait(*queue, chain_))) {
        const std::uint64_t room = chain_.writable_bytes();
        if (room == 0) {
            return fail("a receive buffer without room for a byte", EINVAL);
        }
        const std::size_t size =
            port.peer->read(std::span(bytes).first(std::min<std::uint64_t>(room, block)));
        if (size == 0) {
            queue->undo_pop(chain_);
            break;
        }
        KVM_TRY(write(host_->memory(), chain_.writable, 0, std::span(bytes).first(size)));
        queue->push(chain_, static_cast<std::uint32_t>(size));
        read_bytes_ += size;
        ++done;
    }
    if (done > 0) {
        host_->interrupt(number);
    }
    return done == chains_at_once;
}

Result<void> Console::serve_control() {
    KVM_TRY(take_control());
    for (Port& port : ports_) {
        if (port.ready && port.told_connected != port.peer->connected()) {
            port.to_tell |= Tell::opened;
        }
    }
    return send_control();
}

/// What the guest says of ports.
Result<void> Console::take_control() {
    Queue* const queue = host_->queue(control_transmit);
    std::size_t done = 0;
    while (queue && done < chains_at_once && KVM_TRY(pop_or_wait(*queue, chain_))) {
        Control control{};
        if (chain_.readable_bytes() < sizeof control) {
            return fail(fmt::format("a control message of {} bytes", chain_.readable_bytes()),
                        EINVAL);
        }
        KVM_TRY(read(host_->memory(), chain_.readable, 0,
                     std::as_writable_bytes(std::span(&control, 1))));
        queue->push(chain_, 0);
        ++done;
        KVM_TRY(handle_control(control.id, control.event, control.value));
    }
    if (done > 0) {
        host_->interrupt(control_transmit);
    }
    if (done == chains_at_once) {
        again_->start({});
    }
    return {};
}

Result<void> Console::handle_control(std::uint32_t id, std::uint16_t what, std::uint16_t value) {
    if (what == event::device_ready) {
        for (Port& port : ports_) {
            port.to_tell |= value == 1 ? Tell::add : 0;
        }
        return {};
    }
    if (id >= ports_.size()) {
        return fail(fmt::format("a control message for port {} of {}", id, ports_.size()), EINVAL);
    }
    Port& port = ports_[id];
    if (what == event::port_ready && value == 1) {
        port.ready = true;
        port.to_tell |=
            static_cast<std::uint8_t>((id == 0 ? Tell::is_console | Tell::sized : 0) |
                                      (port.name.empty() ? 0 : Tell::named) | Tell::opened);
    } else if (what == event::port_open) {
        port.guest_open = value != 0;
        again_->start({});  // what waited for it
    }
    return {};
}

/// What the guest is to be told of ports, for as many messages as it has buffers.
Result<void> Console::send_control() {
    Queue* const queue = host_->queue(control_receive);
    bool pushed = false;
    for (std::uint32_t id = 0; queue && id < ports_.size(); ++id) {
        Port& port = ports_[id];
        while (port.to_tell != 0 && KVM_TRY(pop_or_wait(*queue, chain_))) {
            const std::uint32_t size = KVM_TRY(put_control(id, port));
            queue->push(chain_, size);
            pushed = true;
        }
    }
    if (pushed) {
        host_->interrupt(control_receive);
    }
    return {};
}

/// Writes the next message into chain_; its length.
Result<std::uint32_t> Console::put_control(std::uint32_t id, Port& port) {
    const auto what = static_cast<std::uint8_t>(port.to_tell & -port.to_tell);
    Control control{id, event::port_add, 1};
    std::vector<std::byte> more;
    switch (what) {
        case Tell::is_console:
            control.event = event::console_port;
            break;
        case Tell::sized: {
            // In Linux's order, which is not the specification's.
            const std::array<std::uint16_t, 2> size{size_.rows, size_.columns};
            const auto bytes = std::as_bytes(std::span(size));
            more.assign(bytes.begin(), bytes.end());
            control.event = event::resize;
            break;
        }
        case Tell::named: {
            const auto bytes = std::as_bytes(std::span(port.name));
            more.assign(bytes.begin(), bytes.end());
            control.event = event::port_name;
            break;
        }
        case Tell::opened:
            port.told_connected = port.peer->connected();
            control.event = event::port_open;
            control.value = port.told_connected;
            break;
        default:
            break;
    }
    port.to_tell &= static_cast<std::uint8_t>(~what);
    const std::size_t size = sizeof control + more.size();
    if (chain_.writable_bytes() < size) {
        return fail(fmt::format("a control buffer of {} bytes", chain_.writable_bytes()), EINVAL);
    }
    KVM_TRY(write(host_->memory(), chain_.writable, 0, std::as_bytes(std::span(&control, 1))));
    KVM_TRY(write(host_->memory(), chain_.writable, sizeof control, more));
    return static_cast<std::uint32_t>(size);
}

std::vector<Statistic> Console::statistics() const {
    return {{"written-bytes", written_bytes_}, {"read-bytes", read_bytes_}};
}

std::vector<std::byte> Console::save() {
    std::vector<SavedPort> saved;
    for (const Port& port : ports_) {
        saved.push_back(
            {port.written, port.to_tell, port.ready, port.guest_open, port.told_connected, {}});
    }
    const auto bytes = std::as_bytes(std::span(saved));
    return {bytes.begin(), bytes.end()};
}

Result<void> Console::restore(std::span<const std::byte> bytes) {
    if (bytes.size() != ports_.size() * sizeof(SavedPort)) {
        return fail("console: a state of another device", EINVAL);
    }
    for (std::size_t i = 0; i < ports_.size(); ++i) {
        SavedPort saved;
        std::memcpy(&saved, bytes.data() + i * sizeof saved, sizeof saved);
        ports_[i].written = saved.written;
        ports_[i].to_tell = saved.to_tell;
        ports_[i].ready = saved.ready != 0;
        ports_[i].guest_open = saved.guest_open != 0;
        ports_[i].told_connected = saved.told_connected != 0;
    }
    return {};
}

}  // namespace vmm::virtio

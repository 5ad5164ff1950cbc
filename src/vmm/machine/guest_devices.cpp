// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <cerrno>
#include <fmt/format.h>
#include <kvm/try.hpp>
#include <vmm/machine/board.hpp>
#include <vmm/machine/pump_port.hpp>
#include <vmm/virtio/entropy.hpp>

/// virtio's console, entropy, balloon and socket devices, as a machine has them.
namespace vmm::detail {

Result<std::unique_ptr<virtio::PortPeer>> Board::open_port(const ConsolePortConfig& port) {
    switch (port.kind) {
        case PortKind::socket:
            return virtio::open_socket_port(port.path);
        case PortKind::file:
            new_files_.push_back(KVM_TRY(NewFile::create(port.path)));
            return virtio::open_file_port(port.path, wires_.log);
        case PortKind::pty: {
            std::string path;
            auto peer = KVM_TRY(virtio::open_pty_port(path));
            wires_.log.info(
                "console",
                fmt::format("{} is {}", port.name.empty() ? "the port" : port.name, path));
            notes_.push_back(fmt::format("console: port '{}' is {}", port.name, path));
            return peer;
        }
        case PortKind::stdio:
            break;
    }
    auto peer = KVM_TRY(PumpPort::create(*pump_));
    stdio_ = peer.get();
    return peer;
}

Result<void> Board::add_console(const MachineConfig& config) {
    std::vector<virtio::ConsolePort> ports;
    for (const ConsolePortConfig& port : config.consoles) {
        auto peer = open_port(port);
        if (!peer) {
            return about_setting("console", std::move(peer).error());
        }
        ports.push_back({port.name, std::move(*peer)});
    }
    auto console = std::make_unique<virtio::Console>(
        std::move(ports), stdio_ ? pump_->console_size() : virtio::ConsoleSize{});
    console_ = console.get();
    return add_virtio(std::move(console));
}

Result<void> Board::add_guest_devices(const MachineConfig& config) {
    if (!config.consoles.empty()) {
        KVM_TRY(add_console(config));
    }
    if (config.rng) {
        KVM_TRY(add_virtio(std::make_unique<virtio::Entropy>(*config.rng)));
    }
    if (config.balloon) {
        auto balloon = std::make_unique<virtio::Balloon>(*config.balloon);
        balloon_ = balloon.get();
        KVM_TRY(add_virtio(std::move(balloon)));
    }
    if (config.vsock) {
        auto vsock = virtio::Vsock::create(*config.vsock);
        if (!vsock) {
            vsock.error().setting = "vsock";  // with which the message begins
            return std::unexpected(std::move(vsock).error());
        }
        KVM_TRY(add_virtio(std::move(*vsock)));
    }
    return {};
}

void Board::keep_files() {
    std::ranges::for_each(new_files_, &NewFile::keep);
    new_files_.clear();
}

std::size_t Board::receive(std::span<const std::byte> bytes) {
    return stdio_ ? stdio_->receive(bytes) : serial_.receive(bytes);
}

void Board::look_at_console() {
    if (stdio_) {
        const auto size = pump_->console_size();
        reactor_->call([&] { console_->resize(size); });
    }
}

Result<void> Board::set_balloon(std::uint64_t bytes) {
    if (!balloon_) {
        return fail("balloon: the machine has none", EINVAL);
    }
    if (bytes > wires_.memory.size()) {
        return fail(fmt::format("balloon: {} bytes are more than the memory", bytes), EINVAL);
    }
    reactor_->call([&] { balloon_->set_target(bytes); });
    return {};
}

void Board::add_virtio_to(MachineReport& report) const {
    report.notes.insert(report.notes.end(), notes_.begin(), notes_.end());
    if (!reactor_) {
        return;
    }
    reactor_->call([&] {
        for (const Virtio& virtio : virtio_) {
            const virtio::Device& device = *virtio.device;
            report.devices.push_back({std::string(device.name()), device.statistics()});
            report.notes.insert(report.notes.end(), device.notes().begin(), device.notes().end());
        }
        for (const auto& device : nvme_) {
            report.devices.push_back({std::string(device->name()), device->statistics()});
        }
    });
}

}  // namespace vmm::detail

// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <optional>
#include <string>
#include <vector>
#include <vmm/virtio/device.hpp>
#include <vmm/virtio/port.hpp>

namespace vmm::virtio {

struct ConsolePort {
    std::string name;  ///< how the guest finds it: /dev/virtio-ports/NAME; may be empty
    std::unique_ptr<PortPeer> peer;
};

/// Of a terminal, in characters; 0: not known.
struct ConsoleSize {
    std::uint16_t columns = 0;
    std::uint16_t rows = 0;

    friend bool operator==(const ConsoleSize&, const ConsoleSize&) = default;
};

/// The console device: virtio 1.2, 5.3. The first port is a console, Linux's hvc0; further ones are
/// streams of bytes. With a single port that has no name there are no control messages (no
/// VIRTIO_CONSOLE_F_MULTIPORT), as the simplest drivers want it.
///
/// Nothing is kept in between: while a peer takes no more, the guest's buffers wait, and while the
/// guest has no buffers, what the peer has to say does.
class Console final : public Device {
public:
    static constexpr std::size_t most_ports = 16;

    /// One port to most_ports.
    explicit Console(std::vector<ConsolePort> ports, ConsoleSize size = {});
    ~Console() override;

    /// The terminal behind the first port has another size. On the reactor.
    void resize(ConsoleSize size);

    DeviceType type() const override { return DeviceType::console; }
    std::string_view name() const override { return "console"; }
    std::uint64_t features() const override;
    std::span<const std::uint16_t> queue_sizes() const override { return sizes_; }
    void read_config(std::uint64_t offset, std::span<std::byte> data) const override;
    Result<void> activate(Host& host, std::uint64_t features) override;
    void notified(std::uint16_t queue) override;
    void reset() override;
    std::vector<std::byte> save() override;
    Result<void> restore(std::span<const std::byte> bytes) override;
    /// Of all ports together.
    std::vector<Statistic> statistics() const override;

private:
    /// What the guest is to be told of a port; the lowest first.
    enum Tell : std::uint8_t { add = 1, is_console = 2, sized = 4, named = 8, opened = 16 };
    struct Port {
        std::string name;
        std::unique_ptr<PortPeer> peer;
        std::uint8_t to_tell = 0;     // of Tell
        bool ready = false;           // the guest knows it
        bool guest_open = false;      // somebody in the guest has it open
        bool told_connected = false;  // what the guest knows of peer->connected()
        std::uint64_t written = 0;    // of the next chain, already
    };

    static std::uint16_t receive_queue(std::size_t port);
    bool multiport() const;
    void serve_all();
    void serve(std::size_t port);
    Result<bool> transmit(std::size_t port);
    Result<bool> write_chain(Port& port, std::uint64_t& budget);
    Result<bool> receive(std::size_t port);
    Result<void> serve_control();
    Result<void> take_control();
    Result<void> send_control();
    Result<void> handle_control(std::uint32_t id, std::uint16_t what, std::uint16_t value);
    Result<std::uint32_t> put_control(std::uint32_t id, Port& port);

    std::vector<Port> ports_;
    ConsoleSize size_;
    std::vector<std::uint16_t> sizes_;  // of queues
    Host* host_ = nullptr;              // while active
    std::uint64_t features_ = 0;
    std::uint64_t written_bytes_ = 0;  // by the guest
    std::uint64_t read_bytes_ = 0;
    std::optional<Reactor::Timer> again_;
    Chain chain_;
};

}  // namespace vmm::virtio

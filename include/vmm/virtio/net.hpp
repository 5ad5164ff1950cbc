// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>
#include <vmm/device/rate_limit.hpp>
#include <vmm/net/backend.hpp>
#include <vmm/net/mac.hpp>
#include <vmm/virtio/device.hpp>

namespace vmm::virtio {

struct NetOptions {
    std::string name = "net";  ///< for messages
    net::Mac mac{};
    std::uint16_t mtu = 0;  ///< what the driver is told; 0: nothing
    RateLimits send{};      ///< of what the guest sends
    RateLimits receive{};
};

/// What passed, and what did not.
struct NetCounters {
    std::uint64_t sent = 0, sent_bytes = 0;
    std::uint64_t received = 0, received_bytes = 0;
    std::uint64_t send_refused = 0;  ///< frames too short or too long, or that the network refused
    std::uint64_t filtered = 0;      ///< for others than the driver asked for
    std::uint64_t too_long = 0;      ///< for the driver's buffers

    friend bool operator==(const NetCounters&, const NetCounters&) = default;
};

/// A network card, virtio 1.2, 5.1: queues 0 and 1 receive and send, further pairs after them if
/// the backend has more queues, then the one for control. Frames go from and to guest memory
/// without a copy; only one that comes while the driver's buffers may be too short for it waits
/// beside.
class Net final : public Device, private net::Listener {
public:
    static constexpr std::uint16_t queue_size = 256;

    /// The backend's reactor is the device's. Errors: EMFILE, EINVAL (a backend without queues).
    static Result<std::unique_ptr<Net>> create(std::unique_ptr<net::Backend> backend,
                                               NetOptions options, Reactor& reactor);
    ~Net() override;

    DeviceType type() const override { return DeviceType::net; }
    std::string_view name() const override { return options_.name; }
    std::uint64_t features() const override;
    std::span<const std::uint16_t> queue_sizes() const override { return queue_sizes_; }
    void read_config(std::uint64_t offset, std::span<std::byte> data) const override;
    Result<void> activate(Host& host, std::uint64_t features) override;
    void notified(std::uint16_t queue) override;
    void reset() override;
    std::vector<std::byte> save() override;
    Result<void> restore(std::span<const std::byte> bytes) override;
    std::vector<Statistic> statistics() const override;

    /// On the reactor.
    const NetCounters& counters() const { return counters_; }

private:
    /// Which frames the driver wants: virtio 1.2, 5.1.6.5.
    struct Filter {
        bool promiscuous = true;
        bool all_multicast = false;
        bool too_many_unicast = false, too_many_multicast = false;  ///< for a table: then all
        net::Mac mac{};
        std::vector<net::Mac> unicast{}, multicast{};  ///< in order

        bool wants(const net::Mac& to) const;
    };
    /// A chain to receive in, and its pieces, of which lane.pieces has so many.
    struct Posted {
        Chain chain{};
        std::size_t pieces = 0;
        std::uint64_t bytes = 0;
    };
    /// The queues of one pair.
    struct Lane {
        // Receiving.
        std::deque<Posted> posted{};  ///< popped, and not used yet
        std::vector<Posted> spare{};
        std::vector<iovec> pieces{};  ///< of all that are posted, from `first_piece` on
        std::size_t first_piece = 0;
        std::uint64_t room = 0;           ///< in bytes
        std::uint32_t slots = 0;          ///< of the queue, that posted chains have
        std::vector<std::byte> beside{};  ///< a frame that waits for room, with its header
        std::vector<Used> used{};
        // Sending.
        Chain chain{};
        std::vector<iovec> frame{};
        bool send_again = false;
    };
    enum class Step : std::uint8_t {
        done,
        wait,     ///< for the backend
        buffers,  ///< for the driver's buffers
        limited,  ///< for the rate limit
        stop      ///< the device is disabled
    };

    Net(std::unique_ptr<net::Backend> backend, NetOptions options);

    // Listener.
    void receivable(std::uint16_t lane) override { receive(lane); }
    void sendable(std::uint16_t lane) override { send(lane); }
    void link_changed(net::Link link) override;

    bool has(std::uint64_t feature) const { return (features_ & feature) != 0; }
    std::uint16_t control_queue() const;
    net::Offloads accepted_offloads() const;
    void resume();

    void receive(std::uint16_t lane);
    Step receive_one(std::uint16_t lane, Queue& queue);
    Step deliver(Lane& lane, Queue& queue);
    bool is_full(const Lane& lane) const;
    Result<bool> post(Lane& lane, Queue& queue) const;
    Result<bool> post_one(Lane& lane, Queue& queue) const;
    Step finish(Lane& lane, Queue& queue, std::uint64_t bytes);
    std::uint64_t longest_frame() const;

    void send(std::uint16_t lane);
    Step send_one(std::uint16_t lane, Queue& queue);
    void tell_of_sent(std::uint16_t lane, const Queue& queue);

    void control();
    Result<std::uint32_t> answer(const Chain& chain);
    bool obey(std::span<const std::byte> command);
    bool set_mode(std::uint8_t which, std::span<const std::byte> data);
    bool set_addresses(std::uint8_t which, std::span<const std::byte> data);
    bool set_pairs(std::span<const std::byte> data);
    bool set_offloads(std::span<const std::byte> data);

    std::unique_ptr<net::Backend> backend_;
    NetOptions options_;
    std::vector<std::uint16_t> queue_sizes_;
    std::optional<RateLimiter> send_limit_, receive_limit_;
    std::optional<Reactor::Timer> again_;
    std::optional<Reactor::Timer> sent_;  ///< when the driver hears of frames that were sent
    bool sent_waits_ = false;             ///< it is started
    std::uint64_t received_unpaid_ = 0;   ///< bytes that receive_limit_ has not heard of

    Host* host_ = nullptr;
    std::uint64_t features_ = 0;
    std::vector<Lane> lanes_;
    std::uint16_t pairs_ = 1;  ///< in use
    Filter filter_;
    std::uint64_t offloads_ = 0;                      ///< GUEST_ features in force
    std::optional<std::uint64_t> restored_offloads_;  ///< until activate(), which else has all
    bool announce_ = false;  ///< the driver is to tell the network where it is
    NetCounters counters_;
};

}  // namespace vmm::virtio

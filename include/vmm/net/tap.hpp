// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <memory>
#include <string>
#include <vector>
#include <vmm/net/backend.hpp>

namespace vmm::net {

/// A tap interface of the host, which somebody made: `ip tuntap add tap0 mode tap user me`. By its
/// name or, where that needs privileges which the program does not have, by descriptors.
struct TapOptions {
    std::string name{};        ///< or empty, and
    std::vector<int> fds{};    ///< one for each queue, borrowed: they are duplicated
    std::uint16_t queues = 1;  ///< of a named one; more than 1 needs one made with `multi_queue`

    friend bool operator==(const TapOptions&, const TapOptions&) = default;
};

/// Frames go to and come from a tap interface, and the kernel has the offloads. While the interface
/// is down or taken away, what is sent is dropped and the link is down; when it is there again, by
/// its name, all goes on.
class Tap final : public Backend {
public:
    /// Errors, naming the interface: ENODEV (there is none of that name: none is made), EBUSY (used
    /// by another), EPERM, EINVAL (it has one queue alone; not a tap's descriptor, or one without
    /// IFF_VNET_HDR or with packet information), and those of open(2) of /dev/net/tun.
    static Result<std::unique_ptr<Tap>> create(const TapOptions& options, Wires wires);
    ~Tap() override;

    std::string_view name() const override { return name_; }
    std::uint16_t queues() const override { return static_cast<std::uint16_t>(queues_.size()); }
    Offloads takes() const override { return offloads_; }
    Offloads gives() const override { return offloads_; }
    Link link() const override { return link_; }
    void listen(Listener* listener) override { listener_ = listener; }
    Result<void> set_offloads(Offloads receiver) override;
    Result<void> use_queues(std::uint16_t count) override;
    Outcome send(std::uint16_t queue, std::span<const iovec> frame) override;
    void sent() override {}
    Arrival receive(std::uint16_t queue, std::span<const iovec> buffers) override;
    void want(std::uint16_t queue, kvm::Flags<Ready> events) override;

private:
    struct Queue {
        kvm::Fd fd{-1};
        kvm::Flags<Ready> wanted;
        Reactor::Watch watch;  // before its descriptor ends
        bool in_use = true;
    };
    enum class State : std::uint8_t { gone, down, up };

    explicit Tap(Wires wires) : wires_(std::move(wires)) {}
    Result<void> open(std::uint16_t count);
    Result<void> adopt(std::span<const int> fds);
    Result<void> set_up();
    Result<void> watch(std::uint16_t index);
    void close();
    Result<void> watch_links();
    Result<void> tell_offloads(Offloads receiver) const;
    void ready(std::uint16_t index, kvm::Flags<Ready> events);
    void rewatch(std::uint16_t index);
    void look();
    void become(State state);
    State state() const;
    bool reopen();
    Outcome failed(int error);

    Wires wires_;
    std::string name_;
    bool by_name_ = false;
    std::vector<Queue> queues_;
    std::uint16_t used_ = 1;  // queues
    Offloads offloads_;
    Offloads receiver_;
    Listener* listener_ = nullptr;
    Link link_ = Link::up;
    State state_ = State::up;
    kvm::Fd netlink_{-1};
    Reactor::Watch netlink_watch_;
};

}  // namespace vmm::net

// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <algorithm>
#include <climits>
#include <cstring>
#include <deque>
#include <vector>
#include <vmm/net/backend.hpp>
#include <vmm/virtio/transport.hpp>

namespace vmm::test {

/// A network in memory: keeps what is sent, and what arrives is for the test to say.
class LoopBackend final : public net::Backend {
public:
    explicit LoopBackend(std::uint16_t queues) : waiting_(queues), wanted_(queues) {}

    std::string_view name() const override { return "loop"; }
    std::uint16_t queues() const override { return static_cast<std::uint16_t>(waiting_.size()); }
    net::Offloads takes() const override { return gives(); }
    net::Offloads gives() const override {
        return net::Offload::checksum | net::Offload::tso4 | net::Offload::tso6;
    }
    net::Link link() const override { return link_; }
    void listen(net::Listener* listener) override { listener_ = listener; }
    Result<void> set_offloads(net::Offloads receiver) override {
        offloads = receiver;
        return {};
    }
    Result<void> use_queues(std::uint16_t count) override {
        used = count;
        return {};
    }
    net::Outcome send(std::uint16_t queue, std::span<const iovec> frame) override {
        if (full || refuse) {
            return full ? net::Outcome::wait : net::Outcome::dropped;
        }
        std::vector<std::byte> bytes;
        for (const iovec& piece : frame) {
            const auto* const at = static_cast<const std::byte*>(piece.iov_base);
            bytes.insert(bytes.end(), at, at + piece.iov_len);
        }
        bytes.erase(bytes.begin(), bytes.begin() + sizeof(net::Header));
        if (echo) {
            waiting_[queue].push_back(bytes);
        } else {
            sent_frames.push_back(std::move(bytes));
            lanes.push_back(queue);
        }
        return net::Outcome::done;
    }
    void sent() override {
        for (std::uint16_t i = 0; echo && i < queues(); ++i) {
            tell(i);
        }
    }
    net::Arrival receive(std::uint16_t queue, std::span<const iovec> buffers) override {
        if (waiting_[queue].empty()) {
            return {};
        }
        if (buffers.size() > IOV_MAX) {
            return {net::Outcome::dropped, 0};  // as a call of the kernel's: the frame stays there
        }
        std::vector<std::byte> bytes(sizeof(net::Header));
        bytes.insert(bytes.end(), waiting_[queue].front().begin(), waiting_[queue].front().end());
        waiting_[queue].pop_front();
        std::size_t at = 0;
        for (const iovec& piece : buffers) {
            const std::size_t n = std::min(piece.iov_len, bytes.size() - at);
            std::memcpy(piece.iov_base, bytes.data() + at, n);
            at += n;
        }
        return {net::Outcome::done, at};
    }
    void want(std::uint16_t queue, kvm::Flags<Ready> events) override { wanted_[queue] = events; }

    /// A frame comes from the network.
    void arrive(std::uint16_t queue, std::vector<std::byte> frame) {
        waiting_[queue].push_back(std::move(frame));
        tell(queue);
    }
    /// There is room again in all queues.
    void room() {
        for (std::uint16_t i = 0; listener_ && i < queues(); ++i) {
            if (wanted_[i].has(Ready::write)) {
                listener_->sendable(i);
            }
        }
    }
    /// As new.
    void reset() {
        for (auto& frames : waiting_) {
            frames.clear();
        }
        sent_frames.clear();
        lanes.clear();
        full = refuse = echo = false;
        set_link(net::Link::up);
    }
    void set_link(net::Link link) {
        link_ = link;
        if (listener_) {
            listener_->link_changed(link);
        }
    }

    std::vector<std::vector<std::byte>> sent_frames;
    std::vector<std::uint16_t> lanes;  ///< in which they were sent
    net::Offloads offloads;
    std::uint16_t used = 0;
    bool full = false;    ///< send() waits
    bool refuse = false;  ///< send() drops
    bool echo = false;    ///< what is sent arrives

private:
    void tell(std::uint16_t queue) {
        if (listener_ && !waiting_[queue].empty() && wanted_[queue].has(Ready::read)) {
            listener_->receivable(queue);
        }
    }

    std::vector<std::deque<std::vector<std::byte>>> waiting_;
    std::vector<kvm::Flags<Ready>> wanted_;
    net::Listener* listener_ = nullptr;
    net::Link link_ = net::Link::up;
};

/// Interrupts that nobody hears.
struct NoInterrupts final : virtio::Interrupts {
    void used(std::uint16_t /*queue*/) override {}
    void config() override {}
};

}  // namespace vmm::test

// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <vector>
#include <vmm/net/frame_queue.hpp>
#include <vmm/net/relay.hpp>
#include <vmm/net/slirp_library.hpp>
#include <vmm/net/user.hpp>

namespace vmm::net {

/// One libslirp network on a reactor: its sockets are in an epoll of their own, which the reactor
/// waits for as one descriptor.
struct SlirpStack {
    SlirpStack(const SlirpLibrary& slirp_library, Wires w)
        : library(slirp_library), wires(std::move(w)) {}
    SlirpStack(const SlirpStack&) = delete;
    SlirpStack& operator=(const SlirpStack&) = delete;
    ~SlirpStack();

    Result<void> create(const UserOptions& options);
    /// Frames of the guest's go in: whole, without Header.
    void input(std::span<const std::byte> frame);
    /// What the sockets and timers say is done; then all is waited for again.
    void turn();
    /// Waits for what libslirp wants to know, unless the guest has too much to take already.
    void wait();
    /// Says that there are frames, if there are.
    void tell();

    // libslirp's calls.
    void output(std::span<const std::byte> frame);
    int add_poll(int fd, int events);
    int found(int index) const;
    void forget(int fd);

    struct Socket {
        std::uint32_t events = 0;  ///< that epoll waits for; 0: it does not know it
        std::uint32_t ready = 0;
        std::uint64_t asked = 0;  ///< the last wait() that asked for it
    };
    struct Asked {
        int fd;
        int events;
    };
    Result<void> add_forwards(const UserOptions& options);
    void advance();
    void change(int fd, std::uint32_t events);

    const SlirpLibrary& library;
    Wires wires;
    Listener* listener = nullptr;
    kvm::Flags<Ready> wanted;
    bool checksums = false;  ///< the receiver knows Header::data_valid
    FrameQueue pending;
    std::uint64_t lost = 0;
    bool blamed = false;
    bool waiting = false;  ///< for sockets and time; else for the guest to take frames

    kvm::Fd epoll{-1};
    Reactor::Watch watch;
    std::optional<Reactor::Timer> timer;
    Slirp* slirp = nullptr;
    std::chrono::steady_clock::time_point last_turn;
    std::vector<std::unique_ptr<Relay>> relays;  ///< of the services
    std::uint64_t frames_in = 0;
    std::uint64_t round = 0;           ///< counts wait()
    std::vector<Socket> sockets;       ///< by descriptor
    std::vector<Asked> asked, before;  ///< in this wait(), and in the one before it
};

}  // namespace vmm::net

// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>
#include <vmm/device/unix_socket.hpp>
#include <vmm/net/backend.hpp>

namespace vmm::net {

/// A UNIX socket that takes connections at once and has each go on to a Service's target, so that
/// who connects does not wait for it: libslirp connects and waits, on the thread of all devices.
///
/// What one side sends waits here until the other takes it, in a little memory; the end of a
/// stream is passed on, too. A target that cannot be reached ends its connection, and is said once.
/// All on the reactor.
class Relay {
public:
    /// Further ones are closed at once.
    static constexpr std::size_t most_connections = 256;
    /// Of each direction of a connection.
    static constexpr std::size_t buffer_bytes = std::size_t{64} << 10;

    /// `name` is for messages. Errors: those of a socket in the directory for temporary files,
    /// where it is for a moment; EMFILE.
    static Result<std::unique_ptr<Relay>> create(const std::string& name, const std::string& target,
                                                 const Wires& wires);
    Relay(const Relay&) = delete;
    Relay& operator=(const Relay&) = delete;

    /// For connect(2), in this process alone: no name of a file system.
    const std::string& path() const { return path_; }
    /// Takes those who have connected, up to so many, without waiting for the reactor to say so.
    void accept();
    std::size_t connections() const { return connections_.size(); }

private:
    /// What flows from one socket to the other.
    struct Stream {
        std::vector<std::byte> bytes;  // buffer_bytes, once there were some
        std::size_t begin = 0, end = 0;
        bool ended = false;   // nothing more comes
        bool passed = false;  // and that was passed on
    };
    struct Side {
        kvm::Fd socket{-1};
        Reactor::Watch watch;  // before its socket ends
    };
    struct Connection {
        Side near, far;    // of who connected, of the target
        Stream out, back;  // from near to far, from far to near
        bool connecting = true;
    };
    using At = std::list<Connection>::iterator;

    Relay(std::string name, std::string target, const Wires& wires)
        : name_(std::move(name)), target_(std::move(target)), wires_(wires) {}
    Result<void> listen();
    Result<void> watch_listener();
    void listen_again();
    /// Errors: those of socket(2) and connect(2).
    Result<kvm::Fd> reach() const;
    void open(kvm::Fd near);
    /// What can be done now, is; false at its end.
    bool serve(Connection& connection) const;
    static bool flow(const kvm::Fd& from, const kvm::Fd& to, Stream& stream);
    void wait(At connection);
    Result<void> watch(At connection, Side& side, kvm::Flags<Ready> events);
    void turn(At connection);
    void blame(const Error& error);

    std::string name_;
    std::string target_;
    Wires wires_;
    std::string path_;
    kvm::Fd listener_{-1};
    kvm::Fd place_{-1};  // the listener's inode, which has no name any more
    Reactor::Watch watch_;
    std::optional<Reactor::Timer> again_;  // always, once created
    std::list<Connection> connections_;
    bool blamed_ = false;
};

}  // namespace vmm::net

// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <chrono>
#include <functional>
#include <kvm/fd.hpp>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vmm/device/reactor.hpp>
#include <vmm/log.hpp>

/// Where the bytes of a virtio console's port come from and go to.
namespace vmm::virtio {

/// The host's end of a port. On the reactor; nothing of it blocks.
class PortPeer {
public:
    PortPeer() = default;
    PortPeer(const PortPeer&) = delete;
    PortPeer& operator=(const PortPeer&) = delete;
    virtual ~PortPeer() = default;

    /// From now on `ready` is called when there is something to read(), room to write() or a change
    /// of connected(), where the last call said that there was none. Errors: EMFILE.
    virtual Result<void> start(Reactor& reactor, std::function<void()> ready) = 0;
    /// It is called no more. What was connected stays so.
    virtual void stop() = 0;

    /// Whether somebody is there.
    virtual bool connected() const = 0;
    /// How many of `bytes` were taken; all of them if nobody is there.
    virtual std::size_t write(std::span<const std::byte> bytes) = 0;
    /// How many bytes it put into `bytes`: 0 if there is nothing now.
    virtual std::size_t read(std::span<std::byte> bytes) = 0;
};

/// What the guest says, appended to a file, which is made if it is not there. Where it cannot be
/// written, for want of room or because nobody reads a FIFO any more, it is lost; the first time
/// `log` hears of it. Errors: open(2)'s.
Result<std::unique_ptr<PortPeer>> open_file_port(const std::string& path, Log log = {});

/// A UNIX socket to which one program at a time may connect; further ones wait until it goes. What
/// the guest says to nobody is lost. Errors: ListeningSocket's.
Result<std::unique_ptr<PortPeer>> open_socket_port(const std::string& path);

/// A new pseudo-terminal, in raw mode; `path` gets its name. Nobody is there until a program opens
/// it. Errors: ENOSPC.
Result<std::unique_ptr<PortPeer>> open_pty_port(std::string& path);

}  // namespace vmm::virtio

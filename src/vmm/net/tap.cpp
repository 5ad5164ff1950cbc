// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <vmm/net/tap.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <kvm/try.hpp>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

namespace vmm::net {

namespace {

// Linux 6.2; the installed header may be older.
constexpr unsigned tun_f_uso4 = 0x20;
constexpr unsigned tun_f_uso6 = 0x40;

unsigned tun_bits(Offloads offloads) {
    constexpr std::array<std::pair<Offload, unsigned>, 5> bits{{
        {Offload::checksum, TUN_F_CSUM},
        {Offload::tso4, TUN_F_TSO4},
        {Offload::tso6, TUN_F_TSO6},
        {Offload::tso_ecn, TUN_F_TSO_ECN},
        {Offload::uso, tun_f_uso4 | tun_f_uso6},
    }};
    unsigned found = 0;
    for (const auto& [offload, bit] : bits) {
        found |= offloads.has(offload) ? bit : 0;
    }
    // The kernel refuses the rest without it.
    return (found & TUN_F_CSUM) != 0 ? found : 0;
}

ifreq request(std::string_view name, short flags) {
    ifreq ifr{};
    name.copy(ifr.ifr_name, IFNAMSIZ - 1);
    ifr.ifr_flags = flags;
    return ifr;
}

constexpr short tap_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;

/// Another descriptor of an interface that is there.
Result<kvm::Fd> open_queue(const std::string& name, short more_flags) {
    kvm::Fd fd(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
    if (!fd.valid()) {
        return fail_errno(fmt::format("tap {}: /dev/net/tun", name), errno);
    }
    ifreq ifr = request(name, static_cast<short>(tap_flags | more_flags));
    if (::ioctl(fd.number(), TUNSETIFF, &ifr) != 0) {
        return fail_errno(fmt::format("tap {}", name), errno);
    }
    return fd;
}

}  // namespace

Result<std::unique_ptr<Tap>> Tap::create(const TapOptions& options, Wires wires) {
    std::unique_ptr<Tap> tap(new Tap(std::move(wires)));
    Result<void> done;
    tap->wires_.reactor.call([&] {
        if (options.fds.empty()) {
            tap->by_name_ = true;
            tap->name_ = options.name;
            done = tap->open(options.queues);
        } else {
            done = tap->adopt(options.fds);
        }
        if (done) {
            done = tap->watch_links();
        }
        if (done) {
            tap->look();
        }
    });
    if (!done) {
        return std::unexpected(std::move(done).error());
    }
    return tap;
}

Tap::~Tap() = default;

Result<void> Tap::open(std::uint16_t count) {
    if (name_.empty() || name_.size() >= IFNAMSIZ) {
        return fail(fmt::format("tap: '{}' is no interface's name", name_), EINVAL);
    }
    if (::if_nametoindex(name_.c_str()) == 0) {
        return fail(
            fmt::format("tap {0}: there is no such interface: ip tuntap add {0} mode tap{1}", name_,
                        count > 1 ? " multi_queue" : ""),
            ENODEV);
    }
    short flags = count > 1 ? IFF_MULTI_QUEUE : 0;
    auto first = open_queue(name_, flags);
    if (!first && first.error().code == EINVAL) {
        if (count > 1) {
            return fail(fmt::format("tap {}: it has one queue, or is no tap interface: "
                                    "it must be made with multi_queue",
                                    name_),
                        EINVAL);
        }
        flags = IFF_MULTI_QUEUE;  // it was made so, and must be used so
        first = open_queue(name_, flags);
        if (!first && first.error().code == EINVAL) {
            return fail(fmt::format("tap {}: it is no tap interface", name_), EINVAL);
        }
    }
    close();
    queues_.resize(count);
    for (Queue& queue : queues_) {
        // Of the first, it is known already whether that goes.
        auto fd = &queue == queues_.data() ? std::move(first) : open_queue(name_, flags);
        queue.fd = KVM_TRY(std::move(fd));
    }
    return set_up();
}

void Tap::close() {
    for (Queue& queue : queues_) {
        queue.watch = {};
        queue.fd = kvm::Fd(-1);
        queue.in_use = true;  // as a new one is
    }
}

Result<void> Tap::adopt(std::span<const int> fds) {
    queues_.resize(fds.size());
    for (std::size_t i = 0; i < fds.size(); ++i) {
        queues_[i].fd = kvm::Fd(::fcntl(fds[i], F_DUPFD_CLOEXEC, 3));
        if (!queues_[i].fd.valid()) {
            return fail_errno(fmt::format("tap: descriptor {}", fds[i]), errno);
        }
    }
    for (std::size_t i = 0; i < fds.size(); ++i) {
        const int fd = queues_[i].fd.number();
        ifreq ifr{};
        if (::ioctl(fd, TUNGETIFF, &ifr) != 0) {
            return fail_errno(fmt::format("tap: descriptor {} is no tap's", fds[i]), errno);
        }
        name_ = std::string(ifr.ifr_name, strnlen(ifr.ifr_name, IFNAMSIZ));
        if ((ifr.ifr_flags & tap_flags) != tap_flags) {
            return fail(fmt::format("tap: descriptor {} of {} was not opened with IFF_TAP, "
                                    "IFF_NO_PI and IFF_VNET_HDR",
                                    fds[i], name_),
                        EINVAL);
        }
        const int flags = ::fcntl(fd, F_GETFL);
        if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) {
            return fail_errno(fmt::format("tap: descriptor {}", fds[i]), errno);
        }
    }
    return set_up();
}

Result<void> Tap::set_up() {
    const int size = sizeof(Header);
    const int little_endian = 1;
    for (std::uint16_t i = 0; i < queues(); ++i) {
        const int fd = queues_[i].fd.number();
        if (::ioctl(fd, TUNSETVNETHDRSZ, &size) != 0 ||
            ::ioctl(fd, TUNSETVNETLE, &little_endian) != 0) {
            return fail_errno(fmt::format("tap {}: the frames' headers", name_), errno);
        }
        KVM_TRY(watch(i));
    }
    constexpr Offloads old = Offload::checksum | Offload::tso4 | Offload::tso6 | Offload::tso_ecn;
    offloads_ = old | Offload::uso;
    if (!tell_offloads(offloads_)) {
        offloads_ = old;  // before Linux 6.2
    }
    KVM_TRY(tell_offloads(receiver_));
    return use_queues(used_);
}

Result<void> Tap::watch(std::uint16_t index) {
    Queue& queue = queues_[index];
    queue.watch = KVM_TRY(wires_.reactor.watch(
        queue.fd, queue.wanted, [this, index](kvm::Flags<Ready> events) { ready(index, events); }));
    return {};
}

/// Any change of the host's interfaces is a reason to look at ours.
Result<void> Tap::watch_links() {
    netlink_ =
        kvm::Fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE));
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    address.nl_groups = RTMGRP_LINK;
    if (!netlink_.valid() || ::bind(netlink_.number(), reinterpret_cast<const sockaddr*>(&address),
                                    sizeof address) != 0) {
        return fail_errno(fmt::format("tap {}: netlink", name_), errno);
    }
    netlink_watch_ = KVM_TRY(wires_.reactor.watch(netlink_, Ready::read, [this](kvm::Flags<Ready>) {
        std::array<std::byte, 64> start_of_message;
        while (::recv(netlink_.number(), start_of_message.data(), start_of_message.size(), 0) >=
                   0 ||
               errno == ENOBUFS || errno == EINTR) {
        }
        look();
    }));
    return {};
}

Result<void> Tap::tell_offloads(Offloads receiver) const {
    if (::ioctl(queues_[0].fd.number(), TUNSETOFFLOAD, tun_bits(receiver)) != 0) {
        return fail_errno(fmt::format("tap {}: offloads", name_), errno);
    }
    return {};
}

Result<void> Tap::set_offloads(Offloads receiver) {
    receiver_ = receiver;
    return state_ == State::gone ? Result<void>() : tell_offloads(receiver);
}

Result<void> Tap::use_queues(std::uint16_t count) {
    used_ = count;
    for (std::uint16_t i = 0; state_ != State::gone && i < queues(); ++i) {
        Queue& queue = queues_[i];
        const bool use = i < count;
        if (use == queue.in_use) {
            continue;
        }
        ifreq ifr = request({}, use ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE);
        if (::ioctl(queue.fd.number(), TUNSETQUEUE, &ifr) != 0) {
            return fail_errno(fmt::format("tap {}: queue {}", name_, i), errno);
        }
        queue.in_use = use;
        if (use) {
            KVM_TRY(watch(i));
        } else {
            queue.watch = {};
        }
    }
    return {};
}

Outcome Tap::send(std::uint16_t queue, std::span<const iovec> frame) {
    if (state_ == State::gone) {
        return Outcome::dropped;
    }
    ssize_t sent = 0;
    do {
        sent = ::writev(queues_[queue].fd.number(), frame.data(), static_cast<int>(frame.size()));
    } while (sent < 0 && errno == EINTR);
    return sent >= 0 ? Outcome::done : failed(errno);
}

Arrival Tap::receive(std::uint16_t queue, std::span<const iovec> buffers) {
    if (state_ == State::gone) {
        return {Outcome::wait, 0};
    }
    ssize_t got = 0;
    do {
        got = ::readv(queues_[queue].fd.number(), buffers.data(), static_cast<int>(buffers.size()));
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return {failed(errno), 0};
    }
    return {Outcome::done, static_cast<std::size_t>(got)};
}

/// What a call's error means for its frame.
Outcome Tap::failed(int error) {
    if (error == EAGAIN) {
        return Outcome::wait;
    }
    if (error == EIO || error == EBADFD) {  // it is down; it is gone
        look();
    }
    return Outcome::dropped;
}

void Tap::want(std::uint16_t queue, kvm::Flags<Ready> events) {
    if (queues_[queue].wanted != events) {
        queues_[queue].wanted = events;
        rewatch(queue);
    }
}

void Tap::rewatch(std::uint16_t index) {
    const Queue& queue = queues_[index];
    if (!queue.watch) {
        return;  // not in use, or gone
    }
    kvm::Flags<Ready> events = queue.wanted;
    if (state_ == State::down) {
        events |= Ready::write;  // is there when the interface is up
    }
    (void)queue.watch.set(events);  // a watch that is there
}

void Tap::ready(std::uint16_t index, kvm::Flags<Ready> events) {
    if (state_ == State::down || events.has(Ready::error)) {
        look();
    }
    if (!listener_ || state_ != State::up) {
        return;
    }
    const kvm::Flags<Ready> wanted = events & queues_[index].wanted;
    if (wanted.has(Ready::read)) {
        listener_->receivable(index);
    }
    if (wanted.has(Ready::write)) {
        listener_->sendable(index);
    }
}

/// By a queue that is in use: no error, and one may send only while the interface is up.
Tap::State Tap::state() const {
    pollfd fd{queues_[0].fd.number(), POLLOUT, 0};
    if (!queues_[0].fd.valid() || ::poll(&fd, 1, 0) < 0 || (fd.revents & (POLLERR | POLLNVAL))) {
        return State::gone;
    }
    return (fd.revents & POLLOUT) != 0 ? State::up : State::down;
}

void Tap::look() {
    State now = state_ == State::gone ? State::gone : state();
    if (now == State::gone) {
        // Another of that name may be there, even before this was heard of.
        close();
        now = reopen() ? state() : State::gone;
    }
    if (now != state_) {
        become(now);
    }
}

/// False if there is none of that name, or it cannot be used (yet).
bool Tap::reopen() {
    if (!by_name_) {
        return false;
    }
    const State before = std::exchange(state_, State::up);
    const auto done = open(queues());
    state_ = before;
    if (!done) {
        close();
    }
    return done.has_value();
}

void Tap::become(State state) {
    static constexpr std::array words{"the interface is gone", "the interface is down",
                                      "the interface is up"};
    state_ = state;
    for (std::uint16_t i = 0; i < queues(); ++i) {
        rewatch(i);
    }
    wires_.log(fmt::format("tap {}: {}", name_, words[static_cast<std::size_t>(state)]));
    link_ = state == State::up ? Link::up : Link::down;
    if (listener_) {
        listener_->link_changed(link_);
    }
}

}  // namespace vmm::net

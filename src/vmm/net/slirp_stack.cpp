// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <vmm/net/slirp_stack.hpp>

#include <array>
#include <cerrno>
#include <fmt/format.h>
#include <kvm/try.hpp>
#include <sys/epoll.h>
#include <time.h>
#include <vmm/net/user_address.hpp>

namespace vmm::net {

namespace {

// Beyond the first, sockets are left alone until the guest has taken some; what is beyond the
// second is lost, as answers are to a guest that sends without end and takes none.
constexpr std::size_t enough_bytes = std::size_t{256} << 10;
constexpr std::size_t most_bytes = std::size_t{4} << 20;

/// Fewer than a socket's backlog holds: 128, where the host's administrator made it small.
constexpr std::uint64_t frames_per_accept = 64;

SlirpStack& stack_of(void* opaque) { return *static_cast<SlirpStack*>(opaque); }

std::int64_t now_ns(void* /*opaque*/) {
    timespec now{};
    (void)::clock_gettime(CLOCK_MONOTONIC, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

std::uint32_t epoll_events(int slirp) {
    return ((slirp & SLIRP_POLL_IN) ? EPOLLIN : 0u) | ((slirp & SLIRP_POLL_OUT) ? EPOLLOUT : 0u) |
           ((slirp & SLIRP_POLL_PRI) ? EPOLLPRI : 0u) | ((slirp & SLIRP_POLL_ERR) ? EPOLLERR : 0u) |
           ((slirp & SLIRP_POLL_HUP) ? EPOLLHUP : 0u);
}

int slirp_events(std::uint32_t epoll) {
    return ((epoll & EPOLLIN) ? SLIRP_POLL_IN : 0) | ((epoll & EPOLLOUT) ? SLIRP_POLL_OUT : 0) |
           ((epoll & EPOLLPRI) ? SLIRP_POLL_PRI : 0) | ((epoll & EPOLLERR) ? SLIRP_POLL_ERR : 0) |
           ((epoll & EPOLLHUP) ? SLIRP_POLL_HUP : 0);
}

// libslirp's calls. What a timer_new() without a timer answers, null, comes back to the others.

ssize_t send_packet(const void* frame, std::size_t length, void* opaque) {
    stack_of(opaque).output({static_cast<const std::byte*>(frame), length});
    return static_cast<ssize_t>(length);
}

void guest_error(const char* message, void* opaque) {
    SlirpStack& stack = stack_of(opaque);
    if (!stack.blamed) {
        stack.blamed = true;
        stack.wires.log(fmt::format("user network: the guest sends what is wrong: {}", message));
    }
}

void* timer_new(SlirpTimerCb call, void* argument, void* opaque) {
    SlirpStack& stack = stack_of(opaque);
    auto timer = stack.wires.reactor.timer([&stack, call, argument] {
        {
            const std::lock_guard lock(SlirpLibrary::mutex());
            call(argument);
        }
        stack.turn();
    });
    if (!timer) {
        stack.wires.log("user network: without a timer: " + timer.error().message);
        return nullptr;
    }
    return new Reactor::Timer(std::move(*timer));
}

void timer_free(void* timer, void* /*opaque*/) { delete static_cast<Reactor::Timer*>(timer); }

void timer_mod(void* timer, std::int64_t milliseconds, void* opaque) {
    if (timer) {
        const std::int64_t delay = milliseconds * 1'000'000 - now_ns(opaque);
        static_cast<Reactor::Timer*>(timer)->start(
            std::chrono::nanoseconds(std::max<std::int64_t>(delay, 0)));
    }
}

// A descriptor's number is a new socket's, or no socket's any more.
void forget_fd(int fd, void* opaque) { stack_of(opaque).forget(fd); }

constexpr SlirpCb calls{
    .send_packet = send_packet,
    .guest_error = guest_error,
    .clock_get_ns = now_ns,
    .timer_new = timer_new,
    .timer_free = timer_free,
    .timer_mod = timer_mod,
    .register_poll_fd = forget_fd,
    .unregister_poll_fd = forget_fd,
    .notify = [](void* /*opaque*/) {},  // wait() follows whatever is done
    .init_completed = nullptr,
    .timer_new_opaque = nullptr,
};

in_addr ipv4(std::uint32_t address) { return {htonl(address)}; }

in6_addr ipv6(std::uint8_t last) {
    in6_addr address{};
    address.s6_addr[0] = 0xfe;
    address.s6_addr[1] = 0xc0;
    address.s6_addr[15] = last;
    return address;
}

const char* text_or_null(const std::string& text) { return text.empty() ? nullptr : text.c_str(); }

SlirpConfig slirp_config(const UserOptions& options) {
    SlirpConfig config{};
    config.version = 3;
    config.restricted = options.reach == Reach::nothing;
    config.disable_host_loopback = options.reach != Reach::everything;
    config.in_enabled = true;
    config.vnetwork = ipv4(network);
    config.vnetmask = ipv4(network_mask);
    config.vhost = ipv4(host_address);
    config.vnameserver = ipv4(dns_address);
    config.vdhcp_start = ipv4(guest_address);
    config.in6_enabled = true;
    config.vprefix_addr6 = ipv6(0);
    config.vprefix_len = 64;
    config.vhost6 = ipv6(2);
    config.vnameserver6 = ipv6(3);
    config.vhostname = text_or_null(options.host_name);
    config.tftp_path = text_or_null(options.tftp);
    config.bootfile = text_or_null(options.boot_file);
    config.if_mtu = config.if_mru = options.mtu;
    return config;
}

}  // namespace

Result<void> SlirpStack::create(const UserOptions& options) {
    epoll = kvm::Fd(::epoll_create1(EPOLL_CLOEXEC));
    if (!epoll.valid()) {
        return fail_errno("user network: epoll_create1", errno);
    }
    timer.emplace(KVM_TRY(wires.reactor.timer([this] { turn(); })));
    watch = KVM_TRY(wires.reactor.watch(epoll, {}, [this](kvm::Flags<Ready>) { turn(); }));
    {
        const std::lock_guard lock(SlirpLibrary::mutex());
        const SlirpConfig config = slirp_config(options);
        slirp = library.create(&config, &calls, this);
        if (!slirp) {
            return fail("user network: libslirp refuses it", EINVAL);
        }
        KVM_TRY(add_forwards(options));
    }
    turn();
    return {};
}

Result<void> SlirpStack::add_forwards(const UserOptions& options) {
    for (const Forward& forward : options.forwards) {
        errno = 0;
        if (library.add_forward(slirp, forward.protocol == Protocol::udp,
                                ipv4(parse_ipv4(forward.host_address).value_or(0)),
                                forward.host_port, ipv4(guest_address), forward.guest_port) != 0) {
            return fail_errno("user network: forward " + forward.text(), errno);
        }
    }
    for (const Service& service : options.services) {
        auto relay =
            Relay::create("user network: service " + service.text(), service.target, wires);
        if (!relay) {
            return fail("user network: service " + service.text() + ": " + relay.error().message,
                        relay.error().code);
        }
        in_addr address = ipv4(parse_ipv4(service.address).value_or(0));
        const std::string& path = relays.emplace_back(std::move(*relay))->path();
        if (library.add_unix(slirp, path.c_str(), &address, service.port) != 0) {
            return fail("user network: libslirp refuses service " + service.text(), EINVAL);
        }
    }
    return {};
}

SlirpStack::~SlirpStack() {
    wires.reactor.call([this] {
        watch = {};
        timer.reset();
        relays.clear();
        if (slirp) {
            const std::lock_guard lock(SlirpLibrary::mutex());
            library.cleanup(slirp);
        }
    });
}

void SlirpStack::input(std::span<const std::byte> frame) {
    // Its time goes on in advance() alone: what is new must not be old at once.
    if (std::chrono::steady_clock::now() - last_turn > std::chrono::milliseconds(500)) {
        advance();
    }
    {
        const std::lock_guard lock(SlirpLibrary::mutex());
        library.input(slirp, reinterpret_cast<const std::uint8_t*>(frame.data()),
                      static_cast<int>(frame.size()));
    }
    // A frame makes at most one connection to a relay, whose backlog must not fill.
    if (!relays.empty() && ++frames_in % frames_per_accept == 0) {
        for (const auto& relay : relays) {
            relay->accept();
        }
    }
}

void SlirpStack::turn() {
    std::array<epoll_event, 64> events;
    const int ready = waiting ? ::epoll_wait(epoll.number(), events.data(), events.size(), 0) : 0;
    for (int i = 0; i < ready; ++i) {
        sockets[static_cast<std::size_t>(events[static_cast<std::size_t>(i)].data.fd)].ready =
            events[static_cast<std::size_t>(i)].events;
    }
    advance();
    for (int i = 0; i < ready; ++i) {
        sockets[static_cast<std::size_t>(events[static_cast<std::size_t>(i)].data.fd)].ready = 0;
    }
    wait();
    tell();
}

/// Has it see what sockets are ready, and what time it is.
void SlirpStack::advance() {
    const std::lock_guard lock(SlirpLibrary::mutex());
    last_turn = std::chrono::steady_clock::now();
    library.poll(
        slirp, 0, [](int index, void* opaque) { return stack_of(opaque).found(index); }, this);
}

int SlirpStack::found(int index) const {
    const Asked& socket = asked[static_cast<std::size_t>(index)];
    return slirp_events(sockets[static_cast<std::size_t>(socket.fd)].ready) & socket.events;
}

void SlirpStack::wait() {
    waiting = pending.size() < enough_bytes;
    (void)watch.set(waiting ? Ready::read : kvm::Flags<Ready>());  // a watch that is there
    if (!waiting) {
        timer->cancel();
        return;
    }
    std::swap(asked, before);
    asked.clear();
    ++round;
    std::uint32_t milliseconds = UINT32_MAX;
    {
        const std::lock_guard lock(SlirpLibrary::mutex());
        library.fill(
            slirp, &milliseconds,
            [](int fd, int events, void* opaque) { return stack_of(opaque).add_poll(fd, events); },
            this);
    }
    for (const Asked& old : before) {
        if (sockets[static_cast<std::size_t>(old.fd)].asked != round) {
            change(old.fd, 0);
        }
    }
    if (milliseconds < 1000) {  // a second is what it says when nothing is to come
        timer->start(std::chrono::milliseconds(milliseconds));
    } else {
        timer->cancel();
    }
}

int SlirpStack::add_poll(int fd, int events) {
    const auto at = static_cast<std::size_t>(fd);
    if (sockets.size() <= at) {
        sockets.resize(at + 1);
    }
    sockets[at].asked = round;
    change(fd, epoll_events(events));
    asked.push_back({fd, events});
    return static_cast<int>(asked.size() - 1);
}

void SlirpStack::change(int fd, std::uint32_t events) {
    Socket& socket = sockets[static_cast<std::size_t>(fd)];
    if (socket.events == events) {
        return;
    }
    epoll_event event{};
    event.events = events;
    event.data.fd = fd;
    const int how = events == 0          ? EPOLL_CTL_DEL
                    : socket.events == 0 ? EPOLL_CTL_ADD
                                         : EPOLL_CTL_MOD;
    if (::epoll_ctl(epoll.number(), how, fd, &event) != 0 && events != 0 && !blamed) {
        blamed = true;
        wires.log(fail_errno("user network: epoll_ctl", errno).error().message);
    }
    socket.events = events;
}

void SlirpStack::forget(int fd) {
    if (static_cast<std::size_t>(fd) < sockets.size()) {
        change(fd, 0);
        sockets[static_cast<std::size_t>(fd)].ready = 0;
    }
}

void SlirpStack::output(std::span<const std::byte> frame) {
    if (!listener) {
        return;
    }
    if (pending.size() >= most_bytes) {
        ++lost;
        return;
    }
    pending.push(frame);
}

void SlirpStack::tell() {
    if (!pending.empty() && listener && wanted.has(Ready::read)) {
        listener->receivable(0);
    }
}

}  // namespace vmm::net

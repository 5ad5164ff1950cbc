// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <array>
#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <kvm/try.hpp>
#include <poll.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>
#include <utility>
#include <vmm/device/unix_socket.hpp>
#include <vmm/virtio/port.hpp>

namespace vmm::virtio {

namespace {

/// What files, sockets and terminals have in common: a descriptor that may be ready, once it was
/// asked for in vain.
class WaitingPort : public PortPeer {
public:
    bool connected() const final { return connected_; }
    std::size_t write(std::span<const std::byte> bytes) final {
        if (!connected_) {
            return bytes.size();
        }
        const ssize_t n = write_now(bytes);
        if (n >= 0) {
            if (static_cast<std::size_t>(n) < bytes.size()) {
                wait(Ready::write);
            }
            return static_cast<std::size_t>(n);
        }
        if (errno == EAGAIN || errno == EINTR) {
            wait(Ready::write);
            return 0;
        }
        disconnect();
        return bytes.size();
    }
    std::size_t read(std::span<std::byte> bytes) override {
        if (!connected_) {
            return 0;
        }
        const ssize_t n = ::read(fd_.number(), bytes.data(), bytes.size());
        if (n > 0) {
            return static_cast<std::size_t>(n);
        }
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            wait(Ready::read);
        } else {
            disconnect();
        }
        return 0;
    }

protected:
    WaitingPort() = default;
    virtual ssize_t write_now(std::span<const std::byte> bytes) = 0;
    /// The peer went away.
    virtual void disconnect() = 0;

    /// What was waited for has come, or never will.
    void forget_watch() {
        watch_.reset();
        wanted_ = {};
    }

    Reactor* reactor_ = nullptr;  // from start() to stop()
    std::function<void()> ready_;
    kvm::Fd fd_{-1};
    bool connected_ = false;

private:
    void wait(Ready what) {
        if (wanted_.has(what) || !reactor_) {
            return;
        }
        wanted_ |= what;
        if (watch_) {
            (void)watch_->set(wanted_);  // it fails for no descriptor that is watched
            return;
        }
        auto watch = reactor_->watch(fd_, wanted_, [this](kvm::Flags<Ready> events) {
            wanted_ = wanted_ - (events & wanted_);
            if (!(events & (Ready::hang_up | Ready::error)).empty()) {
                forget_watch();  // it would be ready for ever
            } else {
                (void)watch_->set(wanted_);
            }
            ready_();
        });
        if (watch) {
            watch_ = std::move(*watch);
        } else {
            disconnect();  // no descriptors are left to the host
        }
    }

    std::optional<Reactor::Watch> watch_;
    kvm::Flags<Ready> wanted_;
};

class FilePort final : public WaitingPort {
public:
    FilePort(kvm::Fd fd, std::string path, Log log) : path_(std::move(path)), log_(std::move(log)) {
        fd_ = std::move(fd);
        connected_ = true;
    }

    Result<void> start(Reactor& reactor, std::function<void()> ready) override {
        reactor_ = &reactor;
        retry_ = KVM_TRY(reactor.timer(ready));
        ready_ = std::move(ready);
        return {};
    }
    void stop() override {
        forget_watch();
        retry_.reset();
        reactor_ = nullptr;
    }
    std::size_t read(std::span<std::byte>) override { return 0; }

private:
    static constexpr std::chrono::seconds patience{1};

    ssize_t write_now(std::span<const std::byte> bytes) override {
        auto left = bytes;
        while (!left.empty()) {
            const ssize_t n = ::write(fd_.number(), left.data(), left.size());
            if (n < 0 && errno == EAGAIN && left.size() == bytes.size()) {
                return -1;
            }
            if (n < 0 && errno == EAGAIN) {
                break;  // a FIFO is full
            }
            if (n < 0 && errno != EINTR) {
                lose(errno);
                return static_cast<ssize_t>(bytes.size());
            }
            left = left.subspan(n < 0 ? 0 : static_cast<std::size_t>(n));
        }
        return static_cast<ssize_t>(bytes.size() - left.size());
    }
    void lose(int error) {
        if (!std::exchange(lost_, true)) {
            log_.warn("console", fail_errno(path_, error).error().message +
                                     ": what the guest writes there is lost");
        }
    }
    /// It cannot be waited for.
    void disconnect() override {
        forget_watch();
        retry_->start(patience);
    }

    std::string path_;
    Log log_;
    bool lost_ = false;  // some of it
    std::optional<Reactor::Timer> retry_;
};

class SocketPort final : public WaitingPort {
public:
    explicit SocketPort(ListeningSocket listener) : listener_(std::move(listener)) {}

    Result<void> start(Reactor& reactor, std::function<void()> ready) override {
        reactor_ = &reactor;
        ready_ = std::move(ready);
        retry_ = KVM_TRY(reactor.timer([this] { listen(); }));
        if (!connected_) {
            listen();
        }
        return {};
    }
    void stop() override {
        forget_watch();
        listening_.reset();
        retry_.reset();
        reactor_ = nullptr;
    }

private:
    static constexpr std::chrono::seconds patience{1};

    void listen() {
        auto watch =
            reactor_->watch(listener_.fd(), Ready::read, [this](kvm::Flags<Ready>) { accept(); });
        if (watch) {
            listening_ = std::move(*watch);
        } else {
            retry_->start(patience);
        }
    }
    void accept() {
        kvm::Fd fd = listener_.accept();
        if (!fd.valid() && errno == EAGAIN) {
            return;
        }
        listening_.reset();
        if (!fd.valid()) {
            retry_->start(patience);  // no descriptors are left: it would be ready for ever
            return;
        }
        fd_ = std::move(fd);
        connected_ = true;
        ready_();
    }
    ssize_t write_now(std::span<const std::byte> bytes) override {
        return ::send(fd_.number(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    void disconnect() override {
        forget_watch();
        fd_ = kvm::Fd(-1);
        connected_ = false;
        listen();
    }

    ListeningSocket listener_;
    std::optional<Reactor::Watch> listening_;
    std::optional<Reactor::Timer> retry_;
};

/// The master of a pseudo-terminal. While no program has it open it is ready for ever, so that a
/// timer looks.
class PtyPort final : public WaitingPort {
public:
    explicit PtyPort(kvm::Fd master) { fd_ = std::move(master); }

    Result<void> start(Reactor& reactor, std::function<void()> ready) override {
        reactor_ = &reactor;
        ready_ = std::move(ready);
        timer_ = KVM_TRY(reactor.timer([this] { look(); }));
        look();
        return {};
    }
    void stop() override {
        forget_watch();
        timer_.reset();
        reactor_ = nullptr;
    }

private:
    static constexpr std::chrono::milliseconds interval{200};

    void look() {
        pollfd state{fd_.number(), 0, 0};
        if (::poll(&state, 1, 0) == 0) {
            connected_ = true;
            ready_();
        } else {
            timer_->start(interval);
        }
    }
    ssize_t write_now(std::span<const std::byte> bytes) override {
        return ::write(fd_.number(), bytes.data(), bytes.size());
    }
    void disconnect() override {
        forget_watch();
        connected_ = false;
        timer_->start(interval);
    }

    std::optional<Reactor::Timer> timer_;
};

}  // namespace

Result<std::unique_ptr<PortPeer>> open_file_port(const std::string& path, Log log) {
    constexpr int mode = 0666;
    kvm::Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, mode));
    if (!fd.valid()) {
        return fail_errno(path, errno);
    }
    return std::make_unique<FilePort>(std::move(fd), path, std::move(log));
}

Result<std::unique_ptr<PortPeer>> open_socket_port(const std::string& path) {
    auto listener = KVM_TRY(ListeningSocket::create(path));
    return std::make_unique<SocketPort>(std::move(listener));
}

Result<std::unique_ptr<PortPeer>> open_pty_port(std::string& path) {
    kvm::Fd master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
    std::array<char, 64> name{};
    if (!master.valid() || ::grantpt(master.number()) != 0 || ::unlockpt(master.number()) != 0 ||
        ::ptsname_r(master.number(), name.data(), name.size()) != 0) {
        return fail_errno("a pseudo-terminal", errno);
    }
    // Opened once, or the master does not know that nobody is there.
    const kvm::Fd terminal(::open(name.data(), O_RDWR | O_NOCTTY | O_CLOEXEC));
    termios mode{};
    if (!terminal.valid() || ::tcgetattr(terminal.number(), &mode) != 0) {
        return fail_errno(name.data(), errno);
    }
    ::cfmakeraw(&mode);
    if (::tcsetattr(terminal.number(), TCSANOW, &mode) != 0) {
        return fail_errno(name.data(), errno);
    }
    path = name.data();
    return std::make_unique<PtyPort>(std::move(master));
}

}  // namespace vmm::virtio

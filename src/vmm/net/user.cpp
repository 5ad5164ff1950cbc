// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <vmm/net/user.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <kvm/try.hpp>
#include <vmm/memory/guest_copy.hpp>
#include <vmm/net/checksum.hpp>
#include <vmm/net/slirp_stack.hpp>

namespace vmm::net {

namespace {

constexpr std::size_t ethernet_header = 14;
constexpr std::size_t shortest_frame = 60;  // without the checksum; libslirp looks so far, too

std::size_t size_of(std::span<const iovec> pieces) {
    std::size_t size = 0;
    for (const iovec& piece : pieces) {
        size += piece.iov_len;
    }
    return size;
}

bool is_known_type(std::span<const std::byte> frame) {
    constexpr unsigned ip = 0x0800, arp = 0x0806, ipv6 = 0x86dd;
    const unsigned type =
        std::to_integer<unsigned>(frame[12]) << 8 | std::to_integer<unsigned>(frame[13]);
    return type == ip || type == arp || type == ipv6;
}

/// Copies as much as both hold. The pieces are the guest's memory.
class Scatter {
public:
    explicit Scatter(std::span<const iovec> pieces) : pieces_(pieces) {}
    void write(std::span<const std::byte> bytes) {
        while (!bytes.empty() && !pieces_.empty()) {
            const std::size_t n = std::min(bytes.size(), pieces_[0].iov_len - at_);
            detail::copy_to_guest(static_cast<std::byte*>(pieces_[0].iov_base) + at_, bytes.data(),
                                  n);
            bytes = bytes.subspan(n);
            written_ += n;
            at_ += n;
            if (at_ == pieces_[0].iov_len) {
                pieces_ = pieces_.subspan(1);
                at_ = 0;
            }
        }
    }
    std::size_t written() const { return written_; }

private:
    std::span<const iovec> pieces_;
    std::size_t at_ = 0;
    std::size_t written_ = 0;
};

class User final : public Backend {
public:
    User(const SlirpLibrary& library, Wires wires) : stack_(library, std::move(wires)) {}
    Result<void> create(const UserOptions& options) {
        Result<void> done;
        stack_.wires.reactor.call([&] { done = stack_.create(options); });
        return done;
    }

    std::string_view name() const override { return "user"; }
    std::uint16_t queues() const override { return 1; }
    Offloads takes() const override { return Offload::checksum | Offload::tso4 | Offload::tso6; }
    Offloads gives() const override { return Offload::checksum; }
    Link link() const override { return Link::up; }
    void listen(Listener* listener) override;
    Result<void> set_offloads(Offloads receiver) override;
    Result<void> use_queues(std::uint16_t /*count*/) override { return {}; }
    Outcome send(std::uint16_t queue, std::span<const iovec> frame) override;
    void sent() override;
    Arrival receive(std::uint16_t queue, std::span<const iovec> buffers) override;
    void want(std::uint16_t queue, kvm::Flags<Ready> events) override;

private:
    SlirpStack stack_;
};

void User::listen(Listener* listener) {
    stack_.listener = listener;
    stack_.pending.clear();
    stack_.wait();
}

Result<void> User::set_offloads(Offloads receiver) {
    stack_.checksums = receiver.has(Offload::checksum);
    return {};
}

Outcome User::send(std::uint16_t /*queue*/, std::span<const iovec> frame) {
    std::array<std::byte, sizeof(Header) + max_frame> whole;
    const std::size_t size = size_of(frame);
    if (size > whole.size() || size < sizeof(Header) + ethernet_header) {
        return Outcome::dropped;
    }
    std::size_t at = 0;
    for (const iovec& piece : frame) {
        detail::copy_from_guest(whole.data() + at, static_cast<const std::byte*>(piece.iov_base),
                                piece.iov_len);
        at += piece.iov_len;
    }
    Header header;
    std::memcpy(&header, whole.data(), sizeof header);
    const std::span<std::byte> bytes = std::span(whole).subspan(sizeof header);
    const std::size_t length = size - sizeof header;
    if (!is_known_type(bytes) || !finish_checksum(header, bytes.first(length))) {
        return Outcome::dropped;
    }
    if (length < shortest_frame) {
        std::ranges::fill(bytes.subspan(length, shortest_frame - length), std::byte{0});
    }
    stack_.input(bytes.first(std::max(length, shortest_frame)));
    return Outcome::done;
}

void User::sent() {
    stack_.wait();
    stack_.tell();
}

Arrival User::receive(std::uint16_t /*queue*/, std::span<const iovec> buffers) {
    if (stack_.pending.empty()) {
        return {Outcome::wait, 0};
    }
    Header header;
    header.flags = stack_.checksums ? Header::data_valid : std::uint8_t{0};
    Scatter scatter(buffers);
    scatter.write(std::bit_cast<std::array<std::byte, sizeof header>>(header));
    scatter.write(stack_.pending.front());
    stack_.pending.pop();
    if (stack_.pending.empty() && !stack_.waiting) {
        stack_.wait();
    }
    return {Outcome::done, scatter.written()};
}

void User::want(std::uint16_t /*queue*/, kvm::Flags<Ready> events) { stack_.wanted = events; }

}  // namespace

Result<std::unique_ptr<Backend>> create_user_network(const UserOptions& options, Wires wires) {
    KVM_TRY(check(options));
    const SlirpLibrary* const library = KVM_TRY(SlirpLibrary::get());
    auto user = std::make_unique<User>(*library, std::move(wires));
    KVM_TRY(user->create(options));
    return user;
}

}  // namespace vmm::net

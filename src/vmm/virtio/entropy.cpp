// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <cerrno>
#include <kvm/try.hpp>
#include <sys/random.h>
#include <vmm/virtio/entropy.hpp>
#include <vmm/virtio/pop.hpp>

namespace vmm::virtio {

namespace {

constexpr std::size_t budget = 16;  // requests at once

std::chrono::nanoseconds now() { return std::chrono::steady_clock::now().time_since_epoch(); }

Result<void> random_bytes(std::span<std::byte> bytes) {
    while (!bytes.empty()) {
        const ssize_t n = ::getrandom(bytes.data(), bytes.size(), 0);
        if (n < 0 && errno != EINTR) {
            return fail_errno("getrandom", errno);
        }
        bytes = bytes.subspan(n < 0 ? 0 : static_cast<std::size_t>(n));
    }
    return {};
}

}  // namespace

Result<void> Entropy::activate(Host& host, std::uint64_t) {
    host_ = &host;
    again_ = KVM_TRY(host.reactor().timer([this] { notified(0); }));
    return {};
}

void Entropy::reset() {
    again_.reset();
    host_ = nullptr;
}

Result<std::uint32_t> Entropy::fill(const Chain& chain) {
    const std::uint64_t wanted = std::min<std::uint64_t>(chain.writable_bytes(), most_bytes);
    if (wanted == 0) {
        return fail("a request without room for a byte", EINVAL);
    }
    std::array<std::byte, 4096> bytes;
    for (std::uint64_t done = 0; done < wanted;) {
        const auto part =
            std::span(bytes).first(std::min<std::uint64_t>(bytes.size(), wanted - done));
        KVM_TRY(random_bytes(part));
        KVM_TRY(write(host_->memory(), chain.writable, done, part));
        done += part.size();
    }
    return static_cast<std::uint32_t>(wanted);
}

/// False if there is nothing to do.
Result<bool> Entropy::serve_one(Queue& queue) {
    if (!KVM_TRY(pop_or_wait(queue, chain_))) {
        return false;
    }
    const std::uint32_t written = KVM_TRY(fill(chain_));
    bucket_.take(written, now());
    bytes_ += written;
    queue.push(chain_, written);
    return true;
}

void Entropy::notified(std::uint16_t index) {
    Queue* const queue = host_->queue(index);
    if (!queue) {
        return;  // it was disabled meanwhile
    }
    std::size_t served = 0;
    for (; served < budget; ++served) {
        if (const auto delay = bucket_.wait(now()); delay.count() > 0) {
            again_->start(delay);
            break;
        }
        const auto more = serve_one(*queue);
        if (!more) {
            return host_->disable(more.error().message);
        }
        if (!*more) {
            break;
        }
    }
    if (served > 0) {
        host_->interrupt(index);
    }
    if (served == budget) {
        again_->start({});
    }
}

}  // namespace vmm::virtio

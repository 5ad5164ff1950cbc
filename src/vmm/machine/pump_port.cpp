// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <kvm/try.hpp>
#include <vmm/machine/pump_port.hpp>

namespace vmm::detail {

Result<std::unique_ptr<PumpPort>> PumpPort::create(ConsolePump& pump) {
    Wake wake = KVM_TRY(Wake::create());
    return std::unique_ptr<PumpPort>(new PumpPort(pump, std::move(wake)));
}

std::size_t PumpPort::receive(std::span<const std::byte> bytes) {
    const std::lock_guard lock(mutex_);
    const std::size_t taken = std::min(bytes.size(), input_limit - input_.size());
    input_.insert(input_.end(), bytes.begin(), bytes.begin() + std::ptrdiff_t(taken));
    if (taken > 0) {
        wake_.set();
    }
    return taken;
}

Result<void> PumpPort::start(Reactor& reactor, std::function<void()> ready) {
    timer_ = KVM_TRY(reactor.timer(ready));
    watch_ = KVM_TRY(reactor.watch(kvm::FdRef(wake_.fd()), Ready::read,
                                   [this, ready = std::move(ready)](kvm::Flags<Ready>) {
                                       wake_.clear();
                                       ready();
                                   }));
    return {};
}

void PumpPort::stop() {
    watch_.reset();
    timer_.reset();
}

std::size_t PumpPort::write(std::span<const std::byte> bytes) {
    const std::size_t taken = pump_.try_transmit(bytes);
    if (taken < bytes.size()) {
        timer_->start(patience);
    }
    return taken;
}

std::size_t PumpPort::read(std::span<std::byte> bytes) {
    const std::lock_guard lock(mutex_);
    const std::size_t size = std::min(bytes.size(), input_.size());
    std::copy_n(input_.begin(), size, bytes.begin());
    input_.erase(input_.begin(), input_.begin() + std::ptrdiff_t(size));
    if (size > 0) {
        pump_.wake();  // there is room for more
    }
    return size;
}

}  // namespace vmm::detail

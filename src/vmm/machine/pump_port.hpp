// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <mutex>
#include <vector>
#include <vmm/machine/console_pump.hpp>
#include <vmm/virtio/port.hpp>

namespace vmm::detail {

/// The machine's own console as a port of a virtio console: it gets the input in the serial port's
/// place, and its output is beside that of the serial port.
class PumpPort final : public virtio::PortPeer, public ConsoleReceiver {
public:
    static Result<std::unique_ptr<PumpPort>> create(ConsolePump& pump);

    /// The event loop's: keeps a little until the guest takes it.
    std::size_t receive(std::span<const std::byte> bytes) override;

    Result<void> start(Reactor& reactor, std::function<void()> ready) override;
    void stop() override;
    bool connected() const override { return true; }
    std::size_t write(std::span<const std::byte> bytes) override;
    std::size_t read(std::span<std::byte> bytes) override;

private:
    PumpPort(ConsolePump& pump, Wake wake) : pump_(pump), wake_(std::move(wake)) {}

    static constexpr std::size_t input_limit = 4096;
    static constexpr std::chrono::milliseconds patience{10};

    ConsolePump& pump_;
    Wake wake_;  // there is input
    std::optional<Reactor::Watch> watch_;
    std::optional<Reactor::Timer> timer_;  // for room in the pump
    std::mutex mutex_;                     // of what follows
    std::vector<std::byte> input_;
};

}  // namespace vmm::detail

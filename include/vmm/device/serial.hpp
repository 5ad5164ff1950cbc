// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <array>
#include <vmm/device/bus.hpp>
#include <vmm/device/lines.hpp>

namespace vmm {

/// What is at the other end of a serial line.
class SerialPeer : public ByteSink {
public:
    /// The receiver, which had no room, has some: Serial::receive() may go on. Called by vCPU
    /// threads.
    virtual void room_to_receive() = 0;
};

/// A 16550A serial port: 8 byte registers, FIFOs of 16 bytes, as the PC16550D data sheet has them.
///
/// What is sent is sent at once, so the transmitter is always empty. Baud rate, parity and stop
/// bits are kept and mean nothing; the modem lines CTS, DSR and DCD are up. The peer is to wait
/// while there is no room to receive, which is also so until the guest listens: until it enables
/// the receive interrupt, or polls. Bytes that arrive before are lost on a real port.
class Serial final : public ByteDevice {
public:
    static constexpr std::uint64_t ports = 8;
    static constexpr std::size_t fifo_size = 16;

    Serial(InterruptLine& line, SerialPeer& peer) : line_(line), peer_(peer) {}

    /// Bytes from the peer: as many as there is room for, and returns how many. Any thread.
    std::size_t receive(std::span<const std::byte> bytes);
    /// How many bytes receive() would take now. Any thread.
    std::size_t room() const;

protected:
    std::uint8_t read_byte(std::uint64_t offset) override;
    void write_byte(std::uint64_t offset, std::uint8_t value) override;

private:
    void note_access(std::uint64_t offset);
    std::uint8_t read_register(std::uint64_t offset);
    bool write_register(std::uint64_t offset, std::uint8_t value);
    std::uint8_t read_lsr();
    std::uint8_t modem_status() const;
    void write_ier(std::uint8_t value);
    void write_fcr(std::uint8_t value);
    void write_mcr(std::uint8_t value);
    std::uint8_t interrupt_id() const;
    std::uint8_t pop();
    void push(std::uint8_t value);
    std::size_t room_locked() const;
    void update_line();
    bool fifo_enabled() const { return (fcr_ & 0x01) != 0; }

    InterruptLine& line_;
    SerialPeer& peer_;
    mutable std::mutex mutex_;  // of what follows, and of line_; never held while peer_ is called

    std::array<std::uint8_t, fifo_size> fifo_{};
    std::size_t first_ = 0;
    std::size_t count_ = 0;
    std::uint16_t divisor_ = 12;  // 9600 baud
    std::uint8_t ier_ = 0;
    std::uint8_t fcr_ = 0;
    std::uint8_t lcr_ = 0;
    std::uint8_t mcr_ = 0;
    std::uint8_t scr_ = 0;
    std::uint8_t msr_delta_ = 0;
    bool overrun_ = false;
    bool transmit_pending_ =
        false;                // the "transmitter is empty" interrupt has not been acknowledged
    bool listening_ = false;  // the guest wants input
    bool probing_ = false;    // or may be trying out which bits IER has
    unsigned polls_ = 0;      // reads of LSR with nothing in between
    kvm::Level level_ = kvm::Level::low;
};

}  // namespace vmm

// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <vmm/device/serial.hpp>

namespace vmm {

namespace {

enum Register : std::uint64_t { rbr_thr, ier, iir_fcr, lcr, mcr, lsr, msr, scr };

constexpr std::uint8_t ier_receive = 0x01, ier_transmit = 0x02, ier_line = 0x04, ier_modem = 0x08;
constexpr std::uint8_t iir_none = 0x01, iir_line = 0x06, iir_receive = 0x04, iir_timeout = 0x0c;
constexpr std::uint8_t iir_transmit = 0x02, iir_modem = 0x00, iir_fifos = 0xc0;
constexpr std::uint8_t fcr_enable = 0x01, fcr_clear_receiver = 0x02, fcr_kept = 0xc9;
constexpr std::uint8_t lcr_dlab = 0x80;
constexpr std::uint8_t mcr_dtr = 0x01, mcr_rts = 0x02, mcr_out1 = 0x04, mcr_out2 = 0x08;
constexpr std::uint8_t mcr_loop = 0x10, mcr_kept = 0x1f;
constexpr std::uint8_t lsr_ready = 0x01, lsr_overrun = 0x02, lsr_transmitter_empty = 0x60;
constexpr std::uint8_t msr_cts = 0x10, msr_dsr = 0x20, msr_ri = 0x40, msr_dcd = 0x80;
constexpr std::uint8_t msr_ri_ended = 0x04;

/// A guest that reads LSR so often in a row waits for input: the transmitter never needs waiting
/// for.
constexpr unsigned polls_to_listen = 16;

}  // namespace

std::uint8_t Serial::read_byte(std::uint64_t offset) {
    std::uint8_t value;
    bool new_room;
    {
        const std::lock_guard lock(mutex_);
        const std::size_t before = room_locked();
        value = read_register(offset);
        update_line();
        new_room = before == 0 && room_locked() > 0;
    }
    if (new_room) {
        peer_.room_to_receive();
    }
    return value;
}

void Serial::write_byte(std::uint64_t offset, std::uint8_t value) {
    bool sent;
    bool new_room;
    {
        const std::lock_guard lock(mutex_);
        const std::size_t before = room_locked();
        sent = write_register(offset, value);
        update_line();
        new_room = before == 0 && room_locked() > 0;
    }
    if (sent) {
        peer_.transmit(std::byte(value));
    }
    if (new_room) {
        peer_.room_to_receive();
    }
}

void Serial::note_access(std::uint64_t offset) {
    if (probing_ && offset != ier) {
        probing_ = false;
        listening_ = true;
    }
}

std::uint8_t Serial::read_register(std::uint64_t offset) {
    note_access(offset);
    polls_ = offset == lsr ? polls_ : 0;
    switch (offset) {
        case rbr_thr:
            return lcr_ & lcr_dlab ? static_cast<std::uint8_t>(divisor_) : pop();
        case ier:
            return lcr_ & lcr_dlab ? static_cast<std::uint8_t>(divisor_ >> 8) : ier_;
        case iir_fcr: {
            const std::uint8_t id = interrupt_id();
            if (id == iir_transmit) {
                transmit_pending_ = false;
            }
            return static_cast<std::uint8_t>(id | (fifo_enabled() ? iir_fifos : 0));
        }
        case lcr:
            return lcr_;
        case mcr:
            return mcr_;
        case lsr:
            return read_lsr();
        case msr: {
            const std::uint8_t value = modem_status() | msr_delta_;
            msr_delta_ = 0;
            return value;
        }
        case scr:
            return scr_;
        default:
            return 0xff;
    }
}

/// Returns whether `value` goes out on the line.
bool Serial::write_register(std::uint64_t offset, std::uint8_t value) {
    note_access(offset);
    polls_ = 0;
    switch (offset) {
        case rbr_thr:
            if (lcr_ & lcr_dlab) {
                divisor_ = static_cast<std::uint16_t>((divisor_ & 0xff00) | value);
                return false;
            }
            transmit_pending_ = true;
            if (mcr_ & mcr_loop) {
                push(value);
                return false;
            }
            return true;
        case ier:
            if (lcr_ & lcr_dlab) {
                divisor_ = static_cast<std::uint16_t>((divisor_ & 0x00ff) | (value << 8));
            } else {
                write_ier(value);
            }
            return false;
        case iir_fcr:
            write_fcr(value);
            return false;
        case lcr:
            lcr_ = value;
            return false;
        case mcr:
            write_mcr(value);
            return false;
        case scr:
            scr_ = value;
            return false;
        default:  // LSR and MSR are read-only
            return false;
    }
}

std::uint8_t Serial::read_lsr() {
    if (count_ == 0 && !listening_ && ++polls_ >= polls_to_listen) {
        listening_ = true;
    }
    const auto value = static_cast<std::uint8_t>(lsr_transmitter_empty | (count_ ? lsr_ready : 0) |
                                                 (overrun_ ? lsr_overrun : 0));
    overrun_ = false;
    return value;
}

/// The modem lines, without what changed: in loopback, this port's own outputs.
std::uint8_t Serial::modem_status() const {
    if (!(mcr_ & mcr_loop)) {
        return msr_cts | msr_dsr | msr_dcd;
    }
    return static_cast<std::uint8_t>(
        (mcr_ & mcr_rts ? msr_cts : 0) | (mcr_ & mcr_dtr ? msr_dsr : 0) |
        (mcr_ & mcr_out1 ? msr_ri : 0) | (mcr_ & mcr_out2 ? msr_dcd : 0));
}

void Serial::write_ier(std::uint8_t value) {
    const std::uint8_t enabled = value & ~ier_ & 0x0f;
    ier_ = value & 0x0f;
    if (enabled & ier_transmit) {
        transmit_pending_ = true;  // the transmitter is empty, as it always is
    }
    // Drivers try out IER by setting all of it and clearing it again. Who means it gets the
    // transmitter's interrupt at once, and touches another register.
    probing_ = (ier_ & ier_receive) != 0 && (enabled & ier_transmit) != 0;
    listening_ = (ier_ & ier_receive) != 0 && !probing_;
}

void Serial::write_fcr(std::uint8_t value) {
    // The data sheet has switching the FIFOs on clear them, too. The byte that waits is kept all
    // the same: Linux switches them on after it has enabled the receiver's interrupt.
    const bool off = fifo_enabled() && !(value & fcr_enable);
    if (off || value & fcr_clear_receiver) {
        count_ = 0;
        overrun_ = false;
    }
    fcr_ = value & fcr_enable ? value & fcr_kept : 0;
}

void Serial::write_mcr(std::uint8_t value) {
    const std::uint8_t before = modem_status();
    mcr_ = value & mcr_kept;
    const std::uint8_t after = modem_status();
    const std::uint8_t changed = before ^ after;
    msr_delta_ |= static_cast<std::uint8_t>((changed & ~msr_ri) >> 4);
    if (changed & before & msr_ri) {
        msr_delta_ |= msr_ri_ended;
    }
}

/// The most urgent interrupt that is pending and enabled, as IIR shows it.
std::uint8_t Serial::interrupt_id() const {
    static constexpr std::array<std::uint8_t, 4> trigger{1, 4, 8, 14};
    if (ier_ & ier_line && overrun_) {
        return iir_line;
    }
    if (ier_ & ier_receive && count_) {
        return !fifo_enabled() || count_ >= trigger[fcr_ >> 6] ? iir_receive : iir_timeout;
    }
    if (ier_ & ier_transmit && transmit_pending_) {
        return iir_transmit;
    }
    if (ier_ & ier_modem && msr_delta_) {
        return iir_modem;
    }
    return iir_none;
}

std::uint8_t Serial::pop() {
    if (count_ == 0) {
        return 0;
    }
    const std::uint8_t value = fifo_[first_];
    first_ = (first_ + 1) % fifo_size;
    --count_;
    return value;
}

void Serial::push(std::uint8_t value) {
    if (count_ == (fifo_enabled() ? fifo_size : 1)) {
        overrun_ = true;
        return;
    }
    fifo_[(first_ + count_) % fifo_size] = value;
    ++count_;
}

std::size_t Serial::room_locked() const {
    if (!listening_ || mcr_ & mcr_loop) {
        return 0;
    }
    const std::size_t size = fifo_enabled() ? fifo_size : 1;
    return size - std::min(count_, size);
}

void Serial::update_line() {
    const kvm::Level level = interrupt_id() == iir_none ? kvm::Level::low : kvm::Level::high;
    if (level != level_) {
        level_ = level;
        line_.set(level);
    }
}

std::size_t Serial::receive(std::span<const std::byte> bytes) {
    const std::lock_guard lock(mutex_);
    const std::size_t n = std::min(bytes.size(), room_locked());
    for (const std::byte byte : bytes.first(n)) {
        push(std::to_integer<std::uint8_t>(byte));
    }
    update_line();
    return n;
}

std::size_t Serial::room() const {
    const std::lock_guard lock(mutex_);
    return room_locked();
}

}  // namespace vmm

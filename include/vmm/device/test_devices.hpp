// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <array>
#include <atomic>
#include <vector>
#include <vmm/device/bus.hpp>
#include <vmm/device/lines.hpp>
#include <vmm/memory/guest_memory.hpp>

/// What kvm-unit-tests' images expect of a machine: QEMU's pc-testdev and isa-debug-exit. A guest
/// that has them can do what no guest should, so they are there only if asked for.
namespace vmm {

/// Four bytes that keep what is written, at any width: ports 0xe0 to 0xe3, and again at 0xe8.
class ScratchRegister final : public ByteDevice {
public:
    static constexpr std::uint64_t ports = 4;

protected:
    std::uint8_t read_byte(std::uint64_t offset) override;
    void write_byte(std::uint64_t offset, std::uint8_t value) override;

private:
    std::array<std::atomic<std::uint8_t>, ports> bytes_{};
};

/// Port 0xe4: the host's mapping of the page at the guest-physical address that is written changes
/// and changes back, so that KVM forgets it and must fault it in again. It stays readable and
/// writable throughout.
class PageFlush final : public BusDevice {
public:
    static constexpr std::uint64_t ports = 4;

    explicit PageFlush(const GuestMemory& memory) : memory_(memory) {}
    void read(std::uint64_t, std::span<std::byte>) override {}
    void write(std::uint64_t offset, std::span<const std::byte> data) override;

private:
    const GuestMemory& memory_;
};

/// Ports 0x2000 to 0x2017: a write to the nth sets the level of the interrupt controllers' pin n,
/// up unless it is 0.
class IrqPorts final : public BusDevice {
public:
    /// The pin of each port; they must outlive this.
    explicit IrqPorts(std::vector<InterruptLine*> lines) : lines_(std::move(lines)) {}
    std::uint64_t ports() const { return lines_.size(); }
    void read(std::uint64_t, std::span<std::byte>) override {}
    void write(std::uint64_t offset, std::span<const std::byte> data) override;

private:
    std::mutex mutex_;  // of lines_
    std::vector<InterruptLine*> lines_;
};

/// 64 KiB of memory behind exits, at 0xff000000.
class SlowMemory final : public BusDevice {
public:
    static constexpr std::uint64_t size = 0x10000;

    void read(std::uint64_t offset, std::span<std::byte> data) override;
    void write(std::uint64_t offset, std::span<const std::byte> data) override;

private:
    std::mutex mutex_;
    std::vector<std::byte> bytes_ = std::vector<std::byte>(size);
};

/// isa-debug-exit, ports 0xf4 to 0xf7: a write ends the machine.
class DebugExit final : public BusDevice {
public:
    static constexpr std::uint64_t ports = 4;

    explicit DebugExit(ExitLine& line) : line_(line) {}
    void read(std::uint64_t, std::span<std::byte>) override {}
    void write(std::uint64_t offset, std::span<const std::byte> data) override;

private:
    ExitLine& line_;
};

}  // namespace vmm

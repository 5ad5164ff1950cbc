// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <chrono>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <string>
#include <string_view>
#include <unistd.h>
#include <vmm/fake.hpp>
#include <vmm/machine/machine.hpp>
#include <vmm/machine_support.hpp>
#include <vmm/result.hpp>

/// Guests for tests of machines on any hypervisor: real-mode code at 0x1000 for KVM, and the exits
/// that this code makes for the fake.
namespace vmm::test {

using namespace std::chrono_literals;
using namespace std::string_view_literals;

/// A program both ways.
struct Guest {
    std::string_view code;
    std::vector<fake::Step> steps;
    bool endless = false;  ///< the steps again and again
};

inline fake::IoOut out(std::uint16_t port, std::string_view bytes, std::uint8_t size = 1) {
    return {kvm::Port(port), std::string(bytes), size};
}
inline fake::IoIn in(std::uint16_t port, std::string_view reply, std::uint8_t size = 1) {
    return {kvm::Port(port), size, static_cast<std::uint32_t>(reply.size() / size),
            std::string(reply)};
}

inline const Guest print_and_reset{"\xba\xf8\x03\xb0H\xee\xb0i\xee\xb0\xfe\xe6\x64\xf4"sv,
                                   {out(0x3f8, "H"), out(0x3f8, "i"), out(0x64, "\xfe")}};
inline const Guest reset_by_cf9{"\xba\xf9\x0c\xb0\x02\xee\xb0\x06\xee\xf4"sv,
                                {out(0xcf9, "\x02"), out(0xcf9, "\x06")}};
inline const Guest halt{"\xfa\xf4"sv, {fake::Halt{}}};
inline const Guest spin{"\xeb\xfe"sv, {fake::Spin{}}};
inline const Guest flood{"\xba\xf8\x03\xb0.\xee\xeb\xfd"sv, {out(0x3f8, ".")}, true};
// rep insb of 16 bytes from port 0x3fd to 0x2000, and outsb of them to 0x3f8; reset.
inline const Guest strings{
    "\xbf\x00\x20\xb9\x10\x00\xba\xfd\x03\xfc\xf3\x6c\xbe\x00\x20\xb9\x10\x00\xb2\xf8\xf3\x6e"
    "\xb0\xfe\xe6\x64\xf4"sv,
    {in(0x3fd, std::string(16, '\x60')), out(0x3f8, std::string(16, '\x60')), out(0x64, "\xfe")}};
// rep outsl of two longwords to port 0xe0, rep insw of three words from there; reads them at 0xe8,
// writes that to 0xff000000 and reads it back; sets pin 5 and looks in the PIC, which is KVM's, for
// its request; clears it. Exits with what it read, the last of the words and the request, added.
// 64-bit, at 2 MiB.
inline const Guest test_devices{
    "\x48\x8d\x35\x4e\x00\x00\x00\xba\xe0\x00\x00\x00\xb9\x02\x00\x00\x00\xfc\xf3\x6f\xbf\x00\x00\x30"
    "\x00\xb9\x03\x00\x00\x00\x66\xf3\x6d\xba\xe8\x00\x00\x00\xed\xbb\x00\x00\x00\xff\x89\x03\x8b\x33"
    "\x0f\xb7\x0c\x25\x04\x00\x30\x00\x01\xce\xba\x05\x20\x00\x00\xb0\x01\xee\xb0\x0a\xe6\x20\xe4\x20"
    "\x83\xe0\x20\x01\xc6\x31\xc0\xee\x89\xf0\xe7\xf4\xf4"
    "\x44\x33\x22\x11\x88\x77\x66\x55"sv,
    {out(0xe0, "\x44\x33\x22\x11\x88\x77\x66\x55", 4), in(0xe0, "\x88\x77\x88\x77\x88\x77", 2),
     in(0xe8, "\x88\x77\x66\x55", 4), fake::MmioWrite{kvm::Gpa(0xff000000), "\x88\x77\x66\x55"},
     fake::MmioRead{kvm::Gpa(0xff000000), 4, "\x88\x77\x66\x55"}, out(0x2005, "\x01"),
     out(0x2005, "\x00"sv), out(0xf4, "\x30\xef\x66\x55", 4)}};
// Word-wide reads of 0xffff, 0x3ff and 0x64, then a word of 0xfefe to 0x63: reset.
inline const Guest wide{"\xba\xff\xff\xed\xba\xff\x03\xed\xe5\x64\xb8\xfe\xfe\xe7\x63\xf4"sv,
                        {in(0xffff, "\xff\xff", 2), in(0x3ff, "\x00\xff"sv, 2),
                         in(0x64, "\x1c\xff", 2), out(0x63, "\xfe\xfe", 2)}};
// Reads a longword at 3 GiB, where there is nothing, writes it back; reset. 64-bit, at 2 MiB.
inline const Guest nowhere{
    "\xb8\x00\x00\x00\xc0\x8b\x18\x89\x18\xb0\xfe\xe6\x64\xf4"sv,
    {fake::MmioRead{kvm::Gpa(0xc0000000), 4, "\xff\xff\xff\xff"},
     fake::MmioWrite{kvm::Gpa(0xc0000000), "\xff\xff\xff\xff"}, out(0x64, "\xfe")}};
// Loads an empty IDT and makes an invalid opcode. 64-bit, at 2 MiB.
inline const Guest triple_fault{"\x0f\x01\x1d\x02\x00\x00\x00\x0f\x0b\0\0\0\0\0\0\0\0\0\0"sv,
                                {fake::OtherExit{kvm::ExitReason::shutdown}}};

/// `Maker` makes machines: it has a type Machine, SetUp(), and create(config, guest, console).
template <class Maker>
class OnMaker : public ::testing::Test {
protected:
    using Machine = typename Maker::Machine;

    void SetUp() override {
        if (const std::string why = maker.cannot_run(); !why.empty()) {
            GTEST_SKIP() << why;
        }
        path = ::testing::TempDir() + "kvmxx-machine-" + std::to_string(getpid());
    }
    void TearDown() override { std::filesystem::remove(path); }

    /// `guest` as a file, in real mode at 0x1000.
    MachineConfig config(const Guest& guest) {
        std::ofstream(path, std::ios::binary) << guest.code;
        MachineConfig config;
        config.boot.kernel = path;
        config.boot.format = Flat16{0, 0x1000};
        config.memory_bytes = 2 << 20;
        config.timeout = 20s;
        return config;
    }
    /// In long mode at 2 MiB.
    MachineConfig config64(const Guest& guest) {
        MachineConfig c = config(guest);
        c.boot.format = Flat64{kvm::Gpa(0x200000)};
        c.memory_bytes = 8 << 20;
        return c;
    }
    Machine machine(const Guest& guest) { return machine(guest, config(guest)); }
    Machine machine(const Guest& guest, const MachineConfig& c) {
        return must(maker.create(c, guest, console));
    }

    Maker maker;
    std::string path;
    Buffer console;
};

}  // namespace vmm::test

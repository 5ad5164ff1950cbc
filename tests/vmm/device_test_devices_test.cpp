// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <array>
#include <atomic>
#include <gtest/gtest.h>
#include <optional>
#include <thread>
#include <vmm/device/test_devices.hpp>
#include <vmm/device_fixture.hpp>
#include <vmm/result.hpp>

namespace vmm {
namespace {

using test::in;
using test::must;
using test::out;

template <class T>
void write(BusDevice& device, std::uint64_t offset, T value) {
    device.write(offset, std::as_bytes(std::span(&value, 1)));
}

template <class T>
T read(BusDevice& device, std::uint64_t offset) {
    T value = static_cast<T>(~T{0});
    device.read(offset, std::as_writable_bytes(std::span(&value, 1)));
    return value;
}

TEST(ScratchRegister, KeepsItsBytesAtEveryWidth) {
    ScratchRegister scratch;
    write(scratch, 0, 0x12345678u);
    EXPECT_EQ(read<std::uint32_t>(scratch, 0), 0x12345678u);
    EXPECT_EQ(read<std::uint16_t>(scratch, 0), 0x5678);
    EXPECT_EQ(read<std::uint16_t>(scratch, 2), 0x1234);
    EXPECT_EQ(in(scratch, 3), 0x12);
    write(scratch, 1, std::uint16_t{0xabcd});
    out(scratch, 3, 0xef);
    EXPECT_EQ(read<std::uint32_t>(scratch, 0), 0xefabcd78u);
    EXPECT_EQ(read<std::uint32_t>(scratch, 3), 0xffffffefu) << "no more than four";
}

TEST(IrqPorts, SetThePinOfTheirNumber) {
    std::array<test::TestLine, 24> lines;
    std::vector<InterruptLine*> pins;
    for (auto& line : lines) {
        pins.push_back(&line);
    }
    IrqPorts ports(pins);
    EXPECT_EQ(ports.ports(), 24u);
    write(ports, 5, 1u);
    EXPECT_TRUE(lines[5].up());
    EXPECT_EQ(lines[4].changes + lines[6].changes, 0);
    write(ports, 5, 0u);
    EXPECT_FALSE(lines[5].up());
    write(ports, 23, std::uint16_t{0x100});
    EXPECT_TRUE(lines[23].up());
    write(ports, 24, 1u);
}

TEST(SlowMemory, IsMemory) {
    SlowMemory memory;
    EXPECT_EQ(read<std::uint64_t>(memory, 0), 0u);
    write(memory, 0xfff8, 0x0123456789abcdefull);
    EXPECT_EQ(read<std::uint64_t>(memory, 0xfff8), 0x0123456789abcdefull);
    EXPECT_EQ(in(memory, 0xffff), 0x01);
    EXPECT_EQ(read<std::uint32_t>(memory, 0xffff), 0xffffff01u) << "beyond its end is nothing";
    EXPECT_EQ(read<std::uint32_t>(memory, 0x10000), 0xffffffffu);
    write(memory, 0xffff, ~0ull);
    write(memory, ~0ull, ~0ull);
}

TEST(DebugExit, GivesItsNumberOn) {
    struct Exit final : ExitLine {
        void exit(std::uint32_t value) override { last = value; }
        std::optional<std::uint32_t> last;
    } line;
    DebugExit device(line);
    out(device, 0, 3);
    EXPECT_EQ(line.last, 3u);
    write(device, 0, 0x12345u);
    EXPECT_EQ(line.last, 0x12345u);
    write(device, 2, std::uint16_t{7});
    EXPECT_EQ(line.last, 7u);
}

TEST(PageFlush, KeepsWhatThePageHoldsAndThePageWritable) {
    const GuestMemory memory = must(GuestMemory::create(std::array{Region{kvm::Gpa(0), 0x4000}}));
    must(memory.write(kvm::Gpa(0x1008), 42u));
    PageFlush flush(memory);
    write(flush, 0, 0x1234u);
    EXPECT_EQ(must(memory.read<std::uint32_t>(kvm::Gpa(0x1008))), 42u);
    must(memory.write(kvm::Gpa(0x1008), 43u));
    write(flush, 0, 0x4000u);
    write(flush, 0, 0xffffffffu);
    write(flush, 3, 0x1000u);
    EXPECT_EQ(must(memory.read<std::uint32_t>(kvm::Gpa(0x1008))), 43u);
}

TEST(PageFlush, LeavesThePageWritableForOtherThreadsMeanwhile) {
    const GuestMemory memory = must(GuestMemory::create(std::array{Region{kvm::Gpa(0), 0x4000}}));
    PageFlush flush(memory);
    std::atomic<int> flushes = 0;
    const std::jthread flusher([&] {
        while (++flushes < 30'000) {
            write(flush, 0, 0x1000u);
        }
    });
    std::uint32_t i = 0;
    while (flushes < 30'000) {
        must(memory.write(kvm::Gpa(0x1000), ++i));  // SIGSEGV if it cannot be written
    }
    EXPECT_EQ(must(memory.read<std::uint32_t>(kvm::Gpa(0x1000))), i);
}

}  // namespace
}  // namespace vmm

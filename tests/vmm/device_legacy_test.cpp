// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <array>
#include <bit>
#include <gtest/gtest.h>
#include <limits>
#include <random>
#include <vmm/device/cmos.hpp>
#include <vmm/device/i8042.hpp>
#include <vmm/device/reset_control.hpp>
#include <vmm/device_fixture.hpp>

namespace vmm {
namespace {

using test::in;
using test::out;

struct I8042Test : ::testing::Test {
    static constexpr unsigned data = 0, command = 4;
    bool has_answer() { return in(i8042, command) & 1; }

    test::TestLine line;
    test::TestReset reset;
    I8042 i8042{line, reset};
};

TEST_F(I8042Test, ResetsTheMachineByItsPulseCommand) {
    out(i8042, command, 0xff);
    EXPECT_EQ(reset.count, 0) << "no line is pulsed";
    out(i8042, command, 0xfe);
    EXPECT_EQ(reset.count, 1);
}

TEST_F(I8042Test, ResetsTheMachineByItsOutputPort) {
    out(i8042, command, 0xd1);
    out(i8042, data, 0x03);
    EXPECT_EQ(reset.count, 0);
    out(i8042, command, 0xd1);
    out(i8042, data, 0xfe);
    EXPECT_EQ(reset.count, 1);
}

TEST_F(I8042Test, IsAlwaysReadyForACommand) {
    for (unsigned c = 0; c < 256; ++c) {
        EXPECT_EQ(in(i8042, command) & 2, 0);
        out(i8042, command, c);
    }
}

TEST_F(I8042Test, PassesItsSelfTestAndHasNothingPluggedIn) {
    out(i8042, command, 0xaa);
    ASSERT_TRUE(has_answer());
    EXPECT_EQ(in(i8042, data), 0x55);
    EXPECT_FALSE(has_answer());
    out(i8042, command, 0xa9);
    EXPECT_EQ(in(i8042, data), 0x01) << "no auxiliary port";
    out(i8042, command, 0xd3);
    out(i8042, data, 0x5a);
    EXPECT_NE(in(i8042, data), 0x5a) << "no echo of it";
    out(i8042, data, 0xf2);
    EXPECT_EQ(in(i8042, command) & 0x41, 0x41) << "a time-out of the keyboard";
    EXPECT_EQ(in(i8042, data), 0xfe);
    EXPECT_EQ(in(i8042, command) & 0x41, 0);
}

TEST_F(I8042Test, RaisesItsInterruptWhileAnAnswerWaits) {
    out(i8042, command, 0xaa);
    EXPECT_FALSE(line.up()) << "not enabled";
    in(i8042, data);
    out(i8042, command, 0x60);
    out(i8042, data, 0x45);
    out(i8042, command, 0x20);
    EXPECT_TRUE(line.up());
    EXPECT_EQ(in(i8042, data), 0x45);
    EXPECT_FALSE(line.up());
}

TEST(ResetControl, ResetsWhenItsBitGoesUp) {
    test::TestReset reset;
    ResetControl control(reset);
    out(control, 0, 0x02);
    EXPECT_EQ(in(control, 0), 0x02);
    EXPECT_EQ(reset.count, 0);
    out(control, 0, 0x06);
    EXPECT_EQ(reset.count, 1);
    out(control, 0, 0x06);
    EXPECT_EQ(reset.count, 1) << "it is up already";
}

struct FixedTime final : TimeSource {
    std::time_t now() const override { return time; }
    std::time_t time = 1'000'000'000;  // 2001-09-09 01:46:40, a Sunday
};

std::uint8_t cmos_read(Cmos& cmos, unsigned index) {
    out(cmos, 0, index);
    return in(cmos, 1);
}

TEST(Cmos, TellsTheTimeInBcdAndThatItIsValid) {
    FixedTime time;
    Cmos cmos(time);
    const std::pair<unsigned, unsigned> expected[] = {
        {0, 0x40}, {2, 0x46}, {4, 0x01}, {6, 0x01}, {7, 0x09}, {8, 0x09}, {9, 0x01}, {0x32, 0x20}};
    for (const auto& [index, value] : expected) {
        EXPECT_EQ(cmos_read(cmos, index), value) << index;
        EXPECT_EQ(cmos_read(cmos, index | 0x80), value) << "bit 7 masks the NMI";
    }
    EXPECT_EQ(cmos_read(cmos, 0x0a) & 0x80, 0) << "no update is in progress";
    EXPECT_EQ(cmos_read(cmos, 0x0b), 0x02) << "24 hours, BCD";
    EXPECT_EQ(cmos_read(cmos, 0x0c), 0) << "no interrupt";
    EXPECT_EQ(cmos_read(cmos, 0x0d), 0x80) << "the battery is good";
}

TEST(Cmos, KeepsItsMemoryAndNotTheTimeThatIsWritten) {
    FixedTime time;
    Cmos cmos(time);
    for (unsigned index = 0; index < 128; ++index) {
        out(cmos, 0, index);
        out(cmos, 1, 0xa5);
    }
    EXPECT_EQ(cmos_read(cmos, 0x0e), 0xa5);
    EXPECT_EQ(cmos_read(cmos, 0x7f), 0xa5);
    EXPECT_EQ(cmos_read(cmos, 0x00), 0x40);
    EXPECT_EQ(cmos_read(cmos, 0x32), 0x20);
    EXPECT_EQ(in(cmos, 0), 0xff) << "the index cannot be read";
}

TEST(Cmos, SurvivesAnyTime) {
    FixedTime time;
    Cmos cmos(time);
    for (const std::time_t t :
         {std::time_t{0}, std::time_t{-1}, std::time_t{1} << 40,
          std::numeric_limits<std::time_t>::max(), std::numeric_limits<std::time_t>::min()}) {
        time.time = t;
        for (unsigned index = 0; index < 128; ++index) {
            cmos_read(cmos, index);
        }
    }
}

TEST(Devices, SurviveAnyAccessOfAnyWidthAtAnyOffset) {
    test::TestLine line;
    test::TestReset reset;
    test::TestPeer peer;
    FixedTime time;
    Serial serial(line, peer);
    I8042 i8042(line, reset);
    Cmos cmos(time);
    ResetControl control(reset);
    Sink sink;
    BusDevice* const devices[] = {&serial, &i8042, &cmos, &control, &sink};
    std::mt19937_64 random(1);
    for (int i = 0; i < 200'000; ++i) {
        BusDevice& device = *devices[random() % std::size(devices)];
        auto data = std::bit_cast<std::array<std::byte, 8>>(random());
        const auto part = std::span(data).first(1 + random() % 8);
        const std::uint64_t offset = random() % 4 ? random() % 10 : random();
        if (random() % 2) {
            device.write(offset, part);
        } else {
            device.read(offset, part);
        }
        if (random() % 16 == 0) {
            const std::size_t room = serial.room();
            EXPECT_EQ(serial.receive(std::as_bytes(std::span("0123456789abcdefghij", 20))), room);
        }
    }
    EXPECT_LE(serial.room(), Serial::fifo_size);
}

}  // namespace
}  // namespace vmm

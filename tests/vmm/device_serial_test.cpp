// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <gtest/gtest.h>
#include <vmm/device_fixture.hpp>

namespace vmm {
namespace {

using test::bytes;

constexpr unsigned data = 0, ier = 1, iir = 2, fcr = 2, lcr = 3, mcr = 4, lsr = 5, msr = 6, scr = 7;

class SerialTest : public ::testing::Test {
protected:
    std::uint8_t in(unsigned reg) { return test::in(serial, reg); }
    void out(unsigned reg, unsigned value) { test::out(serial, reg, value); }
    void listen() {
        out(fcr, 1);
        out(ier, 1);
    }

    test::TestLine line;
    test::TestPeer peer;
    Serial serial{line, peer};
};

TEST_F(SerialTest, SendsWhatIsWrittenAndIsAlwaysReadyForMore) {
    for (const char c : std::string("hello\n")) {
        EXPECT_EQ(in(lsr) & 0x60, 0x60);
        out(data, static_cast<unsigned char>(c));
    }
    EXPECT_EQ(peer.sent, "hello\n");
    EXPECT_FALSE(line.up());
}

TEST_F(SerialTest, ReceivesInOrderAndSaysWhenThereIsData) {
    listen();
    EXPECT_EQ(in(lsr) & 1, 0);
    EXPECT_EQ(serial.receive(bytes("abc")), 3u);
    EXPECT_TRUE(line.up());
    EXPECT_EQ(in(lsr) & 1, 1);
    EXPECT_EQ(in(data), 'a');
    EXPECT_EQ(in(data), 'b');
    EXPECT_TRUE(line.up());
    EXPECT_EQ(in(data), 'c');
    EXPECT_FALSE(line.up());
    EXPECT_EQ(in(lsr) & 1, 0);
    EXPECT_EQ(in(data), 0);
}

TEST_F(SerialTest, HoldsSixteenBytesAndAsksForTheRestWhenThereIsRoom) {
    listen();
    const std::string text = "0123456789abcdefXYZ";
    EXPECT_EQ(serial.receive(bytes(text)), 16u);
    EXPECT_EQ(serial.room(), 0u);
    const int rooms = peer.rooms;
    EXPECT_EQ(in(data), '0');
    EXPECT_EQ(peer.rooms, rooms + 1);
    EXPECT_EQ(serial.receive(bytes("XYZ")), 1u);
    EXPECT_EQ(in(lsr) & 2, 0) << "no byte was lost";
    for (const char c : text.substr(1, 16)) {
        EXPECT_EQ(in(data), c);
    }
}

TEST_F(SerialTest, HoldsOneByteWithoutFifos) {
    out(ier, 1);
    EXPECT_EQ(in(iir) & 0xc0, 0);
    EXPECT_EQ(serial.receive(bytes("ab")), 1u);
    EXPECT_EQ(in(iir), 0x04);
    EXPECT_EQ(in(data), 'a');
    EXPECT_EQ(in(iir), 0x01);
}

TEST_F(SerialTest, KeepsTheByteThatWaitsWhenTheFifosComeOn) {
    out(ier, 1);
    serial.receive(bytes("a"));
    out(fcr, 1);
    EXPECT_EQ(serial.receive(bytes("b")), 1u);
    EXPECT_EQ(in(data), 'a');
    EXPECT_EQ(in(data), 'b');
    serial.receive(bytes("c"));
    out(fcr, 3);
    EXPECT_EQ(in(lsr) & 1, 0) << "cleared on demand";
}

TEST_F(SerialTest, TakesNoInputUntilTheGuestListens) {
    out(fcr, 1);
    EXPECT_EQ(serial.receive(bytes("lost?")), 0u);
    out(ier, 1);
    EXPECT_GT(peer.rooms, 0);
    EXPECT_EQ(serial.receive(bytes("kept")), 4u);
}

TEST_F(SerialTest, TakesADriverThatTriesOutItsRegistersForNoListener) {
    out(ier, 0x0f);
    EXPECT_EQ(in(ier), 0x0f);
    EXPECT_EQ(serial.room(), 0u);
    out(ier, 0);
    in(lsr);
    EXPECT_EQ(serial.room(), 0u);
    EXPECT_EQ(peer.rooms, 0);
    out(ier, 0x0f);
    EXPECT_EQ(in(iir), 0x02) << "the transmitter's interrupt";
    EXPECT_EQ(serial.room(), 1u);
    out(ier, 0);
    EXPECT_EQ(serial.room(), 0u) << "it listens no longer";
}

TEST_F(SerialTest, TakesAGuestThatPollsForAListener) {
    for (int i = 0; i < 40 && serial.room() == 0; ++i) {
        in(lsr);
    }
    EXPECT_EQ(peer.rooms, 1);
    EXPECT_EQ(serial.receive(bytes("x")), 1u);
    EXPECT_EQ(in(lsr) & 1, 1);
    EXPECT_FALSE(line.up());
}

TEST_F(SerialTest, TakesAGuestThatOnlyPrintsForNoListener) {
    for (int i = 0; i < 100; ++i) {
        in(lsr);
        out(data, 'x');
    }
    EXPECT_EQ(serial.room(), 0u);
}

TEST_F(SerialTest, TransmitterInterruptComesWhenItIsEnabledAndAfterEachByte) {
    out(ier, 2);
    EXPECT_TRUE(line.up());
    EXPECT_EQ(in(iir), 0x02);
    EXPECT_FALSE(line.up()) << "reading IIR acknowledges it";
    EXPECT_EQ(in(iir), 0x01);
    out(data, 'x');
    EXPECT_TRUE(line.up());
    EXPECT_EQ(in(iir), 0x02);
    out(ier, 0);
    out(ier, 2);
    EXPECT_TRUE(line.up()) << "enabling it anew triggers it anew";
    out(ier, 0);
    EXPECT_FALSE(line.up());
}

TEST_F(SerialTest, ShowsTheMostUrgentInterruptFirst) {
    out(fcr, 1);
    out(mcr, 0x10);
    for (int i = 0; i < 17; ++i) {
        out(data, 'x');  // loops back, one too many
    }
    out(mcr, 0x1f);  // all modem lines change
    out(ier, 0x0f);
    EXPECT_EQ(in(iir), 0xc6) << "overrun";
    EXPECT_EQ(in(lsr) & 3, 3);
    EXPECT_EQ(in(iir), 0xc4) << "data";
    out(fcr, 3);
    EXPECT_EQ(in(iir), 0xc2) << "transmitter";
    EXPECT_EQ(in(iir), 0xc0) << "modem";
    in(msr);
    EXPECT_EQ(in(iir), 0xc1) << "none";
    EXPECT_FALSE(line.up());
}

TEST_F(SerialTest, FifoTriggerLevelTellsDataFromATimeout) {
    out(fcr, 0x81);  // 8 bytes
    out(ier, 1);
    serial.receive(bytes("1234567"));
    EXPECT_EQ(in(iir), 0xcc);
    serial.receive(bytes("8"));
    EXPECT_EQ(in(iir), 0xc4);
}

TEST_F(SerialTest, LoopbackReturnsBytesAndModemLinesAndSendsNothing) {
    out(mcr, 0x10);
    EXPECT_EQ(in(msr) & 0xf0, 0);
    out(mcr, 0x1a);  // RTS and OUT2: what Linux looks for
    EXPECT_EQ(in(msr) & 0xf0, 0x90);
    out(data, 0x55);
    EXPECT_EQ(in(lsr) & 1, 1);
    EXPECT_EQ(in(data), 0x55);
    EXPECT_EQ(peer.sent, "");
    EXPECT_EQ(serial.receive(bytes("x")), 0u);
    out(mcr, 0);
    EXPECT_EQ(in(msr) & 0xf0, 0xb0);
}

TEST_F(SerialTest, ModemStatusTellsChangesOnce) {
    out(mcr, 0x10);
    in(msr);
    out(mcr, 0x14);  // OUT1 goes up: the ring indicator; only its end counts
    EXPECT_EQ(in(msr), 0x40);
    out(mcr, 0x11);
    EXPECT_EQ(in(msr), 0x26);
    EXPECT_EQ(in(msr), 0x20);
}

TEST_F(SerialTest, DivisorHidesBehindItsBit) {
    out(lcr, 0x83);
    out(data, 0x34);
    out(ier, 0x12);
    EXPECT_EQ(in(data), 0x34);
    EXPECT_EQ(in(ier), 0x12);
    out(lcr, 0x03);
    EXPECT_EQ(in(lcr), 0x03);
    EXPECT_EQ(in(ier), 0);
    EXPECT_EQ(peer.sent, "");
}

TEST_F(SerialTest, KeepsWhatIsKeptAndNoMore) {
    out(scr, 0xa5);
    EXPECT_EQ(in(scr), 0xa5);
    out(ier, 0xff);
    EXPECT_EQ(in(ier), 0x0f);
    out(mcr, 0xff);
    EXPECT_EQ(in(mcr), 0x1f);
    out(lsr, 0xff);
    EXPECT_EQ(in(lsr) & 0x9e, 0);
    EXPECT_EQ(in(8), 0xff) << "beyond the registers";
}

}  // namespace
}  // namespace vmm

// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Exits of the other architectures: every one decodes on every host.

#include "run_page.hpp"

#include <array>

namespace kvm::test {
namespace {

TEST(ExitElsewhere, ExceptionHasNumberAndErrorCode) {
    RunPage page(1);
    page.at(0, u32{6}).at(4, u32{0x42});
    page.expect<exit::Exception>([](const exit::Exception& e) {
        EXPECT_EQ(e.exception, 6u);
        EXPECT_EQ(e.error_code, 0x42u);
    });
}

TEST(ExitElsewhere, S390SieicHasInterceptionAndInstruction) {
    RunPage page(13);
    page.at(0, u8{4}).at(2, u16{0xb202}).at(4, u32{0x1234'5678});
    page.expect<exit::S390Sieic>([](const exit::S390Sieic& e) {
        EXPECT_EQ(e.icptcode, 4);
        EXPECT_EQ(e.ipa, 0xb202);
        EXPECT_EQ(e.ipb, 0x1234'5678u);
    });
}

TEST(ExitElsewhere, S390ResetHasFlags) {
    RunPage(14).at(0, u64{0x15}).expect<exit::S390Reset>([](const exit::S390Reset& e) {
        EXPECT_EQ(e.flags, 0x15u);
    });
}

TEST(ExitElsewhere, DcrTakesAReply) {
    RunPage page(15);
    page.at(0, u32{0x12}).at(4, u32{1}).at(8, u8{1});
    page.expect<exit::Dcr>([](const exit::Dcr& e) {
        EXPECT_EQ(e.dcrn, 0x12u);
        EXPECT_EQ(e.data, 1u);
        EXPECT_TRUE(e.is_write);
        e.data = 2;
    });
    EXPECT_EQ(page.get<u32>(4), 2u);
}

TEST(ExitElsewhere, OsiHasThirtyTwoRegistersToReplyIn) {
    RunPage page(18);
    page.at(8 * 31, u64{31});
    page.expect<exit::Osi>([](const exit::Osi& e) {
        EXPECT_EQ(e.gprs[31], 31u);
        e.gprs[3] = 99;
    });
    EXPECT_EQ(page.get<u64>(24), 99u);
}

TEST(ExitElsewhere, PaprHcallHasNineArgumentsAndTakesAReply) {
    RunPage page(19);
    page.at(0, u64{0x58}).at(16, u64{1}).at(16 + 64, u64{9});
    page.expect<exit::PaprHcall>([](const exit::PaprHcall& e) {
        EXPECT_EQ(e.nr, 0x58u);
        EXPECT_EQ(e.args[0], 1u);
        EXPECT_EQ(e.args[8], 9u);
        e.ret = 0x77;
        e.args[0] = 0x88;
    });
    EXPECT_EQ(page.get<u64>(8), 0x77u);
    EXPECT_EQ(page.get<u64>(16), 0x88u);
}

TEST(ExitElsewhere, S390UcontrolHasTheFault) {
    RunPage page(20);
    page.at(0, u64{0x1000}).at(8, u32{0x10});
    page.expect<exit::S390Ucontrol>([](const exit::S390Ucontrol& e) {
        EXPECT_EQ(e.trans_exc_code, 0x1000u);
        EXPECT_EQ(e.pgm_code, 0x10u);
    });
}

TEST(ExitElsewhere, WatchdogHasNoPayload) { RunPage(21).expect<exit::Watchdog>(); }

TEST(ExitElsewhere, S390TschHasTheSubchannel) {
    RunPage page(22);
    page.at(0, u16{1}).at(2, u16{2}).at(4, u32{3}).at(8, u32{4}).at(12, u32{5}).at(16, u8{1});
    page.expect<exit::S390Tsch>([](const exit::S390Tsch& e) {
        EXPECT_EQ(e.tsch.subchannel_id, 1);
        EXPECT_EQ(e.tsch.subchannel_nr, 2);
        EXPECT_EQ(e.tsch.io_int_parm, 3u);
        EXPECT_EQ(e.tsch.io_int_word, 4u);
        EXPECT_EQ(e.tsch.ipb, 5u);
        EXPECT_EQ(e.tsch.dequeued, 1);
    });
}

TEST(ExitElsewhere, EprTakesAReply) {
    RunPage page(23);
    page.expect<exit::Epr>([](const exit::Epr& e) { e.epr = 0x1f; });
    EXPECT_EQ(page.get<u32>(0), 0x1fu);
}

TEST(ExitElsewhere, S390StsiHasWhatWasAsked) {
    RunPage page(25);
    page.at(0, u64{0x2000}).at(8, u8{1}).at(10, u8{3}).at(11, u8{2}).at(12, u16{2});
    page.expect<exit::S390Stsi>([](const exit::S390Stsi& e) {
        EXPECT_EQ(e.stsi.addr, 0x2000u);
        EXPECT_EQ(e.stsi.ar, 1);
        EXPECT_EQ(e.stsi.fc, 3);
        EXPECT_EQ(e.stsi.sel1, 2);
        EXPECT_EQ(e.stsi.sel2, 2);
    });
}

TEST(ExitElsewhere, ArmNisvHasSyndromeAndAddress) {
    RunPage page(28);
    page.at(0, u64{0x3c0}).at(8, u64{0x900'0000});
    page.expect<exit::ArmNisv>([](const exit::ArmNisv& e) {
        EXPECT_EQ(e.esr_iss, 0x3c0u);
        EXPECT_EQ(e.fault_ipa, 0x900'0000_gpa);
    });
}

TEST(ExitElsewhere, RiscvSbiHasArgumentsAndTakesAReply) {
    RunPage page(35);
    page.at(0, u64{0x10}).at(8, u64{3}).at(16, std::array<u64, 6>{1, 2, 3, 4, 5, 6});
    page.expect<exit::RiscvSbi>([](const exit::RiscvSbi& e) {
        EXPECT_EQ(e.extension_id, 0x10u);
        EXPECT_EQ(e.function_id, 3u);
        EXPECT_EQ(e.args[5], 6u);
        e.ret[0] = 0x70;
        e.ret[1] = 0x71;
    });
    EXPECT_EQ(page.get<u64>(64), 0x70u);
    EXPECT_EQ(page.get<u64>(72), 0x71u);
}

TEST(ExitElsewhere, RiscvCsrTakesAReply) {
    RunPage page(36);
    page.at(0, u64{0x15}).at(8, u64{2}).at(16, u64{3});
    page.expect<exit::RiscvCsr>([](const exit::RiscvCsr& e) {
        EXPECT_EQ(e.csr_num, 0x15u);
        EXPECT_EQ(e.new_value, 2u);
        EXPECT_EQ(e.write_mask, 3u);
        e.ret_value = 4;
    });
    EXPECT_EQ(page.get<u64>(24), 4u);
}

TEST(ExitElsewhere, LoongarchIocsrIsReadOrWritten) {
    RunPage page(38);
    page.at(0, u64{0x1420}).at(8, u32{0x55}).at(16, u32{4});
    page.expect<exit::LoongarchIocsrRead>([](const exit::LoongarchIocsrRead& e) {
        EXPECT_EQ(e.address, 0x1420u);
        ASSERT_EQ(e.data.size(), 4u);
        e.data[0] = std::byte{0x66};
    });
    EXPECT_EQ(page.get<u8>(8), 0x66);
    page.at(16, ~0u).at(20, u8{1});
    page.expect<exit::LoongarchIocsrWrite>([](const exit::LoongarchIocsrWrite& e) {
        EXPECT_EQ(e.address, 0x1420u);
        EXPECT_EQ(e.data.size(), 8u) << "a hostile length stays within the eight bytes";
        EXPECT_EQ(e.data[0], std::byte{0x66});
    });
}

TEST(ExitElsewhere, ArmSeaHasItsAddresses) {
    RunPage page(41);
    page.at(0, u64{1}).at(8, u64{0x9600'0010}).at(16, u64{0xffff'0000}).at(24, u64{0x8000});
    page.expect<exit::ArmSea>([](const exit::ArmSea& e) {
        EXPECT_TRUE(e.gpa_valid);
        EXPECT_EQ(e.esr, 0x9600'0010u);
        EXPECT_EQ(e.gva, Gva(0xffff'0000));
        EXPECT_EQ(e.gpa, 0x8000_gpa);
    });
}

TEST(ExitElsewhere, ArmLdst64bHasSyndromeAndAddress) {
    RunPage page(42);
    page.at(0, u64{0x7}).at(8, u64{0xa00'0000});
    page.expect<exit::ArmLdst64b>([](const exit::ArmLdst64b& e) {
        EXPECT_EQ(e.esr_iss, 7u);
        EXPECT_EQ(e.fault_ipa, 0xa00'0000_gpa);
    });
}

}  // namespace
}  // namespace kvm::test

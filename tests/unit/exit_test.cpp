// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Exits that x86_64 knows, decoded from a kvm_run that is filled by hand.

#include "run_page.hpp"

#include <array>

namespace kvm::test {
namespace {

TEST(Exit, UnknownHasTheHardwaresReason) {
    RunPage(0).at(0, u64{0x8000'0021}).expect<exit::Unknown>([](exit::Unknown e) {
        EXPECT_EQ(e.hardware_exit_reason, 0x8000'0021u);
    });
}

RunPage io(u8 direction, u8 size, u16 port, u32 count) {
    RunPage page(2);
    page.at(0, direction).at(1, size).at(2, port).at(4, count).at(8, u64{4096});
    return page;
}

TEST(Exit, IoOutHasPortSizeCountAndTheDataThatTheOffsetNames) {
    auto page = io(1, 2, 0x3f8, 3);
    page.put(4096, std::array<u8, 6>{1, 2, 3, 4, 5, 6});
    page.expect<exit::IoOut>([&](const exit::IoOut& e) {
        EXPECT_EQ(e.port, Port(0x3f8));
        EXPECT_EQ(e.size, 2);
        EXPECT_EQ(e.count, 3u);
        ASSERT_EQ(e.data.size(), 6u);
        EXPECT_EQ(e.data.data(), page.bytes() + 4096);
        EXPECT_EQ(e.data[5], std::byte{6});
    });
}

TEST(Exit, IoInIsRepliedToByFillingItsData) {
    auto page = io(0, 4, 0xcf8, 1);
    page.expect<exit::IoIn>([](const exit::IoIn& e) {
        EXPECT_EQ(e.port, Port(0xcf8));
        ASSERT_EQ(e.data.size(), 4u);
        e.data[3] = std::byte{0x80};
    });
    EXPECT_EQ(page.bytes()[4096 + 3], std::byte{0x80});
}

TEST(Exit, RepInsbOfFourIsNotOneInsd) {
    auto bytes = io(0, 1, 0x60, 4);
    auto word = io(0, 4, 0x60, 1);
    bytes.expect<exit::IoIn>([](const exit::IoIn& e) {
        EXPECT_EQ(e.size, 1);
        EXPECT_EQ(e.count, 4u);
        EXPECT_EQ(e.data.size(), 4u);
    });
    word.expect<exit::IoIn>([](const exit::IoIn& e) {
        EXPECT_EQ(e.size, 4);
        EXPECT_EQ(e.count, 1u);
        EXPECT_EQ(e.data.size(), 4u);
    });
}

TEST(Exit, HypercallHasItsArgumentsAndTakesAReply) {
    RunPage page(3);
    page.at(0, u64{12}).at(8, std::array<u64, 6>{1, 2, 3, 4, 5, 6}).at(64, u64{1});
    page.expect<exit::Hypercall>([](const exit::Hypercall& e) {
        EXPECT_EQ(e.nr, 12u);
        EXPECT_EQ(e.args[0], 1u);
        EXPECT_EQ(e.args[5], 6u);
        EXPECT_EQ(e.flags.bits(), 1u);
        e.ret = 0xfeed;
    });
    EXPECT_EQ(page.get<u64>(56), 0xfeedu);
}

RunPage mmio(u8 is_write, u32 len) {
    RunPage page(6);
    page.at(0, u64{0xfee0'0030}).at(8, u64{0x0807'0605'0403'0201}).at(16, len).at(20, is_write);
    return page;
}

TEST(Exit, MmioWriteHasAddressAndBytes) {
    mmio(1, 4).expect<exit::MmioWrite>([](const exit::MmioWrite& e) {
        EXPECT_EQ(e.address, 0xfee0'0030_gpa);
        ASSERT_EQ(e.data.size(), 4u);
        EXPECT_EQ(e.data[3], std::byte{4});
    });
}

TEST(Exit, MmioReadIsRepliedToByFillingItsData) {
    auto page = mmio(0, 8);
    page.expect<exit::MmioRead>([](const exit::MmioRead& e) {
        EXPECT_EQ(e.address, 0xfee0'0030_gpa);
        ASSERT_EQ(e.data.size(), 8u);
        for (std::byte& b : e.data) {
            b = std::byte{0xff};
        }
    });
    EXPECT_EQ(page.get<u64>(8), ~u64{});
}

TEST(Exit, MmioOfAHostileLengthStaysWithinItsEightBytes) {
    for (const u32 len : {9u, 4096u, ~0u}) {
        mmio(0, len).expect<exit::MmioRead>(
            [](const exit::MmioRead& e) { EXPECT_EQ(e.data.size(), 8u); });
        mmio(1, len).expect<exit::MmioWrite>(
            [](const exit::MmioWrite& e) { EXPECT_EQ(e.data.size(), 8u); });
    }
}

TEST(Exit, ReasonsWithoutAPayloadDecode) {
    RunPage(5).expect<exit::Hlt>();
    RunPage(7).expect<exit::IrqWindowOpen>();
    RunPage(8).expect<exit::Shutdown>();
    RunPage(10).expect<exit::Interrupted>();
    RunPage(16).expect<exit::Nmi>();
    RunPage(31).expect<exit::DirtyRingFull>();
    RunPage(32).expect<exit::ApResetHold>();
    RunPage(33).expect<exit::BusLock>();
}

TEST(Exit, FailEntryHasReasonAndCpu) {
    RunPage page(9);
    page.at(0, u64{0x8000'0021}).at(8, u32{7});
    page.expect<exit::FailEntry>([](const exit::FailEntry& e) {
        EXPECT_EQ(e.hardware_entry_failure_reason, 0x8000'0021u);
        EXPECT_EQ(e.cpu, 7u);
    });
}

TEST(Exit, SetTprHasCr8WhichLiesBeforeTheUnion) {
    RunPage(11).put(16, u64{9}).expect<exit::SetTpr>([](const exit::SetTpr& e) {
        EXPECT_EQ(e.cr8, 9u);
    });
}

TEST(Exit, TprAccessHasRipAndDirection) {
    RunPage page(12);
    page.at(0, u64{0xffff'8000'0000'0000}).at(8, u32{1});
    page.expect<exit::TprAccess>([](const exit::TprAccess& e) {
        EXPECT_EQ(e.rip, Gva(0xffff'8000'0000'0000));
        EXPECT_TRUE(e.is_write);
    });
}

TEST(Exit, InternalErrorHasItsWords) {
    RunPage page(17);
    page.at(0, u32{3}).at(4, u32{2}).at(8, u64{0xaa}).at(16, u64{0xbb});
    page.expect<exit::InternalError>([](const exit::InternalError& e) {
        EXPECT_EQ(e.suberror, exit::InternalErrorKind::delivery_ev);
        ASSERT_EQ(e.data.size(), 2u);
        EXPECT_EQ(e.data[1], 0xbbu);
        EXPECT_TRUE(e.insn.empty());
    });
}

RunPage emulation_failure(u32 ndata, u64 flags, u8 size) {
    RunPage page(17);
    page.at(0, u32{1}).at(4, ndata).at(8, flags).at(16, size).at(17, u8{0x0f}).at(18, u8{0xae});
    return page;
}

TEST(Exit, EmulationFailureHasTheInstructionsBytes) {
    emulation_failure(4, 1, 2).expect<exit::InternalError>([](const exit::InternalError& e) {
        EXPECT_EQ(e.suberror, exit::InternalErrorKind::emulation);
        ASSERT_EQ(e.insn.size(), 2u);
        EXPECT_EQ(e.insn[0], 0x0f);
        EXPECT_EQ(e.insn[1], 0xae);
    });
}

TEST(Exit, EmulationFailureHasNoBytesWhereTheKernelGaveNone) {
    const auto none = [](const exit::InternalError& e) { EXPECT_TRUE(e.insn.empty()); };
    emulation_failure(4, 0, 2).expect<exit::InternalError>(none);  // not flagged
    emulation_failure(1, 1, 2).expect<exit::InternalError>(none);  // too few words to hold them
    emulation_failure(0, 1, 2).expect<exit::InternalError>(none);
}

TEST(Exit, InternalErrorOfHostileCountsStaysInBounds) {
    emulation_failure(~0u, 1, 255).expect<exit::InternalError>([](const exit::InternalError& e) {
        EXPECT_EQ(e.data.size(), 16u);
        EXPECT_EQ(e.insn.size(), 15u);
    });
}

TEST(Exit, SystemEventHasTypeAndWords) {
    RunPage page(24);
    page.at(0, u32{2}).at(4, u32{1}).at(8, u64{77});
    page.expect<exit::SystemEvent>([](const exit::SystemEvent& e) {
        EXPECT_EQ(e.type, exit::SystemEventType::reset);
        ASSERT_EQ(e.data.size(), 1u);
        EXPECT_EQ(e.data[0], 77u);
    });
    page.at(4, ~0u).expect<exit::SystemEvent>(
        [](const exit::SystemEvent& e) { EXPECT_EQ(e.data.size(), 16u); });
}

TEST(Exit, IoapicEoiHasTheVector) {
    RunPage(26).at(0, u8{0x31}).expect<exit::IoapicEoi>([](const exit::IoapicEoi& e) {
        EXPECT_EQ(e.vector, 0x31);
    });
}

TEST(Exit, HypervHasTheThreeKindsAndTakesAReply) {
    RunPage synic(27);
    synic.at(0, u32{1}).at(8, u32{0x4000'0080}).at(16, u64{1}).at(24, u64{2}).at(32, u64{3});
    synic.expect<exit::Hyperv>([](const exit::Hyperv& e) {
        EXPECT_EQ(e.hyperv.type, HypervExitType::synic);
        EXPECT_EQ(e.hyperv.u.synic.msr, 0x4000'0080u);
        EXPECT_EQ(e.hyperv.u.synic.control, 1u);
        EXPECT_EQ(e.hyperv.u.synic.evt_page, 2u);
        EXPECT_EQ(e.hyperv.u.synic.msg_page, 3u);
    });
    RunPage hcall(27);
    hcall.at(0, u32{2}).at(8, u64{0x5c}).at(24, u64{10}).at(32, u64{11});
    hcall.expect<exit::Hyperv>([](const exit::Hyperv& e) {
        EXPECT_EQ(e.hyperv.u.hcall.input, 0x5cu);
        EXPECT_EQ(e.hyperv.u.hcall.params[1], 11u);
        e.hyperv.u.hcall.result = 5;
    });
    EXPECT_EQ(hcall.get<u64>(16), 5u);
    RunPage syndbg(27);
    syndbg.at(0, u32{3}).at(8, u32{0x4000'00f1}).at(24, u64{4}).at(48, u64{7});
    syndbg.expect<exit::Hyperv>([](const exit::Hyperv& e) {
        EXPECT_EQ(e.hyperv.u.syndbg.msr, 0x4000'00f1u);
        EXPECT_EQ(e.hyperv.u.syndbg.status, 4u);
        EXPECT_EQ(e.hyperv.u.syndbg.pending_page, 7u);
    });
}

TEST(Exit, RdmsrTakesAValueOrAnError) {
    RunPage page(29);
    page.at(8, u32{2}).at(12, u32{0xc000'0080});
    page.expect<exit::Rdmsr>([](const exit::Rdmsr& e) {
        EXPECT_EQ(e.index, 0xc000'0080u);
        EXPECT_EQ(e.reason, MsrExitReason::unknown);
        e.data = 0xd01;
        e.error = 1;
    });
    EXPECT_EQ(page.get<u64>(16), 0xd01u);
    EXPECT_EQ(page.get<u8>(0), 1);
}

TEST(Exit, WrmsrHasTheValueAndTakesAnError) {
    RunPage page(30);
    page.at(8, u32{4}).at(12, u32{0x10}).at(16, u64{0x1234});
    page.expect<exit::Wrmsr>([](const exit::Wrmsr& e) {
        EXPECT_EQ(e.index, 0x10u);
        EXPECT_EQ(e.reason, MsrExitReason::filter);
        EXPECT_EQ(e.data, 0x1234u);
        e.error = 1;
    });
    EXPECT_EQ(page.get<u8>(0), 1);
}

TEST(Exit, XenHasTheHypercallAndTakesAReply) {
    RunPage page(34);
    page.at(0, u32{1})
        .at(8, u32{1})
        .at(12, u32{3})
        .at(16, u64{29})
        .at(32, u64{100})
        .at(72, u64{105});
    page.expect<exit::Xen>([](const exit::Xen& e) {
        EXPECT_EQ(e.xen.type, XenExitType::hcall);
        EXPECT_EQ(e.xen.u.hcall.longmode, 1u);
        EXPECT_EQ(e.xen.u.hcall.cpl, 3u);
        EXPECT_EQ(e.xen.u.hcall.input, 29u);
        EXPECT_EQ(e.xen.u.hcall.params[0], 100u);
        EXPECT_EQ(e.xen.u.hcall.params[5], 105u);
        e.xen.u.hcall.result = 38;
    });
    EXPECT_EQ(page.get<u64>(24), 38u);
}

TEST(Exit, NotifyTellsWhetherTheContextIsGood) {
    RunPage(37).at(0, u32{1}).expect<exit::Notify>(
        [](const exit::Notify& e) { EXPECT_TRUE(e.context_invalid); });
    RunPage(37).at(0, u32{2}).expect<exit::Notify>(
        [](const exit::Notify& e) { EXPECT_FALSE(e.context_invalid); });
}

TEST(Exit, MemoryFaultHasFlagsAddressAndSize) {
    RunPage page(39);
    page.at(0, u64{8 | 1 << 20}).at(8, u64{0x1000}).at(16, u64{0x2000});
    page.expect<exit::MemoryFault>([](const exit::MemoryFault& e) {
        EXPECT_TRUE(e.flags.has(MemoryAttribute::private_memory));
        EXPECT_EQ(e.flags.bits(), u64{8 | 1 << 20}) << "bits without a name are kept";
        EXPECT_EQ(e.gpa, 0x1000_gpa);
        EXPECT_EQ(e.size, 0x2000u);
    });
}

TEST(Exit, TdxHasTheCallAndTakesAReply) {
    RunPage page(40);
    page.at(8, u64{0x10002}).at(24, u64{0xabc0'0000}).at(32, u64{8192});
    page.expect<exit::Tdx>([](const exit::Tdx& e) {
        EXPECT_EQ(e.tdx.nr, 0x10002u);
        EXPECT_EQ(e.tdx.get_quote.gpa, 0xabc0'0000u);
        EXPECT_EQ(e.tdx.get_quote.size, 8192u);
        e.tdx.get_quote.ret = 3;
    });
    EXPECT_EQ(page.get<u64>(16), 3u);
    page.at(24, std::array<u64, 5>{9, 8, 7, 6, 5});
    page.expect<exit::Tdx>([](const exit::Tdx& e) {
        EXPECT_EQ(e.tdx.get_tdvmcall_info.leaf, 9u);
        EXPECT_EQ(e.tdx.get_tdvmcall_info.r14, 5u);
        EXPECT_EQ(e.tdx.setup_event_notify.vector, 9u);
        EXPECT_EQ(e.tdx.unknown.data[4], 5u);
    });
}

TEST(Exit, SnpReqCertsTakesPagesAndAReply) {
    RunPage page(43);
    page.at(0, u64{0x7000}).at(8, u64{2});
    page.expect<exit::SnpReqCerts>([](const exit::SnpReqCerts& e) {
        EXPECT_EQ(e.gpa, 0x7000_gpa);
        EXPECT_EQ(e.npages, 2u);
        e.npages = 5;
        e.ret = 28;
    });
    EXPECT_EQ(page.get<u64>(8), 5u);
    EXPECT_EQ(page.get<u64>(16), 28u);
}

}  // namespace
}  // namespace kvm::test

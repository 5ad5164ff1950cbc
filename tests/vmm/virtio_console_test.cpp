// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <vmm/virtio_console.hpp>

namespace vmm::test {
namespace {

namespace feature = virtio::feature;
using namespace std::chrono_literals;

TEST_F(VirtioConsole, ASinglePortCarriesBytesBothWays) {
    start(*single);
    EXPECT_EQ(transport().queue_count(), 2);
    EXPECT_TRUE(send(tx, "hello"));
    EXPECT_EQ(a->sent, "hello");
    say(*a, "early");
    give(rx, 3);
    EXPECT_EQ(hear(rx), "ear");
    give(rx, 16, 2);
    EXPECT_EQ(hear(rx), "ly");
    EXPECT_EQ(hear(rx), "");
    say(*a, "later");
    EXPECT_EQ(hear(rx), "later");
    EXPECT_GE(interrupts[rx], 2);
}

TEST_F(VirtioConsole, ASinglePortsSizeIsToldAtOnceAsLinuxReadsItOnlyThen) {
    start(*single);
    EXPECT_EQ(config_interrupts, 1);
    EXPECT_EQ(read_config<std::uint16_t>(0), 80);
    EXPECT_EQ(read_config<std::uint16_t>(2), 25);
    reactor->call([&] { single->resize({132, 50}); });
    EXPECT_EQ(config_interrupts, 2);
    EXPECT_EQ(read_config<std::uint16_t>(0), 132);
}

TEST_F(VirtioConsole, AFullPeerHasTheGuestWaitAndLosesNothing) {
    a->room = 5000;
    start(*single);
    const std::string text(9000, 'x');
    ASSERT_TRUE(queue(tx).offer({put(text)}, {}));
    ASSERT_TRUE(queue(tx).offer({put("end")}, {}));
    notify(tx);
    EXPECT_EQ(a->sent.size(), 5000u);
    EXPECT_FALSE(queue(tx).take());
    const int calls = a->calls;
    settle();
    EXPECT_EQ(a->calls, calls) << "it waits until it is told";
    reactor->call([&] {
        a->room = ~std::size_t(0);
        a->ready();
    });
    EXPECT_TRUE(queue(tx).take());
    EXPECT_TRUE(queue(tx).take());
    EXPECT_EQ(a->sent, text + "end");
}

TEST_F(VirtioConsole, AGuestThatDoesNotReadKeepsNothingInTheHost) {
    start(*single);
    say(*a, std::string(100'000, 'y'));
    EXPECT_EQ(a->to_say.size(), 100'000u) << "nothing is read that has no place";
    std::size_t heard = 0;
    while (heard < 100'000) {
        give(rx, 4096, 20);
        std::string text;
        while (!(text = hear(rx)).empty()) {
            heard += text.size();
        }
    }
    EXPECT_EQ(heard, 100'000u);
}

TEST_F(VirtioConsole, IntroducesItsPorts) {
    start(*two);
    EXPECT_EQ(read_config<std::uint16_t>(0), 80);
    EXPECT_EQ(read_config<std::uint16_t>(2), 25);
    EXPECT_EQ(read_config<std::uint32_t>(4), 2u);
    EXPECT_EQ(transport().queue_count(), 6);
    give(control_rx, 64, 20);
    EXPECT_TRUE(controls().empty()) << "not before it is asked";
    ASSERT_TRUE(control({0, device_ready, 1}));
    auto heard = controls();
    EXPECT_EQ(heard, (std::vector<Heard>{{0, port_add, 1, ""}, {1, port_add, 1, ""}}));
    ASSERT_TRUE(control({0, port_ready, 1}));
    heard = controls();
    EXPECT_EQ(heard, (std::vector<Heard>{{0, console_port, 1, ""},
                                         {0, resize_event, 1, {25, 0, 80, 0}},
                                         {0, port_open, 1, ""}}));
    ASSERT_TRUE(control({1, port_ready, 1}));
    EXPECT_EQ(controls(),
              (std::vector<Heard>{{1, port_name, 1, "org.example.agent"}, {1, port_open, 1, ""}}));
    EXPECT_EQ(config_interrupts, 0);
    reactor->call([&] { two->resize({132, 50}); });
    EXPECT_EQ(controls(), (std::vector<Heard>{{0, resize_event, 1, {50, 0, char(132), 0}}}));
    EXPECT_EQ(read_config<std::uint16_t>(0), 132);
    EXPECT_EQ(config_interrupts, 1);
    reactor->call([&] { two->resize({132, 50}); });
    EXPECT_TRUE(controls().empty()) << "it is the same";
}

TEST_F(VirtioConsole, PortsDoNotMix) {
    meet();
    EXPECT_TRUE(send(tx, "console"));
    EXPECT_TRUE(send(tx1, "agent"));
    EXPECT_EQ(a->sent, "console");
    EXPECT_EQ(b->sent, "agent");
    give(rx, 64, 2);
    give(rx1, 64, 2);
    say(*b, "to the agent");
    EXPECT_EQ(hear(rx1), "to the agent");
    EXPECT_EQ(hear(rx), "");
    a->room = 0;
    ASSERT_TRUE(queue(tx).offer({put("stuck")}, {}));
    notify(tx);
    EXPECT_TRUE(send(tx1, " goes on")) << "one that is full does not hold up the other";
    EXPECT_EQ(b->sent, "agent goes on");
}

TEST_F(VirtioConsole, TellsWhenAPeerComesAndGoes) {
    b->there = false;
    meet();
    (void)controls();
    reactor->call([&] {
        b->there = true;
        b->ready();
    });
    EXPECT_EQ(controls(), (std::vector<Heard>{{1, port_open, 1, ""}}));
    reactor->call([&] {
        b->there = false;
        b->ready();
    });
    EXPECT_EQ(controls(), (std::vector<Heard>{{1, port_open, 0, ""}}));
}

TEST_F(VirtioConsole, APortThatTheGuestHasNotOpenedGetsNothing) {
    meet();
    ASSERT_TRUE(control({1, port_open, 0}));
    give(rx1, 64, 2);
    say(*b, "anybody?");
    EXPECT_EQ(hear(rx1), "");
    ASSERT_TRUE(control({1, port_open, 1}));
    settle();
    EXPECT_EQ(hear(rx1), "anybody?");
}

TEST_F(VirtioConsole, ADriverWithoutPortsHasTheFirst) {
    start(*two, feature::rings);
    EXPECT_TRUE(send(tx, "plain"));
    EXPECT_EQ(a->sent, "plain");
    EXPECT_FALSE(b->ready) << "nobody serves it";
}

TEST_F(VirtioConsole, RefusesBuffersThatAreNone) {
    const auto lie = [&](std::uint16_t index, std::vector<Buffer> readable,
                         std::vector<Buffer> writable) {
        meet();
        EXPECT_FALSE(broken()) << complaint();
        a->to_say = b->to_say = "something";
        EXPECT_TRUE(queue(index).offer(readable, writable));
        notify(index);
        const bool was = broken();
        given_.clear();
        a->to_say.clear();
        b->to_say.clear();
        return was;
    };
    EXPECT_TRUE(lie(tx, {{hole, 10}}, {}));
    EXPECT_TRUE(lie(tx1, {{hole + (std::uint64_t(0) - 5), 10}}, {}));
    EXPECT_TRUE(lie(rx, {}, {{hole, 10}}));
    EXPECT_TRUE(lie(rx, {}, {{rom, 10}}));
    EXPECT_TRUE(lie(rx, {}, {{kvm::Gpa(0x1000), 0}}));
    EXPECT_TRUE(lie(rx1, {put("wrong direction")}, {}));
    EXPECT_TRUE(lie(control_tx, {put("1234567")}, {})) << "cut short";
    EXPECT_TRUE(lie(control_tx, {}, {room(8)}));
    EXPECT_TRUE(lie(control_tx, {{hole, 8}}, {}));
    const Control nowhere{2, port_ready, 1};
    EXPECT_TRUE(lie(control_tx, {put(std::as_bytes(std::span(&nowhere, 1)))}, {}));
    EXPECT_FALSE(lie(tx, {{kvm::Gpa(0x1000), 0}}, {})) << "nothing is said by nothing";
    EXPECT_TRUE(lie(tx, {{kvm::Gpa(0x1000), 0xffffffff}}, {})) << "4 GiB reach beyond memory";

    start(*two);
    EXPECT_TRUE(queue(control_rx).offer({}, {room(7)}));
    notify(control_rx);
    EXPECT_FALSE(control({0, device_ready, 1})) << "no room for a message";
    EXPECT_TRUE(broken());
    EXPECT_TRUE(complaint().starts_with("console: disabled")) << complaint();
}

TEST_F(VirtioConsole, AFloodIsServedInParts) {
    meet();
    // The same megabytes, many times: more than it does in one turn, and no more than it may.
    const Buffer much{kvm::Gpa(0x100000), 4 << 20};
    for (int i = 0; i < 8; ++i) {
        ASSERT_TRUE(queue(tx).offer({much}, {}));
    }
    transport().notify(tx);
    reactor->turn(0ms);
    EXPECT_LE(a->sent.size(), std::size_t(1) << 20);
    EXPECT_TRUE(send(tx1, "me too")) << "the others have their turn";
    for (int i = 0; i < 8; ++i) {
        EXPECT_TRUE(wait_used(tx)) << i;
        a->sent.clear();
    }
    for (int i = 0; i < 1000; ++i) {
        ASSERT_TRUE(control({0, device_ready, 1}));
        ASSERT_TRUE(control({1, port_ready, 1}));
    }
    EXPECT_LE(controls().size(), 40u) << "what is not taken is said once";
}

TEST_F(VirtioConsole, ItsConfigurationCannotBeWritten) {
    start(*two);
    write_config(0, std::uint64_t(~0));
    write_config(0xfffffffffffffff8, std::uint64_t(~0));
    EXPECT_EQ(read_config<std::uint16_t>(0), 80);
    EXPECT_EQ(read_config<std::uint64_t>(0xfffffffffffffff8), 0u);
}

TEST_F(VirtioConsole, GoesOnElsewhere) {
    a->room = 3;
    meet();
    (void)controls();
    ASSERT_TRUE(queue(tx).offer({put("abcdef")}, {}));
    notify(tx);
    EXPECT_EQ(a->sent, "abc");
    const auto state = must(transport().save());
    auto c = std::make_shared<State>(), d = std::make_shared<State>();
    d->there = false;
    const auto other = make({{"", c}, {"org.example.agent", d}});
    given_[rx1].clear();
    resume(*other, state);
    EXPECT_EQ(c->sent, "def") << "where it was";
    EXPECT_EQ(controls(), (std::vector<Heard>{{1, port_open, 0, ""}})) << "nobody is there now";
    d->there = true;
    give(rx1, 64);
    say(*d, "open as it was");
    EXPECT_EQ(hear(rx1), "open as it was");
    EXPECT_EQ(code(other->restore(bytes("abc"))), EINVAL);
    stop();
}

}  // namespace
}  // namespace vmm::test

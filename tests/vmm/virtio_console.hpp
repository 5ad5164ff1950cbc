// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <deque>
#include <map>
#include <vmm/virtio/console.hpp>
#include <vmm/virtio_fixture.hpp>

namespace vmm::test {

using virtio::Buffer;
using virtio::Console;
using virtio::ConsolePort;
using virtio::ConsoleSize;
using virtio::PortPeer;

inline constexpr std::uint16_t rx = 0, tx = 1, control_rx = 2, control_tx = 3, rx1 = 4, tx1 = 5;
inline constexpr std::uint16_t device_ready = 0, port_add = 1, port_ready = 3, console_port = 4,
                               resize_event = 5, port_open = 6, port_name = 7;

struct Control {
    std::uint32_t id;
    std::uint16_t event;
    std::uint16_t value;
};

/// A peer that is a pair of strings.
class TestPort final : public PortPeer {
public:
    struct State {
        std::string sent, to_say;
        std::size_t room = ~std::size_t(0);
        bool there = true;
        std::function<void()> ready;
        int calls = 0;
    };
    explicit TestPort(std::shared_ptr<State> state) : state_(std::move(state)) {}

    Result<void> start(Reactor&, std::function<void()> ready) override {
        state_->ready = std::move(ready);
        return {};
    }
    void stop() override { state_->ready = {}; }
    bool connected() const override { return state_->there; }
    std::size_t write(std::span<const std::byte> bytes) override {
        ++state_->calls;
        const std::size_t n = std::min(bytes.size(), state_->room);
        state_->sent.append(reinterpret_cast<const char*>(bytes.data()), n);
        state_->room -= n;
        return n;
    }
    std::size_t read(std::span<std::byte> bytes) override {
        const std::size_t n = std::min(bytes.size(), state_->to_say.size());
        std::memcpy(bytes.data(), state_->to_say.data(), n);
        state_->to_say.erase(0, n);
        return n;
    }

private:
    std::shared_ptr<State> state_;
};

class VirtioConsole : public VirtioDeviceTest {
protected:
    using State = TestPort::State;
    static std::unique_ptr<Console> make(
        std::initializer_list<std::pair<std::string, std::shared_ptr<State>>> ports) {
        std::vector<ConsolePort> list;
        for (const auto& [name, state] : ports) {
            list.push_back({name, std::make_unique<TestPort>(state)});
        }
        return std::make_unique<Console>(std::move(list), ConsoleSize{80, 25});
    }
    void TearDown() override {
        VirtioDeviceTest::TearDown();
        single.reset();
        two.reset();
    }
    void say(State& state, std::string text) {
        reactor->call([&] {
            state.to_say += text;
            if (state.ready) {
                state.ready();
            }
        });
    }
    /// What the device says to a buffer of a receive queue; empty if it says nothing.
    std::string hear(std::uint16_t index) {
        const auto used = queue(index).take();
        if (!used) {
            return "";
        }
        auto& buffer = given_[index].front();
        const auto data = get(buffer);
        given_[index].pop_front();
        return {reinterpret_cast<const char*>(data.data()), used->length};
    }
    void give(std::uint16_t index, std::size_t size = 256, int count = 1) {
        for (int i = 0; i < count; ++i) {
            const Buffer buffer = room(size);
            EXPECT_TRUE(queue(index).offer({}, {buffer}));
            given_[index].push_back(buffer);
        }
        notify(index);
    }
    bool send(std::uint16_t index, std::string_view text) {
        return request(index, bytes(text), 0).has_value();
    }
    bool control(Control message) {
        return request(control_tx, std::as_bytes(std::span(&message, 1)), 0).has_value();
    }
    struct Heard {
        std::uint32_t id;
        int event;
        int value;
        std::string more;
        friend bool operator==(const Heard&, const Heard&) = default;
    };
    std::vector<Heard> controls() {
        std::vector<Heard> list;
        for (;;) {
            const std::string text = hear(control_rx);
            if (text.size() < sizeof(Control)) {
                return list;
            }
            Control c{};
            std::memcpy(&c, text.data(), sizeof c);
            list.push_back({c.id, c.event, c.value, text.substr(sizeof c)});
        }
    }
    /// As Linux does when it finds the device.
    void meet() {
        start(*two);
        give(control_rx, 64, 20);
        EXPECT_TRUE(control({0, device_ready, 1}));
        EXPECT_TRUE(control({0, port_ready, 1}));
        EXPECT_TRUE(control({1, port_ready, 1}));
        EXPECT_TRUE(control({0, port_open, 1}));
        EXPECT_TRUE(control({1, port_open, 1}));
    }

    std::shared_ptr<State> a = std::make_shared<State>(), b = std::make_shared<State>();
    std::unique_ptr<Console> single = make({{"", a}});
    std::unique_ptr<Console> two = make({{"", a}, {"org.example.agent", b}});
    std::map<std::uint16_t, std::deque<Buffer>> given_;
};

}  // namespace vmm::test

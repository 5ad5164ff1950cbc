// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "virtio_device.hpp"

#include <vmm/virtio/console.hpp>

namespace {

/// A peer that the input moves.
class Port final : public vmm::virtio::PortPeer {
public:
    vmm::Result<void> start(vmm::Reactor&, std::function<void()> ready) override {
        ready_ = std::move(ready);
        return {};
    }
    void stop() override { ready_ = {}; }
    bool connected() const override { return there; }
    std::size_t write(std::span<const std::byte> bytes) override {
        const std::size_t n = std::min(bytes.size(), room);
        room -= n;
        return n;
    }
    std::size_t read(std::span<std::byte> bytes) override {
        const std::size_t n = std::min(bytes.size(), to_say);
        to_say -= n;
        return n;
    }
    void move(vmm::fuzz::Records& input) {
        there = input.next<std::uint8_t>() & 1;
        room = input.next<std::uint16_t>();
        to_say = input.next<std::uint16_t>();
        if (ready_) {
            ready_();
        }
    }

private:
    bool there = true;
    std::size_t room = 1000, to_say = 1000;
    std::function<void()> ready_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace vmm;
    static std::array<Port*, 2> ports{};
    const auto make = [] {
        std::vector<virtio::ConsolePort> list;
        for (Port*& port : ports) {
            auto made = std::make_unique<Port>();
            port = made.get();
            list.push_back({list.empty() ? "" : "name", std::move(made)});
        }
        return std::make_unique<virtio::Console>(std::move(list));
    };
    return fuzz::run(std::as_bytes(std::span(data, size)), make,
                     [](virtio::Console& console, fuzz::Records& input) {
                         const auto what = input.next<std::uint8_t>();
                         if (what & 2) {
                             console.resize({what, what});
                         } else {
                             ports[what & 1]->move(input);
                         }
                     });
}

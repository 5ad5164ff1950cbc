// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <fmt/format.h>
#include <vmm/virtio/serve.hpp>
#include <vmm/virtio_fixture.hpp>

namespace vmm::test {
namespace {

using namespace virtio;
using namespace kvm::literals;

/// Answers each request with its own bytes, last first.
class Reverser final : public Device {
public:
    DeviceType type() const override { return DeviceType::console; }
    std::string_view name() const override { return "reverser"; }
    std::uint64_t features() const override { return feature::rings; }
    std::span<const std::uint16_t> queue_sizes() const override { return sizes; }
    void read_config(std::uint64_t, std::span<std::byte>) const override {}
    Result<void> activate(Host& host, std::uint64_t) override {
        host_ = &host;
        return {};
    }
    void notified(std::uint16_t index) override {
        serve(*host_, index, chain_, budget,
              [&](const Chain& chain) -> Result<std::optional<std::uint32_t>> {
                  std::vector<std::byte> data(chain.readable_bytes());
                  if (auto done = read(host_->memory(), chain.readable, 0, data); !done) {
                      return std::unexpected(done.error());
                  }
                  std::reverse(data.begin(), data.end());
                  if (auto done = write(host_->memory(), chain.writable, 0, data); !done) {
                      return std::unexpected(done.error());
                  }
                  return static_cast<std::uint32_t>(data.size());
              });
    }
    void reset() override { host_ = nullptr; }

    std::array<std::uint16_t, 2> sizes{256, 16};
    std::size_t budget = 1000;

private:
    Host* host_ = nullptr;
    Chain chain_;
};

class VirtioServe : public VirtioDeviceTest {
protected:
    Reverser device;
};

TEST_F(VirtioServe, answers_a_request) {
    for (const std::uint64_t features : {std::uint64_t(0), feature::rings}) {
        start(device, features);
        for (int i = 0; i < 1000; ++i) {
            const auto reply = request(0, bytes("hello"), 8);
            ASSERT_TRUE(reply) << complaint();
            ASSERT_EQ(reply->text(), "olleh");
        }
        EXPECT_EQ(interrupts[0], 1000);
        interrupts.clear();
    }
}

TEST_F(VirtioServe, disables_a_device_whose_driver_lies_until_it_is_reset) {
    start(device);
    start(device, 0);
    ASSERT_TRUE(queue(0).offer({put("hello")}, {room(8)}));
    queue(0).set_available_index(300);
    notify(0);
    EXPECT_TRUE(broken());
    EXPECT_EQ(config_interrupts, 1);
    EXPECT_EQ(complaints.size(), 1u);
    EXPECT_NE(complaint().find("the available ring's index went from 0 to 300"), std::string::npos);
    queue(0).set_available_index(1);
    notify(0);
    notify(1);
    EXPECT_FALSE(queue(0).has_used());
    EXPECT_EQ(complaints.size(), 1u);
    start(device, 0);
    EXPECT_EQ(request(0, bytes("again"), 8)->text(), "niaga");
}

TEST_F(VirtioServe, takes_no_queue_of_a_size_that_none_has) {
    for (const std::uint16_t size :
         std::initializer_list<std::uint16_t>{0, 3, 255, 257, 512, 32768, 65535}) {
        attach(device);
        negotiate(0);
        add_queue(1, 16);
        transport().select_queue(0);
        transport().change_queue([&](QueueConfig& config) {
            config = {size, 0x100000_gpa, 0x200000_gpa, 0x300000_gpa};
        });
        transport().enable_queue(Transport::Enable::yes);
        transport().set_status(status::driver_ok);
        notify(0);
        EXPECT_TRUE(broken()) << size;
        EXPECT_NE(complaint().find(size <= 256 ? fmt::format("{} descriptors", size)
                                               : fmt::format("{} descriptors, at most 256", size)),
                  std::string::npos)
            << complaint();
        complaints.clear();
    }
    start(device);
    EXPECT_EQ(request(1, bytes("again"), 8)->text(), "niaga");
}

TEST_F(VirtioServe, keeps_its_rings_where_they_were_when_it_began) {
    start(device);
    transport().select_queue(0);
    const auto before = transport().queue_setup().config;
    transport().change_queue([](QueueConfig& config) { config.descriptors = hole; });
    transport().enable_queue(Transport::Enable::yes);
    EXPECT_EQ(transport().queue_setup().config, before);
    EXPECT_EQ(request(0, bytes("hello"), 8)->text(), "olleh");
    EXPECT_FALSE(broken());
}

TEST_F(VirtioServe, fails_a_request_whose_buffers_are_not_memory) {
    start(device);
    ASSERT_TRUE(queue(0).offer({{hole, 16}}, {room(16)}));
    notify(0);
    EXPECT_TRUE(broken());
    EXPECT_NE(complaint().find("not all RAM"), std::string::npos) << complaint();
}

}  // namespace
}  // namespace vmm::test

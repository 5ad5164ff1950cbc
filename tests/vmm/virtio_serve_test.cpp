// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <vmm/virtio/serve.hpp>
#include <vmm/virtio_fixture.hpp>

namespace vmm::test {
namespace {

using namespace virtio;

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

}  // namespace
}  // namespace vmm::test

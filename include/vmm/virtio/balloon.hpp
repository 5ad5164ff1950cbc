// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>
#include <vmm/virtio/device.hpp>

namespace vmm::virtio {

/// What a Balloon is asked to do.
struct BalloonOptions {
    std::uint64_t target_bytes = 0;          ///< what it is to take from the guest at first
    std::chrono::milliseconds statistics{};  ///< how often the guest is asked for them; 0: never
    bool deflate_on_oom = false;  ///< the guest takes pages back by itself before it kills
    bool reporting = false;       ///< the guest tells which pages it does not use

    friend bool operator==(const BalloonOptions&, const BalloonOptions&) = default;
};

/// How a Balloon is doing. Only target and given_back_bytes are the host's own figures; the others
/// are what the guest says.
struct BalloonReport {
    std::uint64_t target_bytes = 0;      ///< what it is to have
    std::uint64_t actual_bytes = 0;      ///< what it has
    std::uint64_t given_back_bytes = 0;  ///< that went to the host since the start, by inflating
    std::uint64_t reported_bytes = 0;    ///< the same, by free page reporting
    /// Bytes and counts, by the specification's names ("free-memory"); none before the first.
    std::vector<std::pair<std::string, std::uint64_t>> statistics;
    std::vector<std::string> notes;  ///< what the host could not do, once each

    friend bool operator==(const BalloonReport&, const BalloonReport&) = default;
};

/// The memory balloon: virtio 1.2, 5.5. Takes pages that the guest gives up and has the host use
/// them for others, as the guest's own host memory: a page is zero when it is touched again.
///
/// Reserved huge pages (backing::HugeTlb) stay where they are: another process could take what was
/// given back, and a guest's touch would be the end of the process.
class Balloon final : public Device {
public:
    static constexpr std::uint64_t page_size = 4096;

    explicit Balloon(const BalloonOptions& options);

    /// Asks the guest for a balloon of `bytes`, in whole pages. On the reactor.
    void set_target(std::uint64_t bytes);
    /// On the reactor.
    const BalloonReport& report() const { return report_; }

    DeviceType type() const override { return DeviceType::balloon; }
    std::string_view name() const override { return "balloon"; }
    std::uint64_t features() const override;
    std::span<const std::uint16_t> queue_sizes() const override { return sizes; }
    void read_config(std::uint64_t offset, std::span<std::byte> data) const override;
    void write_config(std::uint64_t offset, std::span<const std::byte> data) override;
    Result<void> activate(Host& host, std::uint64_t features) override;
    void notified(std::uint16_t queue) override;
    void reset() override;
    std::vector<std::byte> save() override;
    Result<void> restore(std::span<const std::byte> bytes) override;
    /// Of report(): the guest's own are "guest-free-memory" and so on.
    std::vector<Statistic> statistics() const override;
    std::span<const std::string> notes() const override { return report_.notes; }

private:
    enum class Role { inflate, deflate, statistics, hinting, reporting, none };
    enum class Cause { inflate, report };
    static constexpr std::array<std::uint16_t, 5> sizes{256, 256, 16, 256, 256};

    static constexpr std::uint16_t statistics_queue = 2;

    Role role(std::uint16_t queue) const;
    Result<void> inflate(const Chain& chain);
    Result<void> deflate(const Chain& chain);
    Result<void> report_free(const Chain& chain);
    template <class Act>
    Result<void> for_runs(const Chain& chain, Act act);
    Result<void> give_back(std::uint64_t address, std::uint64_t length, Cause cause);
    Result<void> read_statistics();
    void ask_for_statistics();
    void note(const Error& error);

    BalloonOptions options_;
    BalloonReport report_;
    std::uint32_t target_pages_ = 0;
    std::uint32_t actual_pages_ = 0;
    Host* host_ = nullptr;  // while active
    std::uint64_t features_ = 0;
    bool contiguous_ = false;  // the driver numbers only the queues that it uses
    std::vector<std::pair<std::uint64_t, std::uint64_t>> kept_;  // never given back: start, end
    std::optional<Reactor::Timer> timer_;                        // statistics
    std::optional<Reactor::Timer> again_;  // requests that were left for later
    Chain chain_;
};

}  // namespace vmm::virtio

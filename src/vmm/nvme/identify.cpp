// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "bytes.hpp"
#include "queues.hpp"

#include <bit>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <kvm/version.hpp>
#include <vmm/boot/sha256.hpp>
#include <vmm/nvme/pci.hpp>
#include <vmm/nvme/prp.hpp>

/// Identify, 5.15.
namespace vmm::nvme {

namespace {

enum What : std::uint8_t {  // CNS
    of_namespace = 0,
    of_controller = 1,
    active_namespaces = 2,
    descriptors = 3,
};

using Uuid = std::array<std::uint8_t, 16>;

/// The same for the same text: RFC 9562, version 8.
Uuid make_uuid(std::string_view text) {
    boot::Sha256 hash;
    hash.add(std::as_bytes(std::span(std::string_view("kvmxx NVMe namespace "))));
    hash.add(std::as_bytes(std::span(text)));
    const auto digest = hash.finish();
    Uuid uuid;
    std::memcpy(uuid.data(), digest.data(), uuid.size());
    uuid[6] = (uuid[6] & 0x0f) | 0x80;
    uuid[8] = (uuid[8] & 0x3f) | 0x80;
    return uuid;
}

std::string text_of(const Uuid& uuid) {
    const auto part = [&](std::size_t first, std::size_t count) {
        return fmt::format("{:02x}", fmt::join(std::span(uuid).subspan(first, count), ""));
    };
    return fmt::format("{}-{}-{}-{}-{}", part(0, 4), part(4, 2), part(6, 2), part(8, 2),
                       part(10, 6));
}

/// 5.15.2.2.
Page controller_page(const Controller::Options& options, const Uuid& uuid) {
    constexpr std::uint16_t doorbell_buffers = 1 << 8, zeroes_and_discard = 1 << 3 | 1 << 2;
    constexpr std::uint32_t shutdown_microseconds = 10'000'000;
    Page page{};
    put(page, 0, PciDevice::vendor);
    put(page, 2, PciDevice::vendor);
    put_text(page, 4, 20, options.serial);
    put_text(page, 24, 40, "kvmxx disk");
    put_text(page, 64, 8, kvm::version);
    put(page, 72, std::uint8_t{6});  // commands that are best given at once, log2
    put(page, 77, static_cast<std::uint8_t>(std::countr_zero(most_transfer / page_size)));
    put(page, 80, std::uint32_t{0x00010400});
    put(page, 88, shutdown_microseconds);
    put(page, 111, std::uint8_t{1});  // an I/O controller
    put(page, 256, doorbell_buffers);
    put(page, 258, std::uint8_t{3});  // aborts at once, less one
    put(page, 259, static_cast<std::uint8_t>(Controller::most_event_requests - 1));
    put(page, 260, std::uint8_t{1 << 1 | 1});  // one slot for firmware, read-only
    put(page, 261, std::uint8_t{1 << 2 | 1});  // logs: of the namespace, and from an offset on
    put(page, 262, std::uint8_t{Controller::most_errors - 1});
    put(page, 266, std::uint16_t{343});  // kelvin: warning
    put(page, 268, std::uint16_t{373});  // critical
    put(page, 512, std::uint8_t{0x66});  // submission entries of 64 bytes
    put(page, 513, std::uint8_t{0x44});  // completion entries of 16
    put(page, 516, std::uint32_t{1});    // namespaces
    put(page, 520, zeroes_and_discard);
    put(page, 525, std::uint8_t{7});  // a volatile cache; flushes may be of all namespaces
    const std::string nqn = "nqn.2014-08.org.nvmexpress:uuid:" + text_of(uuid);
    std::memcpy(page.data() + 768, nqn.data(), nqn.size());
    put(page, 2048, std::uint16_t{2500});  // the one power state: so many centiwatts
    return page;
}

}  // namespace

Status Controller::identify(const Command& command) {
    const bool is_ours = command.nsid == 1;
    switch (command.cdw10 & 0xff) {
        case of_namespace:
            return is_ours ? give(command, namespace_.identify()) : Status::invalid_namespace;
        case of_controller:
            return give(command, controller_page(options_, make_uuid(options_.identity)));
        case active_namespaces: {  // those above the command's
            if (command.nsid >= broadcast - 1) {
                return Status::invalid_namespace;
            }
            Page page{};
            put(page, 0, std::uint32_t{command.nsid == 0 ? 1U : 0U});
            return give(command, page);
        }
        case descriptors: {  // 5.15.2.3
            constexpr std::uint8_t is_uuid = 3;
            Page page{};
            put(page, 0, is_uuid);
            put(page, 1, std::uint8_t{sizeof(Uuid)});
            put(page, 4, make_uuid(options_.identity));
            return is_ours ? give(command, page) : Status::invalid_namespace;
        }
        default:
            return Status::invalid_field;
    }
}

}  // namespace vmm::nvme

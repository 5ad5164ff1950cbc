// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <charconv>
#include <fmt/format.h>
#include <vmm/boot/sha256.hpp>
#include <vmm/net/mac.hpp>
#include <vmm/text_file.hpp>

namespace vmm::net {

Result<Mac> Mac::parse(std::string_view text) {
    Mac mac;
    bool good = text.size() == 17;
    for (std::size_t i = 0; good && i < mac.bytes.size(); ++i) {
        const char* const at = text.data() + 3 * i;
        const auto [end, error] = std::from_chars(at, at + 2, mac.bytes[i], 16);
        good = error == std::errc() && end == at + 2 && (i == 5 || *end == ':');
    }
    if (!good) {
        return fail(fmt::format("'{}' is not an Ethernet address, such as 02:00:5e:10:00:01", text),
                    EINVAL);
    }
    if (mac.is_group()) {
        return fail(fmt::format("'{}' is the address of a group", text), EINVAL);
    }
    return mac;
}

Mac Mac::derive(std::string_view words) {
    boot::Sha256 hash;
    const auto add = [&](std::string_view text) {
        hash.add(std::as_bytes(std::span(text)));
        hash.add(std::as_bytes(std::span("\0", 1)));  // so that no two lists are one text
    };
    add("kvmxx network device");
    add(words);
    // A host without one has the same addresses as others without one.
    add(read_text_file("/etc/machine-id").value_or(std::string()));
    const auto digest = hash.finish();
    Mac mac;
    for (std::size_t i = 0; i < mac.bytes.size(); ++i) {
        mac.bytes[i] = std::to_integer<std::uint8_t>(digest[i]);
    }
    mac.bytes[0] = static_cast<std::uint8_t>((mac.bytes[0] & 0xfc) | 2);
    return mac;
}

std::string Mac::text() const {
    return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", bytes[0], bytes[1], bytes[2],
                       bytes[3], bytes[4], bytes[5]);
}

}  // namespace vmm::net

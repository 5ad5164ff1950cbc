// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>
#include <vmm/error.hpp>
#include <vmm/machine/settings.hpp>

/// Values made of parts: "path=x.img,readonly,serial=ab". A comma in a value is written twice.
namespace vmm::detail {

struct KeyValue {
    std::string key;
    std::string value;  ///< empty for a flag

    friend bool operator==(const KeyValue&, const KeyValue&) = default;
};

/// Which keys were given, with their values.
class KeyValues {
public:
    bool has(std::string_view key) const { return find(key) != nullptr; }
    /// The first value of that key; null if it was not given. "" if it was given without.
    const std::string* find(std::string_view key) const;
    /// All of a key that may be given more than once.
    std::vector<std::string> all(std::string_view key) const;
    std::span<KeyValue> parts() { return parts_; }
    std::span<const KeyValue> parts() const { return parts_; }

    /// Adds `key=value`, or `key` alone if the value is empty.
    KeyValues& add(std::string_view key, std::string_view value = {});
    /// The same if `given`; for flags.
    KeyValues& add_if(bool given, std::string_view key, std::string_view value = {});
    /// What parse_key_values() reads as these.
    std::string text() const;

private:
    std::vector<KeyValue> parts_;
};

/// The parts of `text`, by `keys`. Errors, EINVAL, begin with the key: "readonly: takes no value",
/// "path: needs a value, path=...", "path: is given twice", "path: is missing", "'foo': there is no
/// such key: path, readonly or serial".
Result<KeyValues> parse_key_values(std::string_view text, std::span<const Key> keys);

/// The error of a key's value, with the key before it: "size: '12Q' is not a size".
std::unexpected<Error> about_key(std::string_view key, const Error& error);

}  // namespace vmm::detail

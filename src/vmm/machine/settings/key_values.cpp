// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <cerrno>
#include <fmt/format.h>
#include <kvm/try.hpp>
#include <vmm/machine/settings/key_values.hpp>

namespace vmm::detail {

namespace {

/// Takes the text up to the next single comma, and that, off `rest`; of doubled commas it keeps
/// one. Whether a comma ended it.
bool take_part(std::string_view& rest, std::string& part) {
    part.clear();
    for (std::size_t at = 0; at < rest.size(); ++at) {
        if (rest[at] == ',') {
            if (!rest.substr(at + 1).starts_with(',')) {
                rest.remove_prefix(at + 1);
                return true;
            }
            ++at;
        }
        part += rest[at];
    }
    rest = {};
    return false;
}

/// "path, readonly or serial"
std::string names(std::span<const Key> keys) {
    std::string text;
    for (std::size_t i = 0; i < keys.size(); ++i) {
        text += i == 0 ? "" : i + 1 == keys.size() ? " or " : ", ";
        text += keys[i].name;
    }
    return text;
}

Result<void> check_part(const KeyValue& part, bool has_value, const KeyValues& before,
                        std::span<const Key> keys) {
    const auto key = std::ranges::find(keys, part.key, &Key::name);
    if (key == keys.end()) {
        return fail(fmt::format("'{}': there is no such key: {}", part.key, names(keys)), EINVAL);
    }
    if (key->kind == KeyKind::flag && has_value) {
        return fail(part.key + ": takes no value", EINVAL);
    }
    const bool needs_value = key->kind != KeyKind::flag && key->kind != KeyKind::either;
    if ((needs_value || has_value) && part.value.empty()) {
        return fail(fmt::format("{0}: needs a value, {0}=...", part.key), EINVAL);
    }
    if (key->count != KeyCount::many && before.has(part.key)) {
        return fail(part.key + ": is given twice", EINVAL);
    }
    return {};
}

}  // namespace

const std::string* KeyValues::find(std::string_view key) const {
    const auto found = std::ranges::find(parts_, key, &KeyValue::key);
    return found == parts_.end() ? nullptr : &found->value;
}

std::vector<std::string> KeyValues::all(std::string_view key) const {
    std::vector<std::string> values;
    for (const KeyValue& part : parts_) {
        if (part.key == key) {
            values.push_back(part.value);
        }
    }
    return values;
}

KeyValues& KeyValues::add(std::string_view key, std::string_view value) {
    parts_.push_back({std::string(key), std::string(value)});
    return *this;
}

KeyValues& KeyValues::add_if(bool given, std::string_view key, std::string_view value) {
    return given ? add(key, value) : *this;
}

std::string KeyValues::text() const {
    std::string text;
    for (const KeyValue& part : parts_) {
        text += (text.empty() ? "" : ",") + part.key + (part.value.empty() ? "" : "=");
        for (const char c : part.value) {
            text += c == ',' ? ",," : std::string(1, c);
        }
    }
    return text;
}

Result<KeyValues> parse_key_values(std::string_view text, std::span<const Key> keys) {
    KeyValues values;
    if (text.empty()) {
        return fail("is empty: give " + names(keys), EINVAL);
    }
    std::string part;
    for (bool more = true; more;) {
        more = take_part(text, part);
        const std::size_t equals = part.find('=');
        const bool has_value = equals != part.npos;
        const KeyValue parsed{part.substr(0, equals), has_value ? part.substr(equals + 1) : ""};
        KVM_TRY(check_part(parsed, has_value, values, keys));
        values.add(parsed.key, parsed.value);
    }
    for (const Key& key : keys) {
        if (key.count == KeyCount::required && !values.has(key.name)) {
            return fail(fmt::format("{}: is missing", key.name), EINVAL);
        }
    }
    return values;
}

std::unexpected<Error> about_key(std::string_view key, const Error& error) {
    return fail(fmt::format("{}: {}", key, error.message), error.code);
}

}  // namespace vmm::detail

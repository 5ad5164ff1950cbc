// SPDX-License-Identifier: Apache-2.0 OR MIT
#define TOML_EXCEPTIONS 0
// toml++ 3.3 asserts of "[&", or lets clang assume, what its parser then finds not to be so
// and refuses (https://github.com/marzer/tomlplusplus/issues/294).
#undef NDEBUG
#define TOML_ASSERT(expression) static_cast<void>(0)
#include <toml++/toml.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fmt/format.h>
#include <kvm/try.hpp>
#include <sstream>
#include <vmm/machine/settings.hpp>
#include <vmm/machine/settings/config_text.hpp>
#include <vmm/machine/settings/key_values.hpp>
#include <vmm/text_file.hpp>

namespace vmm {

namespace {

/// Where a message is about: "vm.toml:3: memory".
std::string place(const std::string& path, const toml::source_region& source,
                  std::string_view key) {
    return fmt::format("{}:{}: {}", path, source.begin.line, key);
}

/// A value as the option would have it, or nothing.
std::optional<std::string> text_of(const toml::node& node) {
    if (const auto text = node.value_exact<std::string>()) {
        return text;
    }
    if (const auto number = node.value_exact<std::int64_t>()) {
        return fmt::format("{}", *number);
    }
    if (const auto number = node.value_exact<double>()) {
        return fmt::format("{}", *number);
    }
    if (const auto truth = node.value_exact<bool>()) {
        return *truth ? "true" : "false";
    }
    return std::nullopt;
}

std::string resolve(const std::string& value, const std::string& config_path) {
    const std::filesystem::path path(value);
    return path.is_absolute() ? value
                              : (std::filesystem::path(config_path).parent_path() / path).string();
}

/// What a key of a table, `disk` in `[[disk]]`, has behind it, as a part of the value's text.
Result<void> add_part(detail::KeyValues& values, const Key& key, const toml::node& node) {
    if (const toml::array* many = key.count == KeyCount::many ? node.as_array() : nullptr) {
        for (const toml::node& element : *many) {
            KVM_TRY(add_part(values, {key.name, key.kind}, element));
        }
        return {};
    }
    const bool may_be_flag = key.kind == KeyKind::flag || key.kind == KeyKind::either;
    if (const auto truth = node.value_exact<bool>(); truth && may_be_flag) {
        values.add_if(*truth, key.name);
        return {};
    }
    const auto text = text_of(node);
    if (!text || key.kind == KeyKind::flag || node.is_boolean()) {
        return fail(fmt::format("{}: is not {}", key.name,
                                key.kind == KeyKind::flag ? "true or false" : "text or a number"),
                    EINVAL);
    }
    if (text->empty()) {
        return fail(fmt::format("{}: is empty", key.name), EINVAL);
    }
    values.add(key.name, *text);
    return {};
}

/// The text of a value made of parts, from a table.
Result<std::string> table_text(const Setting& setting, const toml::table& table) {
    detail::KeyValues values;
    for (const Key& key : setting.keys) {
        if (const toml::node* node = table.get(key.name)) {
            KVM_TRY(add_part(values, key, *node));
        }
    }
    for (const auto& [name, node] : table) {
        if (std::ranges::find(setting.keys, name.str(), &Key::name) == setting.keys.end()) {
            values.add(name.str());  // which the parser refuses
        }
    }
    return values.text();
}

/// The same value, its paths beginning where the configuration file is.
Result<std::string> resolve_parts(const Setting& setting, const std::string& text,
                                  const std::string& config_path) {
    auto values = KVM_TRY(detail::parse_key_values(text, setting.keys));
    for (detail::KeyValue& part : values.parts()) {
        if (std::ranges::find(setting.keys, part.key, &Key::name)->kind == KeyKind::path) {
            part.value = resolve(part.value, config_path);
        }
    }
    return values.text();
}

/// The value as the setting takes it, from a node that is no list.
Result<std::string> value_of(const Setting& setting, const toml::node& node,
                             const std::string& path) {
    if (const toml::table* table = setting.keys.empty() ? nullptr : node.as_table()) {
        const std::string text = KVM_TRY(table_text(setting, *table));
        return resolve_parts(setting, text, path);
    }
    const auto text = text_of(node);
    const bool flag = setting.kind == SettingKind::flag;
    if (!text || flag != node.is_boolean()) {
        return fail(flag ? "is not true or false" : "is not text or a number", EINVAL);
    }
    if (!setting.keys.empty()) {
        return resolve_parts(setting, *text, path);
    }
    return setting.kind == SettingKind::path ? resolve(*text, path) : *text;
}

Result<void> put(MachineConfig& config, const Setting& setting, const toml::node& node,
                 const std::string& path) {
    const auto value = value_of(setting, node, path);
    const auto done =
        value ? setting.set(config, *value) : Result<void>(std::unexpected(value.error()));
    if (!done) {
        return fail(
            fmt::format("{}: {}", place(path, node.source(), setting.name), done.error().message),
            done.error().code);
    }
    return {};
}

Result<void> put_list(MachineConfig& config, const Setting& setting, const toml::node& node,
                      const std::string& path) {
    const toml::array* list = node.as_array();
    if (!list) {
        return fail(place(path, node.source(), setting.name) + ": is not a list, [...]", EINVAL);
    }
    for (const toml::node& element : *list) {
        KVM_TRY(put(config, setting, element, path));
    }
    return {};
}

/// Fails if the file has a setting that does not go with `setting`.
Result<void> check_excluded(const toml::table& file, const Setting& setting, const toml::node& node,
                            const std::string& path) {
    std::istringstream names{std::string(setting.excludes)};
    for (std::string name; names >> name;) {
        if (file.contains(name)) {
            return fail(fmt::format("{}: does not go with {}",
                                    place(path, node.source(), setting.name), name),
                        EINVAL);
        }
    }
    return {};
}

/// `text` as a TOML value: a number where it looks like one.
std::string value_text(const std::string& text) {
    const bool number = !text.empty() && text.size() <= 18 &&
                        text.find_first_not_of("0123456789") == text.npos &&
                        (text[0] != '0' || text.size() == 1);
    std::ostringstream out;
    if (number) {
        out << text;
    } else {
        out << toml::value<std::string>(text);
    }
    return std::move(out).str();
}

}  // namespace

Result<void> detail::read_config_text(MachineConfig& config, std::string_view text,
                                      const std::string& path, std::span<const Setting> settings) {
    const toml::parse_result parsed = toml::parse(text, path);
    if (!parsed) {
        return fail(fmt::format("{}:{}: {}", path, parsed.error().source().begin.line,
                                parsed.error().description()),
                    EINVAL);
    }
    const toml::table& file = parsed.table();
    MachineConfig fresh = config;
    for (const auto& [key, node] : file) {
        const auto setting = std::ranges::find(settings, key.str(), &Setting::name);
        if (setting == settings.end()) {
            return fail(place(path, key.source(), key.str()) + ": there is no such setting",
                        EINVAL);
        }
        KVM_TRY(check_excluded(file, *setting, node, path));
        KVM_TRY(setting->kind == SettingKind::list ? put_list(fresh, *setting, node, path)
                                                   : put(fresh, *setting, node, path));
    }
    config = std::move(fresh);
    return {};
}

Result<void> read_config_file(MachineConfig& config, const std::string& path) {
    const std::string text = KVM_TRY(read_text_file(path));
    return detail::read_config_text(config, text, path, settings());
}

std::string config_file(const MachineConfig& config) {
    std::string text;
    for (const Setting& setting : settings()) {
        const auto values = setting.get(config);
        if (values.empty()) {
            continue;
        }
        if (setting.kind == SettingKind::list) {
            text += fmt::format("{} = [\n", setting.name);
            for (const std::string& value : values) {
                text += fmt::format("    {},\n", value_text(value));
            }
            text += "]\n";
        } else {
            const bool flag = setting.kind == SettingKind::flag;
            text += fmt::format("{} = {}\n", setting.name,
                                flag ? values.front() : value_text(values.front()));
        }
    }
    return text;
}

}  // namespace vmm

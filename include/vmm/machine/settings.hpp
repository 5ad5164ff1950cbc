// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>
#include <vmm/error.hpp>
#include <vmm/machine/machine.hpp>

/// A MachineConfig from text: each setting is an option of the program, --NAME, and a key of
/// configuration files, NAME.
namespace vmm {

enum class SettingKind {
    text,  ///< one value; the last one given counts
    path,  ///< the same; in a configuration file it is relative to that file's directory
    list,  ///< any number of values
    flag,  ///< "true" or "false"; the option is given without a value
};

/// What a key in a value such as "path=x.img,readonly" has behind it.
enum class KeyKind {
    flag,    ///< nothing
    text,    ///< "=" and text
    path,    ///< the same; in a configuration file it is relative to that file's directory
    either,  ///< nothing, or "=" and text
    target,  ///< "=" and ADDRESS:PORT:TARGET; one that is a path is relative to the file, too
};

/// How often a key is given.
enum class KeyCount { optional, required, many };

/// A part of a value that is made of parts: "path=x.img,readonly".
struct Key {
    std::string_view name;
    KeyKind kind;
    KeyCount count = KeyCount::optional;
};

struct Setting {
    std::string_view name;
    SettingKind kind;
    std::string_view value;     ///< what a value is, for help: "SIZE"
    std::string_view help;      ///< one line
    std::string_view excludes;  ///< names, between spaces, of settings that do not go with it
    /// Puts one value into `config`. Errors: EINVAL, the cause alone: "'12Q' is not a size".
    Result<void> (*set)(MachineConfig& config, const std::string& value);
    /// The values that set() would make the same again; none if it is not set.
    std::vector<std::string> (*get)(const MachineConfig& config);
    /// What a value is made of, "key=value,flag": a comma in it is written twice. None for others.
    std::span<const Key> keys = {};
    /// The part of a value that is a path, as SettingKind::path's whole is; none: empty.
    std::string_view (*path_in)(std::string_view value) = nullptr;
};

/// All settings, in the order of a manual.
std::span<const Setting> settings();

/// The setting of that name, or null.
const Setting* find_setting(std::string_view name);

/// Where a configuration file gives settings, by their names: "vm.toml:3".
using SettingPlaces = std::map<std::string, std::string, std::less<>>;

/// Puts what a configuration file says into `config`: TOML, a key for each setting, its value a
/// string, a number or a boolean, or for a list an array of them. A value that is made of parts may
/// also be a table: [[disk]], path = "x.img", readonly = true. What the file does not name stays as
/// it was. Errors name the file, the line and the key: what open(2) says; EINVAL (not TOML, no
/// such key, a value of the wrong type or that the setting refuses).
Result<SettingPlaces> read_config_file(MachineConfig& config, const std::string& path);

/// The configuration file that makes `config`: read_config_file() gives the same again.
std::string config_file(const MachineConfig& config);

/// What can be said against `config` without asking KVM or opening a file. Errors are about
/// a setting (Error::setting): "memory: 4097 is no multiple of 4096".
Result<void> check(const MachineConfig& config);

}  // namespace vmm

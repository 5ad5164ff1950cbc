// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace kvmxx {

using Json = nlohmann::ordered_json;

/// The text of `json`, on one line, or with lines indented by so many blanks. Names of the host's
/// may be no UTF-8: what is not is U+FFFD there.
inline std::string json_text(const Json& json, int indent = -1) {
    return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace kvmxx

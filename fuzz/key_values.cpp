// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// The input is a value made of parts, "path=x,readonly". What is wrong with it is one line; what is
// not is printed as it is read.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vmm/machine/settings/key_values.hpp>

namespace {

using vmm::Key;
using vmm::KeyCount;
using vmm::KeyKind;

constexpr std::array keys{
    Key{"path", KeyKind::path, KeyCount::required},
    Key{"ro", KeyKind::flag},
    Key{"serial", KeyKind::text},
    Key{"forward", KeyKind::text, KeyCount::many},
    Key{"huge", KeyKind::either},
};

void require(bool good, const char* what, const std::string& text) {
    if (!good) {
        std::fprintf(stderr, "%s: %s\n", what, text.c_str());
        std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using vmm::detail::parse_key_values;
    const auto values = parse_key_values({reinterpret_cast<const char*>(data), size}, keys);
    if (!values) {
        require(!values.error().message.empty(), "an error says nothing", "");
        return 0;
    }
    require(values->has("path"), "what is required is missing", values->text());
    const auto again = parse_key_values(values->text(), keys);
    require(again.has_value(), "what was printed is refused", values->text());
    require(std::ranges::equal(again->parts(), values->parts()), "what was printed is another's",
            values->text());
    return 0;
}

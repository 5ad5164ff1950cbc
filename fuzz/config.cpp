// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// The input is a configuration file. What is wrong with it is one line that names the file; what is
// not is written to a file that makes the same again.
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vmm/machine/settings/config_text.hpp>

namespace {

void require(bool good, const char* what, const std::string& text) {
    if (!good) {
        std::fprintf(stderr, "%s: %s\n", what, text.c_str());
        std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using vmm::detail::read_config_text;
    vmm::MachineConfig config;
    const std::string_view input(reinterpret_cast<const char*>(data), size);
    const auto done = read_config_text(config, input, "/d/vm.toml", vmm::settings());
    if (!done) {
        const std::string& message = done.error().message;
        require(message.starts_with("/d/vm.toml:"), "an error names no file", message);
        require(vmm::config_file(config) == vmm::config_file(vmm::MachineConfig()),
                "what is refused changes nothing", message);
        return 0;
    }
    const auto checked = vmm::check(config);
    require(checked || !checked.error().message.empty(), "an error says nothing", "");
    const std::string text = vmm::config_file(config);
    vmm::MachineConfig again;
    const auto read = read_config_text(again, text, "/d/vm.toml", vmm::settings());
    require(read.has_value(), "what was written is refused", read ? "" : read.error().message);
    require(vmm::config_file(again) == text, "what was written makes another", text);
    return 0;
}

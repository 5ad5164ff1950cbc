// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// The input is a recording. What is wrong with it is one line; what is not is exported, and
// replayed unless that would take long.
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vmm/machine/console.hpp>
#include <vmm/machine/trace.hpp>

namespace {

/// Takes what it gets.
struct Nowhere final : vmm::Console {
    vmm::Result<std::size_t> write(std::span<const std::byte> bytes) override {
        return bytes.size();
    }
    vmm::Result<Input> read(std::span<std::byte>, std::size_t& size) override {
        size = 0;
        return Input::end;
    }
};

void require_one_line(const vmm::Error& error) {
    if (error.message.empty() || error.message.find('\n') != std::string::npos) {
        std::fprintf(stderr, "no line: %s\n", error.message.c_str());
        std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    constexpr std::uint64_t most_memory = 64 << 20;
    const auto trace = vmm::Trace::parse({reinterpret_cast<const char*>(data), size}, "input");
    if (!trace) {
        require_one_line(trace.error());
        return 0;
    }
    std::size_t exported = 0;
    vmm::export_trace_events(*trace, [&](std::string_view text) { exported += text.size(); });
    if (trace->config.cpus > 4 || trace->config.memory_bytes > most_memory ||
        !trace->config.fw_cfg.empty()) {
        return 0;
    }
    Nowhere console;
    if (const auto done = vmm::replay(*trace, "input", console); !done) {
        require_one_line(done.error());
    }
    return 0;
}

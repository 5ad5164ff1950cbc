// SPDX-License-Identifier: Apache-2.0 OR MIT
// Two machines in one process: both print for ever; one is paused meanwhile.
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <kvm/kick.hpp>
#include <thread>
#include <vmm/machine/machine.hpp>

namespace {

/// Counts what its guest prints.
struct Counter final : vmm::Console {
    vmm::Result<std::size_t> write(std::span<const std::byte> bytes) override {
        count += bytes.size();
        return bytes.size();
    }
    vmm::Result<Input> read(std::span<std::byte>, std::size_t& size) override {
        size = 0;
        return Input::end;
    }
    std::atomic<std::size_t> count = 0;
};

int run(const vmm::MachineConfig& config) {
    Counter one, two;
    vmm::MachineEvents events;
    events.state = [](vmm::MachineState s) { std::printf("one: %s\n", vmm::describe(s)); };
    auto a = vmm::Machine::create(config, one, events);
    auto b = vmm::Machine::create(config, two);
    if (!a || !b) {
        std::puts((a ? b : a).error().message.c_str());
        return 77;
    }
    if (!a->start() || !b->start() || !a->pause()) {
        return 1;
    }
    const std::size_t before = two.count;
    while (two.count == before) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    std::printf("one is %s, and two goes on\n", vmm::describe(a->state()));
    const bool resumed = a->resume().has_value();
    a->stop();
    b->stop();
    return resumed && a->wait() && b->wait() ? 0 : 1;
}

}  // namespace

int main() {
    const auto path = std::filesystem::temp_directory_path() / "kvmxx-example-machine";
    std::ofstream(path, std::ios::binary) << "\xba\xf8\x03\xb0.\xee\xeb\xfd";  // in real mode
    vmm::MachineConfig config;
    config.boot.kernel = path;
    config.boot.format = vmm::Flat16{};
    config.memory_bytes = 2 << 20;
    return kvm::install_kick_handler() ? run(config) : 1;
}

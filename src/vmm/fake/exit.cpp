// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <fmt/format.h>
#include <vmm/fake_exit.hpp>

namespace vmm::fake {

namespace {

template <class Bytes>
std::string text(const Bytes& bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void put_io(RunPage& page, kvm::IoDirection direction, kvm::Port port, std::uint8_t size,
            std::size_t bytes) {
    page.run.exit_reason = static_cast<std::uint32_t>(kvm::ExitReason::io);
    const std::uint8_t width = std::max<std::uint8_t>(size, 1);
    const auto count = static_cast<std::uint32_t>(std::min(bytes, io_room) / width);
    page.run.io = {direction, width, static_cast<std::uint16_t>(port), count,
                   offsetof(RunPage, io)};
    std::memset(page.io, 0, sizeof page.io);
}

void put_mmio(kvm::Run& run, std::uint8_t write, kvm::Gpa address, std::size_t size) {
    run.exit_reason = static_cast<std::uint32_t>(kvm::ExitReason::mmio);
    run.mmio = {
        address.value(), {}, static_cast<std::uint32_t>(std::min<std::size_t>(size, 8)), write};
}

struct Put {
    RunPage& page;
    kvm::Run& run = page.run;

    void reason(kvm::ExitReason reason) const {
        run.exit_reason = static_cast<std::uint32_t>(reason);
    }
    void operator()(const IoOut& io) const {
        put_io(page, kvm::IoDirection::out, io.port, io.size, io.data.size());
        std::memcpy(page.io, io.data.data(), std::min(io.data.size(), io_room));
    }
    void operator()(const IoIn& io) const {
        put_io(page, kvm::IoDirection::in, io.port, io.size, std::size_t(io.size) * io.count);
    }
    void operator()(const MmioWrite& m) const {
        put_mmio(run, 1, m.address, m.data.size());
        std::memcpy(run.mmio.data, m.data.data(), run.mmio.len);
    }
    void operator()(const MmioRead& m) const { put_mmio(run, 0, m.address, m.size); }
    void operator()(const Rdmsr& msr) const {
        reason(kvm::ExitReason::x86_rdmsr);
        run.msr = {};
        run.msr.reason = static_cast<std::uint32_t>(msr.why);
        run.msr.index = msr.index;
    }
    void operator()(const Wrmsr& msr) const {
        reason(kvm::ExitReason::x86_wrmsr);
        run.msr = {};
        run.msr.reason = static_cast<std::uint32_t>(msr.why);
        run.msr.index = msr.index;
        run.msr.data = msr.value;
    }
    void operator()(const InternalError& error) const {
        reason(kvm::ExitReason::internal_error);
        run.internal = {error.suberror, 0, {}};
        if (!error.insn.empty()) {
            run.emulation_failure = {error.suberror, 4, 1, 0, {}};
            const std::size_t size =
                std::min(error.insn.size(), sizeof run.emulation_failure.insn_bytes);
            run.emulation_failure.insn_size = static_cast<std::uint8_t>(size);
            std::memcpy(run.emulation_failure.insn_bytes, error.insn.data(), size);
        }
    }
    void operator()(const FailEntry& error) const {
        reason(kvm::ExitReason::fail_entry);
        run.fail_entry = {error.reason, 0};
    }
    void operator()(const SystemEvent& event) const {
        reason(kvm::ExitReason::system_event);
        run.system_event = {static_cast<std::uint32_t>(event.type), 0, {}};
    }
    void operator()(const MemoryFault& fault) const {
        reason(kvm::ExitReason::memory_fault);
        run.memory_fault = {};
        run.memory_fault.gpa = fault.address.value();
        run.memory_fault.size = fault.size;
    }
    void operator()(const OtherExit& other) const {
        reason(other.reason);
        std::memset(run.padding, 0, sizeof run.padding);
    }
};

/// Compares the replies of two exits of the same kind.
struct Compare {
    const ExitData& got;

    std::string operator()(const IoIn& io) const {
        return bytes(io.reply, std::get<IoIn>(got).reply);
    }
    std::string operator()(const MmioRead& m) const {
        return bytes(m.reply, std::get<MmioRead>(got).reply);
    }
    std::string operator()(const Rdmsr& msr) const {
        const auto& ours = std::get<Rdmsr>(got);
        const std::string error = number("error", msr.error, ours.error);
        return error.empty() ? number("reply", msr.reply, ours.reply) : error;
    }
    std::string operator()(const Wrmsr& msr) const {
        return number("error", msr.error, std::get<Wrmsr>(got).error);
    }
    std::string operator()(const auto&) const { return {}; }

    static std::string bytes(const std::optional<std::string>& want,
                             const std::optional<std::string>& have) {
        if (!want || want == have) {
            return {};
        }
        return fmt::format("reply is {}, not {}", to_hex(have.value_or("")), to_hex(*want));
    }
    template <class T>
    static std::string number(const char* field, std::optional<T> want, std::optional<T> have) {
        if (!want || want == have) {
            return {};
        }
        return fmt::format("{} is {:#x}, not {:#x}", field, have.value_or(0), *want);
    }
};

}  // namespace

ExitData copy(const kvm::Exit& exit) {
    namespace e = kvm::exit;
    ExitData data = OtherExit{exit.reason()};
    exit.visit(kvm::handlers{
        [&](const e::IoOut& io) { data = IoOut{io.port, text(io.data), io.size}; },
        [&](const e::IoIn& io) { data = IoIn{io.port, io.size, io.count, text(io.data)}; },
        [&](const e::MmioWrite& m) { data = MmioWrite{m.address, text(m.data)}; },
        [&](const e::MmioRead& m) {
            data = MmioRead{m.address, static_cast<std::uint32_t>(m.data.size()), text(m.data)};
        },
        [&](const e::Rdmsr& msr) { data = Rdmsr{msr.index, msr.reason, msr.data, msr.error}; },
        [&](const e::Wrmsr& msr) { data = Wrmsr{msr.index, msr.data, msr.reason, msr.error}; },
        [&](const e::InternalError& error) {
            data = InternalError{static_cast<std::uint32_t>(error.suberror), text(error.insn)};
        },
        [&](const e::FailEntry& error) { data = FailEntry{error.hardware_entry_failure_reason}; },
        [&](const e::SystemEvent& event) { data = SystemEvent{event.type}; },
        [&](const e::MemoryFault& fault) { data = MemoryFault{fault.gpa, fault.size}; },
        [](const auto&) {},
    });
    return data;
}

void put(const ExitData& exit, RunPage& page) { std::visit(Put{page}, exit); }

std::string compare_reply(const ExitData& expected, const ExitData& got) {
    if (expected.index() != got.index()) {
        return "another exit";
    }
    return std::visit(Compare{got}, expected);
}

std::string to_hex(std::string_view bytes) {
    std::string digits;
    digits.reserve(bytes.size() * 2);
    for (const char byte : bytes) {
        fmt::format_to(std::back_inserter(digits), "{:02x}", static_cast<unsigned char>(byte));
    }
    return digits;
}

}  // namespace vmm::fake

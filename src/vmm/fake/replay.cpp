// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <array>
#include <cerrno>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <kvm/try.hpp>
#include <vmm/fake.hpp>
#include <vmm/machine/impl.hpp>
#include <vmm/machine/trace_text.hpp>

namespace vmm {

namespace detail {

/// Plays a recording on one thread: what devices do is compared with what they did.
class Replayer final : public TraceHook {
public:
    using Machine = MachineImpl<fake::Backend>;

    Replayer(const Trace& trace, std::string_view name) : trace_(trace), name_(name) {
        // What devices did while they were made, before anything else happened.
        for (const TraceEvent& event : trace.events) {
            if (std::holds_alternative<OwnAccord>(event.what)) {
                expect(event);
            } else if (!std::holds_alternative<TraceMark>(event.what)) {
                break;
            }
        }
    }

    Result<Replay> run(Machine& machine, fake::Hypervisor& hypervisor) {
        machine_ = &machine;
        hypervisor_ = &hypervisor;
        settle();
        for (const TraceEvent& event : trace_.events) {
            if (problem_) {
                return std::unexpected(*problem_);
            }
            if (std::holds_alternative<OwnAccord>(event.what)) {
                continue;  // the devices' threads, which are not here
            }
            now_ = &event;
            expect(event);
            KVM_TRY(std::visit([&](const auto& what) { return play(what); }, event.what));
            settle();
        }
        KVM_TRY(machine.board().pump().finish(machine.wakes_.stop, std::chrono::seconds(1)));
        return problem_ ? Result<Replay>(std::unexpected(*problem_)) : replay_;
    }

    void pin_changed(PinChange change) override {
        const TraceEffect* const expected = next();
        if (!expected || *expected != TraceEffect(change)) {
            differs(expected, change);
        }
    }
    std::uint64_t clock_read(ClockRead read) override {
        const TraceEffect* const expected = next();
        const auto* const then = expected ? std::get_if<ClockRead>(expected) : nullptr;
        if (!then || then->clock != read.clock) {
            differs(expected, read);
            return read.value;
        }
        return then->value;
    }
    void first_output() override {}

private:
    struct Expected {
        TraceEffect effect;
        std::size_t line;
    };

    Result<void> play(const fake::ExitData& recorded) {
        const auto* const other = std::get_if<fake::OtherExit>(&recorded);
        if (other && other->reason == kvm::ExitReason::intr) {
            return {};  // the host's doing
        }
        auto& cpu = *machine_->cpus_[now_->cpu];
        hypervisor_->script(kvm::VcpuId(cpu.id), {recorded});
        const kvm::Exit exit = KVM_TRY(cpu.vcpu.run());
        machine_->dispatch(cpu, exit);
        if (const auto wrong = fake::compare_reply(recorded, fake::copy(exit)); !wrong.empty()) {
            complain(now_->line,
                     fmt::format("vCPU {}: {}: {}", now_->cpu, exit_text(recorded), wrong));
        }
        ++replay_.exits;
        return {};
    }
    Result<void> play(const ConsoleInput& input) {
        const auto bytes = std::as_bytes(std::span(input.data));
        if (const auto taken = machine_->board().serial().receive(bytes); taken != bytes.size()) {
            complain(now_->line, fmt::format("input: the serial port takes {} bytes, not {}", taken,
                                             bytes.size()));
        }
        return {};
    }
    Result<void> play(const ButtonPress&) {
        if (PowerButton* const button = machine_->board().power_button()) {
            machine_->asked_.store(true, std::memory_order_relaxed);
            button->press();
        } else {
            complain(now_->line, "input: there is no power button");
        }
        return {};
    }
    Result<void> play(const TraceEnd& then) {
        // The others were not the guest's, but the host's or its own clock's.
        constexpr std::array made_by_guest{EndReason::power_off,    EndReason::shut_down,
                                           EndReason::reset,        EndReason::panic,
                                           EndReason::triple_fault, EndReason::internal_error,
                                           EndReason::test_exit};
        for (const EndReason reason : made_by_guest) {
            if (then.reason != reason_word(reason)) {
                continue;
            }
            const auto& end = machine_->end_;
            if (!end || !*end || (*end)->reason != reason) {
                complain(now_->line, fmt::format("end: it is {}, not {}",
                                                 !end   ? "none"
                                                 : *end ? reason_word((*end)->reason)
                                                        : "error",
                                                 then.reason));
            }
        }
        return {};
    }
    Result<void> play(const TraceMark&) { return {}; }
    Result<void> play(const OwnAccord&) { return {}; }

    void expect(const TraceEvent& event) {
        for (std::size_t i = 0; i < event.effects.size(); ++i) {
            expected_.push_back({event.effects[i], event.line + 1 + i});
        }
    }
    const TraceEffect* next() {
        return done_ < expected_.size() ? &expected_[done_++].effect : nullptr;
    }
    void differs(const TraceEffect* expected, const TraceEffect& got) {
        complain(expected ? expected_[done_ - 1].line
                 : now_   ? now_->line
                          : 0,
                 fmt::format("{}: the device did {}",
                             expected ? effect_text(*expected) : "nothing more", effect_text(got)));
    }
    /// Looks that everything that was expected has come.
    void settle() {
        if (done_ < expected_.size()) {
            complain(expected_[done_].line,
                     effect_text(expected_[done_].effect) + ": did not happen");
        }
        replay_.effects += done_;
        done_ = 0;
        expected_.clear();
    }
    /// The first difference is the one that counts.
    void complain(std::size_t line, std::string_view what) {
        if (!problem_) {
            const auto where =
                line ? fmt::format("line {}", line) : std::string("before the first event");
            problem_ = Error(fmt::format("{}: {}: {}", name_, where, what), ESTALE);
        }
    }

    const Trace& trace_;
    std::string_view name_;
    Machine* machine_ = nullptr;
    fake::Hypervisor* hypervisor_ = nullptr;
    const TraceEvent* now_ = nullptr;
    std::vector<Expected> expected_;
    std::size_t done_ = 0;  // of them
    std::optional<Error> problem_;
    Replay replay_;
};

}  // namespace detail

Result<Replay> replay(const Trace& trace, std::string_view name, Console& console) {
    constexpr int most_cpus = 4096;
    if (!trace.beside.empty()) {
        return fail(fmt::format("{}: cannot be replayed: the machine had devices that read and "
                                "write the guest's memory, which is not recorded (--{})",
                                name, fmt::join(trace.beside, ", --")),
                    ENOTSUP);
    }
    MachineConfig config = trace.config;
    config.boot.kernel.clear();
    config.trace.clear();
    fake::Hypervisor hypervisor;
    hypervisor.set_cap(kvm::cap::max_vcpus.number, most_cpus);
    detail::Replayer replayer(trace, name);
    auto machine =
        detail::Replayer::Machine::create(config, console, hypervisor.system(), {}, &replayer);
    if (!machine) {
        return fail(fmt::format("{}: {}", name, machine.error().message), machine.error().code);
    }
    return replayer.run(**machine, hypervisor);
}

}  // namespace vmm

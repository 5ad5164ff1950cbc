// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <algorithm>
#include <cerrno>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <thread>
#include <vmm/machine_guests.hpp>

/// A machine's life on any hypervisor: start, pause, resume, stop, wait, from any thread.
namespace vmm::test {

/// Keeps what a machine tells.
struct Told {
    MachineEvents events() {
        return {.state = [this](MachineState s) { states.push_back(s); },
                .end = [this](const Result<End>& e) { end = e; }};
    }
    std::vector<MachineState> states;
    std::optional<Result<End>> end;
};

/// Takes nothing until it is opened.
struct StuckConsole final : Console {
    StuckConsole() {
        EXPECT_EQ(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
        fill();
    }
    ~StuckConsole() override {
        close(fds[0]);
        close(fds[1]);
    }
    void fill() {
        const std::string page(4096, 'x');
        while (::write(fds[1], page.data(), page.size()) > 0) {
        }
    }
    Result<std::size_t> write(std::span<const std::byte>) override { return 0; }
    int output_fd() const override { return fds[1]; }
    Result<Input> read(std::span<std::byte>, std::size_t& size) override {
        size = 0;
        return Input::end;
    }
    int fds[2] = {-1, -1};
};

/// The threads of this process of that name.
inline std::vector<pid_t> threads_named(std::string_view wanted) {
    std::vector<pid_t> found;
    for (const Thread& thread : Thread::all()) {
        if (thread.name == wanted) {
            found.push_back(thread.id);
        }
    }
    return found;
}

template <class Maker>
class MachineLife : public OnMaker<Maker> {
protected:
    using Machine = typename Maker::Machine;

    Machine telling(const Guest& guest) { return telling(guest, this->config(guest)); }
    Machine telling(const Guest& guest, MachineConfig c) {
        c.timeout.reset();
        return must(this->maker.create(c, guest, this->console, told.events()));
    }
    std::size_t printed() {
        const std::lock_guard lock(this->console.mutex);
        return this->console.text.size();
    }
    /// Waits until the guest has printed more.
    void await_output() {
        const std::size_t before = printed();
        for (int i = 0; i < 2000 && printed() == before; ++i) {
            std::this_thread::sleep_for(5ms);
        }
        EXPECT_GT(printed(), before);
    }
    Told told;
};
TYPED_TEST_SUITE_P(MachineLife);

TYPED_TEST_P(MachineLife, GoesFromStateToStateAndTells) {
    using enum MachineState;
    auto m = this->telling(spin);
    EXPECT_EQ(m.state(), created);
    must(m.start());
    EXPECT_EQ(m.state(), running);
    must(m.pause());
    must(m.pause());
    EXPECT_EQ(m.state(), paused);
    must(m.resume());
    must(m.resume());
    EXPECT_EQ(m.state(), running);
    m.stop();
    EXPECT_EQ(must(m.wait()).reason, EndReason::stopped);
    EXPECT_EQ(must(m.wait()).reason, EndReason::stopped);
    EXPECT_EQ(m.state(), ended);
    EXPECT_EQ(this->told.states, (std::vector{running, paused, running, ended}));
    ASSERT_TRUE(this->told.end);
    EXPECT_EQ(must(*this->told.end).reason, EndReason::stopped);
}

TYPED_TEST_P(MachineLife, EndsByItselfAndIsWaitedFor) {
    auto m = this->telling(print_and_reset);
    must(m.start());
    EXPECT_EQ(must(m.wait()).reason, EndReason::reset);
    EXPECT_EQ(this->console.text, "Hi");
}

TYPED_TEST_P(MachineLife, RefusesWhatItsStateDoesNotAllow) {
    auto m = this->telling(spin);
    EXPECT_NE(message(m.pause()).find("not been started"), std::string::npos);
    EXPECT_NE(message(m.resume()).find("not been started"), std::string::npos);
    EXPECT_NE(message(m.wait()).find("not been started"), std::string::npos);
    must(m.start());
    EXPECT_EQ(code(m.start()), EBUSY);
    EXPECT_EQ(code(m.run()), EBUSY);
    m.stop();
    must(m.wait());
    EXPECT_NE(message(m.pause()).find("ended"), std::string::npos);
    EXPECT_NE(message(m.resume()).find("ended"), std::string::npos);
    EXPECT_EQ(code(m.start()), EBUSY);
}

TYPED_TEST_P(MachineLife, StopsAndIsDestroyedInEveryState) {
    const Resources before = Resources::now();
    for (const bool stopped : {true, false}) {
        for (int state = 0; state < 4; ++state) {
            auto m = this->telling(spin);
            if (state > 0) {
                must(m.start());
            }
            if (state == 2) {
                must(m.pause());
                EXPECT_GT(Resources::now().threads, before.threads);
            }
            if (stopped || state == 3) {
                m.stop();
            }
            if (state == 3) {
                must(m.wait());
                m.stop();
            }
            if (stopped && state == 0) {
                must(m.start());
            }
            if (stopped) {
                EXPECT_EQ(must(m.wait()).reason, EndReason::stopped);
            }
        }
    }
    EXPECT_EQ(Resources::now(), before);
}

TYPED_TEST_P(MachineLife, PausedItDoesNothingAndResumedItGoesOn) {
    MachineConfig c = this->config(flood);
    c.cpus = 2;
    auto m = this->telling(flood, c);
    must(m.start());
    this->await_output();
    for (int i = 0; i < 3; ++i) {
        must(m.pause());
        const ExitCounts exits = m.report().exits;
        const auto io = std::ranges::find(exits, "IO", &ExitCounts::value_type::first);
        ASSERT_NE(io, exits.end());
        // What was collected, a byte for each exit, is written, however long that takes.
        for (int tries = 0; tries < 1000 && this->printed() < io->second; ++tries) {
            std::this_thread::sleep_for(10ms);
        }
        std::this_thread::sleep_for(50ms);
        EXPECT_EQ(this->printed(), io->second);
        EXPECT_EQ(m.report().exits, exits);
        must(m.resume());
        this->await_output();
    }
    m.stop();
    EXPECT_EQ(must(m.wait()).reason, EndReason::stopped);
}

TYPED_TEST_P(MachineLife, ManyThreadsMayControlItUnderLoad) {
    MachineConfig c = this->config(flood);
    c.cpus = 3;
    auto m = this->telling(flood, c);
    must(m.start());
    {
        std::vector<std::jthread> threads;
        for (int t = 0; t < 3; ++t) {
            threads.emplace_back([&] {
                for (int i = 0; i < 30; ++i) {
                    (void)m.pause();
                    (void)m.resume();
                }
            });
        }
    }
    must(m.resume());
    this->await_output();
    {
        std::jthread pausing([&] {
            while (m.pause() && m.resume()) {
            }
        });
        std::this_thread::sleep_for(20ms);
        m.stop();
        EXPECT_EQ(must(m.wait()).reason, EndReason::stopped);
    }
    EXPECT_EQ(this->told.states.back(), MachineState::ended);
}

TYPED_TEST_P(MachineLife, PausesAlsoWhileTheConsoleTakesNothing) {
    StuckConsole stuck;
    MachineConfig c = this->config(flood);
    c.timeout.reset();
    auto m = must(this->maker.create(c, flood, stuck));
    must(m.start());
    std::this_thread::sleep_for(100ms);
    must(m.pause());
    must(m.resume());
    std::this_thread::sleep_for(20ms);
    must(m.pause());
    m.stop();
    EXPECT_EQ(must(m.wait()).reason, EndReason::stopped);
}

TYPED_TEST_P(MachineLife, PausesDoNotCountForItsTimeout) {
    MachineConfig c = this->config(spin);
    c.timeout = 1500ms;
    auto m = must(this->maker.create(c, spin, this->console));
    must(m.start());
    std::this_thread::sleep_for(50ms);  // its clock runs: the pause has to stop it
    must(m.pause());
    std::this_thread::sleep_for(1600ms);
    EXPECT_EQ(m.state(), MachineState::paused);
    must(m.resume());
    EXPECT_EQ(must(m.wait()).reason, EndReason::timeout);
}

TYPED_TEST_P(MachineLife, AnEventMayStopItAndMayNotWaitForIt) {
    typename TypeParam::Machine* machine = nullptr;
    std::vector<int> codes;
    const MachineEvents events{.state =
                                   [&](MachineState state) {
                                       codes.push_back(code(machine->pause()));
                                       codes.push_back(code(machine->wait()));
                                       EXPECT_EQ(machine->state(), state);
                                       machine->stop();
                                   },
                               .end = {}};
    auto m = must(this->maker.create(this->config(spin), spin, this->console, events));
    machine = &m;
    must(m.start());
    EXPECT_EQ(must(m.wait()).reason, EndReason::stopped);
    EXPECT_EQ(codes, std::vector<int>(4, EDEADLK));
}

TYPED_TEST_P(MachineLife, OneIsPausedWhileAnotherRuns) {
    auto paused = this->telling(spin);
    must(paused.start());
    must(paused.pause());
    auto running = must(this->maker.create(this->config(flood), flood, this->console));
    must(running.start());
    this->await_output();
    must(running.pause());
    must(paused.resume());
    EXPECT_EQ(running.state(), MachineState::paused);
    EXPECT_EQ(paused.state(), MachineState::running);
}

TYPED_TEST_P(MachineLife, ItsThreadsHaveNamesAndStayOnTheirCpus) {
    MachineConfig c = this->config(spin);
    c.cpus = 2;
    c.cpu_affinity = {{}, {static_cast<std::uint32_t>(sched_getcpu())}};
    auto m = this->telling(spin, c);
    must(m.start());
    must(m.pause());
    EXPECT_EQ(threads_named("machine").size(), 1u);
    EXPECT_EQ(threads_named("vcpu 0").size(), 1u);
    const auto second = threads_named("vcpu 1");
    ASSERT_EQ(second.size(), 1u);
    cpu_set_t set;
    ASSERT_EQ(sched_getaffinity(second[0], sizeof set, &set), 0);
    EXPECT_EQ(CPU_COUNT(&set), 1);
    EXPECT_TRUE(CPU_ISSET(c.cpu_affinity[1][0], &set));

    c.cpu_affinity = {{4000}};
    EXPECT_EQ(message(this->maker.create(c, spin, this->console)),
              "cpu-affinity: 0=4000: the host has no CPU 4000");
}

TYPED_TEST_P(MachineLife, ManyLivesLeaveNothingBehind) {
    Resources before;
    for (int i = 0; i < TypeParam::lives; ++i) {
        if (i == 10) {
            before = Resources::now();
        }
        TypeParam own;
        if (i % 2) {
            const MachineConfig c = this->config(print_and_reset);
            EXPECT_EQ(must(must(own.create(c, print_and_reset, this->console)).run()).reason,
                      EndReason::reset);
        } else {
            MachineConfig c = this->config(spin);
            c.timeout.reset();
            auto m = must(own.create(c, spin, this->console));
            must(m.start());
            if (i % 4) {
                must(m.pause());
            }
        }
    }
    EXPECT_EQ(Resources::now(), before);
}

REGISTER_TYPED_TEST_SUITE_P(MachineLife, GoesFromStateToStateAndTells, EndsByItselfAndIsWaitedFor,
                            RefusesWhatItsStateDoesNotAllow, StopsAndIsDestroyedInEveryState,
                            PausedItDoesNothingAndResumedItGoesOn, ManyThreadsMayControlItUnderLoad,
                            PausesAlsoWhileTheConsoleTakesNothing, PausesDoNotCountForItsTimeout,
                            AnEventMayStopItAndMayNotWaitForIt, OneIsPausedWhileAnotherRuns,
                            ItsThreadsHaveNamesAndStayOnTheirCpus, ManyLivesLeaveNothingBehind);

}  // namespace vmm::test

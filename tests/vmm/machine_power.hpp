// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <atomic>
#include <fcntl.h>
#include <thread>
#include <vmm/machine_guests.hpp>

/// How a guest ends its machine, and how it is asked to, on any hypervisor.
namespace vmm::test {

// Real mode, at 0x1000.
inline const Guest sleep_s5{"\xba\x0c\x06\xb0\x34\xee\xf4"sv, {out(0x60c, "\x34")}};
inline const Guest fixed_s5{"\xba\x04\x06\xb8\x01\x34\xef\xf4"sv, {out(0x604, "\x01\x34", 2)}};
inline const Guest panic{"\xba\x05\x05\xb0\x01\xee\xf4"sv, {out(0x505, "\x01")}};
inline const Guest crash_kernel{"\xba\x05\x05\xb0\x02\xee\xb0\xfe\xe6\x64\xf4"sv,
                                {out(0x505, "\x02"), out(0x64, "\xfe")}};
inline const Guest test_exit{"\xb0\x05\xe6\xf4\xb0\xfe\xe6\x64\xf4"sv,
                             {out(0xf4, "\x05"), out(0x64, "\xfe")}};
// Enables the power button, says R, waits for it and switches the machine off.
inline const Guest obedient{
    "\xba\x0f\x06\xb0\x01\xee\xba\xf8\x03\xb0R\xee\xba\x0e\x06\xec\x84\xc0\x74\xfb"
    "\xba\x0c\x06\xb0\x34\xee\xf4"sv,
    {out(0x60f, "\x01"), out(0x3f8, "R"), fake::AwaitLine{kvm::Gsi(9)}, in(0x60e, "\x01"),
     out(0x60c, "\x34")}};
// Enables it, says R, and goes on.
inline const Guest deaf{"\xba\x0f\x06\xb0\x01\xee\xba\xf8\x03\xb0R\xee\xeb\xfe"sv,
                        {out(0x60f, "\x01"), out(0x3f8, "R"), fake::Spin{}}};

template <class Maker>
class MachinePower : public OnMaker<Maker> {
protected:
    /// Runs `guest`; once it has said R, `action` is done to the machine.
    template <class Action>
    End run_until_ready(const Guest& guest, const MachineConfig& config, Action action) {
        auto m = this->machine(guest, config);
        const std::jthread other([&](const std::stop_token& done) {
            while (!done.stop_requested()) {
                {
                    const std::lock_guard lock(this->console.mutex);
                    if (this->console.text.find('R') != std::string::npos) {
                        break;
                    }
                }
                std::this_thread::sleep_for(5ms);
            }
            action(m);
        });
        return must(m.run());
    }
};
TYPED_TEST_SUITE_P(MachinePower);

TYPED_TEST_P(MachinePower, IsSwitchedOffByTheSleepControlRegister) {
    EXPECT_EQ(must(this->machine(sleep_s5).run()).reason, EndReason::power_off);
}

TYPED_TEST_P(MachinePower, IsSwitchedOffByThePm1RegistersWhereHardwareIsFixed) {
    MachineConfig c = this->config(fixed_s5);
    c.acpi = AcpiHardware::fixed;
    EXPECT_EQ(must(this->machine(fixed_s5, c).run()).reason, EndReason::power_off);
}

TYPED_TEST_P(MachinePower, EndsByAPanicUnlessTheGuestTakesCareOfIt) {
    EXPECT_EQ(must(this->machine(panic).run()).reason, EndReason::panic);
    auto m = this->machine(crash_kernel);
    EXPECT_EQ(must(m.run()).reason, EndReason::reset);
    ASSERT_EQ(m.report().notes.size(), 1u);
    EXPECT_NE(m.report().notes[0].find("crash kernel"), std::string::npos);
}

TYPED_TEST_P(MachinePower, EndsWithATestsNumberOnlyIfThereAreTestDevices) {
    MachineConfig c = this->config(test_exit);
    c.test_devices = true;
    const End end = must(this->machine(test_exit, c).run());
    EXPECT_EQ(end.reason, EndReason::test_exit);
    EXPECT_EQ(end.exit_value, 5u);
    EXPECT_EQ(must(this->machine(test_exit).run()).reason, EndReason::reset);
}

TYPED_TEST_P(MachinePower, IsSwitchedOffByAGuestThatHeedsTheButton) {
    const End end =
        this->run_until_ready(obedient, this->config(obedient), [](auto& m) { m.shut_down(); });
    EXPECT_EQ(end.reason, EndReason::shut_down);
}

TYPED_TEST_P(MachinePower, EndsThoughNobodyReadsWhatAGuestSaidThatHeedsTheButton) {
    struct Silent final : Console {
        Silent() { EXPECT_EQ(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0); }
        ~Silent() override {
            close(fds[0]);
            close(fds[1]);
        }
        Result<std::size_t> write(std::span<const std::byte>) override {
            const std::string page(4096, 'x');
            while (::write(fds[1], page.data(), page.size()) > 0) {
            }
            asked = true;
            return 0;
        }
        int output_fd() const override { return fds[1]; }
        Result<Input> read(std::span<std::byte>, std::size_t& size) override {
            size = 0;
            return Input::end;
        }
        std::atomic<bool> asked = false;
        int fds[2] = {-1, -1};
    } silent;
    auto m = must(this->maker.create(this->config(obedient), obedient, silent));
    must(m.start());
    for (int i = 0; i < 10'000 && !silent.asked; ++i) {
        std::this_thread::sleep_for(1ms);
    }
    m.shut_down();
    EXPECT_EQ(must(m.wait()).reason, EndReason::shut_down);  // or never
}

TYPED_TEST_P(MachinePower, IsStoppedWhenTheGuestDoesNotHeedTheButton) {
    MachineConfig c = this->config(deaf);
    c.grace = 50ms;
    const End end = this->run_until_ready(deaf, c, [](auto& m) {
        m.shut_down();
        m.shut_down();
    });
    EXPECT_EQ(end.reason, EndReason::stopped);
}

TYPED_TEST_P(MachinePower, IsStoppedAtOnceByAnotherWhoDoesNotWait) {
    const End end = this->run_until_ready(deaf, this->config(deaf), [](auto& m) {
        m.shut_down();
        m.stop();
    });
    EXPECT_EQ(end.reason, EndReason::stopped);
}

TYPED_TEST_P(MachinePower, IsStoppedAtOnceWhenTheGuestHasNoUseForAButton) {
    auto m = this->machine(spin);
    m.shut_down();
    EXPECT_EQ(must(m.run()).reason, EndReason::stopped);
}

TYPED_TEST_P(MachinePower, IsWithoutTheDevicesThatItIsToBeWithout) {
    MachineConfig c = this->config(panic);
    c.devices.pvpanic = false;
    auto m = this->machine(panic, c);
    EXPECT_EQ(must(m.run()).reason, EndReason::halted);
    ASSERT_EQ(m.report().ports.size(), 1u);
    EXPECT_EQ(m.report().ports[0].address, 0x505u);
}

TYPED_TEST_P(MachinePower, HasSixtyFourCpus) {
    MachineConfig c = this->config(print_and_reset);
    c.cpus = 64;
    EXPECT_EQ(must(this->machine(print_and_reset, c).run()).reason, EndReason::reset);
}

REGISTER_TYPED_TEST_SUITE_P(MachinePower, IsSwitchedOffByTheSleepControlRegister,
                            IsSwitchedOffByThePm1RegistersWhereHardwareIsFixed,
                            EndsByAPanicUnlessTheGuestTakesCareOfIt,
                            EndsWithATestsNumberOnlyIfThereAreTestDevices,
                            IsSwitchedOffByAGuestThatHeedsTheButton,
                            EndsThoughNobodyReadsWhatAGuestSaidThatHeedsTheButton,
                            IsStoppedWhenTheGuestDoesNotHeedTheButton,
                            IsStoppedAtOnceByAnotherWhoDoesNotWait,
                            IsStoppedAtOnceWhenTheGuestHasNoUseForAButton,
                            IsWithoutTheDevicesThatItIsToBeWithout, HasSixtyFourCpus);

}  // namespace vmm::test

// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <gtest/gtest.h>

#include <algorithm>
#include <kvm/throw.hpp>
#include <poll.h>
#include <thread>
#include <vmm/device/signals.hpp>
#include <vmm/fake.hpp>
#include <vmm/result.hpp>
#include <vmm/x86_64/layout.hpp>

namespace vmm {

namespace {

using test::code;
using test::must;

/// A VM of a scripted hypervisor, with an interrupt controller, and its signals.
struct WithVm {
    explicit WithVm(const std::function<void(fake::Hypervisor&)>& change = {}) {
        if (change) {
            change(hypervisor);
        }
        vm.emplace(kvm::must(hypervisor.system().create_vm()));
        kvm::must(vm->create_irqchip());
        signals.emplace(*vm);
    }

    fake::Hypervisor hypervisor;
    std::optional<fake::Vm> vm;
    std::optional<VmSignals<fake::Vm>> signals;
};

void has_no_irqfd(fake::Hypervisor& h) { h.set_cap(kvm::cap::irqfd.number, 0); }

bool is_readable(int fd) {
    pollfd wait{fd, POLLIN, 0};
    return poll(&wait, 1, 0) == 1;
}

kvm::Msi message(std::uint32_t data) {
    return {
        .address_lo = 0xfee00000, .address_hi = 0, .data = data, .flags = 0, .devid = 0, .pad{}};
}

std::vector<std::uint32_t> routed_data(const fake::Hypervisor& hypervisor) {
    std::vector<std::uint32_t> data;
    for (const kvm::IrqRoutingEntry& route : hypervisor.vm().routes) {
        if (route.type == kvm::IrqRoutingType::msi) {
            data.push_back(route.u.msi.data);
        }
    }
    return data;
}

TEST(Signals, a_pulse_of_a_pin_is_a_write_to_its_irqfd) {
    WithVm with;
    auto pin = must(create_pin_pulse(*with.signals, kvm::Gsi(5)));
    const auto irqfds = with.hypervisor.vm().irqfds;
    ASSERT_EQ(irqfds.size(), 1u);
    EXPECT_EQ(irqfds[0].gsi, kvm::Gsi(5));
    EXPECT_FALSE(is_readable(irqfds[0].fd));
    pin->pulse();
    EXPECT_TRUE(is_readable(irqfds[0].fd));
    pin.reset();
    EXPECT_TRUE(with.hypervisor.vm().irqfds.empty());
}

TEST(Signals, a_pulse_of_a_pin_without_irqfds_is_a_line_that_rises_and_falls) {
    WithVm with(has_no_irqfd);
    must(create_pin_pulse(*with.signals, kvm::Gsi(5)))->pulse();
    using kvm::Level;
    const std::vector<std::pair<kvm::Gsi, Level>> wanted{{kvm::Gsi(5), Level::high},
                                                         {kvm::Gsi(5), Level::low}};
    EXPECT_EQ(with.hypervisor.vm().line_changes, wanted);
    EXPECT_TRUE(with.hypervisor.vm().irqfds.empty());
}

TEST(Signals, a_pin_that_gets_no_irqfd_is_an_error) {
    WithVm with;
    with.hypervisor.fail("KVM_IRQFD", ENOMEM);
    EXPECT_EQ(code(create_pin_pulse(*with.signals, kvm::Gsi(5))), ENOMEM);
}

TEST(Signals, a_doorbell_is_an_ioeventfd) {
    WithVm with;
    EventDoorbells doorbells(*with.signals);
    const auto event = kvm::must(kvm::EventFd::create());
    const auto match = kvm::Datamatch::value(std::uint32_t(1));
    EXPECT_TRUE(must(doorbells.add(event, kvm::Gpa(0xd0000050), match)));
    ASSERT_EQ(with.hypervisor.vm().ioeventfds.size(), 1u);
    EXPECT_EQ(with.hypervisor.vm().ioeventfds[0].address->value(), 0xd0000050u);
    doorbells.remove(event, kvm::Gpa(0xd0000050), match);
    EXPECT_TRUE(with.hypervisor.vm().ioeventfds.empty());
    doorbells.remove(event, kvm::Gpa(0xd0000050), match);  // there is none: no error
}

TEST(Signals, without_ioeventfds_there_are_no_doorbells) {
    WithVm with([](fake::Hypervisor& h) { h.set_cap(kvm::cap::ioeventfd.number, 0); });
    EventDoorbells doorbells(*with.signals);
    const auto event = kvm::must(kvm::EventFd::create());
    EXPECT_FALSE(must(doorbells.add(event, kvm::Gpa(0xd0000050), kvm::Datamatch::length(4))));
    EXPECT_TRUE(with.hypervisor.vm().ioeventfds.empty());
}

TEST(Signals, a_doorbell_that_is_refused_is_an_error) {
    WithVm with;
    EventDoorbells doorbells(*with.signals);
    const auto event = kvm::must(kvm::EventFd::create());
    with.hypervisor.fail("KVM_IOEVENTFD", ENOSPC);
    EXPECT_EQ(code(doorbells.add(event, kvm::Gpa(0xd0000050), kvm::Datamatch::length(4))), ENOSPC);
}

TEST(Messages, pins_stay_routed_as_they_were_and_a_message_has_a_gsi_above_them) {
    WithVm with;
    RoutedMessages messages(*with.signals, x86_64::pin_routes());
    auto one = must(messages.create_message());
    EXPECT_TRUE(with.hypervisor.vm().irqfds.empty());
    must(one->set(message(0x41)));
    const auto vm = with.hypervisor.vm();
    ASSERT_EQ(vm.routes.size(), 24u + 16 + 1);
    for (std::uint32_t gsi = 0; gsi < 24; ++gsi) {
        EXPECT_EQ(std::ranges::count(vm.routes, gsi, &kvm::IrqRoutingEntry::gsi), gsi < 16 ? 2 : 1);
    }
    EXPECT_EQ(vm.routes.back().gsi, 24u);
    EXPECT_EQ(vm.routes.back().u.msi.address_lo, 0xfee00000u);
    ASSERT_EQ(vm.irqfds.size(), 1u);
    EXPECT_EQ(vm.irqfds[0].gsi, kvm::Gsi(24));
    one->pulse();
    EXPECT_TRUE(is_readable(vm.irqfds[0].fd));
}

TEST(Messages, a_message_that_changes_keeps_its_irqfd) {
    WithVm with;
    RoutedMessages messages(*with.signals, x86_64::pin_routes());
    auto one = must(messages.create_message());
    must(one->set(message(0x41)));
    must(one->set(message(0x42)));
    EXPECT_EQ(routed_data(with.hypervisor), std::vector<std::uint32_t>{0x42});
    EXPECT_EQ(std::ranges::count(with.hypervisor.calls(), "KVM_IRQFD"), 1);
}

TEST(Messages, what_is_pulsed_without_a_message_is_lost) {
    WithVm with;
    RoutedMessages messages(*with.signals, x86_64::pin_routes());
    auto one = must(messages.create_message());
    one->pulse();
    must(one->set(message(0x41)));
    ASSERT_EQ(with.hypervisor.vm().irqfds.size(), 1u);
    EXPECT_FALSE(is_readable(with.hypervisor.vm().irqfds[0].fd));
    must(one->set(std::nullopt));
    EXPECT_TRUE(with.hypervisor.vm().irqfds.empty());
    one->pulse();
    must(one->set(message(0x41)));
    EXPECT_FALSE(is_readable(with.hypervisor.vm().irqfds[0].fd));
}

TEST(Messages, gsis_are_used_again) {
    WithVm with;
    RoutedMessages messages(*with.signals, x86_64::pin_routes());
    std::vector<std::unique_ptr<MessageInterrupt>> some;
    for (std::uint32_t i = 0; i < 3; ++i) {
        some.push_back(must(messages.create_message()));
        must(some.back()->set(message(0x40 + i)));
    }
    some.erase(some.begin() + 1);
    auto next = must(messages.create_message());
    must(next->set(message(0x50)));
    const auto irqfds = with.hypervisor.vm().irqfds;
    EXPECT_EQ(irqfds.back().gsi, kvm::Gsi(25));
    EXPECT_EQ(routed_data(with.hypervisor), (std::vector<std::uint32_t>{0x40, 0x50, 0x42}));
}

TEST(Messages, there_are_no_more_than_routes) {
    WithVm with([](fake::Hypervisor& h) { h.set_cap(kvm::cap::irq_routing.number, 42); });
    RoutedMessages messages(*with.signals, x86_64::pin_routes());
    std::vector<std::unique_ptr<MessageInterrupt>> all;
    for (std::uint32_t i = 0; i < 3; ++i) {
        all.push_back(must(messages.create_message()));
    }
    must(all[0]->set(message(1)));
    must(all[1]->set(message(2)));
    EXPECT_EQ(code(all[2]->set(message(3))), ENOSPC);
    must(all[0]->set(std::nullopt));
    must(all[2]->set(message(3)));
}

TEST(Messages, one_whose_route_or_irqfd_is_refused_sends_nothing) {
    for (const char* call : {"KVM_SET_GSI_ROUTING", "KVM_IRQFD"}) {
        WithVm with;
        RoutedMessages messages(*with.signals, x86_64::pin_routes());
        auto one = must(messages.create_message());
        with.hypervisor.fail(call, EINVAL);
        EXPECT_EQ(code(one->set(message(0x41))), EINVAL) << call;
        EXPECT_TRUE(with.hypervisor.vm().irqfds.empty()) << call;
        one->pulse();
        must(one->set(message(0x42)));
        EXPECT_EQ(routed_data(with.hypervisor), std::vector<std::uint32_t>{0x42}) << call;
    }
}

TEST(Messages, without_irqfds_or_routes_they_are_signalled) {
    for (const int cap : {kvm::cap::irqfd.number, kvm::cap::irq_routing.number}) {
        WithVm with([&](fake::Hypervisor& h) { h.set_cap(cap, 0); });
        RoutedMessages messages(*with.signals, x86_64::pin_routes());
        auto one = must(messages.create_message());
        one->pulse();
        must(one->set(message(0x41)));
        one->pulse();
        must(one->set(std::nullopt));
        one->pulse();
        const auto sent = with.hypervisor.vm().msis;
        ASSERT_EQ(sent.size(), 1u);
        EXPECT_EQ(sent[0].data, 0x41u);
        EXPECT_TRUE(with.hypervisor.vm().routes.empty());
    }
}

TEST(Messages, change_while_threads_pulse) {
    WithVm with;
    RoutedMessages messages(*with.signals, x86_64::pin_routes());
    auto one = must(messages.create_message());
    std::atomic<bool> stop = false;
    std::vector<std::jthread> threads;
    for (int i = 0; i < 2; ++i) {
        threads.emplace_back([&] {
            while (!stop) {
                one->pulse();
            }
        });
    }
    for (std::uint32_t i = 0; i < 2000; ++i) {
        must(i % 3 == 2 ? one->set(std::nullopt) : one->set(message(i)));
    }
    stop = true;
}

/// Runs vCPU 0's script, beside `meanwhile`, until the exit behind it.
void run_until_exit(WithVm& with, fake::Step step, const std::function<void()>& meanwhile) {
    with.hypervisor.script(kvm::VcpuId(0), {std::move(step), fake::IoOut{kvm::Port(0x80), "x"}});
    auto vcpu = kvm::must(with.vm->create_vcpu(kvm::VcpuId(0)));
    std::jthread other(meanwhile);
    EXPECT_EQ(kvm::must(vcpu.run()).reason(), kvm::ExitReason::io);
}

TEST(Signals, a_scripted_guest_waits_for_a_pulse) {
    WithVm with;
    auto pin = must(create_pin_pulse(*with.signals, kvm::Gsi(5)));
    run_until_exit(with, fake::AwaitPulse{kvm::Gsi(5)}, [&] { pin->pulse(); });
    WithVm without(has_no_irqfd);
    auto line = must(create_pin_pulse(*without.signals, kvm::Gsi(5)));
    run_until_exit(without, fake::AwaitPulse{kvm::Gsi(5)}, [&] { line->pulse(); });
}

TEST(Signals, a_scripted_guest_waits_for_a_message) {
    for (const auto& change : {std::function<void(fake::Hypervisor&)>{},
                               std::function<void(fake::Hypervisor&)>{has_no_irqfd}}) {
        WithVm with(change);
        RoutedMessages messages(*with.signals, x86_64::pin_routes());
        auto one = must(messages.create_message());
        must(one->set(message(0x41)));
        run_until_exit(with, fake::AwaitMessage{0x41}, [&] { one->pulse(); });
    }
}

}  // namespace

}  // namespace vmm

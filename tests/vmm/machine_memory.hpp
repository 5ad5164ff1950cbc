// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cerrno>
#include <fstream>
#include <iostream>
#include <iterator>
#include <vmm/machine_guests.hpp>
#include <vmm/x86_64/layout.hpp>

/// What a machine does with its memory, on any hypervisor.
namespace vmm::test {

template <class Maker>
class MachineMemory : public OnMaker<Maker> {
protected:
    MachineConfig config_of(const Backing& backing) {
        MachineConfig c = this->config(print_and_reset);
        c.memory_backing = backing;
        return c;
    }
    std::string file(std::uint64_t size) {
        const std::string name = this->path + ".ram";
        std::ofstream(name, std::ios::binary).close();
        std::filesystem::resize_file(name, size);
        return name;
    }
    void TearDown() override {
        std::filesystem::remove(this->path + ".ram");
        OnMaker<Maker>::TearDown();
    }
};
TYPED_TEST_SUITE_P(MachineMemory);

TYPED_TEST_P(MachineMemory, MayBeOfOtherKinds) {
    const std::string name = this->file(2 << 20);
    for (const Backing& backing :
         {Backing(backing::Memfd{}), Backing(backing::File{.path = name}),
          Backing(backing::File{.path = name, .sharing = Sharing::shared})}) {
        this->console.text.clear();
        auto m = this->machine(print_and_reset, this->config_of(backing));
        EXPECT_EQ(m.memory().regions(), (std::vector{Region{{}, 2 << 20, backing}}));
        EXPECT_EQ(must(m.run()).reason, EndReason::reset);
        EXPECT_EQ(this->console.text, "Hi");
    }
    for (const Backing& backing :
         {Backing(backing::HugeTlb{}), Backing(backing::GuestMemfd{})}) {  // not on every host
        this->console.text.clear();
        auto m = this->maker.create(this->config_of(backing), print_and_reset, this->console);
        if (m) {
            EXPECT_EQ(must(m->run()).reason, EndReason::reset);
            EXPECT_EQ(this->console.text, "Hi");
        } else {
            std::cout << "not run: " << m.error().message << "\n";
            EXPECT_TRUE(
                m.error().message.starts_with("memory-backing: guest memory 0x0..0x1fffff ("))
                << m.error().message;
        }
    }
}

TYPED_TEST_P(MachineMemory, OfASharedFileIsInTheFile) {
    const std::string name = this->file(2 << 20);
    const backing::File file{.path = name, .sharing = Sharing::shared};
    must(this->machine(print_and_reset, this->config_of(file)).run());
    std::ifstream in(name, std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(in)), {});
    ASSERT_EQ(bytes.size(), 2u << 20);
    EXPECT_EQ(bytes.substr(0x1000, print_and_reset.code.size()), print_and_reset.code);
}

TYPED_TEST_P(MachineMemory, ThatCannotBeHadIsRefusedByName) {
    const auto refused = [&](const MachineConfig& c) {
        return message(this->maker.create(c, print_and_reset, this->console));
    };
    const std::string region = "memory-backing: guest memory 0x0..0x1fffff ";
    const std::string missing = this->path + "-missing";
    EXPECT_EQ(refused(this->config_of(backing::File{.path = missing})),
              region + "(file " + missing + "): No such file or directory");
    const std::string shorter = this->file(1 << 20);
    EXPECT_EQ(refused(this->config_of(backing::File{.path = shorter})),
              region + "(file " + shorter +
                  "): 0x200000 bytes from offset 0x0 wanted, the file has 0x100000");
    MachineConfig odd = this->config_of(backing::HugeTlb{});
    odd.memory_bytes = (2 << 20) + 4096;
    EXPECT_TRUE(refused(odd).starts_with("memory: ")) << refused(odd);
    odd = this->config_of(backing::Memfd{});
    odd.merge_memory = true;
    EXPECT_EQ(refused(odd), "merge-memory: goes with anonymous memory and private files alone");
}

TYPED_TEST_P(MachineMemory, IsThereBeforeTheStartIfItIsToBe) {
    MachineConfig c = this->config(print_and_reset);
    c.memory_bytes = 8 << 20;
    EXPECT_LT(this->machine(print_and_reset, c).report().resident_bytes, c.memory_bytes);
    c.prefault = true;
    EXPECT_EQ(this->machine(print_and_reset, c).report().resident_bytes, c.memory_bytes);
    c.prefault = false;
    c.lock_memory = true;
    const auto locked = this->maker.create(c, print_and_reset, this->console);
    if (locked) {
        EXPECT_EQ(locked->report().resident_bytes, c.memory_bytes);
    } else {  // RLIMIT_MEMLOCK
        EXPECT_TRUE(locked.error().message.starts_with("lock-memory: guest memory 0x0..0x7fffff: "))
            << locked.error().message;
    }
}

TYPED_TEST_P(MachineMemory, ComesAndGoesWhileTheGuestRuns) {
    constexpr kvm::Gpa at(std::uint64_t(4) << 30);
    auto m = this->machine(spin, this->config(spin));
    ASSERT_TRUE(m.start());
    const Region more{at, 4 << 20};
    EXPECT_TRUE(m.add_memory(more));
    EXPECT_TRUE(m.memory().write(at + 0x1000, 0x1234u));
    EXPECT_EQ(m.report().memory_bytes, 6u << 20);
    EXPECT_EQ(code(m.add_memory({at + 0x1000, 4096})), EEXIST);
    EXPECT_EQ(code(m.add_memory({kvm::Gpa(2 << 20), 2 << 20})), EINVAL);
    EXPECT_EQ(code(m.add_memory({kvm::Gpa(0xfee00000), 4096})), EINVAL) << "the local APIC's";
    EXPECT_EQ(code(m.remove_memory(kvm::Gpa(0))), EINVAL) << "the machine started with it";
    EXPECT_EQ(code(m.remove_memory(at + 0x1000)), ENOENT);
    EXPECT_TRUE(m.remove_memory(at));
    EXPECT_EQ(code(m.memory().host_view(at + 0x1000, 4)), EFAULT);
    EXPECT_EQ(m.memory().regions().size(), 1u);
    EXPECT_EQ(m.state(), MachineState::running);
    m.stop();
    EXPECT_EQ(must(m.wait()).reason, EndReason::stopped);
}

TYPED_TEST_P(MachineMemory, MayBeAskedForByABalloon) {
    const auto target = [](const auto& m) {
        const auto report = m.report();
        const auto& statistics = report.devices.at(0).statistics;
        EXPECT_EQ(statistics.at(0).name, "target-bytes");
        return statistics.at(0).value;
    };
    MachineConfig c = this->config(spin);
    EXPECT_EQ(code(this->machine(spin, c).set_balloon(4096)), EINVAL) << "it has none";
    c.balloon.emplace();
    auto m = this->machine(spin, c);
    EXPECT_EQ(target(m), 0u);
    ASSERT_TRUE(m.start());
    EXPECT_TRUE(m.set_balloon(c.memory_bytes));
    EXPECT_EQ(target(m), c.memory_bytes);
    EXPECT_TRUE(m.set_balloon(12'345));
    EXPECT_EQ(target(m), 3u * 4096) << "whole pages";
    EXPECT_EQ(code(m.set_balloon(c.memory_bytes + 1)), EINVAL);
    EXPECT_EQ(target(m), 3u * 4096) << "as before";
    m.stop();
    EXPECT_EQ(must(m.wait()).reason, EndReason::stopped);
    EXPECT_TRUE(m.set_balloon(0)) << "a machine that has ended";
    EXPECT_EQ(target(m), 0u);
}

TYPED_TEST_P(MachineMemory, IsNotPlacedWherePcisDevicesMayBe) {
    MachineConfig c = this->config(print_and_reset);
    const std::uint64_t window = x86_64::pci_memory64(c.memory_bytes).value();
    constexpr std::uint64_t size = x86_64::layout::pci_memory64_size;
    const auto at = [](std::uint64_t address, std::uint64_t bytes) {
        return Region{kvm::Gpa(address), bytes};
    };
    auto without = this->machine(print_and_reset, c);
    EXPECT_TRUE(without.add_memory(at(window, 2 << 20)));
    c.pci = true;
    auto m = this->machine(print_and_reset, c);
    EXPECT_TRUE(m.add_memory(at(window - (2 << 20), 2 << 20)));
    EXPECT_TRUE(m.add_memory(at(window + size, 2 << 20)));
    for (const Region& region : {at(window - 4096, 8192), at(window, 4096),
                                 at(window + size - 4096, 8192), at(window - 4096, 2 * size)}) {
        const auto refused = m.add_memory(region);
        EXPECT_EQ(code(refused), EINVAL) << region.address.value();
        EXPECT_TRUE(
            message(refused).ends_with(": PCI's devices may be at 0x1000000000..0x103fffffff"))
            << message(refused);
    }
}

TYPED_TEST_P(MachineMemory, OfAnyKindLeavesNothingBehind) {
    const std::string name = this->file(2 << 20);
    const auto live = [&](const Backing& backing) {
        MachineConfig c = this->config_of(backing);
        c.prefault = true;
        auto m = this->machine(print_and_reset, c);
        EXPECT_TRUE(m.add_memory({kvm::Gpa(std::uint64_t(4) << 30), 2 << 20, backing}));
        must(m.run());
    };
    live(backing::Memfd{});
    const Resources before = Resources::now();
    for (int i = 0; i < 3; ++i) {
        live(backing::Memfd{});
        live(backing::File{.path = name, .sharing = Sharing::shared});
        EXPECT_FALSE(this->maker.create(this->config_of(backing::File{.path = name + "-missing"}),
                                        print_and_reset, this->console));
    }
    EXPECT_EQ(Resources::now(), before);
}

REGISTER_TYPED_TEST_SUITE_P(MachineMemory, MayBeOfOtherKinds, OfASharedFileIsInTheFile,
                            ThatCannotBeHadIsRefusedByName, IsThereBeforeTheStartIfItIsToBe,
                            ComesAndGoesWhileTheGuestRuns, MayBeAskedForByABalloon,
                            IsNotPlacedWherePcisDevicesMayBe, OfAnyKindLeavesNothingBehind);

}  // namespace vmm::test

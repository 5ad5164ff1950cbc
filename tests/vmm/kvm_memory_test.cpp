// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "memory_fixture.hpp"

#include <atomic>
#include <kvm/dirty_ring.hpp>
#include <kvm/kvm.hpp>
#include <support/require.hpp>
#include <thread>

/// Guest memory under a guest: slots, files, read-only regions and dirty pages on a real KVM.
namespace vmm::test {
namespace {

using kvm::must;

/// What the guest did, as text: "in", "out 5", "read 0x8000", "write 0x8000 5".
std::string name_of(const kvm::Exit& exit) {
    const auto byte = [](std::span<const std::byte> data) { return std::to_integer<int>(data[0]); };
    return exit.visit(kvm::handlers{
        [](const kvm::exit::IoIn&) { return std::string("in"); },
        [&](const kvm::exit::IoOut& io) { return fmt::format("out {}", byte(io.data)); },
        [](const kvm::exit::MmioRead& read) {
            return fmt::format("read {:#x}", read.address.value());
        },
        [&](const kvm::exit::MmioWrite& write) {
            return fmt::format("write {:#x} {}", write.address.value(), byte(write.data));
        },
        [&](const auto&) { return fmt::format("exit {}", static_cast<unsigned>(exit.reason())); }});
}

/// A VM with a vCPU in real mode, code at 0x1000, and whatever else a test adds.
class MemoryOnKvm : public kvm::test::WithKvm {
protected:
    void SetUp() override {
        WithKvm::SetUp();
        if (!IsSkipped()) {
            vm.emplace(must(kvm().create_vm()));
        }
    }
    /// The vCPU at the start of `code`, which ends with a byte to port 0x10.
    void start(std::initializer_list<unsigned char> code) {
        if (!vcpu) {
            test::must(memory.attach(*vm));
            vcpu.emplace(must(vm->create_vcpu(kvm::VcpuId(0))));
            auto sregs = must(vcpu->sregs());
            sregs.cs.base = 0;
            sregs.cs.selector = 0;
            must(vcpu->set_sregs(sregs));
        }
        const std::vector<unsigned char> bytes(code);
        test::must(memory.write(0x1000_gpa, std::as_bytes(std::span(bytes))));
        kvm::Regs regs{};
        regs.rip = 0x1000;
        regs.rflags = 2;
        must(vcpu->set_regs(regs));
    }
    std::string run() { return name_of(must(vcpu->run())); }
    /// mov al, [address]; out 0x10, al
    std::string guest_reads(unsigned address) {
        start({0xa0, static_cast<unsigned char>(address), static_cast<unsigned char>(address >> 8),
               0xe6, 0x10});
        return run();
    }
    /// mov byte [address], value; out 0x10, al
    std::string guest_writes(unsigned address, unsigned char value) {
        start({0xc6, 0x06, static_cast<unsigned char>(address),
               static_cast<unsigned char>(address >> 8), value, 0xe6, 0x10});
        return run();
    }
    Result<std::vector<GuestRange>> dirty() {
        std::vector<GuestRange> all;
        for (const DirtyPages& pages : test::must(memory.collect_dirty())) {
            std::ranges::copy(pages.ranges(), std::back_inserter(all));
        }
        return all;
    }

    std::optional<kvm::Vm> vm;
    GuestMemory memory = make({{0_gpa, 16_KiB}});
    std::optional<kvm::Vcpu> vcpu;
};

TEST_F(MemoryOnKvm, RegionsOfEveryKindAreTheGuestsMemory) {
    TempFile file(2);
    test::must(memory.add_region({0x8000_gpa, 4_KiB, backing::Memfd{}}));
    test::must(memory.add_region({0x9000_gpa, 4_KiB, backing::File{.path = file.path()}}));
    test::must(memory.add_region(
        {0xa000_gpa, 4_KiB,
         backing::File{.path = file.path(), .offset = 4096, .sharing = Sharing::shared}}));
    test::must(memory.write(0x8000_gpa, std::uint8_t(7)));
    EXPECT_EQ(guest_reads(0x8000), "out 7");
    EXPECT_EQ(guest_reads(0x9000), "out 1");
    EXPECT_EQ(guest_reads(0xa000), "out 2");
    EXPECT_EQ(guest_writes(0x9000, 50), "out 0");
    EXPECT_EQ(guest_writes(0xa000, 51), "out 0");
    EXPECT_EQ(test::must(memory.read<std::uint8_t>(0x9000_gpa)), 50);
    EXPECT_EQ(file.at(0), 1);
    EXPECT_EQ(file.at(4096), 51);
}

TEST_F(MemoryOnKvm, RegionsComeAndGoUnderTheGuest) {
    EXPECT_EQ(guest_reads(0x8000), "read 0x8000");
    (void)run();
    for (int i = 1; i <= 3; ++i) {
        test::must(memory.add_region({0x8000_gpa, 8_KiB}));
        test::must(memory.write(0x9000_gpa, std::uint8_t(i)));
        EXPECT_EQ(guest_reads(0x9000), fmt::format("out {}", i));
        test::must(memory.remove_region(0x8000_gpa));
        EXPECT_EQ(guest_reads(0x9000), "read 0x9000");
        (void)run();
    }
}

TEST_F(MemoryOnKvm, ReadOnlyRegionsAreReadByTheGuestAndItsWritesExit) {
    REQUIRE_CAP(*vm, kvm::cap::readonly_mem);
    test::must(memory.add_region({0x8000_gpa, 4_KiB, {}, Access::read_only}));
    test::must(memory.load(0x8000_gpa, std::as_bytes(std::span("*", 1))));
    EXPECT_EQ(guest_reads(0x8000), "out 42");
    EXPECT_EQ(guest_writes(0x8000, 5), "write 0x8000 5");
    EXPECT_EQ(run(), "out 0");
    EXPECT_EQ(test::must(memory.read<std::uint8_t>(0x8000_gpa)), 42);
}

TEST_F(MemoryOnKvm, FilesComeAndGoUnderTheGuest) {
    TempFile file(2);
    test::must(memory.write(0x2000_gpa, std::uint8_t(9)));
    EXPECT_EQ(guest_reads(0x2000), "out 9");
    test::must(memory.map_fd(0x2000_gpa, {.fd = file.fd(), .offset = 4096, .length = 4_KiB}));
    EXPECT_EQ(guest_reads(0x2000), "out 2");
    EXPECT_EQ(guest_writes(0x2000, 77), "out 0");
    EXPECT_EQ(test::must(memory.read<std::uint8_t>(0x2000_gpa)), 77);
    EXPECT_EQ(file.at(4096), 2) << "copied on write";
    test::must(memory.unmap_fd(0x2000_gpa, 4_KiB));
    EXPECT_EQ(guest_reads(0x2000), "out 0");
}

TEST_F(MemoryOnKvm, BalloonsTakeThePagesFromTheGuest) {
    test::must(memory.add_region({0x8000_gpa, 4_KiB, backing::Memfd{}}));
    for (const unsigned address : {0x3000u, 0x8000u}) {
        EXPECT_EQ(guest_writes(address, 5), "out 0");
        test::must(memory.inflate(kvm::Gpa(address), 4_KiB));
        EXPECT_EQ(guest_reads(address), "out 0");
        test::must(memory.deflate(kvm::Gpa(address), 4_KiB));
        EXPECT_EQ(guest_writes(address, 6), "out 0");
        EXPECT_EQ(guest_reads(address), "out 6");
    }
}

TEST_F(MemoryOnKvm, TheLogHasWhatTheGuestWroteAndWhatTheHostDid) {
    (void)guest_reads(0x2000);
    test::must(memory.start_dirty_tracking());
    EXPECT_EQ(guest_writes(0x3000, 1), "out 0");  // the host writes the code, at 0x1000
    EXPECT_EQ(test::must(dirty()),
              (std::vector<GuestRange>{{0x1000_gpa, 4_KiB}, {0x3000_gpa, 4_KiB}}));
    EXPECT_EQ(test::must(dirty()), std::vector<GuestRange>());
    EXPECT_EQ(guest_writes(0x2000, 1), "out 0");
    EXPECT_EQ(test::must(dirty()), (std::vector<GuestRange>{{0x1000_gpa, 8_KiB}}));
    test::must(memory.stop_dirty_tracking());
    EXPECT_EQ(guest_writes(0x3000, 1), "out 0");
    test::must(memory.start_dirty_tracking());
    EXPECT_EQ(test::must(dirty()), std::vector<GuestRange>());
}

TEST_F(MemoryOnKvm, ALogThatIsClearedByHandStartsAnewAllTheSame) {
    REQUIRE_CAP(*vm, kvm::cap::manual_dirty_log_protect2, kvm::ManualDirtyLogFlag::enable);
    must(vm->enable(kvm::cap::manual_dirty_log_protect2, kvm::ManualDirtyLogFlag::enable));
    test::must(memory.attach(must(kvm_slots(*vm, DirtyLogMode::manual_protect))));
    EXPECT_EQ(code(memory.attach(*vm)), EBUSY);
    vcpu.emplace(must(vm->create_vcpu(kvm::VcpuId(0))));
    auto sregs = must(vcpu->sregs());
    sregs.cs.base = 0;
    sregs.cs.selector = 0;
    must(vcpu->set_sregs(sregs));
    test::must(memory.start_dirty_tracking());
    for (int i = 0; i < 2; ++i) {
        EXPECT_EQ(guest_writes(0x3000, 1), "out 0");
        EXPECT_EQ(test::must(dirty()),
                  (std::vector<GuestRange>{{0x1000_gpa, 4_KiB}, {0x3000_gpa, 4_KiB}}));
        EXPECT_EQ(test::must(dirty()), std::vector<GuestRange>());
    }
}

TEST_F(MemoryOnKvm, RingsThatAreHarvestedHaveWhatTheGuestWrote) {
    constexpr std::size_t ring_bytes = 16 << 10;
    if (must(vm->check(kvm::cap::dirty_log_ring)) < int(ring_bytes)) {
        GTEST_SKIP() << kvm::test::lacks("DIRTY_LOG_RING");
    }
    must(vm->enable(kvm::cap::dirty_log_ring, ring_bytes));
    (void)guest_reads(0x2000);
    auto ring = must(kvm::DirtyRing::map(*vcpu, ring_bytes));
    test::must(memory.start_dirty_tracking(DirtySource::ring));
    EXPECT_EQ(guest_writes(0x3000, 1), "out 0");
    ring.harvest(
        [&](kvm::DirtyRing::Page page) { memory.mark_dirty_page(page.slot, page.offset); });
    (void)must(vm->reset_dirty_rings());
    EXPECT_EQ(test::must(dirty()),
              (std::vector<GuestRange>{{0x1000_gpa, 4_KiB}, {0x3000_gpa, 4_KiB}}));
}

TEST_F(MemoryOnKvm, GuestMemfdIsOneMemoryForGuestAndHost) {
    REQUIRE_CAP(*vm, kvm::cap::guest_memfd);
    REQUIRE_CAP(*vm, kvm::cap::guest_memfd_flags,
                kvm::GuestMemfdFlag::mmap | kvm::GuestMemfdFlag::init_shared);
    test::must(memory.add_region({0x8000_gpa, 16_KiB, backing::GuestMemfd{}}));
    test::must(memory.write(0x9000_gpa, std::uint8_t(7)));
    EXPECT_EQ(guest_reads(0x9000), "out 7") << "loaded before there was a VM";
    EXPECT_EQ(guest_writes(0xa000, 8), "out 0");
    EXPECT_EQ(test::must(memory.read<std::uint8_t>(0xa000_gpa)), 8);
    test::must(memory.write(0x9000_gpa, std::uint8_t(9)));
    EXPECT_EQ(guest_reads(0x9000), "out 9");
    test::must(memory.inflate(0x9000_gpa, 4_KiB));
    EXPECT_EQ(guest_reads(0x9000), "out 0");
    test::must(memory.remove_region(0x8000_gpa));
    EXPECT_EQ(guest_reads(0x9000), "read 0x9000");
}

TEST_F(MemoryOnKvm, PrefaultingForTheGuestIsDoneOrRefusedByName) {
    (void)guest_reads(0x2000);
    const auto done = memory.prefault(0_gpa, 16_KiB, *vcpu);
    EXPECT_TRUE(done || has(message(done), "guest address 0x0, 16384 bytes: KVM_PRE_FAULT_MEMORY"))
        << message(done);
    EXPECT_EQ(code(memory.prefault(0_gpa, 20_KiB, *vcpu)), EFAULT);
}

TEST_F(MemoryOnKvm, AGuestThatUsesARegionAllTheTimeSeesItComeAndGo) {
    // mov al, [0x8000]; jmp back
    start({0xa0, 0x00, 0x80, 0xeb, 0xfb});
    std::atomic<bool> stop = false;
    std::atomic<int> holes = 0;
    std::thread guest([&] {
        while (!stop) {
            const auto exit = vcpu->run();
            if (!exit) {
                ADD_FAILURE() << Error(exit.error()).message;
                break;
            }
            holes += name_of(*exit) == "read 0x8000";
        }
    });
    for (int i = 0; i < 20; ++i) {
        test::must(memory.add_region({0x8000_gpa, 4_KiB}));
        test::must(memory.map_fd(0x8000_gpa, {.fd = TempFile(1).fd(), .length = 4_KiB}));
        std::this_thread::yield();
        test::must(memory.remove_region(0x8000_gpa));
        for (const int before = holes; holes == before && i == 0;) {
            std::this_thread::yield();
        }
    }
    stop = true;  // which the guest's thread sees, for every read exits now
    guest.join();
    EXPECT_GT(holes, 0);
}

}  // namespace
}  // namespace vmm::test

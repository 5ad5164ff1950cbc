// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "memory_fixture.hpp"

#include <atomic>
#include <kvm/try.hpp>
#include <thread>

namespace vmm::test {
namespace {

/// The example of docs/memory.md.
Result<GuestMemory> make_memory(const std::string& rom, kvm::FdRef kernel) {
    const std::array regions{
        Region{0_gpa, 16_MiB},
        Region{0xfffe0000_gpa, 8_KiB, backing::File{.path = rom}, Access::read_only},
        Region{0x100000000_gpa, 16_MiB, backing::Memfd{}},
    };
    auto memory = KVM_TRY(GuestMemory::create(regions));
    KVM_TRY(memory.map_fd(0x100000_gpa, {.fd = kernel, .length = 16_KiB}));
    return memory;
}

TEST(MemoryExample, OfTheDocumentWorks) {
    TempFile rom(2);
    TempFile kernel(4);
    const auto memory = must(make_memory(rom.path(), kernel.fd()));
    EXPECT_EQ(must(memory.read<std::uint8_t>(0x102000_gpa)), 3);
    EXPECT_EQ(must(memory.read<std::uint8_t>(0xfffe1000_gpa)), 2);
}

std::vector<kvm::Gpa> addresses(const FakeSlots& slots) {
    std::vector<kvm::Gpa> all;
    for (const auto& [slot, filled] : slots.filled) {
        all.push_back(filled.address);
    }
    return all;
}

using Addresses = std::vector<kvm::Gpa>;

class MemoryRegions : public testing::Test {
protected:
    GuestMemory memory = make({{0_gpa, 8_KiB}, {0x4000_gpa, 4_KiB, {}, Access::read_only}});
    std::shared_ptr<FakeSlots> slots = std::make_shared<FakeSlots>();
};

TEST_F(MemoryRegions, AreSlotsInOrder) {
    must(memory.attach(slots));
    EXPECT_EQ(addresses(*slots), (Addresses{0_gpa, 0x4000_gpa}));
    const auto& ram = slots->filled.at(kvm::Slot(0));
    EXPECT_EQ(ram.memory.data(), must(memory.host_span(0_gpa, 1)).data());
    EXPECT_EQ(ram.memory.size(), 8_KiB);
    EXPECT_TRUE(ram.flags.empty());
    EXPECT_EQ(slots->filled.at(kvm::Slot(1)).flags, kvm::MemFlag::readonly);
    EXPECT_EQ(message(memory.attach(slots)), "guest memory: a VM has it already");
    memory = make({{0_gpa, 4_KiB}});
    EXPECT_TRUE(slots->filled.empty()) << "given back";
}

TEST_F(MemoryRegions, CanBeAddedBeforeAndAfterTheVmHasThem) {
    must(memory.add_region({0x2000_gpa, 4_KiB}));
    must(memory.attach(slots));
    must(memory.add_region({0x6000_gpa, 4_KiB, backing::Memfd{}}));
    EXPECT_EQ(addresses(*slots), (Addresses{0_gpa, 0x2000_gpa, 0x4000_gpa, 0x6000_gpa}));
    must(memory.write(0x1ff8_gpa, std::uint64_t(2)));
    must(memory.write(0x6000_gpa, std::uint8_t(9)));
    const auto regions = memory.regions();
    ASSERT_EQ(regions.size(), 4u);
    EXPECT_EQ(regions[1], (Region{0x2000_gpa, 4_KiB}));
    EXPECT_EQ(regions[3], (Region{0x6000_gpa, 4_KiB, backing::Memfd{}}));
    EXPECT_EQ(memory.size(), 20_KiB);
    EXPECT_TRUE(memory.contains(0_gpa, 0x3000));
}

TEST_F(MemoryRegions, ThatAreRemovedLeaveTheirSlotToTheNext) {
    must(memory.attach(slots));
    must(memory.add_region({0x8000_gpa, 4_KiB}));
    must(memory.write(0x1000_gpa, std::uint8_t(1)));
    must(memory.remove_region(0_gpa));
    EXPECT_EQ(addresses(*slots), (Addresses{0x4000_gpa, 0x8000_gpa}));
    EXPECT_FALSE(memory.contains(0_gpa, 1));
    EXPECT_EQ(code(memory.read<std::uint8_t>(0x1000_gpa)), EFAULT);
    EXPECT_EQ(memory.size(), 8_KiB);
    must(memory.add_region({0x10000_gpa, 4_KiB}));
    must(memory.add_region({0_gpa, 4_KiB}));
    EXPECT_EQ(slots->filled.at(kvm::Slot(0)).address, 0x10000_gpa);
    EXPECT_EQ(slots->filled.at(kvm::Slot(3)).address, 0_gpa);
    EXPECT_EQ(must(memory.read<std::uint8_t>(0_gpa)), 0) << "a new region, of zeroes";
}

TEST_F(MemoryRegions, ThatOverlapAreRefusedByBothNames) {
    must(memory.attach(slots));
    EXPECT_EQ(message(memory.add_region({0x1000_gpa, 4_KiB})),
              "guest memory 0x1000..0x1fff: overlaps guest memory 0x0..0x1fff");
    EXPECT_EQ(code(memory.add_region({0x3000_gpa, 64_KiB})), EEXIST);
    EXPECT_EQ(code(memory.add_region({0x3000_gpa, 0})), EINVAL);
    EXPECT_EQ(code(memory.add_region({0x3001_gpa, 4_KiB})), EINVAL);
    EXPECT_EQ(code(memory.add_region({kvm::Gpa(1_GiB), ~0ull << 12})), EINVAL);
    EXPECT_EQ(code(memory.add_region({kvm::Gpa(1_GiB), 1ull << 46})), ENOMEM);
    EXPECT_EQ(message(memory.remove_region(0x1000_gpa)),
              "guest address 0x1000: no region starts there");
    EXPECT_EQ(slots->filled.size(), 2u);
    EXPECT_EQ(memory.regions().size(), 2u);
}

TEST_F(MemoryRegions, AreAsManyAsTheVmHasSlots) {
    slots->most = 1;
    EXPECT_EQ(message(memory.attach(slots)),
              "guest memory 0x4000..0x4fff: all 1 memory slots of the VM are in use");
    EXPECT_TRUE(slots->filled.empty());
    slots->most = 2;
    must(memory.attach(slots));
    EXPECT_EQ(code(memory.add_region({0x8000_gpa, 4_KiB})), ENOSPC);
    EXPECT_FALSE(memory.contains(0x8000_gpa, 1));
    must(memory.remove_region(0_gpa));
    must(memory.add_region({0x8000_gpa, 4_KiB}));
}

TEST_F(MemoryRegions, ThatTheVmRefusesChangeNothing) {
    for (int failing = 1; failing <= 2; ++failing) {
        slots->failing = slots->calls + failing;
        EXPECT_EQ(message(memory.attach(slots)),
                  failing == 1 ? "guest memory 0x0..0x1fff: add: Cannot allocate memory (12)"
                               : "guest memory 0x4000..0x4fff: add: Cannot allocate memory (12)");
        EXPECT_TRUE(slots->filled.empty());
        EXPECT_EQ(slots.use_count(), 1) << "the VM is let go";
    }
    must(memory.attach(slots));
    const auto before = Belongings::now();
    slots->failing = slots->calls + 1;
    slots->with = EEXIST;
    EXPECT_EQ(code(memory.add_region({0x8000_gpa, 4_KiB, backing::Memfd{}})), EEXIST);
    slots->failing = slots->calls + 1;
    EXPECT_EQ(code(memory.remove_region(0_gpa)), EEXIST);
    EXPECT_EQ(Belongings::now(), before);
    EXPECT_EQ(addresses(*slots), (Addresses{0_gpa, 0x4000_gpa}));
    must(memory.write(0_gpa, std::uint8_t(1)));
    must(memory.remove_region(0_gpa));
}

TEST_F(MemoryRegions, WhoseSlotsCannotBeGivenBackAreKeptFromEveryone) {
    // The second add fails, and so does the removal of the first: the VM has half the memory.
    class Stubborn final : public MemorySlots {
    public:
        bool stubborn = true;
        int left = 0;
        kvm::Result<std::uint32_t> limit() override { return 8; }
        kvm::Result<void> add(const SlotConfig& config) override {
            if (config.slot != kvm::Slot(0)) {
                return kvm::fail("add", EINVAL);
            }
            ++left;
            return {};
        }
        kvm::Result<void> set_flags(kvm::Slot, kvm::Flags<kvm::MemFlag>) override { return {}; }
        kvm::Result<void> remove(kvm::Slot) override {
            if (stubborn) {
                return kvm::fail("remove", ENOMEM);
            }
            --left;
            return {};
        }
        kvm::Result<void> dirty_log(kvm::Slot, std::span<std::uint64_t>) override { return {}; }
        kvm::Result<kvm::GuestMemfd> create_guest_memfd(std::uint64_t,
                                                        kvm::Flags<kvm::GuestMemfdFlag>) override {
            return kvm::fail("create", ENOSYS);
        }
    };
    const auto vm = std::make_shared<Stubborn>();
    EXPECT_EQ(code(memory.attach(vm)), EINVAL);
    must(memory.write(0_gpa, std::uint8_t(1)));
    EXPECT_EQ(code(memory.attach(slots)), EBUSY) << "the VM has some of it";
    vm->stubborn = false;
    memory = make({{0_gpa, 8_KiB}, {0x4000_gpa, 4_KiB}});
    EXPECT_EQ(vm->left, 0) << "given back in the end";

    vm->stubborn = true;
    EXPECT_EQ(code(memory.attach(vm)), EINVAL);
    std::byte* const kept = must(memory.host_span(0_gpa, 1)).data();
    memory = make({{0_gpa, 4_KiB}});
    EXPECT_EQ(vm->left, 1);
    // Nobody else gets these addresses: a hint for them is not heeded.
    void* other = ::mmap(kept, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT_NE(other, kept);
    ::munmap(other, 4096);
}

TEST_F(MemoryRegions, MovedToGuestMemfdKeepWhatTheHostLoaded) {
    memory = make({{0_gpa, 64_KiB, backing::GuestMemfd{}}, {0x20000_gpa, 4_KiB}});
    must(memory.write(0x5008_gpa, std::uint64_t(77)));
    std::byte* const host = must(memory.host_span(0_gpa, 1)).data();
    EXPECT_TRUE(memory.shared_regions().empty());
    slots->failing = 2;
    EXPECT_EQ(code(memory.attach(slots)), ENOMEM);
    EXPECT_EQ(must(memory.read<std::uint64_t>(0x5008_gpa)), 77u);
    must(memory.attach(slots));
    EXPECT_EQ(must(memory.read<std::uint64_t>(0x5008_gpa)), 77u);
    EXPECT_EQ(must(memory.host_span(0_gpa, 1)).data(), host);
    ASSERT_EQ(memory.shared_regions().size(), 1u);
    std::uint64_t value = 0;
    EXPECT_EQ(::pread(memory.shared_regions()[0].fd.number(), &value, 8, 0x5008), 8);
    EXPECT_EQ(value, 77u);
    EXPECT_EQ(code(memory.map_fd(0_gpa, {.fd = memory.shared_regions()[0].fd, .length = 4_KiB})),
              EOPNOTSUPP);
}

TEST_F(MemoryRegions, RemovedLeaveNothingBehindOnceReclaimed) {
    const auto before = Belongings::now();
    for (int i = 0; i < 50; ++i) {
        must(memory.add_region({0x8000_gpa, 64_KiB, backing::Memfd{.name = "kvmxx-test"}}));
        must(memory.fill(0x8000_gpa, 64_KiB, std::byte(1)));
        must(memory.remove_region(0x8000_gpa));
        EXPECT_EQ(Belongings::now().descriptors, before.descriptors) << "closed at once";
    }
    if (!sanitized) {
        EXPECT_NE(Belongings::now(), before) << "addresses are reserved";
    }
    memory.reclaim();
    EXPECT_EQ(Belongings::now(), before);
    must(memory.write(0_gpa, std::uint8_t(1)));
}

TEST_F(MemoryRegions, RemovedUnderIoReadAsZeroesAndTakeWritesThatGoNowhere) {
    must(memory.add_region({0x8000_gpa, 4_KiB}));
    must(memory.write(0x8000_gpa, std::uint8_t(1)));
    const auto span = must(memory.host_span(0x8000_gpa, 4_KiB));
    must(memory.remove_region(0x8000_gpa));
    EXPECT_EQ(span[0], std::byte(0));
    span[0] = std::byte(5);
    must(memory.add_region({0x8000_gpa, 4_KiB}));
    EXPECT_EQ(must(memory.read<std::uint8_t>(0x8000_gpa)), 0);
}

TEST_F(MemoryRegions, ComeAndGoWhileOthersReadAndWriteThem) {
    std::atomic<bool> stop = false;
    std::atomic<std::uint64_t> reads = 0;
    const auto use = [&] {
        std::array<std::byte, 5000> bytes;
        std::vector<iovec> iov;
        while (!stop) {
            (void)memory.write(0x8ff0_gpa, bytes);
            (void)memory.write(0x8000_gpa, std::uint64_t(1));
            (void)memory.read(0x9000_gpa, std::span(bytes));
            (void)memory.load_acquire<std::uint32_t>(0x8000_gpa);
            if (memory.iovecs(0x8000_gpa, 0x1800, Access::read_write, iov)) {
                EXPECT_EQ(iov.size(), 2u);
            }
            iov.clear();
            EXPECT_TRUE(memory.write(0x10_gpa, bytes)) << "what stays is there all the time";
            reads.fetch_add(1, std::memory_order_relaxed);
        }
    };
    std::thread one(use);
    std::thread two(use);
    must(memory.attach(slots));
    for (int i = 0; i < 300 || reads < 100; ++i) {
        must(memory.add_region({0x8000_gpa, 4_KiB}));
        must(memory.add_region({0x9000_gpa, 8_KiB, backing::Memfd{}}));
        must(memory.remove_region(0x9000_gpa));
        must(memory.remove_region(0x8000_gpa));
    }
    stop = true;
    one.join();
    two.join();
    memory.reclaim();
}

}  // namespace
}  // namespace vmm::test

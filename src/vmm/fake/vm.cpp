// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <kvm/try.hpp>
#include <vmm/fake/world.hpp>

namespace vmm::fake {

namespace {

constexpr std::uint64_t page_size = 4096;

template <class Match>
kvm::Result<void> remove_one(std::vector<EventFdUse>& uses, const char* call, Match match) {
    const auto found = std::find_if(uses.begin(), uses.end(), match);
    if (found == uses.end()) {
        return kvm::fail(call, ENOENT);
    }
    uses.erase(found);
    return {};
}

bool same(const kvm::IoAddress& a, const kvm::IoAddress& b) {
    return a.is_port() == b.is_port() && a.value() == b.value();
}

class Slots final : public MemorySlots {
public:
    explicit Slots(std::shared_ptr<detail::World> world) : world_(std::move(world)) {}

    kvm::Result<std::uint32_t> limit() override {
        const std::lock_guard lock(world_->mutex);
        KVM_TRY(world_->enter("KVM_CHECK_EXTENSION"));
        return static_cast<std::uint32_t>(world_->caps[kvm::cap::nr_memslots.number]);
    }
    kvm::Result<void> add(const SlotConfig& config) override {
        const std::lock_guard lock(world_->mutex);
        KVM_TRY(world_->enter(call));
        const auto number = static_cast<std::uint32_t>(config.slot);
        const std::uint64_t start = config.address.value();
        const std::uint64_t size = config.memory.size();
        if (size == 0 || start % page_size || size % page_size || start + size < start) {
            return kvm::fail(call, EINVAL, number);
        }
        auto& slots = world_->vm.memory;
        const bool overlaps = std::ranges::any_of(slots, [&](const auto& entry) {
            const std::uint64_t other = entry.second.address.value();
            return start < other + entry.second.size && other < start + size;
        });
        if (overlaps || slots.contains(number)) {
            return kvm::fail(call, EEXIST, number);
        }
        slots[number] = {config.address, size, config.flags};
        return {};
    }
    kvm::Result<void> set_flags(kvm::Slot slot, kvm::Flags<kvm::MemFlag> flags) override {
        const std::lock_guard lock(world_->mutex);
        KVM_TRY(world_->enter(call));
        const auto found = world_->vm.memory.find(static_cast<std::uint32_t>(slot));
        if (found == world_->vm.memory.end()) {
            return kvm::fail(call, EINVAL, static_cast<std::uint32_t>(slot));
        }
        found->second.flags = flags;
        return {};
    }
    kvm::Result<void> remove(kvm::Slot slot) override {
        const std::lock_guard lock(world_->mutex);
        KVM_TRY(world_->enter(call));
        if (!world_->vm.memory.erase(static_cast<std::uint32_t>(slot))) {
            return kvm::fail(call, EINVAL, static_cast<std::uint32_t>(slot));
        }
        return {};
    }
    kvm::Result<void> dirty_log(kvm::Slot, std::span<std::uint64_t> bitmap) override {
        const std::lock_guard lock(world_->mutex);
        KVM_TRY(world_->enter("KVM_GET_DIRTY_LOG"));
        std::ranges::fill(bitmap, std::uint64_t(0));
        return {};
    }
    kvm::Result<kvm::GuestMemfd> create_guest_memfd(std::uint64_t,
                                                    kvm::Flags<kvm::GuestMemfdFlag>) override {
        return kvm::fail("KVM_CREATE_GUEST_MEMFD", ENOTTY);
    }

private:
    static constexpr const char* call = "KVM_SET_USER_MEMORY_REGION";
    std::shared_ptr<detail::World> world_;
};

}  // namespace

Vm::~Vm() {
    if (world_) {
        const std::lock_guard lock(world_->mutex);
        world_->vm_exists = false;
        --world_->alive;
    }
}

kvm::Result<int> Vm::check_extension(int cap) const { return System(world_).check_extension(cap); }

kvm::Result<void> Vm::enable_cap(int cap, std::uint64_t a, std::uint64_t, std::uint64_t,
                                 std::uint64_t) const {
    const std::lock_guard lock(world_->mutex);
    KVM_TRY(world_->enter("KVM_ENABLE_CAP"));
    world_->vm.enabled[cap] = a;
    return {};
}

kvm::Result<void> Vm::set_identity_map_addr(kvm::Gpa address) const {
    const std::lock_guard lock(world_->mutex);
    KVM_TRY(world_->enter("KVM_SET_IDENTITY_MAP_ADDR"));
    if (!world_->vcpus.empty()) {
        return kvm::fail("KVM_SET_IDENTITY_MAP_ADDR", EINVAL);
    }
    world_->vm.identity_map = address;
    return {};
}

kvm::Result<void> Vm::set_tss_addr(kvm::Gpa address) const {
    const std::lock_guard lock(world_->mutex);
    KVM_TRY(world_->enter("KVM_SET_TSS_ADDR"));
    world_->vm.tss = address;
    return {};
}

kvm::Result<void> Vm::create_irqchip() const {
    const std::lock_guard lock(world_->mutex);
    KVM_TRY(world_->enter("KVM_CREATE_IRQCHIP"));
    if (world_->vm.irqchip || !world_->vcpus.empty()) {
        return kvm::fail("KVM_CREATE_IRQCHIP", world_->vm.irqchip ? EEXIST : EINVAL);
    }
    world_->vm.irqchip = true;
    return {};
}

kvm::Result<void> Vm::create_pit2(kvm::Flags<kvm::x86_64::PitFlag>) const {
    const std::lock_guard lock(world_->mutex);
    KVM_TRY(world_->enter("KVM_CREATE_PIT2"));
    if (world_->vm.pit || !world_->vm.irqchip) {
        return kvm::fail("KVM_CREATE_PIT2", world_->vm.pit ? EEXIST : ENOENT);
    }
    world_->vm.pit = true;
    return {};
}

kvm::Result<Vcpu> Vm::create_vcpu(kvm::VcpuId id) const {
    const std::lock_guard lock(world_->mutex);
    KVM_TRY(world_->enter("KVM_CREATE_VCPU"));
    const auto number = static_cast<std::uint32_t>(id);
    if (world_->vcpus.contains(number)) {
        return kvm::fail("KVM_CREATE_VCPU", EEXIST, number);
    }
    VcpuState& state = world_->vcpus[number];
    state.mp_state.mp_state =
        number == 0 ? kvm::MpStateValue::runnable : kvm::MpStateValue::uninitialized;
    state.regs.rip = 0xfff0;
    state.regs.rflags = 2;
    state.sregs.cs.base = 0xffff0000;
    state.sregs.cs.selector = 0xf000;
    ++world_->alive;
    return Vcpu(std::make_shared<detail::VcpuWorld>(world_, number));
}

std::shared_ptr<MemorySlots> Vm::memory_slots() const { return std::make_shared<Slots>(world_); }

kvm::Result<void> Vm::irq_line(kvm::Gsi gsi, kvm::Level level) const {
    const std::lock_guard lock(world_->mutex);
    KVM_TRY(world_->enter("KVM_IRQ_LINE"));
    if (!world_->vm.irqchip) {
        return kvm::fail("KVM_IRQ_LINE", ENXIO);
    }
    world_->vm.line_changes.emplace_back(gsi, level);
    const kvm::Level before = std::exchange(world_->lines[gsi], level);
    if (before != level && level == kvm::Level::high) {
        world_->risen.insert(gsi);
    }
    world_->changed.notify_all();
    return {};
}

kvm::Result<bool> Vm::signal_msi(const kvm::Msi& msi) const {
    const std::lock_guard lock(world_->mutex);
    KVM_TRY(world_->enter("KVM_SIGNAL_MSI"));
    world_->vm.msis.push_back(msi);
    world_->messages.insert(msi.data);
    world_->changed.notify_all();
    return true;
}

kvm::Result<void> Vm::set_gsi_routing(const kvm::GsiRouting& routing) const {
    const std::lock_guard lock(world_->mutex);
    KVM_TRY(world_->enter("KVM_SET_GSI_ROUTING"));
    world_->vm.routes.assign(routing.begin(), routing.end());
    return {};
}

kvm::Result<void> Vm::add_irqfd(kvm::FdRef event, kvm::Gsi gsi) const {
    return add_irqfd(event, gsi, kvm::FdRef(-1));
}

kvm::Result<void> Vm::add_irqfd(kvm::FdRef event, kvm::Gsi gsi, kvm::FdRef resample) const {
    const std::lock_guard lock(world_->mutex);
    KVM_TRY(world_->enter("KVM_IRQFD"));
    kvm::Fd same(fcntl(event.number(), F_DUPFD_CLOEXEC, 0));
    if (same.number() < 0) {
        return kvm::fail("KVM_IRQFD", errno);
    }
    if (world_->irqfds.contains(event.number())) {
        return kvm::fail("KVM_IRQFD", EBUSY);
    }
    world_->irqfds.emplace(event.number(), std::move(same));
    world_->vm.irqfds.push_back({event.number(), gsi, resample.number()});
    return {};
}

kvm::Result<void> Vm::remove_irqfd(kvm::FdRef event, kvm::Gsi gsi) const {
    const std::lock_guard lock(world_->mutex);
    KVM_TRY(world_->enter("KVM_IRQFD"));
    world_->irqfds.erase(event.number());
    return remove_one(world_->vm.irqfds, "KVM_IRQFD", [&](const EventFdUse& use) {
        return use.fd == event.number() && use.gsi == gsi;
    });
}

kvm::Result<void> Vm::add_ioeventfd(kvm::FdRef event, kvm::IoAddress address,
                                    kvm::Datamatch) const {
    const std::lock_guard lock(world_->mutex);
    KVM_TRY(world_->enter("KVM_IOEVENTFD"));
    world_->vm.ioeventfds.push_back({.fd = event.number(), .address = address});
    return {};
}

kvm::Result<void> Vm::remove_ioeventfd(kvm::FdRef event, kvm::IoAddress address,
                                       kvm::Datamatch) const {
    const std::lock_guard lock(world_->mutex);
    KVM_TRY(world_->enter("KVM_IOEVENTFD"));
    return remove_one(world_->vm.ioeventfds, "KVM_IOEVENTFD", [&](const EventFdUse& use) {
        return use.fd == event.number() && same(*use.address, address);
    });
}

}  // namespace vmm::fake

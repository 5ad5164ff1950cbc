// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <kvm/try.hpp>
#include <poll.h>
#include <vmm/fake/world.hpp>

namespace vmm::fake {

namespace detail {

namespace {

/// Whether there were writes to it since it was last asked. It may be one that blocks.
bool is_signalled(const kvm::EventFd& event) {
    pollfd wait{event.fd().number(), POLLIN, 0};
    return poll(&wait, 1, 0) == 1 && event.read();
}

}  // namespace

kvm::Result<void> World::enter(const char* call) {
    calls.push_back(call);
    int code = 0;
    for (auto it = failures.begin(); it != failures.end();) {
        if ((it->call.empty() || it->call == call) && --it->nth == 0) {
            code = it->code;
            it = failures.erase(it);
        } else {
            ++it;
        }
    }
    if (code) {
        return kvm::fail(call, code);
    }
    return {};
}

bool World::take_pulse(kvm::Gsi gsi) {
    if (risen.erase(gsi)) {
        return true;
    }
    for (const EventFdUse& use : vm.irqfds) {
        const auto found = irqfds.find(use.fd);
        if (use.gsi == gsi && found != irqfds.end() && is_signalled(found->second)) {
            return true;
        }
    }
    return false;
}

bool World::take_message(std::uint32_t data) {
    if (messages.erase(data)) {
        return true;
    }
    for (const kvm::IrqRoutingEntry& route : vm.routes) {
        if (route.type == kvm::IrqRoutingType::msi && route.u.msi.data == data &&
            take_pulse(kvm::Gsi(route.gsi))) {
            return true;
        }
    }
    return false;
}

namespace {

/// AMD's, with topology leaves and KVM's own.
std::vector<kvm::CpuidEntry2> default_cpuid() {
    const std::uint32_t indexed = kvm::Flags(kvm::CpuidFlag::signifcant_index).bits();
    return {
        {0, 0, 0, 0xd, 0x68747541, 0x444d4163, 0x69746e65, {}},
        {1, 0, 0, 0x00a20f10, 0x00010800, 0x80202000, 0x078bfbff, {}},
        {0xb, 0, indexed, 0, 1, 0x100, 0, {}},
        {0x40000000, 0, 0, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d, {}},
        {0x40000001, 0, 0, 0x01000009, 0, 0, 0, {}},
        {0x80000000, 0, 0, 0x80000008, 0, 0, 0, {}},
        {0x80000001, 0, 0, 0, 0, 0x1, 0x20100800, {}},
        {0x80000008, 0, 0, 0x3030, 0, 0, 0, {}},
    };
}

}  // namespace

}  // namespace detail

Hypervisor::Hypervisor() : world_(std::make_shared<detail::World>()) {
    for (const int cap : {kvm::cap::irqchip.number, kvm::cap::user_memory.number,
                          kvm::cap::irqfd.number, kvm::cap::ioeventfd.number,
                          kvm::cap::tsc_deadline_timer.number, kvm::cap::immediate_exit.number,
                          kvm::cap::kvmclock_ctrl.number, kvm::cap::signal_msi.number}) {
        world_->caps[cap] = 1;
    }
    world_->caps[kvm::cap::irq_routing.number] = 4096;
    world_->caps[kvm::cap::max_vcpus.number] = 64;
    world_->caps[kvm::cap::nr_vcpus.number] = 64;
    world_->caps[kvm::cap::nr_memslots.number] = 512;
    world_->caps[kvm::cap::x86_user_space_msr.number] = 7;
    world_->cpuid = detail::default_cpuid();
}

void Hypervisor::set_cap(int number, int value) {
    const std::lock_guard lock(world_->mutex);
    world_->caps[number] = value;
}

void Hypervisor::set_cpuid(std::vector<kvm::CpuidEntry2> leaves) {
    const std::lock_guard lock(world_->mutex);
    world_->cpuid = std::move(leaves);
}

void Hypervisor::script(kvm::VcpuId id, std::vector<Step> more) {
    const std::lock_guard lock(world_->mutex);
    auto& steps = world_->scripts[static_cast<std::uint32_t>(id)];
    steps.insert(steps.end(), std::move_iterator(more.begin()), std::move_iterator(more.end()));
    world_->changed.notify_all();
}

void Hypervisor::fail(std::string_view call, int code, std::size_t nth) {
    const std::lock_guard lock(world_->mutex);
    world_->failures.push_back({std::string(call), nth, code});
}

void Hypervisor::fail_any(int code, std::size_t nth) { fail("", code, nth); }

std::vector<std::string> Hypervisor::calls() const {
    const std::lock_guard lock(world_->mutex);
    return {world_->calls.begin(), world_->calls.end()};
}

VmState Hypervisor::vm() const {
    const std::lock_guard lock(world_->mutex);
    return world_->vm;
}

VcpuState Hypervisor::vcpu(kvm::VcpuId id) const {
    const std::lock_guard lock(world_->mutex);
    VcpuState state = world_->vcpus[static_cast<std::uint32_t>(id)];
    state.steps_left = world_->scripts[static_cast<std::uint32_t>(id)].size();
    return state;
}

std::vector<std::string> Hypervisor::mismatches() const {
    const std::lock_guard lock(world_->mutex);
    return world_->mismatches;
}

std::size_t Hypervisor::alive() const {
    const std::lock_guard lock(world_->mutex);
    return world_->alive;
}

kvm::Result<int> System::check_extension(int cap) const {
    const std::lock_guard lock(world_->mutex);
    KVM_TRY(world_->enter("KVM_CHECK_EXTENSION"));
    const auto found = world_->caps.find(cap);
    return found == world_->caps.end() ? 0 : found->second;
}

kvm::Result<kvm::CpuidList> System::supported_cpuid() const {
    const std::lock_guard lock(world_->mutex);
    KVM_TRY(world_->enter("KVM_GET_SUPPORTED_CPUID"));
    return kvm::CpuidList::from(world_->cpuid);
}

kvm::Result<Vm> System::create_vm() const {
    const std::lock_guard lock(world_->mutex);
    KVM_TRY(world_->enter("KVM_CREATE_VM"));
    if (world_->vm_exists) {
        return kvm::fail("KVM_CREATE_VM", EBUSY);
    }
    world_->vm_exists = true;
    world_->vm = {};
    world_->vcpus.clear();
    world_->lines.clear();
    world_->risen.clear();
    world_->messages.clear();
    world_->irqfds.clear();
    ++world_->alive;
    return Vm(world_);
}

}  // namespace vmm::fake

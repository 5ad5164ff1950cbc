// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <kvm/try.hpp>
#include <kvm/vm.hpp>
#include <map>
#include <vmm/memory/slots.hpp>

namespace vmm {

namespace {

class KvmSlots final : public MemorySlots {
public:
    KvmSlots(kvm::Vm vm, DirtyLogMode mode) : vm_(std::move(vm)), mode_(mode) {}

    kvm::Result<std::uint32_t> limit() override {
        // 0 is a kernel before 2.6.26, which had 32 and did not say so.
        const int slots = KVM_TRY(vm_.check(kvm::cap::nr_memslots));
        return slots > 0 ? static_cast<std::uint32_t>(slots) : 32;
    }

    kvm::Result<void> add(const SlotConfig& config) override {
        auto added = config.guest_memfd
                         ? vm_.add_memory(config.slot, config.address, config.memory,
                                          *config.guest_memfd, 0, config.flags)
                         : vm_.add_memory(config.slot, config.address, config.memory, config.flags);
        if (!added) {
            return std::unexpected(added.error());
        }
        slots_.insert_or_assign(config.slot, std::move(*added));
        return {};
    }

    kvm::Result<void> set_flags(kvm::Slot slot, kvm::Flags<kvm::MemFlag> flags) override {
        return with(slot, [&](kvm::Memslot& found) { return vm_.set_memory_flags(found, flags); });
    }

    kvm::Result<void> remove(kvm::Slot slot) override {
        KVM_TRY(
            with(slot, [&](kvm::Memslot& found) { return vm_.remove_memory(std::move(found)); }));
        slots_.erase(slot);
        return {};
    }

    kvm::Result<void> dirty_log(kvm::Slot slot, std::span<std::uint64_t> bitmap) override {
        return with(slot, [&](kvm::Memslot& found) -> kvm::Result<void> {
            KVM_TRY(vm_.dirty_log(found, bitmap));
            return mode_ == DirtyLogMode::clears ? kvm::Result<void>() : clear(found, bitmap);
        });
    }

    kvm::Result<kvm::GuestMemfd> create_guest_memfd(
        std::uint64_t size, kvm::Flags<kvm::GuestMemfdFlag> flags) override {
        return vm_.create_guest_memfd(size, flags);
    }

private:
    template <class Use>
    kvm::Result<void> with(kvm::Slot slot, Use use) {
        const auto found = slots_.find(slot);
        if (found == slots_.end()) {
            return kvm::fail(kvm::op::set_user_memory_region.name, ENOENT,
                             static_cast<std::uint32_t>(slot));
        }
        return use(found->second);
    }
    /// The kernel takes 2^32 - 1 pages at once, in words of 64.
    kvm::Result<void> clear(const kvm::Memslot& slot, std::span<const std::uint64_t> bitmap) const {
        constexpr std::uint64_t at_once = std::uint64_t(1) << 31;
        const std::uint64_t pages = slot.memory().size() / kvm::Memslot::page_size;
        for (std::uint64_t first = 0; first < pages; first += at_once) {
            const auto count = static_cast<std::uint32_t>(std::min(at_once, pages - first));
            KVM_TRY(vm_.clear_dirty_log(slot, first, count, bitmap.subspan(first / 64)));
        }
        return {};
    }

    kvm::Vm vm_;
    DirtyLogMode mode_;
    std::map<kvm::Slot, kvm::Memslot> slots_;
};

}  // namespace

kvm::Result<std::shared_ptr<MemorySlots>> kvm_slots(const kvm::Vm& vm, DirtyLogMode mode) {
    auto fd = KVM_TRY(vm.fd().duplicate());
    return std::make_shared<KvmSlots>(kvm::Vm(std::move(fd), vm.vcpu_mmap_size()), mode);
}

}  // namespace vmm

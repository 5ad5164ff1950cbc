// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstdint>
#include <kvm/vm.hpp>
#include <map>
#include <memory>
#include <mutex>
#include <vector>
#include <vmm/device/lines.hpp>
#include <vmm/hypervisor.hpp>

/// Devices' wires made of what a hypervisor has: irqfds, routes of GSIs, ioeventfds.
namespace vmm {

/// How a VM is signalled and signals: its methods by the same names, whatever hypervisor it is of.
/// Any thread. It must outlive what is made of it.
class Signals {
public:
    /// What the hypervisor has.
    struct Caps {
        bool irqfd = false;
        bool ioeventfd = false;
        std::uint32_t irq_routing = 0;  ///< the most routes
    };

    virtual Caps caps() const = 0;
    virtual kvm::Result<void> irq_line(kvm::Gsi gsi, kvm::Level level) const = 0;
    virtual kvm::Result<bool> signal_msi(const kvm::Msi& msi) const = 0;
    virtual kvm::Result<void> set_gsi_routing(const kvm::GsiRouting& routing) const = 0;
    virtual kvm::Result<void> add_irqfd(kvm::FdRef event, kvm::Gsi gsi) const = 0;
    virtual kvm::Result<void> remove_irqfd(kvm::FdRef event, kvm::Gsi gsi) const = 0;
    virtual kvm::Result<void> add_ioeventfd(kvm::FdRef event, kvm::IoAddress address,
                                            kvm::Datamatch match) const = 0;
    virtual kvm::Result<void> remove_ioeventfd(kvm::FdRef event, kvm::IoAddress address,
                                               kvm::Datamatch match) const = 0;

protected:
    ~Signals() = default;
};

/// A VM's.
template <HypervisorVm Vm>
class VmSignals final : public Signals {
public:
    explicit VmSignals(const Vm& vm) : vm_(vm) {}

    Caps caps() const override {
        const auto irqfd = vm_.check(kvm::cap::irqfd);
        const auto ioeventfd = vm_.check(kvm::cap::ioeventfd);
        const auto routes = vm_.check(kvm::cap::irq_routing);
        return {irqfd && *irqfd, ioeventfd && *ioeventfd,
                routes && *routes > 0 ? static_cast<std::uint32_t>(*routes) : 0};
    }
    kvm::Result<void> irq_line(kvm::Gsi gsi, kvm::Level level) const override {
        return vm_.irq_line(gsi, level);
    }
    kvm::Result<bool> signal_msi(const kvm::Msi& msi) const override { return vm_.signal_msi(msi); }
    kvm::Result<void> set_gsi_routing(const kvm::GsiRouting& routing) const override {
        return vm_.set_gsi_routing(routing);
    }
    kvm::Result<void> add_irqfd(kvm::FdRef event, kvm::Gsi gsi) const override {
        return vm_.add_irqfd(event, gsi);
    }
    kvm::Result<void> remove_irqfd(kvm::FdRef event, kvm::Gsi gsi) const override {
        return vm_.remove_irqfd(event, gsi);
    }
    kvm::Result<void> add_ioeventfd(kvm::FdRef event, kvm::IoAddress address,
                                    kvm::Datamatch match) const override {
        return vm_.add_ioeventfd(event, address, match);
    }
    kvm::Result<void> remove_ioeventfd(kvm::FdRef event, kvm::IoAddress address,
                                       kvm::Datamatch match) const override {
        return vm_.remove_ioeventfd(event, address, match);
    }

private:
    const Vm& vm_;
};

/// An edge-triggered pin: by an irqfd, or where there is none by KVM_IRQ_LINE, up and down. Errors:
/// EMFILE, those of KVM_IRQFD.
Result<std::unique_ptr<InterruptPulse>> create_pin_pulse(const Signals& signals, kvm::Gsi gsi);

/// Doorbells by KVM_IOEVENTFD.
class EventDoorbells final : public Doorbells {
public:
    explicit EventDoorbells(const Signals& signals) : signals_(signals) {}
    Result<bool> add(kvm::FdRef event, kvm::IoAddress address, kvm::Datamatch match) override;
    void remove(kvm::FdRef event, kvm::IoAddress address, kvm::Datamatch match) override;

private:
    const Signals& signals_;
};

/// Messages by a GSI and an irqfd for each, so that to send one is a write of 8 bytes; where there
/// are no irqfds or routes, by KVM_SIGNAL_MSI.
class RoutedMessages final : public MessageController {
public:
    /// `pins` are the routes that stay as they are: KVM_SET_GSI_ROUTING replaces all. Messages get
    /// GSIs above theirs.
    RoutedMessages(const Signals& signals, std::vector<kvm::IrqRoutingEntry> pins);
    Result<std::unique_ptr<MessageInterrupt>> create_message() override;

private:
    class Routed;
    class Signalled;
    using Entries = std::map<kvm::Gsi, kvm::IrqRoutingEntry>;

    /// With mutex_ held. Errors: ENOSPC.
    Result<kvm::Gsi> free_gsi() const;
    Result<void> update() const;

    const Signals& signals_;
    const Signals::Caps caps_;
    const std::vector<kvm::IrqRoutingEntry> pins_;
    kvm::Gsi first_{};  // above the pins'
    std::mutex mutex_;  // of what follows
    Entries entries_;
};

}  // namespace vmm

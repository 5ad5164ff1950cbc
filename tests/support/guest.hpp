// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

/// kvm::test::Guest of the architecture that the tests are built for: CMake chooses the directory,
/// tests/support/ARCH. On each, beside what GuestBase has:
///
///     explicit Guest(const Kvm& kvm);
///     Guest(const Kvm& kvm, const std::function<void(Vm&)>& before_vcpu);
///     void load(Bytes code);  // at layout::code; the vCPU at its start, in the kernel's mode
///     u64 program_counter();
///     void set_argument(u64 value);  // the register that guests::script() starts with
#include <arch_guest.hpp>

#include <optional>
#include <support/require.hpp>

namespace kvm::test {

/// A test suite with a Guest of its own for each test.
class WithGuest : public WithKvm {
protected:
    void SetUp() override {
        WithKvm::SetUp();
        if (!IsSkipped()) {
            guest_.emplace(kvm());
        }
    }
    Guest& guest() { return *guest_; }

private:
    std::optional<Guest> guest_;
};

}  // namespace kvm::test

// SPDX-License-Identifier: Apache-2.0 OR MIT
// What the guest wrote is not written to: a reply goes where one is due.
// expect: (read-only|const)
#include <kvm/exit.hpp>

void use(const kvm::Exit& exit) {
    exit.visit(kvm::handlers{
#if MISUSE == 1
        [](const kvm::exit::MmioWrite& e) { e.data[0] = std::byte{0}; },
#else
        [](const kvm::exit::MmioRead& e) { e.data[0] = std::byte{0}; },
#endif
        [](const auto&) {}});
}

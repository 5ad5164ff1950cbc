// SPDX-License-Identifier: Apache-2.0 OR MIT
// What an arm returns is not dropped because another returns nothing.
// expect: it would be dropped
#include <kvm/error.hpp>
#include <kvm/exit.hpp>

kvm::Result<void> use(const kvm::Exit& exit) {
    namespace on = kvm::exit;
    const auto output = [](on::IoOut) { return kvm::Result<void>(kvm::fail("output", 5)); };
#if MISUSE == 1
    exit.visit(kvm::handlers{output, [](const auto&) {}});
    return {};
#else
    return exit.visit(kvm::handlers{output, [](const auto&) { return kvm::Result<void>(); }});
#endif
}

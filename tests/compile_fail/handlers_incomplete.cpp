// SPDX-License-Identifier: Apache-2.0 OR MIT
// handlers without a generic arm must handle every exit.
// expect: an exit's payload has no arm
#include <kvm/exit.hpp>

int use(const kvm::Exit& exit) {
    namespace on = kvm::exit;
#if MISUSE == 1
    return exit.visit(kvm::handlers{[](on::Hlt) { return 0; }, [](on::Shutdown) { return 1; }});
#else
    return exit.visit(kvm::handlers{[](on::Hlt) { return 0; }, [](const auto&) { return 1; }});
#endif
}

// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "loops.h"
#include <kvm/kvm.hpp>

long loop_kvmxx(kvm::Vcpu& vcpu, long exits) {
    long sum = 0;
    for (; exits > 0; --exits) {
        const auto exit = vcpu.run();
        if (!exit) {
            return -1;
        }
        const bool good = exit->visit(kvm::handlers{
            [&](kvm::exit::IoOut out) {
                if (out.port != kvm::Port(console_port)) {
                    return false;
                }
                sum += std::to_integer<long>(out.data.front());
                return true;
            },
            [](const auto&) { return false; },
        });
        if (!good) {
            return -1;
        }
    }
    return sum;
}

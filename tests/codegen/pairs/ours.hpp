// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/kvm.hpp>

#define OURS(name, parameters, ...)                                                                \
    extern "C" auto ours_##name parameters { return __VA_ARGS__; }

using namespace kvm;

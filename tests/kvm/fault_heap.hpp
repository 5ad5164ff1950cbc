// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstddef>

/// The library's use of the heap: calloc() and `new (std::nothrow)`, which the tests' own code has
/// no use for. Every program that has this file has its allocations counted, and may have one fail.
namespace kvm::test::heap {

/// Blocks that were asked for since the last fail_after().
std::size_t asked();
/// Blocks that were given and not given back.
std::size_t live();
/// The block that comes `n` blocks after now, counted from 0, is not given. Once.
void fail_after(std::size_t n);
/// All are given again.
void give_all();

}  // namespace kvm::test::heap

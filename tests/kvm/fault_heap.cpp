// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "fault_heap.hpp"

#include <algorithm>
#include <cstdlib>
#include <new>

// The linker has every call of these come here (--wrap in CMakeLists.txt). Replaced as C++ has it,
// the operators would be at odds with those of the thread sanitizer.

extern "C" {
void* __real_calloc(std::size_t n, std::size_t size);
void* __real__ZnwmRKSt9nothrow_t(std::size_t size, const std::nothrow_t& how);
void __real_free(void* block);
void __real__ZdlPv(void* block);
void __real__ZdlPvm(void* block, std::size_t size);

void* __wrap_calloc(std::size_t n, std::size_t size);
void* __wrap__ZnwmRKSt9nothrow_t(std::size_t size, const std::nothrow_t& how);  // operator new
void __wrap_free(void* block);
void __wrap__ZdlPv(void* block);  // operator delete
void __wrap__ZdlPvm(void* block, std::size_t size);
}

namespace {

constexpr std::size_t never = ~std::size_t(0);

void* blocks[4096];
std::size_t live_count = 0, asked_count = 0, fail_at = never;

/// Whether this block is to be given.
bool give() { return asked_count++ != fail_at; }

void* given(void* block) {
    if (block && live_count < sizeof blocks / sizeof *blocks) {
        blocks[live_count++] = block;
    }
    return block;
}

void* given_back(void* block) {
    void** const end = blocks + live_count;
    if (void** found = std::find(blocks, end, block); found != end) {
        *found = end[-1];
        --live_count;
    }
    return block;
}

}  // namespace

std::size_t kvm::test::heap::asked() { return asked_count; }
std::size_t kvm::test::heap::live() { return live_count; }
void kvm::test::heap::fail_after(std::size_t n) {
    asked_count = 0;
    fail_at = n;
}
void kvm::test::heap::give_all() { fail_at = never; }

void* __wrap_calloc(std::size_t n, std::size_t size) {
    return give() ? given(__real_calloc(n, size)) : nullptr;
}
void* __wrap__ZnwmRKSt9nothrow_t(std::size_t size, const std::nothrow_t& how) {
    return give() ? given(__real__ZnwmRKSt9nothrow_t(size, how)) : nullptr;
}
void __wrap_free(void* block) { __real_free(given_back(block)); }
void __wrap__ZdlPv(void* block) { __real__ZdlPv(given_back(block)); }
void __wrap__ZdlPvm(void* block, std::size_t size) { __real__ZdlPvm(given_back(block), size); }

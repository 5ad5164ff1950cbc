// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "fault_heap.hpp"

#include <algorithm>
#include <cstdlib>
#include <new>

// The linker has every call of calloc() and free() come here (--wrap); operators are replaced as
// C++ has it.

extern "C" {
void* __real_calloc(std::size_t n, std::size_t size);
void __real_free(void* block);
void* __wrap_calloc(std::size_t n, std::size_t size);
void __wrap_free(void* block);
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
void __wrap_free(void* block) { __real_free(given_back(block)); }

void* operator new(std::size_t size) {
    if (void* block = std::malloc(size)) {
        return block;
    }
    throw std::bad_alloc();
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    return give() ? given(std::malloc(size)) : nullptr;
}
void operator delete(void* block) noexcept { __real_free(given_back(block)); }
void operator delete(void* block, std::size_t) noexcept { __real_free(given_back(block)); }

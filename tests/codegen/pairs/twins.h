/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What a C programmer writes for the same contract as the library's: an inline system call, and a
   result that holds the value or says what failed and why. A result is filled where the caller
   wants it, and its address returned, which is what a C++ function that returns an object does. */
#pragma once

#include "../../../bench/count_exit/inline_ioctl.h"
#include <errno.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error {
    const char* what;
    int code;
    uint32_t detail;
};

/* struct NAME: a value, or an error. */
#define RESULT(name, ...)                                                                          \
    struct name {                                                                                  \
        union {                                                                                    \
            __VA_ARGS__ value;                                                                     \
            struct error error;                                                                    \
        };                                                                                         \
        bool ok;                                                                                   \
    }

RESULT(done, char);
RESULT(result_int, int);
RESULT(result_bool, bool);
RESULT(result_u32, uint32_t);
RESULT(result_u64, uint64_t);
RESULT(result_size, size_t);

/* A VMM's objects: each begins with its descriptor. */
struct object {
    int fd;
};
struct span {
    void* data;
    size_t size;
};
/* Which slots are in use: the first 64 here, the others elsewhere. */
struct slots {
    uint64_t vm;
    uint64_t low;
    void* more;
};
struct vm {
    int fd;
    struct slots slots;
    size_t vcpu_mmap_size;
};
struct vcpu {
    int fd;
    struct kvm_run* run;
    size_t size;
    void* kick;
};
struct slot {
    uint64_t vm;
    uint32_t id;
    uint32_t flags;
    uint64_t address;
    struct span memory;
};

#define unlikely(condition) __builtin_expect(!!(condition), 0)

/* Fills in an error and returns. */
#define FAIL_AS(result, name, errno_value, number)                                                 \
    do {                                                                                           \
        (result)->error = (struct error){name, errno_value, number};                               \
        (result)->ok = false;                                                                      \
        return result;                                                                             \
    } while (0)
#define FAIL(result, name, answer) FAIL_AS(result, name, (int)-(answer), 0)
#define CHECK(result, name, answer)                                                                \
    if (unlikely((answer) < 0)) {                                                                  \
        FAIL(result, name, answer);                                                                \
    }
/* Fills in a success and returns. */
#define SUCCEED(result, ...)                                                                       \
    do {                                                                                           \
        (result)->value = (__VA_ARGS__);                                                           \
        (result)->ok = true;                                                                       \
        return result;                                                                             \
    } while (0)

static inline __attribute__((always_inline)) struct done* done(struct done* result,
                                                               const char* name, long answer) {
    CHECK(result, name, answer)
    result->ok = true;
    return result;
}

/* ioctl(fd, OP) with nothing, a number, a structure to read, a structure to fill. */
#define NONE(name, OP)                                                                             \
    struct done* twin_##name(struct done* result, const struct object* object) {                   \
        return done(result, #OP, inline_ioctl(object->fd, OP, 0));                                 \
    }
#define NUMBER(name, OP, type)                                                                     \
    struct done* twin_##name(struct done* result, const struct object* object, type number) {      \
        return done(result, #OP, inline_ioctl(object->fd, OP, (long)number));                      \
    }
#define SET(name, OP)                                                                              \
    struct done* twin_##name(struct done* result, const struct object* object,                     \
                             const void* value) {                                                  \
        return done(result, #OP, inline_ioctl(object->fd, OP, (long)value));                       \
    }
/* The same with a list: a header and its entries in a block on the heap, with a count in the
   header's word number AT that must not exceed the capacity. */
struct list {
    void* block;
    size_t capacity;
};
#define SET_LIST(name, OP, AT)                                                                     \
    struct done* twin_##name(struct done* result, const struct object* object,                     \
                             const struct list* list) {                                            \
        size_t wanted = list->block ? ((const uint32_t*)list->block)[AT] : 0;                      \
        return done(result, #OP,                                                                   \
                    wanted > list->capacity ? -EMSGSIZE                                            \
                                            : inline_ioctl(object->fd, OP, (long)list->block));    \
    }
#define GET(name, OP, ...)                                                                         \
    RESULT(result_##name, __VA_ARGS__);                                                            \
    struct result_##name* twin_##name(struct result_##name* result, const struct object* object) { \
        long answer = inline_ioctl(object->fd, OP, (long)&result->value);                          \
        CHECK(result, #OP, answer)                                                                 \
        result->ok = true;                                                                         \
        return result;                                                                             \
    }
/* A structure to read, made of the parameters. */
#define MADE(name, OP, made, ...)                                                                  \
    struct done* twin_##name(struct done* result, const struct object* object, __VA_ARGS__) {      \
        return done(result, #OP, inline_ioctl(object->fd, OP, (long)&(made)));                     \
    }
/* ioctl(fd, OP, argument) whose answer is a number. */
#define ANSWER(name, result_type, OP, argument, ...)                                               \
    struct result_type* twin_##name(struct result_type* result,                                    \
                                    const struct object* object __VA_OPT__(, ) __VA_ARGS__) {      \
        long answer = inline_ioctl(object->fd, OP, (long)(argument));                              \
        CHECK(result, #OP, answer)                                                                 \
        SUCCEED(result, (__typeof__(result->value))answer);                                        \
    }

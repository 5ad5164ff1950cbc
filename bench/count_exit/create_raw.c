/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "inline_ioctl.h"
#define CREATE create_raw
#define IOCTL inline_ioctl
#define ERROR(result) ((int)-(result))
#define MMAP(size, fd)                                                                             \
    ((void*)inline_syscall6(9, 0, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0))
#define MMAP_FAILED(page) ((unsigned long)(page) > -4096ul)
#define MUNMAP(page, size) (void)inline_syscall3(11, (long)(page), size, 0)
#define CLOSE(fd) (void)inline_syscall3(3, fd, 0, 0)
#include "create_c.h"

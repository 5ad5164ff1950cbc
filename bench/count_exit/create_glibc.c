/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <sys/ioctl.h>
#include <unistd.h>
#define CREATE create_glibc
#define IOCTL (long)ioctl
#define ERROR(result) ((void)(result), errno)
#define MMAP(size, fd) mmap(0, (unsigned long)(size), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
#define MMAP_FAILED(page) ((page) == MAP_FAILED)
#define MUNMAP(page, size) munmap(page, (unsigned long)(size))
#define CLOSE(fd) close(fd)
#include "create_c.h"

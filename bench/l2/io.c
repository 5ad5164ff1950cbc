/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The guest's whole user space of l2io: loads the modules that it has, does one job `n` times, says
   so and resets. The job and `n` come from the kernel's command line: job=randread n=1000. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

enum { small = 4096, large = 1 << 20 };

static void end(const char* what) {
    printf("l2: %s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : "");
    fflush(stdout);
    tcdrain(1);
    reboot(RB_AUTOBOOT);
    for (;;) {
        pause();
    }
}

/* In the order of the list: each needs those before. */
static void load_modules(void) {
    FILE* list = fopen("/modules/list", "r");
    char name[128];
    while (list && fscanf(list, "%127s", name) == 1) {
        int fd = open(name, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) != 0 && errno != EEXIST)) {
            end(name);
        }
        close(fd);
    }
}

static int open_disk(void) {
    static const char* const names[] = {"/dev/vda", "/dev/nvme0n1"};
    for (int i = 0; i < 10000; ++i) {
        int fd = open(names[i % 2], O_RDWR | O_DIRECT | O_CLOEXEC);
        if (fd >= 0) {
            return fd;
        }
        usleep(1000);
    }
    end("no disk");
    return -1;
}

static void disk(const char* job, long n) {
    const int fd = open_disk();
    const int random = strncmp(job, "rand", 4) == 0;
    const int reads = strstr(job, "read") != NULL;
    const size_t size = random ? small : large;
    const uint64_t blocks = (uint64_t)lseek(fd, 0, SEEK_END) / size;
    void* buffer = NULL;
    if (posix_memalign(&buffer, 4096, size) != 0) {
        end("memory");
    }
    memset(buffer, 0x5a, size);
    uint64_t x = 88172645463325252u;
    for (long i = 0; i < n; ++i) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        const off_t at = (off_t)(((random ? x : (uint64_t)i) % blocks) * size);
        const ssize_t done = reads ? pread(fd, buffer, size, at) : pwrite(fd, buffer, size, at);
        if (done != (ssize_t)size) {
            end(job);
        }
    }
    close(fd);
}

int main(void) {
    const char* job = getenv("job");
    const long n = atol(getenv("n") ? getenv("n") : "0");
    mount("dev", "/dev", "devtmpfs", 0, "");
    load_modules();
    if (!job) {
        end("no job");
    }
    disk(job, n);
    errno = 0;
    end("up");
    return 0;
}

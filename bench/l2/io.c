/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The guest's whole user space of l2io: loads the modules that it has, does the jobs that the
   kernel's command line names (jobs=randread:2000,ping:100, each with how many times), and resets.
   A job is done some times before it is measured, between "l2: begin" and "l2: end". */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/ip_icmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

enum { small = 4096, large = 1 << 20, port = 5001 };
static const char guest[] = "10.0.2.15", host[] = "10.0.2.2";

static void say(const char* text) {
    printf("l2: %s\n", text);
    fflush(stdout);
    tcdrain(1);
}

static void end(const char* what) {
    char text[256];
    snprintf(text, sizeof text, "%s%s%s", what, errno ? ": " : "", errno ? strerror(errno) : "");
    say(text);
    reboot(RB_AUTOBOOT);
    for (;;) {
        pause();
    }
}

static void check(int good, const char* what) {
    if (!good) {
        end(what);
    }
}

/* The devices that the command line tells virtio_mmio of, as its options. */
static const char* mmio_devices(void) {
    static char options[1024], line[4096];
    FILE* file = fopen("/proc/cmdline", "r");
    check(file && fgets(line, sizeof line, file), "/proc/cmdline");
    fclose(file);
    const char prefix[] = "virtio_mmio.";
    for (char* word = strtok(line, " \n"); word; word = strtok(NULL, " \n")) {
        if (strncmp(word, prefix, sizeof prefix - 1) == 0) {
            strcat(strcat(options, word + sizeof prefix - 1), " ");
        }
    }
    return options;
}

/* In the order of the list: each needs those before. */
static void load_modules(void) {
    FILE* list = fopen("/modules/list", "r");
    char name[128];
    while (list && fscanf(list, "%127s", name) == 1) {
        int fd = open(name, O_RDONLY | O_CLOEXEC);
        const char* const options = strstr(name, "virtio_mmio") ? mmio_devices() : "";
        check(fd >= 0 && (syscall(SYS_finit_module, fd, options, 0) == 0 || errno == EEXIST), name);
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
    static int fd = -1;
    static void* buffer;
    static uint64_t x = 88172645463325252u;
    if (fd < 0) {
        fd = open_disk();
        check(posix_memalign(&buffer, large, large) == 0, "memory");
        memset(buffer, 0x5a, large);
    }
    const int random = strncmp(job, "rand", 4) == 0;
    const int reads = strstr(job, "read") != NULL;
    const size_t size = random ? small : large;
    const uint64_t blocks = (uint64_t)lseek(fd, 0, SEEK_END) / size;
    for (long i = 0; i < n; ++i) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        const off_t at = (off_t)(((random ? x : (uint64_t)i) % blocks) * size);
        const ssize_t done = reads ? pread(fd, buffer, size, at) : pwrite(fd, buffer, size, at);
        check(done == (ssize_t)size, job);
    }
}

static struct sockaddr_in address(const char* text, int number) {
    struct sockaddr_in made = {.sin_family = AF_INET, .sin_port = htons((uint16_t)number)};
    inet_pton(AF_INET, text, &made.sin_addr);
    return made;
}

/* Gives eth0 its address, once. */
static void set_up_network(void) {
    static int done;
    if (done++) {
        return;
    }
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request = {.ifr_name = "eth0"};
    const struct sockaddr_in mine = address(guest, 0), mask = address("255.255.255.0", 0);
    memcpy(&request.ifr_addr, &mine, sizeof mine);
    check(ioctl(fd, SIOCSIFADDR, &request) == 0, "eth0's address");
    memcpy(&request.ifr_netmask, &mask, sizeof mask);
    check(ioctl(fd, SIOCSIFNETMASK, &request) == 0, "eth0's mask");
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    check(ioctl(fd, SIOCSIFFLAGS, &request) == 0, "eth0 up");
    close(fd);
}

/* n MiB to the host ("tcpout") or from it ("tcpin"), by a connection for each call; see peer.c. */
static void stream(const char* job, long n) {
    static char buffer[1 << 16];
    const int out = strcmp(job, "tcpout") == 0;
    const struct sockaddr_in to = address(host, port);
    set_up_network();
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(connect(fd, (const struct sockaddr*)&to, sizeof to) == 0, "connect");
    const uint64_t wish = (uint64_t)n << 21 | (out ? 1 : 0);
    check(write(fd, &wish, sizeof wish) == sizeof wish, "wish");
    for (uint64_t left = (uint64_t)n << 20; left > 0;) {
        const size_t size = left < sizeof buffer ? left : sizeof buffer;
        const ssize_t done = out ? write(fd, buffer, size) : read(fd, buffer, size);
        check(done > 0, job);
        left -= (uint64_t)done;
    }
    char last;
    check(!out || read(fd, &last, 1) == 1, "the end"); /* the peer has all */
    close(fd);
}

static void ping(long n) {
    static uint16_t sequence;
    const struct sockaddr_in to = address(host, 0);
    set_up_network();
    const int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
    for (long i = 0; i < n; ++i) {
        struct {
            struct icmphdr header;
            char data[56];
        } request = {.header = {.type = ICMP_ECHO}}, answer[2];
        request.header.un.echo.sequence = htons(++sequence);
        uint16_t words[sizeof request / 2];
        memcpy(words, &request, sizeof request);
        uint32_t sum = 0;
        for (size_t word = 0; word < sizeof request / 2; ++word) {
            sum += words[word];
        }
        request.header.checksum = (uint16_t)~((sum & 0xffff) + (sum >> 16));
        check(sendto(fd, &request, sizeof request, 0, (const struct sockaddr*)&to, sizeof to) > 0,
              "ping");
        check(recv(fd, answer, sizeof answer, 0) > 0, "answer");
    }
    close(fd);
}

static void run(const char* job, long n) {
    if (strcmp(job, "ping") == 0) {
        ping(n);
    } else if (strncmp(job, "tcp", 3) == 0) {
        stream(job, n);
    } else if (strcmp(job, "nothing") != 0) {
        disk(job, n);
    }
}

static void measure(const char* job, long n) {
    char text[128];
    run(job, n / 8 + 1);
    usleep(100000);
    snprintf(text, sizeof text, "begin %s", job);
    say(text);
    usleep(20000);
    run(job, n);
    snprintf(text, sizeof text, "end %s %ld", job, n);
    say(text);
    usleep(20000);
}

int main(void) {
    char* jobs = getenv("jobs");
    mount("dev", "/dev", "devtmpfs", 0, "");
    mkdir("/proc", 0755);
    mount("proc", "/proc", "proc", 0, "");
    load_modules();
    check(jobs != NULL, "no jobs");
    for (char* job = strtok(jobs, ","); job; job = strtok(NULL, ",")) {
        char* const n = strchr(job, ':');
        check(n != NULL, job);
        *n = '\0';
        measure(job, atol(n + 1));
    }
    errno = 0;
    end("up");
    return 0;
}

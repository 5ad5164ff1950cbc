/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The host's side of l2io's streams: takes connections at TCP port 5001, one at a time, each of
   which begins with a wish of 8 bytes: how many bytes, times two, and 1 if the guest sends them,
   which is answered by one byte in the end. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static void serve(int fd) {
    static char buffer[1 << 18];
    uint64_t wish;
    if (read(fd, &wish, sizeof wish) != sizeof wish) {
        return;
    }
    for (uint64_t left = wish >> 1; left > 0;) {
        const size_t size = left < sizeof buffer ? left : sizeof buffer;
        const ssize_t done = wish & 1 ? read(fd, buffer, size) : write(fd, buffer, size);
        if (done <= 0) {
            return;
        }
        left -= (uint64_t)done;
    }
    if (wish & 1) {
        (void)!write(fd, "", 1);
    }
}

int main(void) {
    const int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(5001)};
    signal(SIGPIPE, SIG_IGN);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (const struct sockaddr*)&here, sizeof here) != 0 || listen(fd, 8) != 0) {
        perror("peer");
        return 1;
    }
    for (;;) {
        const int guest = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        if (guest >= 0) {
            serve(guest);
            close(guest);
        }
    }
}

/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* virtio_guest CID PORT TEXT: connects and says TEXT, then prints the answer; virtio_guest listen
 * PORT: gives one connection its bytes back. Over vsock, for a guest without any other program that
 * knows it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

static int fail(const char* what) {
    perror(what);
    return 1;
}

int main(int argc, char** argv) {
    char bytes[4096];
    ssize_t n;
    struct sockaddr_vm address = {.svm_family = AF_VSOCK};
    const int fd = socket(AF_VSOCK, SOCK_STREAM, 0);

    if (argc < 3 || fd < 0) {
        return fail("socket");
    }
    address.svm_port = (unsigned)atoi(argv[2]);
    if (strcmp(argv[1], "listen") == 0) {
        int peer;
        address.svm_cid = VMADDR_CID_ANY;
        if (bind(fd, (struct sockaddr*)&address, sizeof address) != 0 || listen(fd, 1) != 0) {
            return fail("listen");
        }
        puts("guest: listens");
        fflush(stdout);
        peer = accept(fd, NULL, NULL);
        while ((n = read(peer, bytes, sizeof bytes)) > 0) {
            if (write(peer, bytes, (size_t)n) != n) {
                return fail("write");
            }
        }
        return 0;
    }
    address.svm_cid = (unsigned)atoi(argv[1]);
    if (connect(fd, (struct sockaddr*)&address, sizeof address) != 0) {
        return fail("connect");
    }
    if (argc > 3 && write(fd, argv[3], strlen(argv[3])) < 0) {
        return fail("write");
    }
    shutdown(fd, SHUT_WR);
    while ((n = read(fd, bytes, sizeof bytes)) > 0) {
        fwrite(bytes, 1, (size_t)n, stdout);
    }
    return 0;
}

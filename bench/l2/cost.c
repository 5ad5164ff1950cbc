/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* cost OUTPUT COMMAND...: runs the command with both outputs into a file, then prints the user and
   system time that it and its threads took, in microseconds, and its wait status. Under the lab's
   --icount a microsecond is 1000 instructions, a guest's own included. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static long microseconds(struct timeval t) { return t.tv_sec * 1000000L + t.tv_usec; }

int main(int argc, char** argv) {
    if (argc < 3) {
        return 2;
    }
    pid_t child = fork();
    if (child == 0) {
        int out = open(argv[1], O_CREAT | O_TRUNC | O_WRONLY, 0644);
        int in = open("/dev/null", O_RDONLY);
        if (out < 0 || in < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0) {
            _exit(126);
        }
        execvp(argv[2], argv + 2);
        _exit(127);
    }
    struct rusage usage;
    int status;
    if (child < 0 || wait4(child, &status, 0, &usage) != child) {
        return 2;
    }
    printf("%ld %ld %d\n", microseconds(usage.ru_utime), microseconds(usage.ru_stime), status);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* meter OUTPUT COMMAND...: runs a VMM with both outputs into a file. Between its guest's lines
   "l2: begin JOB" and "l2: end JOB N" it counts, and prints of each job a line:

     JOB N PROCESS ALL EXITS MMIO

   the CPU time of the VMM's process and of all threads of this machine, the kernel's too, in
   nanoseconds, which under the lab's --icount are instructions, the guest's own included; exits of
   its guest, and those for memory that went to user space. The guest is idle for a while after each
   line. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct counts {
    long long process, all, exits, mmio;
};

static long long number_in(const char* path) {
    long long value = 0;
    FILE* file = fopen(path, "re");
    if (!file || fscanf(file, "%lld", &value) != 1) {
        perror(path);
        exit(2);
    }
    fclose(file);
    return value;
}

/* What ran on this machine's one CPU: the seventh number of its line. */
static long long busy_time(void) {
    long long value = -1;
    char line[512];
    FILE* file = fopen("/proc/schedstat", "re");
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "cpu0 %*s %*s %*s %*s %*s %*s %lld", &value) == 1) {
            break;
        }
    }
    if (value < 0) {
        fprintf(stderr, "meter: /proc/schedstat does not tell\n");
        exit(2);
    }
    fclose(file);
    return value;
}

static struct counts count(pid_t process) {
    clockid_t clock;
    struct timespec time;
    if (clock_getcpuclockid(process, &clock) != 0 || clock_gettime(clock, &time) != 0) {
        perror("meter: the process's clock");
        exit(2);
    }
    return (struct counts){time.tv_sec * 1000000000LL + time.tv_nsec, busy_time(),
                           number_in("/sys/kernel/debug/kvm/exits"),
                           number_in("/sys/kernel/debug/kvm/mmio_exits")};
}

static void follow(FILE* from, FILE* to, pid_t process) {
    char line[1024], job[64];
    long n;
    struct counts begin = {0, 0, 0, 0};
    while (fgets(line, sizeof line, from)) {
        const char* told = strstr(line, "l2: ");
        if (told && sscanf(told, "l2: begin %63s", job) == 1) {
            begin = count(process);
        } else if (told && sscanf(told, "l2: end %63s %ld", job, &n) == 2) {
            const struct counts end = count(process);
            printf("%s %ld %lld %lld %lld %lld\n", job, n, end.process - begin.process,
                   end.all - begin.all, end.exits - begin.exits, end.mmio - begin.mmio);
            fflush(stdout);
        }
        fputs(line, to);
        fflush(to);
    }
}

int main(int argc, char** argv) {
    int ends[2], status;
    if (argc < 3 || pipe2(ends, O_CLOEXEC) != 0) {
        return 2;
    }
    FILE* const to = fopen(argv[1], "we");
    const pid_t child = fork();
    if (child == 0) {
        const int in = open("/dev/null", O_RDONLY);
        if (in < 0 || dup2(in, 0) < 0 || dup2(ends[1], 1) < 0 || dup2(ends[1], 2) < 0) {
            _exit(126);
        }
        execvp(argv[2], argv + 2);
        _exit(127);
    }
    close(ends[1]);
    FILE* const from = fdopen(ends[0], "re");
    if (child < 0 || !from || !to) {
        return 2;
    }
    follow(from, to, child);
    return waitpid(child, &status, 0) == child ? 0 : 2; /* whatever status: a reset has its own */
}

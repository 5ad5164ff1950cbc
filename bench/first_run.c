// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// first_run PROGRAM ARGUMENT...: how many user instructions the program executes in all its threads
// before its first ioctl(KVM_RUN), by stepping through them: about 30,000 a second, and the program
// is killed then. x86_64.
//
//     cc -O2 -o first_run bench/first_run.c
//     ./first_run build/release/bin/kvmxx run --kernel vmlinuz --initrd initrd
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ioctl_number = 16, kvm_run = 0xae80, syscall_code = 0x050f };

// Whether the thread is about to make that call.
static int at_first_run(pid_t thread) {
    struct user_regs_struct regs;
    if (ptrace(PTRACE_GETREGS, thread, 0, &regs) != 0 || regs.rax != ioctl_number ||
        regs.rsi != kvm_run) {
        return 0;
    }
    errno = 0;
    const long code = ptrace(PTRACE_PEEKTEXT, thread, regs.rip, 0);
    return errno == 0 && (code & 0xffff) == syscall_code;
}

int main(int argc, char** argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: first_run PROGRAM ARGUMENT...\n");
        return 2;
    }
    const pid_t program = fork();
    if (program == 0) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        execvp(argv[1], argv + 1);
        perror(argv[1]);
        _exit(127);
    }
    int status = 0;
    if (program < 0 || waitpid(program, &status, 0) < 0 || !WIFSTOPPED(status)) {
        fprintf(stderr, "first_run: cannot start %s\n", argv[1]);
        return 1;
    }
    ptrace(PTRACE_SETOPTIONS, program, 0, PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL);
    ptrace(PTRACE_SINGLESTEP, program, 0, 0);
    unsigned long steps = 0;
    for (pid_t thread; (thread = waitpid(-1, &status, __WALL)) > 0;) {
        if (!WIFSTOPPED(status)) {
            continue;  // a thread's end
        }
        const int signal = WSTOPSIG(status);
        ++steps;
        if (at_first_run(thread)) {
            printf("%lu instructions before the first KVM_RUN\n", steps);
            return 0;  // and the program goes with this
        }
        ptrace(PTRACE_SINGLESTEP, thread, 0, signal == SIGTRAP || signal == SIGSTOP ? 0 : signal);
    }
    printf("%lu instructions, and no KVM_RUN\n", steps);
    return 1;
}

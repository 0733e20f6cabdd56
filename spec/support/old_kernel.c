/*
 * old_kernel COMMAND…: runs it as on a kernel that does not have what moonfork can do without: no
 * pidfd_open, close_range, MADV_POPULATE_WRITE, and a getrandom that has no entropy yet. They fail
 * with the errors of such a kernel, in all that the command starts too. Used by the C tests.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define SKIP_UNLESS(value, n) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, n)
#define FAIL(error) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error))

/* The number of the call is in the accumulator before and after. */
#define REFUSE(call, error) SKIP_UNLESS(call, 1), FAIL(error)

static struct sock_filter filter[] = {
    LOAD(nr),
    REFUSE(SYS_pidfd_open, ENOSYS),
    REFUSE(SYS_pidfd_send_signal, ENOSYS),
    REFUSE(SYS_close_range, ENOSYS),
    REFUSE(SYS_getrandom, EAGAIN),
    SKIP_UNLESS(SYS_madvise, 3),
    LOAD(args[2]), /* the lower half, on a little-endian machine */
    SKIP_UNLESS(MADV_POPULATE_WRITE, 1),
    FAIL(EINVAL),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

int main(int argc, char **argv)
{
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    if (argc < 2) {
        fprintf(stderr, "usage: old_kernel COMMAND...\n");
        return 2;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        perror("old_kernel: seccomp");
        return 2;
    }
    execvp(argv[1], argv + 1);
    perror(argv[1]);
    return 2;
}

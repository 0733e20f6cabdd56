/*
 * counters.c - keeps the counters of gcov in a file while the program runs. It is linked into all
 * that a build with MF_COVERAGE makes; used by run.sh.
 *
 * gcov itself writes when a process calls exit(). Here most are forks, which leave by _exit or are
 * killed. So the linker gathers the counters (counters.ld), and before anything else
 * runs the file $MF_COVERAGE/NAME is mapped over them, NAME being the program's or the module's.
 * All processes that run it count there, with atomic additions: nothing is lost, whoever dies.
 *
 * With MF_COVERAGE_DUMP set it writes what the file holds into that folder, as one .gcda for each
 * object, and ends the process.
 *
 * Why gcov and not the coverage of clang: both measure some directions of a branch only as a
 * difference of others. clang takes every call to return, so a call that ended in a kill, in exit
 * or in an error of Lua counts as if the next branch had gone the other way; gcov does not.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <gcov.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

extern char mf_counters_begin[], mf_counters_end[];

/* One for each object of this program; the linker makes these names. */
extern const struct gcov_info *const __start_mf_profiles[] __attribute__((visibility("hidden")));
extern const struct gcov_info *const __stop_mf_profiles[] __attribute__((visibility("hidden")));

/* The linker is told to look for it, as nothing else names anything of this file. */
extern const char mf_coverage_is_linked;
const char mf_coverage_is_linked = 1;

static int open_counters(const char *folder, size_t size)
{
    char path[4096];
    Dl_info here;
    if (!dladdr(mf_counters_begin, &here))
        return -1;
    const char *slash = strrchr(here.dli_fname, '/');
    snprintf(path, sizeof path, "%s/%s", folder, slash ? slash + 1 : here.dli_fname);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd >= 0 && ftruncate(fd, (off_t)size) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* `name` is where gcov would write: beside the object. As objects of several folders may bear the
 * same name, the whole path becomes the name of the file, with # for /. */
static void open_gcda(const char *name, void *file)
{
    char path[8192];
    int folder = snprintf(path, sizeof path, "%s/", getenv("MF_COVERAGE_DUMP"));
    snprintf(path + folder, sizeof path - (size_t)folder, "%s", name);
    for (char *at = path + folder; (at = strchr(at, '/'));)
        *at = '#';
    *(FILE **)file = fopen(path, "wb");
    if (!*(FILE **)file) {
        perror(path);
        _exit(1);
    }
}

static void write_gcda(const void *bytes, unsigned n, void *file)
{
    fwrite(bytes, n, 1, *(FILE **)file);
}

static void *allocate(unsigned n, void *file)
{
    (void)file;
    return malloc(n);
}

static void dump(void)
{
    for (const struct gcov_info *const *p = __start_mf_profiles; p < __stop_mf_profiles; p++) {
        FILE *file = NULL;
        __gcov_info_to_gcda(*p, open_gcda, write_gcda, allocate, &file);
        if (fclose(file) != 0)
            _exit(1);
    }
    _exit(0);
}

static __attribute__((constructor(101))) void begin(void)
{
    const char *folder = getenv("MF_COVERAGE");
    size_t size = (size_t)(mf_counters_end - mf_counters_begin);
    int fd = folder ? open_counters(folder, size) : -1;
    if (fd < 0)
        return;
    mmap(mf_counters_begin, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
    close(fd);
    if (getenv("MF_COVERAGE_DUMP"))
        dump();
}

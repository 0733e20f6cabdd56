/* arena.c - reserving, entering and leaving the shared range: see arena.h. */
#include "arena.h"

#include "class.h"
#include "cpu.h"
#include "crash.h"
#include "death.h"
#include "entropy.h"
#include "object.h"
#include "slot.h"
#include "unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define MAGIC UINT64_C(0x6b726f666e6f6f6d) /* "moonfork" */
#define PAGE 4096u
#define SMALLEST ((size_t)16 << 20)
#define LARGEST ((size_t)64 << 30)

static size_t choose_reserve(void)
{
    struct rlimit as;
    size_t want = LARGEST;
    if (getrlimit(RLIMIT_AS, &as) == 0 && as.rlim_cur != RLIM_INFINITY && as.rlim_cur / 4 < want)
        want = as.rlim_cur / 4;
    return want;
}

/* The range, as large as wanted or as mmap agrees to. */
static struct mf_arena *reserve(size_t want, size_t *ret_size)
{
    for (want &= ~(size_t)(MF_UNIT - 1); want >= SMALLEST;
         want = want / 2 & ~(size_t)(MF_UNIT - 1)) {
        void *p = mmap(NULL, want, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p != MAP_FAILED) {
            *ret_size = want;
            return p;
        }
    }
    return NULL;
}

/* A private page that the kernel empties in any child: since Linux 4.14. */
static int new_token(uint32_t **ret_token)
{
    void *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return MF_ENOMEM;
    if (madvise(p, PAGE, MADV_WIPEONFORK) != 0) {
        int error = errno;
        munmap(p, PAGE);
        errno = error;
        return error == ENOMEM ? MF_ENOMEM : MF_ESYS;
    }
    *ret_token = p;
    return 0;
}

static uint64_t round_up(uint64_t n, uint64_t grain)
{
    return (n + grain - 1) / grain * grain;
}

/* Lays the parts out behind each other: see the picture in arena.h. */
static void lay_out(mf_runtime *rt, size_t size, size_t budget)
{
    struct mf_arena *a = rt->arena;
    uint64_t objects = size / 64 / sizeof(struct mf_object);
    a->magic = MAGIC;
    rt->reserve = size;
    rt->slots_at = round_up(sizeof *a, PAGE);
    rt->objects_at = round_up(rt->slots_at + MF_SLOTS * sizeof(struct mf_slot), PAGE);
    rt->map_at = round_up(rt->objects_at + objects * sizeof(struct mf_object), PAGE);
    rt->units_at = round_up(rt->map_at + size / MF_UNIT * sizeof(uint32_t), MF_UNIT);
    a->family = mf__entropy() | 1;
    uint64_t units = (size - rt->units_at) / MF_UNIT;
    rt->unit_max = (uint32_t)units;
    rt->object_max = (uint32_t)objects;
    if (!budget)
        budget = mf__memory_limit() / 2;
    uint64_t allowed = budget / MF_UNIT ? budget / MF_UNIT : 1;
    mf__units_init(rt, (uint32_t)(allowed < units ? allowed : units));
    mf__classes_init(rt);
    mf__objects_init(rt);
    mf__slots_init(rt);
    mf__mutex_init(&a->watch);
}

int mf__arena_open(const struct mf_arena_options *options, mf_runtime **ret_rt)
{
    size_t size = options && options->reserve ? options->reserve : choose_reserve();
    mf_runtime *rt = calloc(1, sizeof *rt);
    if (!rt)
        return MF_ENOMEM;
    int rc = new_token(&rt->token);
    if (rc == 0 && !(rt->arena = reserve(size, &size))) {
        munmap(rt->token, PAGE);
        rc = MF_ENOMEM;
    }
    if (rc < 0) {
        free(rt);
        return rc;
    }
    lay_out(rt, size, options ? options->budget : 0);
    *rt->token = 1;
    rt->self = mf__slot_at(rt, 0);
    rt->pid = getpid();
    rt->cpus = mf__cpu_count();
    mf__slot_enter_first(rt, rt->pid);
    *ret_rt = rt;
    return 0;
}

int mf__arena_adopt(mf_runtime *rt, uint32_t slot, uint64_t taken)
{
    rt->slot = slot;
    rt->self = mf__slot_at(rt, slot);
    rt->pid = getpid();
    rt->supervisors = NULL; /* they and the list below are about the parent's children */
    rt->children = rt->ended = NULL;
    rt->supervising = rt->burying = false;
    rt->call = (struct mf_call){0}; /* nor does this process wait, if the parent did */
    rt->doomed = 0;
    *rt->token = 1;
    return mf__slot_enter(rt, slot, taken, rt->pid);
}

void mf__arena_leave(mf_runtime *rt, int status)
{
    if (mf__alive(rt) < 0)
        return;
    mf__death_clean_self(rt);
    MF_CRASH("arena.leave.clean");
    mf__slot_leave(rt, status);
}

void mf__arena_close(mf_runtime *rt)
{
    if (!rt)
        return;
    munmap(rt->arena, rt->reserve);
    munmap(rt->token, PAGE);
    free(rt);
}

uint64_t mf__serial(mf_runtime *rt)
{
    return atomic_fetch_add_explicit(&rt->arena->serials, 1, memory_order_relaxed) + 1;
}

/* ledger.c - the accounts of the mesh: see ledger.h. */
#include "ledger.h"

#include "crash.h"

#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define AS_NAME(name) #name,
const char *const role_names[] = {ROLES(AS_NAME)};
const char *const doing_names[] = {DOINGS(AS_NAME)};

struct ledger *ledger;
struct life *me;

#define DWELL 50 /* microseconds */

/* The last message that this process has had of each life. */
static uint16_t last[QUEUES][LIVES];

void ledger_open(unsigned seed)
{
    ledger = mmap(NULL, sizeof *ledger, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (ledger == MAP_FAILED) {
        perror("kills: no memory for the ledger");
        exit(2);
    }
    ledger->seed = seed;
}

void ledger_close(void)
{
    munmap(ledger, sizeof *ledger);
    ledger = NULL;
}

#ifdef MF_FAULTS

static uint32_t own_chance(void)
{
    return (ledger->seed + life_index(me)) * 2654435761u >> 8;
}

/* One life in two dwells at each crash point: if all did, the family would hardly come on. */
static void let_it_be_seen(void)
{
    mf__crash_tally(ledger->visits[0]);
    mf__crash_dwell(own_chance() % 2 ? &me->at : NULL, DWELL);
    mf__crash_arm(NULL, 0, 0, NULL);
}

/* Some points are passed so seldom that nobody can wait there for a victim: most lives kill
 * themselves when they come to the point that the killer wishes for. The parent seldom does, as its
 * family ends with it. */
static void set_a_trap(enum role role)
{
    bool boss = role == role_parent || role == role_middle;
    uint32_t wish = atomic_load(&ledger->wish[boss]);
    mf__crash_tally(ledger->visits[boss]);
    if (!wish || own_chance() / 2 % 8 >= (role == role_parent ? 1 : 7))
        return;
    atomic_store(&me->trap, wish);
    mf__crash_arm(mf__crash_name(wish - 1), 1, SIGKILL, &me->struck);
}

#else

static void let_it_be_seen(void)
{
}

static void set_a_trap(enum role role)
{
    (void)role;
}

#endif

void ledger_be_born(void)
{
    uint32_t parent = me ? life_index(me) + 1 : 0;
    uint32_t n = atomic_fetch_add(&ledger->life_count, 1);
    if (n >= LIVES)
        wrong("more processes were started than the ledger has room for");
    me = &ledger->lives[n];
    let_it_be_seen();
    atomic_store(&me->parent, parent);
    atomic_store(&me->pid, getpid());
    memset(last, 0, sizeof last);
}

void ledger_parent(void)
{
    pthread_atfork(NULL, NULL, ledger_be_born);
    me = NULL;
    ledger_be_born();
}

void ledger_enter(enum role role)
{
    atomic_store(&me->role, role);
    set_a_trap(role);
    beat(doing_waking);
}

void ledger_leave(void)
{
    atomic_store(&me->left, 1);
}

void beat(enum doing doing)
{
    atomic_store(&me->doing, doing);
    atomic_fetch_add(&me->beats, 1);
}

_Noreturn void wrong(const char *format, ...)
{
    uint32_t none = 0;
    if (atomic_compare_exchange_strong(&ledger->failed, &none, 1)) {
        va_list list;
        int n = snprintf(ledger->wrong, sizeof ledger->wrong,
                         "%s %d: ", role_names[atomic_load(&me->role)], (int)getpid());
        va_start(list, format);
        vsnprintf(ledger->wrong + n, sizeof ledger->wrong - (size_t)n, format, list);
        va_end(list);
        atomic_store(&ledger->failed, 2);
    }
    _exit(9);
}

void ledger_saw(unsigned q, unsigned from, unsigned n)
{
    if (atomic_exchange(&ledger->seen[q][from][n], 1))
        wrong("queue %u: message %u of life %u came twice", q, n, from);
    if (n <= last[q][from])
        wrong("queue %u: message %u of life %u came after %u", q, n, from, last[q][from]);
    last[q][from] = (uint16_t)n;
    atomic_fetch_add(&ledger->seen_count[q], 1);
}

struct sums {
    uint64_t put_least, put_most; /* messages that were put; a killed producer's last one perhaps */
    uint64_t seen;
    uint64_t hands, gets; /* killed with a message seen, but perhaps not delivered; inside a get */
};

static void add(struct sums *s, unsigned q, const struct life *l)
{
    const struct dealings *d = &l->queue[q];
    uint32_t begun = d->begun, put = d->put;
    bool killed = !l->left && l != me;
    if (begun > put + 1 || (begun > put && !killed))
        wrong("queue %u: the account of life %u is not complete", q, life_index(l));
    for (uint32_t n = 1; n <= begun; n++)
        s->seen += ledger->seen[q][life_index(l)][n];
    s->put_least += put + (begun > put && ledger->seen[q][life_index(l)][begun]);
    s->put_most += begun;
    s->hands += killed && d->hand;
    s->gets += killed && d->getting;
}

void ledger_check(unsigned q, const struct mf_queue_stats *stats)
{
    struct sums s = {0};
    for (uint32_t i = 0; i < ledger->life_count; i++)
        add(&s, q, &ledger->lives[i]);
    if (stats->put < s.put_least || stats->put > s.put_most)
        wrong("queue %u: counts %lu put, its producers %lu to %lu", q, stats->put, s.put_least,
              s.put_most);
    if (stats->queued || stats->put != stats->got + stats->lost)
        wrong("queue %u: put %lu, got %lu, queued %lu, lost %lu", q, stats->put, stats->got,
              stats->queued, stats->lost);
    if (s.seen > stats->put)
        wrong("queue %u: %lu messages were seen, %lu put", q, s.seen, stats->put);
    uint64_t missing = stats->put - s.seen;
    if (missing > stats->lost || stats->lost > missing + s.hands || stats->lost > s.gets)
        wrong("queue %u: counts %lu lost; %lu are missing, %lu died with one in hand, %lu at get",
              q, stats->lost, missing, s.hands, s.gets);
    atomic_store(&ledger->lost[q], stats->lost);
}

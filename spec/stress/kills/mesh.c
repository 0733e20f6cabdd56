/* mesh.c - queues and locks in use by everybody: see mesh.h. */
#include "mesh.h"

#include "clock.h"
#include "death.h"
#include "object.h"
#include "slab.h"
#include "unit.h"

#include <sched.h>
#include <string.h>

enum {
    BOUND = 8,     /* messages in the first queue */
    CROWD = 100,   /* in the others they are not put beyond that */
    LONGEST = 500, /* messages or gets of one life, at most */
};

mf_queue *queues[QUEUES];
mf_lock *locks[LOCKS];

static unsigned state;

void mesh_enter(enum role role)
{
    state = ledger->seed * 31u + life_index(me) * 2654435761u;
    ledger_enter(role);
}

unsigned dice(unsigned n)
{
    state = state * 1664525u + 1013904223u;
    return (state >> 8) % n;
}

void mesh_open(mf_runtime *rt)
{
    for (unsigned q = 0; q < QUEUES; q++)
        if (mf_queue_new(rt, q == 0 ? BOUND : 0, &queues[q]) < 0)
            wrong("a queue cannot be made");
    for (unsigned k = 0; k < LOCKS; k++)
        if (mf_lock_new(rt, &locks[k]) < 0)
            wrong("a lock cannot be made");
}

void mesh_close(mf_runtime *rt)
{
    for (unsigned q = 0; q < QUEUES; q++)
        mf__object_drop(rt, queues[q]);
    for (unsigned k = 0; k < LOCKS; k++)
        mf__object_drop(rt, locks[k]);
}

const uint64_t *mesh_handles(mf_runtime *rt)
{
    static uint64_t handles[MESH_HANDLES];
    uint64_t *at = handles;
    for (unsigned q = 0; q < QUEUES; q++)
        *at++ = mf__object_handle(rt, queues[q]);
    for (unsigned k = 0; k < LOCKS; k++)
        *at++ = mf__object_handle(rt, locks[k]);
    return handles;
}

/* --- messages -----------------------------------------------------------------------------------
 */

/* What a message begins with. The rest are words that follow from it. */
struct letter {
    uint32_t queue, from, number, size;
    uint32_t words[];
};

static uint32_t size_of(uint32_t number)
{
    static const uint32_t sizes[] = {16, 48, 200, 20, 3000, 100, 600, 100000};
    return sizes[number * 7 % 8];
}

static uint32_t word_of(const struct letter *m, uint32_t i)
{
    return (m->queue << 30) + (m->from << 18) + m->number + i;
}

static uint32_t words_of(const struct letter *m)
{
    return (m->size - (uint32_t)sizeof *m) / 4;
}

/* Every third message carries a queue of its own, with its number in it. */
static bool has_purse(uint32_t number)
{
    return number % 3 == 0;
}

static mf_queue *make_purse(mf_runtime *rt, uint32_t number)
{
    mf_queue *purse;
    if (mf_queue_new(rt, 0, &purse) < 0 ||
        mf_queue_put(rt, purse, &number, sizeof number, NULL, 0, 0) < 0)
        wrong("a queue to send cannot be made");
    return purse;
}

static void open_purse(mf_runtime *rt, uint64_t handle, uint32_t number)
{
    mf_queue *purse;
    struct mf_message m;
    uint32_t inside = 0;
    if (mf__object_hold(rt, handle, MF_KIND_QUEUE, &purse) < 0)
        wrong("the queue in message %u is gone", number);
    if (mf__queue_get(rt, purse, &m, 0) == 0 && m.size == sizeof inside)
        memcpy(&inside, m.data, sizeof inside);
    if (inside != number)
        wrong("the queue in message %u is another's, or empty", number);
    mf__queue_delivered(rt);
    mf__message_free(rt, &m);
    mf__object_drop(rt, purse);
}

bool offer(mf_runtime *rt, unsigned q, int64_t deadline)
{
    static union {
        struct letter letter;
        uint8_t bytes[100000];
    } paper;
    struct letter *m = &paper.letter;
    struct dealings *d = &me->queue[q];
    uint32_t n = atomic_load(&d->put) + 1;
    if (n > MESSAGES || (q > 0 && mf_queue_size(queues[q]) > CROWD))
        return !mf_queue_is_closed(queues[q]);
    *m = (struct letter){.queue = q, .from = life_index(me), .number = n, .size = size_of(n)};
    for (uint32_t i = 0; i < words_of(m); i++)
        m->words[i] = word_of(m, i);
    beat(doing_put);
    mf_queue *purse = has_purse(n) ? make_purse(rt, n) : NULL;
    const uint64_t handle = purse ? mf__object_handle(rt, purse) : 0;
    atomic_store(&d->begun, n);
    int rc = mf_queue_put(rt, queues[q], m, m->size, &handle, purse != NULL, deadline);
    if (purse)
        mf__object_drop(rt, purse);
    atomic_store(rc == 0 ? &d->put : &d->begun, rc == 0 ? n : n - 1);
    if (rc < 0 && rc != MF_EFULL && rc != MF_ETIMEOUT && rc != MF_ECLOSED)
        wrong("queue %u: put says '%s'", q, mf_error_name(rc));
    return rc != MF_ECLOSED;
}

/* The letter in a message that was really put, and arrived as it was. */
static const struct letter *read_letter(unsigned q, const struct mf_message *message)
{
    const struct letter *m = (const struct letter *)message->data;
    if (message->size < sizeof *m || m->size != message->size || m->queue != q ||
        m->from >= ledger->life_count || m->number > ledger->lives[m->from].queue[q].begun ||
        m->number == 0 || m->size != size_of(m->number) ||
        message->handle_count != has_purse(m->number))
        wrong("queue %u: a message that nobody has put, of %zu bytes", q, message->size);
    for (uint32_t i = 0; i < words_of(m); i++)
        if (m->words[i] != word_of(m, i))
            wrong("queue %u: message %u of life %u is torn at word %u of %u", q, m->number, m->from,
                  i, words_of(m));
    return m;
}

bool take(mf_runtime *rt, unsigned q, int64_t deadline)
{
    struct mf_message message;
    struct dealings *d = &me->queue[q];
    beat(doing_get);
    atomic_store(&d->getting, 1);
    int rc = mf__queue_get(rt, queues[q], &message, deadline);
    if (rc == 0) {
        const struct letter *m = read_letter(q, &message);
        atomic_store(&d->hand, 1);
        ledger_saw(q, m->from, m->number);
        mf__queue_delivered(rt);
        atomic_store(&d->hand, 0);
    }
    atomic_store(&d->getting, 0);
    if (rc == 0 && message.handle_count)
        open_purse(rt, message.handles[0], ((const struct letter *)message.data)->number);
    if (rc == 0)
        mf__message_free(rt, &message);
    else if (rc != MF_EEMPTY && rc != MF_ETIMEOUT && rc != MF_ECLOSED)
        wrong("queue %u: get says '%s'", q, mf_error_name(rc));
    return rc != MF_ECLOSED;
}

/* --- locks and others ---------------------------------------------------------------------------
 */

/* Was it killed on its way in, or out? Then it held the lock, and the ledger may still name who had
 * died inside before it. */
static bool died_at_the_door(int32_t pid)
{
    for (uint32_t i = 0; i < ledger->life_count; i++)
        if (ledger->lives[i].pid == pid)
            return ledger->lives[i].doing == doing_lock;
    return false;
}

/* Inside the lock: nobody else is, and who died inside has been named. */
static void check_owner(unsigned k, int rc, int32_t pid)
{
    uint32_t owner = atomic_load(&ledger->owner[k]);
    if (rc == 0 && owner)
        wrong("lock %u: life %u, %d, is or died inside, and acquire does not tell", k, owner - 1,
              (int)ledger->lives[owner - 1].pid);
    if (rc == MF_ABANDONED && owner && ledger->lives[owner - 1].pid != pid &&
        !died_at_the_door(pid))
        wrong("lock %u: %d died inside, acquire says %d", k, (int)ledger->lives[owner - 1].pid,
              (int)pid);
    if (rc == 0 && ledger->guarded[k][0] != ledger->guarded[k][1])
        wrong("lock %u: what it guards is half written", k);
}

void lock_turn(mf_runtime *rt, unsigned k)
{
    int32_t pid = 0;
    beat(doing_lock);
    int rc = mf_lock_acquire(rt, locks[k], dice(4) ? MF_FOREVER : mf__now() + MF_MSEC, &pid);
    if (rc == MF_ETIMEOUT)
        return;
    if (rc < 0)
        wrong("lock %u: acquire says '%s'", k, mf_error_name(rc));
    check_owner(k, rc, pid);
    uint64_t *guarded = ledger->guarded[k];
    atomic_store(&ledger->owner[k], life_index(me) + 1);
    guarded[1] = guarded[0];
    mf__note((_Atomic uint64_t *)&guarded[0], guarded[0] + 1);
    if (dice(8) == 0)
        sched_yield();
    mf__note((_Atomic uint64_t *)&guarded[1], guarded[1] + 1);
    atomic_store(&ledger->owner[k], 0);
    if (!mf_lock_is_mine(rt, locks[k]) || mf_lock_release(rt, locks[k]) < 0)
        wrong("lock %u: it is held, and cannot be released", k);
    atomic_fetch_add(&ledger->locked, 1);
    atomic_fetch_add(&ledger->abandoned, rc == MF_ABANDONED);
}

/* Queues in queues, dropped with all that is in them. */
static void make_and_drop(mf_runtime *rt, unsigned n)
{
    static const uint8_t bytes[1000];
    mf_queue *outer = NULL, *inner;
    beat(doing_queues);
    for (unsigned i = 0; i < n; i++) {
        if (mf_queue_new(rt, 0, &inner) < 0)
            wrong("a queue cannot be made");
        for (unsigned k = 0; k < n * 6; k++) /* beyond the first segment */
            mf_queue_put(rt, inner, bytes, i * 300, NULL, 0, 0);
        if (outer) {
            const uint64_t handle = mf__object_handle(rt, outer);
            mf_queue_put(rt, inner, bytes, 5, &handle, 1, 0);
            mf__object_drop(rt, outer);
        }
        outer = inner;
    }
    if (outer)
        mf__object_drop(rt, outer);
}

/* As a look does a second after a burst: who waits has seldom anything to give back here. */
static void give_idle_memory_back(mf_runtime *rt)
{
    struct mf_unit_pool *u = &rt->arena->units;
    beat(doing_claim);
    mf__block_free(rt, mf__block_new(rt, 2 << 20, rt->slot));
    u->most = u->used;
    u->keep = dice(64);
    u->second = mf__now() + MF_SECOND;
    u->next_trim = 0;
    mf__units_trim(rt);
}

/* Fills some slabs, and gives them back as two looks do: the first marks them, and the second finds
 * the marks, unless somebody has used the blocks meanwhile. */
static void empty_slabs(mf_runtime *rt)
{
    struct mf_block *blocks[2 * 9];
    beat(doing_claim);
    for (unsigned i = 0; i < 2 * 9; i++)
        blocks[i] = mf__block_new(rt, 28000, rt->slot);
    for (unsigned i = 0; i < 2 * 9; i++)
        mf__block_free(rt, blocks[i]);
    for (unsigned looks = 0; looks < 2; looks++) {
        atomic_store(&rt->arena->slab_walk.next, 0);
        mf__slabs_trim(rt);
    }
}

void errand(mf_runtime *rt)
{
    switch (dice(12)) {
    case 0:
    case 1:
    case 2: lock_turn(rt, dice(LOCKS)); break;
    case 3: make_and_drop(rt, dice(4)); break;
    case 4:
        beat(doing_claim);
        mf__death_check(rt);
        break;
    case 5:
        beat(doing_get);
        mf_queue_wait(rt, queues[dice(QUEUES)], dice(2) ? 0 : mf__now() + MF_MSEC);
        break;
    case 6:
        if (dice(4) == 0)
            give_idle_memory_back(rt);
        if (dice(4) == 0)
            empty_slabs(rt);
        break;
    }
}

/* Mostly for ever: nothing but what is tested ends that wait. */
static int64_t some_deadline(void)
{
    unsigned n = dice(8);
    return n == 0 ? 0 : n == 1 ? mf__now() + MF_MSEC : MF_FOREVER;
}

int producer_main(mf_runtime *rt, void *arg)
{
    (void)arg;
    mesh_enter(role_producer);
    for (unsigned n = dice(LONGEST); n && offer(rt, dice(QUEUES), some_deadline()); n--)
        errand(rt);
    ledger_leave();
    return 0;
}

int consumer_main(mf_runtime *rt, void *arg)
{
    unsigned q = *(const unsigned *)arg;
    mesh_enter(role_consumer);
    for (unsigned n = dice(LONGEST); n && take(rt, q, some_deadline()); n--)
        errand(rt);
    ledger_leave();
    return 0;
}

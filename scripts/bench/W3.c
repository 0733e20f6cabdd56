/*
 * W3: integers a second from two processes to two others, through a ring without a lock: D.
 * Vyukov's bounded queue for many producers and many consumers. The `turn` of a slot is the
 * position whose producer may use it next, or one more when its consumer may. (A process that is
 * killed between its two steps stops this queue: no queue for use.)
 */
#include "limit.h"

enum { SLOTS = 4096 };

struct ring {
    _Alignas(LINE) struct word go;
    _Alignas(LINE) struct word done;
    _Alignas(LINE) _Atomic uint32_t put;
    _Alignas(LINE) _Atomic uint32_t got;
    _Alignas(LINE) struct slot {
        struct word turn;
        int64_t value;
    } slots[SLOTS];
};

static struct ring *ring;
static long half;

/* Waits for the turn that is `ahead` of a position, and takes the position. */
static struct slot *take(_Atomic uint32_t *position, uint32_t ahead, uint32_t *ret_at)
{
    for (;;) {
        uint32_t at = atomic_load(position);
        struct slot *slot = &ring->slots[at % SLOTS];
        uint32_t turn = atomic_load_explicit(&slot->turn.value, memory_order_acquire);
        if (turn == at + ahead) {
            if (atomic_compare_exchange_weak(position, &at, at + 1)) {
                *ret_at = at;
                return slot;
            }
        } else if ((int32_t)(turn - (at + ahead)) < 0) {
            await(&slot->turn, turn);
        }
    }
}

static void put(int64_t value)
{
    uint32_t at;
    struct slot *slot = take(&ring->put, 0, &at);
    slot->value = value;
    announce(&slot->turn, at + 1);
}

static int64_t get(void)
{
    uint32_t at;
    struct slot *slot = take(&ring->got, 1, &at);
    int64_t value = slot->value;
    announce(&slot->turn, at + SLOTS);
    return value;
}

static void produce(void)
{
    for (uint32_t round = 0;;) {
        await(&ring->go, round++);
        for (long i = 0; i < half; i++)
            put(i);
    }
}

static void consume(void)
{
    for (uint32_t round = 0;;) {
        await(&ring->go, round++);
        for (long i = 0; i < half; i++)
            get();
        ring->done.value++;
        wake(&ring->done);
    }
}

static void run(void)
{
    static uint32_t round;
    announce(&ring->go, ++round);
    for (uint32_t done = 2 * (round - 1); done != 2 * round;)
        done = await(&ring->done, done);
}

int main(void)
{
    ring = shared(sizeof *ring);
    half = size(500000);
    for (uint32_t i = 0; i < SLOTS; i++)
        ring->slots[i].turn.value = i;
    for (int i = 0; i < 2; i++) {
        child(produce);
        child(consume);
    }
    printf("%.17g\n", 2.0 * (double)half / repeated(run));
}

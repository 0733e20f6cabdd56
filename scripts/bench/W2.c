/*
 * W2: integers a second from a process to another, through a ring without a lock that has room for
 * one producer and one consumer. The producer owns `put`, the consumer `got`.
 */
#include "limit.h"

enum { SLOTS = 4096 };

struct ring {
    _Alignas(LINE) struct word go;
    _Alignas(LINE) struct word put;
    _Alignas(LINE) struct word got;
    _Alignas(LINE) struct slot {
        uint64_t type;
        int64_t value;
    } slots[SLOTS];
};

static struct ring *ring;

static uint32_t count;

static void produce(void)
{
    pin(1);
    uint32_t put = 0, room = 0; /* `got`, as it was when the producer last looked */
    for (uint32_t round = 0;;) {
        await(&ring->go, round++);
        for (uint32_t i = 0; i < count; i++) {
            while (put - room == SLOTS)
                room = await(&ring->got, room);
            ring->slots[put % SLOTS] = (struct slot){1, i};
            announce(&ring->put, ++put);
        }
    }
}

static void consume(void)
{
    static uint32_t rounds, there, got; /* there: `put`, as it was when the consumer last looked */
    int64_t sum = 0;
    announce(&ring->go, ++rounds);
    for (uint32_t i = 0; i < count; i++) {
        while (there == got)
            there = await(&ring->put, there);
        sum += ring->slots[got % SLOTS].value;
        announce(&ring->got, ++got);
    }
    if (sum != (int64_t)count * (count - 1) / 2)
        abort();
}

int main(void)
{
    ring = shared(sizeof *ring);
    count = (uint32_t)size(2000000);
    child(produce);
    pin(0);
    printf("%.17g\n", count / repeated(consume));
}

/*
 * W5a: GiB a second from a process to another, 1 MiB at a time: one copy into a ring of shared
 * memory, one out of it.
 */
#include "limit.h"

#include <string.h>

enum { SLOTS = 4, BYTES = 1 << 20 };

struct ring {
    _Alignas(LINE) struct word go;
    _Alignas(LINE) struct word put;
    _Alignas(LINE) struct word got;
    _Alignas(LINE) char slots[SLOTS][BYTES];
};

static struct ring *ring;

static char own[BYTES];
static uint32_t count;

static void produce(void)
{
    pin(1);
    uint32_t put = 0, room = 0;
    memset(own, 'x', BYTES);
    for (uint32_t round = 0;;) {
        await(&ring->go, round++);
        for (uint32_t i = 0; i < count; i++) {
            while (put - room == SLOTS)
                room = await(&ring->got, room);
            memcpy(ring->slots[put % SLOTS], own, BYTES);
            announce(&ring->put, ++put);
        }
    }
}

static void consume(void)
{
    static uint32_t rounds, there, got;
    announce(&ring->go, ++rounds);
    for (uint32_t i = 0; i < count; i++) {
        while (there == got)
            there = await(&ring->put, there);
        memcpy(own, ring->slots[got % SLOTS], BYTES);
        announce(&ring->got, ++got);
    }
    if (own[0] != 'x' || own[BYTES - 1] != 'x')
        abort();
}

int main(void)
{
    ring = shared(sizeof *ring);
    count = (uint32_t)size(1000);
    child(produce);
    pin(0);
    printf("%.17g\n", count / repeated(consume) / 1024);
}

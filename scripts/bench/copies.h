/*
 * copies.h - messages of one size from a process to another: one copy into a ring of shared memory,
 * one out of it. W5a.c and scale/messages.c.
 */
#ifndef COPIES_H
#define COPIES_H

#include "limit.h"

#include <string.h>

struct ring {
    _Alignas(LINE) struct word go;
    _Alignas(LINE) struct word put;
    _Alignas(LINE) struct word got;
    _Alignas(LINE) char slots[];
};

/* What is copied, in both processes: set before they begin. */
static struct copies {
    struct ring *ring;
    size_t bytes;             /* of a message */
    uint32_t slots, count;    /* messages that the ring has room for, and that pass in a run */
    char *(*take)(char *old); /* where the next one goes; old is the last one, NULL at first */
} copies;

static inline char *slot_of(uint32_t number)
{
    return copies.ring->slots + number % copies.slots * copies.bytes;
}

static inline void produce(void)
{
    struct ring *ring = copies.ring;
    char *own = malloc(copies.bytes);
    uint32_t put = 0, room = 0;
    if (!own)
        die("malloc");
    pin(1);
    memset(own, 'x', copies.bytes);
    for (uint32_t round = 0;;) {
        await(&ring->go, round++);
        for (uint32_t i = 0; i < copies.count; i++) {
            while (put - room == copies.slots)
                room = await(&ring->got, room);
            memcpy(slot_of(put), own, copies.bytes);
            announce(&ring->put, ++put);
        }
    }
}

static inline void consume(void)
{
    static uint32_t rounds, there, got;
    static char *own;
    struct ring *ring = copies.ring;
    announce(&ring->go, ++rounds);
    for (uint32_t i = 0; i < copies.count; i++) {
        while (there == got)
            there = await(&ring->put, there);
        own = copies.take(own);
        memcpy(own, slot_of(got), copies.bytes);
        announce(&ring->got, ++got);
    }
    if (own[0] != 'x' || own[copies.bytes - 1] != 'x')
        abort();
}

/* Starts the producer, and gives the seconds that `count` messages take. */
static inline double time_copies(size_t bytes, uint32_t slots, uint32_t count,
                                 char *(*take)(char *old))
{
    struct ring *ring = shared(sizeof *ring + slots * bytes);
    copies = (struct copies){ring, bytes, slots, count, take};
    child(produce);
    pin(0);
    return repeated(consume);
}

#endif

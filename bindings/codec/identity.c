/* The identity map of one message; see identity.h. May include: libc only. */
#include "identity.h"

#include <stdlib.h>
#include <string.h>

enum { SMALLEST = 64, LARGEST_KEPT = 1 << 16 };

/* Where the search for `object` begins: objects are 16-byte aligned, so the low bits say little. */
static uint32_t home(const struct mf_identity *m, const void *object)
{
    uint64_t mixed = ((uintptr_t)object >> 3) * UINT64_C(0x9E3779B97F4A7C15);

    return (uint32_t)(mixed >> 32) & (m->size - 1);
}

/* The slot that holds `object`, or the free one where it belongs. */
static struct mf_identity_slot *find(struct mf_identity *m, const void *object)
{
    uint32_t i = home(m, object);

    while (m->slots[i].generation == m->generation && m->slots[i].object != object)
        i = (i + 1) & (m->size - 1);
    return &m->slots[i];
}

/* Doubles the table and re-enters the objects of this generation. */
static bool grow(struct mf_identity *m)
{
    struct mf_identity bigger = {.size = m->size ? m->size * 2 : SMALLEST, .used = m->used};

    bigger.generation = 1;
    bigger.slots = calloc(bigger.size, sizeof *bigger.slots);
    if (bigger.slots == NULL)
        return false;
    for (uint32_t i = 0; i < m->size; i++) {
        if (m->slots[i].generation == m->generation) {
            struct mf_identity_slot *slot = find(&bigger, m->slots[i].object);
            *slot = m->slots[i];
            slot->generation = bigger.generation;
        }
    }
    free(m->slots);
    *m = bigger;
    return true;
}

struct mf_identity_slot *mf__identity_enter(struct mf_identity *m, const void *object,
                                            bool *ret_new)
{
    struct mf_identity_slot *slot;

    if (m->used >= m->size / 2 && !grow(m))
        return NULL;
    slot = find(m, object);
    *ret_new = slot->generation != m->generation;
    if (*ret_new) {
        m->used++;
        *slot = (struct mf_identity_slot){.object = object, .generation = m->generation};
    }
    return slot;
}

void mf__identity_clear(struct mf_identity *m)
{
    m->used = 0;
    if (++m->generation == 0) {
        if (m->size > 0)
            memset(m->slots, 0, m->size * sizeof *m->slots);
        m->generation = 1;
    }
}

void mf__identity_rest(struct mf_identity *m)
{
    if (m->size > LARGEST_KEPT)
        mf__identity_fini(m);
}

void mf__identity_fini(struct mf_identity *m)
{
    free(m->slots);
    *m = (struct mf_identity){0};
}

/* inspect.c - the dump as a whole, and what it says of the family: see inspect.h. */
#include "inspect.h"

#include "slot.h"
#include "unit.h"

#include <inttypes.h>

static uint32_t count_processes(const struct mf_dump *d)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < d->slots; i++)
        n += mf__phase(atomic_load(&mf__slot_at(d->rt, i)->state)) != MF_SLOT_FREE;
    return n;
}

static void dump_family(const struct mf_dump *d)
{
    char buffer[MF_DUMP_LINE];
    struct mf_text t = mf__text_in(buffer, sizeof buffer);
    const struct mf_unit_pool *units = &d->rt->arena->units;
    uint32_t n = count_processes(d);
    mf__text_add(&t, "moonfork %s: %u process%s, ", MF_VERSION, n, n == 1 ? "" : "es");
    mf__text_bytes(&t, (uint64_t) * (const volatile uint32_t *)&units->used * MF_UNIT);
    mf__text_add(&t, " of ");
    mf__text_bytes(&t, (uint64_t)units->budget * MF_UNIT);
    mf__text_add(&t, " in use");
    d->line(d->arg, buffer);
}

/* What this process looks after: its pools. */
static void dump_supervisors(const struct mf_dump *d)
{
    char buffer[MF_DUMP_LINE];
    for (const struct mf_supervisor *s = d->rt->supervisors; s; s = s->next) {
        if (!s->tell)
            continue;
        struct mf_text t = mf__text_in(buffer, sizeof buffer);
        mf__text_add(&t, "  ");
        s->tell(s, &t);
        d->line(d->arg, buffer);
    }
}

void mf_dump(const mf_runtime *rt, mf_line *line, void *arg)
{
    struct mf_dump d = {.rt = rt, .line = line, .arg = arg, .now = mf__now()};
    d.slots = mf__slot_top(rt);
    if (mf__alive(rt) < 0) {
        line(arg, "moonfork: this process was forked by other means than moonfork's own");
        return;
    }
    dump_family(&d);
    mf__dump_processes(&d);
    dump_supervisors(&d);
    mf__dump_objects(&d);
}

-- Faults of one line, each of which somebody could make: the suite has to notice them (run.lua).
--
-- `old` stands exactly once in the file and becomes `new`. Those with `order` weaken the ordering
-- of memory, which x86 hides from every test that only looks at results: ThreadSanitizer judges
-- them. (What a sleeper and its waker need of ordering is in spec/model/wait.pml.) Those with
-- `values` change what a value becomes: the random round trip of the codec tells.

local queue, queue_end = "runtime/channel/queue.c", "runtime/channel/queue_end.h"
local put, get = "runtime/channel/queue_put.c", "runtime/channel/queue_get.c"
local repair = "runtime/channel/queue_repair.c"
local wait, lock = "runtime/sync/wait.c", "runtime/sync/lock.c"
local mutex, block = "runtime/memory/mutex.c", "runtime/memory/block.c"
local class, slab = "runtime/memory/class.c", "runtime/memory/slab.c"
local unit, object = "runtime/memory/unit.c", "runtime/memory/object.c"
local slot, death = "runtime/memory/slot.c", "runtime/memory/death.c"
local fork, process = "runtime/process/fork.c", "runtime/process/process_"
local job, crew = "runtime/pool/job.c", "runtime/pool/crew.c"
local task = "runtime/pool/task.c"
local scalars, encoder = "bindings/codec/scalars.h", "bindings/codec/encoder.c"
local decode, codec_stream = "bindings/codec/decode.c", "bindings/codec/stream.c"

return {
    { file = put, what = "put wakes nobody",
      old = "        wake_consumers(q, 1, p->urgent);\n    else if",
      new = "        (void)0;\n    else if" },
    { file = get, what = "get wakes nobody",
      old = "if ((rc == 0 || rc == MF_ECORRUPT) && body(q)->capacity)", new = "if (0)" },
    { file = queue, what = "a queue is closed while somebody puts",
      old = "bool locked = lock(rt, q, PUT, 0) == 0;", new = "bool locked = false;" },
    { file = job, what = "a record goes while its task runs in the same process",
      old = "    if (job->here)\n        return;\n", new = "" },
    { file = put, what = "one message more than fit",
      old = "seq - head(q) >= b->capacity", new = "seq - head(q) > b->capacity" },
    { file = repair, what = "a put that was not committed counts as one",
      old = "bool moved = atomic_load(&q->end[side].at) > seq;",
      new = "bool moved = atomic_load(&q->end[side].at) >= seq;" },
    { file = put, what = "put does not say which message it moves",
      old = "    mf__note(&rt->self->seq, seq);\n", new = "" },
    { file = get, what = "get does not say what it moves into its hand",
      old = "    mf__note(&s->hand, m->block ? mf__offset(rt, m->block) : 0);\n",
      new = "" },
    { file = get, what = "get does not say which message it moves",
      old = "    mf__note(&s->seq, seq);\n", new = "" },
    { file = repair, what = "a lost message is counted by each claimer",
      old = "if ((uint32_t)atomic_load(&body(q)->lost) == tag(rt, victim))", new = "if (0)" },
    { file = repair, what = "a segment that was linked stays its maker's",
      old = "if (side == PUT && mf__segment_is_linked(rt, segment(q, PUT), b))", new = "if (0)" },
    { file = repair, what = "a death wakes no consumer",
      old = "    mf__wait_wake_all(&body(q)->not_empty);\n    "
          .. "mf__wait_wake_all(&body(q)->not_full);\n"
          .. "    return 0;", new = "    return 0;" },
    { file = queue, what = "close wakes no consumer",
      old = "    mf__wait_wake_all(&body(q)->not_empty);\n"
          .. "    mf__wait_wake_all(&body(q)->not_full);\n    end(rt);",
      new = "    mf__wait_wake_all(&body(q)->not_full);\n    end(rt);" },
    { file = get, what = "waiting for a message keeps the wake",
      old = "    mf__wait_wake(w); /* the wake that this took goes on to a consumer "
          .. "*/\n", new = "" },
    { file = repair, what = "what a dead consumer wanted is waited for",
      old = "    atomic_store(&body(q)->wanted, 0); /* by the dead, or it was about to wake "
          .. "somebody */\n", new = "" },
    { file = get, what = "who gathered in vain is not woken for each message again",
      old = "    atomic_store(&b->wanted, 0);\n", new = "" },
    { file = put, what = "an urgent message is gathered",
      old = "    if (wanted && urgent)\n", new = "    if (0)\n" },

    { file = mutex, what = "a repaired mutex is not declared so",
      old = "    pthread_mutex_consistent(&x->m);\n", new = "" },
    { file = mutex, what = "a mutex does not name its holder",
      old = "    MF_CRASH(\"mutex.lock.locked\");\n    sign(x, self + 1);\n",
      new = "" },
    { file = mutex, what = "who waits for a mutex does not look again",
      old = "        until = mf__now() + SLICE;\n", new = "        until = deadline;\n" },

    { file = class, what = "a small block is taken without a note",
      old = "    mf__note(&rt->self->fresh, mf__offset(rt, b));\n    MF_CRASH(\"class.take",
      new = "    MF_CRASH(\"class.take" },
    { file = class, what = "a block of the free list stays its victim's",
      old = "} else if (b == first(rt, c)) {", new = "} else if (0) {" },
    { file = class, what = "a slab has one block too many",
      old = "(uint32_t)carved >= mf__class_in_slab(",
      new = "(uint32_t)carved > mf__class_in_slab(" },
    { file = put, what = "a message is wider than its segment",
      old = "if (!p->block && p->size > room)", new = "if (!p->block && room == 0)" },
    { file = class, what = "a free block does not know the one before it",
      old = "    hint(rt, c, behind, b);\n    mf__note(&rt->self->fresh, 0);",
      new = "    mf__note(&rt->self->fresh, 0);" },
    { file = class, what = "blocks of a slab that was being taken apart stay in the list",
      old = "            unlist_slab(rt, c, unit);\n", new = "            (void)unlist_slab;\n" },
    { file = slab, what = "a slab is taken apart that has a block in use",
      old = "} else if (is_free(rt, unit, c, work)) {",
      new = "} else if (is_free(rt, unit, c, work) || 1) {" },
    { file = block, what = "what the dead one owned is not looked for",
      old = "    if (atomic_load(&rt->self->owned))\n", new = "    if (0)\n" },
    { file = block, what = "a run that nobody knows is not given back",
      old = "        mf__units_give(rt, unit - 1);\n", new = "        (void)0;\n" },

    { file = unit, what = "the budget is not kept",
      old = "if (n <= u->budget && u->used <= u->budget - n)", new = "if (n <= u->budget)" },
    { file = unit, what = "the rest of a run is forgotten",
      old = "    if (whole > n)\n", new = "    if (0)\n" },
    { file = unit, what = "the victim's run is its own though the map says free",
      old = "if (unit && !(get(rt, unit - 1) & RUN_USED))", new = "if (0)" },

    { file = object, what = "the journal is not replayed",
      old = "    if (atomic_load(&p->journal.armed))\n        replay(rt);\n", new = "" },
    { file = object, what = "an object in a message may end",
      old = "    uint64_t any = o->refs;\n", new = "    uint64_t any = 0;\n" },
    { file = object, what = "a holder is not counted",
      old = "    atomic_fetch_add(&mf__slot_at(rt, slot)->held, 1); /* first: never too low */\n",
      new = "" },
    { file = object, what = "a place that was being used stays in the free list",
      old = "            mf__note(&p->free, head->next);\n", new = "            (void)0;\n" },

    { file = slot, what = "a slot is reused with the intents of the dead",
      old = "    forget_intents(s);\n    MF_CRASH",
      new = "    MF_CRASH" },
    { file = slot, what = "an orphan's slot is never free again",
      old = "    if (mf__parent(state) < 0)\n        return true;", new = "    return false;" },
    { file = death, what = "what the dead was busy with is not settled",
      old = "    if (settle_named(rt, &rt->self->busy, deadline) < 0 ||\n        settle_named",
      new = "    if (settle_named" },
    { file = death, what = "a message in the dead one's hands is not counted",
      old = "settle_named(rt, &rt->self->got, deadline) < 0 ||", new = "" },

    { file = wait, what = "a sleeper does not announce itself",
      old = "        atomic_fetch_add(&w->announced, 1);\n", new = "" },
    { file = wait, what = "after one wake all are taken for awake",
      old = "    if (mf__futex_wake(&w->seq, n) == 0)\n", new = "    "
          .. "mf__futex_wake(&w->seq, n);\n" },
    { file = wait, what = "nobody looks for the dead",
      old = "    mf__death_check(rt);\n", new = "" },
    { file = wait, what = "nobody looks after children while it sleeps",
      old = "    supervise(rt);\n}", new = "}" },

    { file = lock, what = "release wakes nobody",
      old = "            atomic_fetch_sub(&rt->self->held, 1);\n        "
          .. "mf__wait_wake(&b->released);",
      new = "            atomic_fetch_sub(&rt->self->held, 1);" },
    { file = lock, what = "a dead holder's lock is not passed on",
      old = "    if (atomic_compare_exchange_strong(&body(o)->word, &word, ABANDONED | pid) ||\n",
      new = "    (void)pid;\n    if (" },

    { file = fork, what = "a child survives its parent",
      old = "prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || ",
      new = "" },
    { file = fork, what = "a child keeps its parent's files open",
      old = "    mf__fd_close_all(keep, n);\n", new = "    (void)keep, (void)n;\n" },
    { file = fork, what = "what was printed before the fork is printed twice",
      old = "    fflush(NULL); /* what is buffered now would be written twice */\n", new = "" },
    { file = process .. "join.c", what = "a signal is taken for a status",
      old = "? info.si_status : -info.si_status;", new = "? info.si_status : info.si_status;" },
    { file = process .. "end.c", what = "who does not end when asked is left alone",
      old = "    send_to_all(list, n, SIGKILL, &programs);\n",
      new = "" },

    { file = crew, what = "no retry is counted",
      old = "    return ++t->attempt;", new = "    return t->attempt;" },
    { file = "runtime/pool/worker.h", what = "an item is begun in silence",
      old = "    mf__note(&t->begun, atomic_load_explicit(&t->done, memory_order_relaxed) + 1);\n",
      new = "" },
    { file = crew, what = "a dead worker's news come after its end",
      old = "    mf__pool_drain(pool); /* what it committed comes first */\n", new = "" },
    { file = job, what = "the last task does not end a closed pool",
      old = "if (--pool->pending == 0 && pool->state == MF_POOL_CLOSED)",
      new = "if (--pool->pending == 0 && 0)" },
    { file = task, what = "a window that was not linked is lost",
      old = "    if (link && !linked)\n", new = "    if (0)\n" },
    { file = task, what = "a window stays in the worker's hand",
      old = "    mf__note(&rt->self->hand, 0);\n    MF_CRASH(\"task.grow.noted\");\n",
      new = "" },

    { file = scalars, what = "a whole float becomes an integer", values = true,
      old = "        if (lua_isinteger(L, idx))",
      new = "        if (lua_isinteger(L, idx) || lua_tonumberx(L, idx, NULL) == 7.0)" },
    { file = scalars, what = "-0.0 loses its sign", values = true,
      old = "            p = mf__put_float(p, lua_tonumberx(L, idx, NULL));",
      new = "            p = mf__put_float(p, lua_tonumberx(L, idx, NULL) + 0.0);" },
    { file = encoder, what = "what is there twice arrives as two", values = true,
      old = "    e->out.data[e->body + slot->offset] |= MF_FORMAT_SHARED;\n",
      new = "    return false;\n" },
    { file = decode, what = "a text may be longer than its message",
      old = "    if (size > (uint64_t)(d->end - d->at))\n        return corrupt(d);\n    lua_push",
      new = "    lua_push" },
    { file = codec_stream, what = "a run may be longer than its message",
      old = "    if (left < size)\n", new = "    if (0)\n" },

    { file = put, what = "put of a block is committed without ordering", order = true,
      old = "    atomic_store(&q->end[PUT].at, seq + 1); /* the commit */"
          .. "\n    MF_CRASH(\"queue.put.committed\")",
      new = "    atomic_store_explicit(&q->end[PUT].at, seq + 1, "
          .. "memory_order_relaxed);\n    MF_CRASH(\"queue.put.committed\")" },
    { file = put, what = "put of a few bytes is committed without ordering", order = true,
      old = "    atomic_store(&q->end[PUT].at, seq + 1); /* the commit */"
          .. "\n        MF_CRASH(\"queue.put.committed_copy\")",
      new = "    atomic_store_explicit(&q->end[PUT].at, seq + 1, "
          .. "memory_order_relaxed);\n        MF_CRASH(\"queue.put.committed_copy\")" },
    { file = queue_end, what = "the tail is read without ordering", order = true,
      old = "    return atomic_load(&q->end[PUT].at);",
      new = "    return atomic_load_explicit(&q->end[PUT].at, memory_order_relaxed);" },
    { file = lock, what = "a Lock is taken without ordering", order = true,
      old = "        if (!atomic_compare_exchange_weak(&b->word, &word, rt->slot + 1))",
      new = "        if (!atomic_compare_exchange_weak_explicit(&b->word, &word, rt->slot + 1,\n"
          .. "                                                   memory_order_relaxed,\n"
          .. "                                                   memory_order_relaxed))" },
    { file = lock, what = "a Lock is released without ordering", order = true,
      old = "        if (atomic_compare_exchange_weak(&b->word, &word, 0))",
      new = "        if (atomic_compare_exchange_weak_explicit(&b->word, &word, 0,\n"
          .. "                                                  memory_order_relaxed,\n"
          .. "                                                  memory_order_relaxed))" },
}

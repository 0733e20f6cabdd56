/*
 * pool_result.c - what came out of a task, for Lua: values, errors, failures: see pool_core.h.
 *
 * A finished record's output is a chain of windows. A window holds the items from its number to the
 * next window's (the last one: to `done`), without those that failed: they have no bytes, and are
 * in the job's list of failures. Error objects get the input and its index here, from the record's
 * input.
 */
#include "pool_core.h"

#include <signal.h>
#include <string.h>

/* Where reading a job's output stands. */
struct cursor {
    mf_lua *lua;
    mf_job *job;
    struct mf_task *t;
    struct mf_window *window;
    struct mf_stream_reader reader;
    const struct mf_failure *failures;
    uint32_t failure, failure_count;
    uint32_t item, windows;
};

/* The items of the window that have bytes. */
static uint32_t written_in(const struct cursor *c, const struct mf_window *w)
{
    uint32_t n = mf__window_items(c->lua->rt, c->t, w);
    uint32_t end = (uint32_t)w->first + n;
    for (uint32_t i = 0; i < c->failure_count; i++)
        n -= c->failures[i].item >= w->first && c->failures[i].item < end;
    return n;
}

static void open_window(struct cursor *c)
{
    c->reader = (struct mf_stream_reader){.at = mf__window_bytes(c->window),
                                          .end = mf__window_end(c->lua->rt, c->window),
                                          .left = written_in(c, c->window)};
}

static void open_cursor(struct cursor *c, mf_lua *lua, mf_job *job)
{
    *c = (struct cursor){.lua = lua, .job = job, .t = mf_job_task(job)};
    c->failures = mf_job_failures(job, &c->failure_count);
    c->window = &c->t->out;
    open_window(c);
}

/* Pushes the input of an item: its value, or a table of its arguments. */
static void push_input(lua_State *L, const struct cursor *c, uint32_t item)
{
    const struct mf_window *in = &c->t->in;
    struct mf_stream_reader r = {.at = mf__window_bytes(in),
                                 .end = mf__window_end(c->lua->rt, in),
                                 .left = mf_job_count(c->job)};
    enum mf_stream_kind kind;
    int n = mf__stream_skip(&r, item);
    n = n < 0 ? n : mf__stream_next(L, c->lua->codec, &r, &kind);
    if (n == 1)
        return;
    lua_createtable(L, n > 0 ? n : 0, 0);
    if (n > 0)
        lua_insert(L, -n - 1);
    for (int i = n; i > 0; i--)
        lua_rawseti(L, -i - 1, i);
}

/* Sets what is known here of the error object at the top; with first 0 it has no index. */
static void complete_error(lua_State *L, const struct cursor *c, uint32_t item, lua_Integer first)
{
    push_input(L, c, item);
    lua_setfield(L, -2, "input");
    if (!first)
        return;
    lua_pushinteger(L, first + item);
    lua_setfield(L, -2, "index");
}

static void push_death(lua_State *L, const struct mf_failure *f)
{
    if (f->status >= 0) {
        mf__lua_push_error(L, "exit", "worker %d left with os.exit(%d) in the task", f->pid,
                           f->status);
        lua_pushinteger(L, f->status);
        lua_setfield(L, -2, "exitcode");
    } else if (f->status == MF_PROCESS_UNKNOWN) {
        mf__lua_push_error(L, "died", "worker %d died in the task", f->pid);
    } else {
        mf__lua_push_error(L, "died", "worker %d was killed by signal %d (%s) in the task", f->pid,
                           -f->status, strsignal(-f->status));
        lua_pushinteger(L, -f->status);
        lua_setfield(L, -2, "signal");
    }
}

static void push_failure(lua_State *L, const struct mf_failure *f)
{
    if (f->reason == MF_FAILED_TIMEOUT)
        mf__lua_push_error(L, "timeout", "the task ran over its time limit; worker %d was ended",
                           f->pid);
    else if (f->reason == MF_FAILED_NOMEM)
        mf__lua_push_error(L, "limit", "the task's result does not fit the memory for messages");
    else
        push_death(L, f);
    lua_pushinteger(L, f->pid);
    lua_setfield(L, -2, "pid");
}

/* Pushes an error object for an item that decoding has answered with n. */
static void push_unreadable(lua_State *L, const struct cursor *c, int n, enum mf_stream_kind kind)
{
    mf__decode_push_reason(L, c->lua->codec, n < 0 ? n : MF_DECODE_CORRUPT);
    const char *reason = luaL_tolstring(L, -1, NULL);
    const char *format = kind == MF_STREAM_ERROR
                             ? "the task has failed, but its error cannot be read here: %s"
                             : "the result cannot be read here: %s";
    mf__lua_push_error(L, "unsendable", format, reason);
}

/* Pushes the next item's values and returns their number; or an error object, and -1. */
static int next_item(lua_State *L, struct cursor *c)
{
    uint32_t item = c->item++;
    if (c->failure < c->failure_count && c->failures[c->failure].item == item) {
        push_failure(L, &c->failures[c->failure++]);
        return -1;
    }
    struct mf_window *next;
    while (c->reader.left == 0 && (next = mf__window_next(c->lua->rt, c->window)) &&
           c->windows++ < MF_WINDOWS_MOST) {
        c->window = next;
        open_window(c);
    }
    enum mf_stream_kind kind = MF_STREAM_VALUES;
    int top = lua_gettop(L);
    int n = mf__stream_next(L, c->lua->codec, &c->reader, &kind);
    if (n >= 0 && kind == MF_STREAM_VALUES)
        return n;
    if (n == 1 && lua_istable(L, -1)) {
        mf__lua_bless_error(L);
        return -1;
    }
    if (n == MF_DECODE_NOMEM) /* of this process, now: the result is still there */
        mf__decode_raise(L, c->lua->codec, n);
    push_unreadable(L, c, n, kind);
    lua_replace(L, top + 1);
    lua_settop(L, top + 1);
    return -1;
}

/* Turns the n values at the top into one: the first, or a table of all with n. */
static void fold(lua_State *L, int n, bool all)
{
    if (!all) {
        lua_settop(L, lua_gettop(L) - n + 1);
        return;
    }
    lua_createtable(L, n, 1);
    lua_insert(L, -n - 1);
    for (int i = n; i > 0; i--)
        lua_rawseti(L, -i - 1, i);
    lua_pushinteger(L, n);
    lua_setfield(L, -2, "n");
}

/* A nil among the results: `out` says how long it is. */
static void note_length(lua_State *L, int out, lua_Integer n)
{
    lua_pushinteger(L, n);
    lua_setfield(L, out, "n");
}

lua_Integer mf__pool_take(lua_State *L, struct mf_pool_core *core, const struct mf_batch_job *place,
                          int out)
{
    struct cursor c;
    open_cursor(&c, core->lua, place->job);
    bool all = c.t->flags & MF_TASK_ALL;
    lua_Integer first = mf__batch_first(place), failed = 0;
    lua_pushnil(L);
    int error = lua_gettop(L);
    for (uint32_t i = 0, count = mf_job_count(place->job); i < count; i++) {
        int n = next_item(L, &c);
        if (n < 0) {
            complete_error(L, &c, i, place->batch->single ? 0 : first);
            if (failed++ == 0)
                lua_copy(L, -1, error);
        } else if (n != 1 || all) {
            fold(L, n, all);
        }
        if (lua_isnil(L, -1))
            note_length(L, out, place->batch->last);
        lua_rawseti(L, out, first + i);
    }
    return failed;
}

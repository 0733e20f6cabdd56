/* The signals of the command; see interrupt.h.
 *
 * Everything that a handler touches is a volatile sig_atomic_t, constant once the handlers are
 * installed, or Lua's hook, which lua_sethook may set at any time. */

#include "interrupt.h"

#include "moonfork.h"

#include <errno.h>
#include <lauxlib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

/* Times after the first signal, in ticks of the timer. */
enum { TICK_MS = 100, INSIST_TICKS = 5, HARD_END_TICKS = 10 };

static const char *command_name; /* constant after mf__interrupt_watch */

static lua_State *volatile state; /* NULL before and after the time in which hooks may be set */

static const mf_runtime *volatile family; /* NULL before and after the state has one */

static volatile sig_atomic_t ending;     /* the signal that ends the command */
static volatile sig_atomic_t in_chunk;   /* a chunk of the interactive mode runs */
static volatile sig_atomic_t stop_chunk; /* Ctrl-C came while it did */
static volatile sig_atomic_t ticks;      /* since the first signal that ends the command */
static volatile sig_atomic_t insisting;  /* the hook stays, whoever catches its error */
static volatile sig_atomic_t said;       /* the one line is out */

static const char *ending_text(void)
{
    switch (ending) {
    case SIGTERM: return ": terminated\n";
    case SIGHUP: return ": hung up\n";
    default: return ": interrupted\n";
    }
}

/* One write, so that it is one line whoever else writes. */
static void say(void)
{
    const char *text = ending_text();
    struct iovec line[] = {
        {.iov_base = (void *)command_name, .iov_len = strlen(command_name)},
        {.iov_base = (void *)text, .iov_len = strlen(text)},
    };
    if (writev(STDERR_FILENO, line, 2) < 0) {
        /* Nobody reads stderr; the exit status still tells. */
    }
}

static void end_hard(void)
{
    if (!said) {
        said = 1;
        say();
    }
    _exit(128 + ending);
}

/* Run by exit(), whoever calls it: the script's os.exit does not hide that it was interrupted. */
static void end_as_told(void)
{
    if (ending) {
        fflush(NULL);
        end_hard();
    }
}

static void raise_in_chunk(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    if (!insisting)
        lua_sethook(L, NULL, 0, 0);
    luaL_error(L, "interrupted!");
}

static void set_hook(void)
{
    if (state != NULL)
        lua_sethook(state, raise_in_chunk, LUA_MASKCOUNT, 1);
}

static void set_timer(long milliseconds)
{
    struct timeval step = {.tv_usec = milliseconds * 1000};
    struct itimerval timer = {.it_interval = step, .it_value = step};
    setitimer(ITIMER_REAL, &timer, NULL);
}

/* The ticks also wake a blocking call that began just after the signal had been handled. */
static void on_tick(int signal_number)
{
    (void)signal_number;
    ticks++;
    if (ticks >= HARD_END_TICKS)
        end_hard();
    if (ticks >= INSIST_TICKS) {
        insisting = 1;
        set_hook();
    }
}

static void set_handler(int signal_number, void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGINT);
    sigaddset(&action.sa_mask, SIGTERM);
    sigaddset(&action.sa_mask, SIGHUP);
    sigaddset(&action.sa_mask, SIGALRM);
    sigaction(signal_number, &action, NULL);
}

static void begin_ending(int signal_number)
{
    ending = signal_number;
    ticks = 0;
    set_handler(SIGALRM, on_tick, 0);
    set_timer(TICK_MS);
}

static void on_signal(int signal_number)
{
    if (ending)
        end_hard();
    if (signal_number != SIGINT || !in_chunk) {
        begin_ending(signal_number);
    } else if (stop_chunk) { /* the chunk does not listen */
        ending = signal_number;
        end_hard();
    } else {
        stop_chunk = 1;
    }
    set_hook();
}

static void watch_unless_ignored(int signal_number, void (*handler)(int), int flags)
{
    struct sigaction present;
    if (sigaction(signal_number, NULL, &present) == 0 && present.sa_handler != SIG_IGN)
        set_handler(signal_number, handler, flags);
}

/* --- telling what the family is doing ----------------------------------------------------------*/

static void print_line(void *arg, const char *text)
{
    (void)arg;
    struct iovec line[] = {
        {.iov_base = (void *)text, .iov_len = strlen(text)},
        {.iov_base = (void *)"\n", .iov_len = 1},
    };
    if (writev(STDERR_FILENO, line, 2) < 0) {
        /* Nobody reads stderr. */
    }
}

static void on_question(int signal_number)
{
    const mf_runtime *rt = family;
    int before = errno;
    if (rt != NULL)
        mf_dump(rt, print_line, NULL);
    if (signal_number == SIGQUIT) { /* at the return from here */
        signal(SIGQUIT, SIG_DFL);
        raise(SIGQUIT);
    }
    errno = before;
}

void mf__interrupt_family(const mf_runtime *rt)
{
    family = rt;
    if (rt == NULL)
        return;
    watch_unless_ignored(SIGUSR1, on_question, SA_RESTART);
    watch_unless_ignored(SIGQUIT, on_question, SA_RESTART);
}

void mf__interrupt_watch(lua_State *L, const char *name)
{
    state = L;
    command_name = name;
    atexit(end_as_told);
    /* No SA_RESTART: a blocking call returns and lets the hook run. */
    set_handler(SIGINT, on_signal, 0);
    watch_unless_ignored(SIGTERM, on_signal, 0);
    watch_unless_ignored(SIGHUP, on_signal, 0);
}

void mf__interrupt_release(void)
{
    lua_State *L = state;
    state = NULL;
    if (lua_gethook(L) == raise_in_chunk)
        lua_sethook(L, NULL, 0, 0);
}

int mf__interrupt_signal(void)
{
    return ending;
}

void mf__interrupt_chunk(int begins)
{
    in_chunk = begins;
    if (!begins && stop_chunk) {
        stop_chunk = 0;
        if (!ending && lua_gethook(state) == raise_in_chunk)
            lua_sethook(state, NULL, 0, 0);
    }
}

/*
 * signals_probe.c - the Lua module `signals_probe`: what a script needs to play a rough host. It
 * forks without moonfork, reaps what is not its own, handles signals, is shaken by a timer, types
 * at a terminal, takes a pid that was another's, and has a thread with a Lua state of its own. Used
 * by signals_spec.lua and the scripts that it and spec/stress/signals.lua run.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

__attribute__((visibility("default"))) int luaopen_signals_probe(lua_State *L);

static int outcome(lua_State *L, int rc)
{
    if (rc < 0)
        return luaL_fileresult(L, 0, NULL);
    lua_pushinteger(L, rc);
    return 1;
}

/* --- processes ----------------------------------------------------------------------------------
 */

/* fork() -> the child's pid, in the child 0. Nobody of moonfork hears of it. */
static int probe_fork(lua_State *L)
{
    return outcome(L, fork());
}

/* exit(status): without closing the state or flushing anything. */
static int probe_exit(lua_State *L)
{
    _exit((int)luaL_optinteger(L, 1, 0));
}

/* wait(pid, nohang) -> pid, "exit" or "signal", number; 0 where nohang and none has ended. pid -1:
 * any child, whosever it is. */
static int probe_wait(lua_State *L)
{
    int status = 0;
    pid_t pid = (pid_t)luaL_checkinteger(L, 1);
    do
        pid = waitpid((pid_t)luaL_checkinteger(L, 1), &status, lua_toboolean(L, 2) ? WNOHANG : 0);
    while (pid < 0 && errno == EINTR);
    if (pid <= 0)
        return outcome(L, pid);
    lua_pushinteger(L, pid);
    lua_pushstring(L, WIFEXITED(status) ? "exit" : "signal");
    lua_pushinteger(L, WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    return 3;
}

static int probe_kill(lua_State *L)
{
    return outcome(L, kill((pid_t)luaL_checkinteger(L, 1), (int)luaL_checkinteger(L, 2)));
}

/* subreaper(): orphans below this process become its children. */
static int probe_subreaper(lua_State *L)
{
    return outcome(L, prctl(PR_SET_CHILD_SUBREAPER, 1));
}

/* last_pid(n): the next process of this pid namespace gets n + 1. */
static int probe_last_pid(lua_State *L)
{
    FILE *f = fopen("/proc/sys/kernel/ns_last_pid", "w");
    if (!f)
        return luaL_fileresult(L, 0, "ns_last_pid");
    fprintf(f, "%d", (int)luaL_checkinteger(L, 1));
    return luaL_fileresult(L, fclose(f) == 0, "ns_last_pid");
}

/* --- signals ------------------------------------------------------------------------------------
 */

static volatile sig_atomic_t handled;

static void count_signal(int signal_number)
{
    (void)signal_number;
    handled++;
}

static int set_action(lua_State *L, void (*handler)(int), bool restart)
{
    struct sigaction a = {.sa_handler = handler, .sa_flags = restart ? SA_RESTART : 0};
    return outcome(L, sigaction((int)luaL_checkinteger(L, 1), &a, NULL));
}

/* handle(signal, restart): counts it from now on. */
static int probe_handle(lua_State *L)
{
    return set_action(L, count_signal, lua_toboolean(L, 2));
}

static int probe_ignore(lua_State *L)
{
    return set_action(L, SIG_IGN, false);
}

static int probe_default(lua_State *L)
{
    return set_action(L, SIG_DFL, false);
}

static void reap_all(int signal_number)
{
    int before = errno;
    (void)signal_number;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    errno = before;
}

/* reap(): from now on a handler takes the status of every child that ends. */
static int probe_reap(lua_State *L)
{
    lua_settop(L, 0);
    lua_pushinteger(L, SIGCHLD);
    return set_action(L, reap_all, true);
}

/* handled() -> how many signals the handler has seen in this process. */
static int probe_handled(lua_State *L)
{
    lua_pushinteger(L, handled);
    return 1;
}

static void start_timer(int hz, void (*handler)(int), bool restart)
{
    struct timeval step = {.tv_usec = hz > 0 ? 1000000 / hz : 0};
    struct itimerval timer = {.it_interval = step, .it_value = step};
    struct sigaction a = {.sa_handler = handler, .sa_flags = restart ? SA_RESTART : 0};
    sigaction(SIGALRM, &a, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
}

/* storm(hz, restart): a handled SIGALRM that often, in this process; 0 ends it. */
static int probe_storm(lua_State *L)
{
    start_timer((int)luaL_checkinteger(L, 1), count_signal, lua_toboolean(L, 2));
    return 0;
}

static lua_State *interrupted; /* its hooks raise */

static void raise_once(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    lua_sethook(L, NULL, 0, 0);
    luaL_error(L, "interrupted!");
}

static void interrupt(int signal_number)
{
    (void)signal_number;
    handled++;
    lua_sethook(interrupted, raise_once, LUA_MASKCOUNT, 1);
}

/* interrupts(hz): as storm, but each signal raises an error in the script, as Ctrl-C does. */
static int probe_interrupts(lua_State *L)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    interrupted = lua_tothread(L, -1);
    start_timer((int)luaL_checkinteger(L, 1), interrupt, false);
    return 0;
}

/* pause(seconds): without anything of moonfork. */
static int probe_pause(lua_State *L)
{
    double seconds = luaL_checknumber(L, 1);
    struct timespec t = {.tv_sec = (time_t)seconds};
    t.tv_nsec = (long)((seconds - (double)t.tv_sec) * 1e9);
    nanosleep(&t, NULL);
    return 0;
}

/* --- a terminal ---------------------------------------------------------------------------------
 */

enum { WORDS_MOST = 30 };

/* terminal(program, argument...) -> the pid of the program, which leads a session at a terminal of
 * its own; and the descriptor on which one types and reads at that terminal. */
static int probe_terminal(lua_State *L)
{
    int fd, n = lua_gettop(L);
    char *words[WORDS_MOST + 1] = {NULL};
    luaL_argcheck(L, n > 0 && n <= WORDS_MOST, 1, "one to thirty words expected");
    for (int i = 0; i < n; i++)
        words[i] = (char *)luaL_checkstring(L, i + 1);
    pid_t pid = forkpty(&fd, NULL, NULL, NULL);
    if (pid == 0) {
        execvp(words[0], words);
        _exit(127);
    }
    if (pid < 0)
        return outcome(L, -1);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    lua_pushinteger(L, pid);
    lua_pushinteger(L, fd);
    return 2;
}

static int probe_write(lua_State *L)
{
    size_t size;
    const char *text = luaL_checklstring(L, 2, &size);
    return outcome(L, (int)write((int)luaL_checkinteger(L, 1), text, size));
}

/* read(fd, seconds) -> what is there, at least a byte; nil when nothing comes in time, or all that
 * had the terminal have closed it. */
static int probe_read(lua_State *L)
{
    char text[4096];
    struct pollfd p = {.fd = (int)luaL_checkinteger(L, 1), .events = POLLIN};
    ssize_t n = 0;
    if (poll(&p, 1, (int)(luaL_checknumber(L, 2) * 1000)) > 0)
        n = read(p.fd, text, sizeof text);
    if (n <= 0)
        lua_pushnil(L);
    else
        lua_pushlstring(L, text, (size_t)n);
    return 1;
}

/* fifo(path): makes one. */
static int probe_fifo(lua_State *L)
{
    return outcome(L, mkfifo(luaL_checkstring(L, 1), 0600));
}

static int probe_close(lua_State *L)
{
    return outcome(L, close((int)luaL_checkinteger(L, 1)));
}

/* --- a thread -----------------------------------------------------------------------------------
 */

static sem_t has_run; /* the chunk, another time */

/* On the state's stack is the chunk. */
static void *repeat(void *arg)
{
    lua_State *L = arg;
    for (;;) {
        lua_pushvalue(L, 1);
        lua_call(L, 0, 0); /* an error ends all */
        sem_post(&has_run);
    }
    return NULL;
}

/* beside(text, path): runs the text in a state of its own, which has this package.cpath, again and
 * again in a thread. Returns when it has been run once. */
static int probe_beside(lua_State *L)
{
    pthread_t thread;
    lua_State *own = luaL_newstate();
    luaL_openlibs(own);
    lua_getglobal(own, "package");
    lua_pushstring(own, luaL_checkstring(L, 2));
    lua_setfield(own, -2, "cpath");
    lua_settop(own, 0);
    if (luaL_loadstring(own, luaL_checkstring(L, 1)) != LUA_OK)
        return luaL_error(L, "%s", lua_tostring(own, -1));
    sem_init(&has_run, 0, 0);
    if (pthread_create(&thread, NULL, repeat, own) != 0)
        return luaL_error(L, "no thread");
    while (sem_wait(&has_run) < 0)
        ;
    return 0;
}

int luaopen_signals_probe(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"fork", probe_fork},
        {"fifo", probe_fifo},
        {"exit", probe_exit},
        {"wait", probe_wait},
        {"kill", probe_kill},
        {"subreaper", probe_subreaper},
        {"last_pid", probe_last_pid},
        {"handle", probe_handle},
        {"ignore", probe_ignore},
        {"default", probe_default},
        {"reap", probe_reap},
        {"handled", probe_handled},
        {"storm", probe_storm},
        {"interrupts", probe_interrupts},
        {"pause", probe_pause},
        {"terminal", probe_terminal},
        {"write", probe_write},
        {"read", probe_read},
        {"close", probe_close},
        {"beside", probe_beside},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
    return 1;
}

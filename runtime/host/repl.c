/* The interactive mode; see repl.h.
 *
 * A line is first tried as an expression (`return LINE`), then as a statement, and as long as Lua
 * finds it incomplete another line is put under it. The chunk's text stands at index 1 of the
 * stack meanwhile. */

#include "repl.h"

#include "interrupt.h"
#include "report.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { END_OF_INPUT = -1 };

/* The user's prompt may be any object with a __tostring; it is asked anew for every line. */
static void show_prompt(lua_State *L, int first)
{
    int top = lua_gettop(L);
    if (lua_getglobal(L, first ? "_PROMPT" : "_PROMPT2") == LUA_TNIL)
        fputs(first ? "> " : ">> ", stdout);
    else
        fputs(luaL_tolstring(L, -1, NULL), stdout);
    fflush(stdout);
    lua_settop(L, top);
}

/* Pushes the next line of stdin without its newline. */
static int push_line(lua_State *L, int first)
{
    show_prompt(L, first);
    char *line = NULL;
    size_t capacity = 0;
    ssize_t length = getline(&line, &capacity, stdin);
    int got = length >= 0 && mf__interrupt_signal() == 0;
    if (got) {
        if (length > 0 && line[length - 1] == '\n')
            length--;
        lua_pushlstring(L, line, (size_t)length); /* out of memory: the line is lost with us */
    }
    free(line);
    return got;
}

static int load_text(lua_State *L, int index)
{
    size_t length;
    const char *text = lua_tolstring(L, index, &length);
    return luaL_loadbuffer(L, text, length, "=stdin");
}

/* Replaces the line at 1 by the chunk `return LINE`; leaves the line alone where that is none. */
static int load_expression(lua_State *L)
{
    const char *line = lua_tostring(L, 1);
    lua_pushfstring(L, "return %s;", line[0] == '=' ? line + 1 : line);
    int status = load_text(L, -1);
    lua_remove(L, 2); /* the text */
    if (status == LUA_OK)
        lua_remove(L, 1);
    else
        lua_settop(L, 1);
    return status;
}

/* Whether Lua's complaint, on the top of the stack, is that the text ended too early. */
static int is_incomplete(lua_State *L, int status)
{
    static const char mark[] = "<eof>";
    if (status != LUA_ERRSYNTAX)
        return 0;
    size_t length;
    const char *text = lua_tolstring(L, -1, &length);
    return length >= sizeof mark - 1 && strcmp(text + length - (sizeof mark - 1), mark) == 0;
}

/* Replaces the line at 1 by the chunk that it begins; what is still incomplete when stdin ends is
 * a syntax error. */
static int load_statement(lua_State *L)
{
    if (lua_tostring(L, 1)[0] == '=') {
        lua_pushfstring(L, "return %s", lua_tostring(L, 1) + 1);
        lua_replace(L, 1);
    }
    for (;;) {
        int status = load_text(L, 1);
        if (!is_incomplete(L, status) || !push_line(L, 0)) {
            lua_remove(L, 1);
            return status;
        }
        lua_remove(L, 2); /* the complaint */
        lua_pushliteral(L, "\n");
        lua_insert(L, 2);
        lua_concat(L, 3);
    }
}

static int load_chunk(lua_State *L)
{
    lua_settop(L, 0);
    if (!push_line(L, 1))
        return END_OF_INPUT;
    if (load_expression(L) == LUA_OK)
        return LUA_OK;
    return load_statement(L);
}

static void print_results(lua_State *L)
{
    int count = lua_gettop(L);
    if (count == 0)
        return;
    luaL_checkstack(L, LUA_MINSTACK, "too many results to print");
    lua_getglobal(L, "print");
    lua_insert(L, 1);
    if (lua_pcall(L, count, 0, 0) == LUA_OK)
        return;
    const char *text = lua_tostring(L, -1);
    mf__report_line(lua_pushfstring(L, "error calling 'print' (%s)", text != NULL ? text : "?"));
}

static void run_chunk(lua_State *L)
{
    mf__interrupt_chunk(1);
    int status = mf__report_call(L, 0, LUA_MULTRET);
    mf__interrupt_chunk(0);
    if (mf__report_status(L, status) == LUA_OK)
        print_results(L);
}

void mf__repl_run(lua_State *L)
{
    const char *name = mf__report_get_name();
    mf__report_name(NULL);
    int status;
    while (mf__interrupt_signal() == 0 && (status = load_chunk(L)) != END_OF_INPUT) {
        if (status == LUA_OK)
            run_chunk(L);
        else
            mf__report_status(L, status);
    }
    lua_settop(L, 0);
    putchar('\n');
    fflush(stdout);
    mf__report_name(name);
}

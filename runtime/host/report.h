/* Messages of the command itself, on stderr, and calls of Lua whose errors end as such messages.
 * Used by every file of the host. */

#ifndef MF_HOST_REPORT_H
#define MF_HOST_REPORT_H

#include <lua.h>

/* The name before each message, as the user typed it. NULL: no name, as in the interactive mode.
 * The string must live as long as the command. */
void mf__report_name(const char *name);
const char *mf__report_get_name(void);

/* One line on stderr, the name before it. */
void mf__report_line(const char *text);

/* Calls the function under its `args` arguments as lua_pcall does, with a handler that turns the
 * error into its text and a traceback. Gives Lua's status. */
int mf__report_call(lua_State *L, int args, int results);

/* Where `status` is an error: prints the message on the top of the stack and pops it. Prints
 * nothing when a signal ends the command: what the signal has interrupted is no news, and one line
 * at the end tells it (interrupt.h). Gives `status`. */
int mf__report_status(lua_State *L, int status);

#endif

/* The signals of the command: Ctrl-C (SIGINT), SIGTERM and SIGHUP end the script and with it the
 * whole family of processes. The runtime itself installs no handler; the command alone does.
 *
 * The first signal raises an error in the running chunk, once, so that its <close> variables are
 * closed. A chunk that goes on all the same (a pcall caught the error) is told so again at every
 * instruction from half a second on, and the command ends hard after one second, or at a second
 * signal: its children then end because it has gone.
 *
 * In the interactive mode Ctrl-C only interrupts the chunk that runs.
 *
 * Once the script has required moonfork, SIGUSR1 prints on stderr what all its processes are doing
 * (mf_dump), and the command goes on; Ctrl-\ (SIGQUIT) prints it before it ends the command as it
 * always does. Both work whatever the command hangs in. */

#ifndef MF_HOST_INTERRUPT_H
#define MF_HOST_INTERRUPT_H

#include <lua.h>

/* Installs the handlers for the main state L. What was ignored when the command was started stays
 * so (nohup), but for Ctrl-C, as in Lua's own command. `name` stands before the closing line; it
 * must live as long as the command. From now on exit() ends the command with one line and the
 * status 128 + signal if a signal has come. */
void mf__interrupt_watch(lua_State *L, const char *name);

/* The family that SIGUSR1 and SIGQUIT tell about. NULL: it is no more. */
struct mf_runtime;
void mf__interrupt_family(const struct mf_runtime *rt);

/* No error is raised in the state any more; it is about to be closed. The handlers stay, and the
 * command still ends a second after a signal, whatever the closing waits for. */
void mf__interrupt_release(void);

/* The signal that ends the command, or 0. */
int mf__interrupt_signal(void);

/* The interactive mode says that a chunk begins (1) or has ended (0); in between Ctrl-C ends the
 * chunk and not the command. */
void mf__interrupt_chunk(int begins);

#endif

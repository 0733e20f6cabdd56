/* What the command says about itself. Used by main.c. */

#ifndef MF_HOST_HELP_H
#define MF_HOST_HELP_H

/* --help and --version, on stdout. */
void mf__help_usage(const char *command);
void mf__help_about(void);

/* Lua's own version line, on stdout: -v, -i and the interactive mode show it. */
void mf__help_lua_version(void);

/* Says on stderr what is wrong with an option that mf__commandline_parse refused. */
void mf__help_bad_option(const char *option);

#endif

/* The options in front of the script, taken apart but not yet obeyed. Used by main.c. */

#ifndef MF_HOST_COMMANDLINE_H
#define MF_HOST_COMMANDLINE_H

enum mf__commandline_flags {
    MF__WANTS_REPL = 1u << 0,    /* -i: the interactive mode, after the script if there is one */
    MF__WANTS_VERSION = 1u << 1, /* -v, -i: Lua's version line */
    MF__WANTS_CHUNKS = 1u << 2,  /* -e: there is something to run without a script */
    MF__IGNORES_ENV = 1u << 3,   /* -E: no environment variables */
    MF__WANTS_HELP = 1u << 4,    /* --help */
    MF__WANTS_ABOUT = 1u << 5,   /* --version: moonfork's own */
};

struct mf__commandline {
    char **argv;
    int argc;
    unsigned flags;
    int script; /* index in argv of the script, or argc where there is none */
};

/* Reads argv into ret_line, which keeps a pointer to it. Gives NULL, or the option that is not one
 * or lacks its argument. */
const char *mf__commandline_parse(int argc, char **argv, struct mf__commandline *ret_line);

/* Goes over the options that are done one after the other, `-e -l -W`: sets *index to the place
 * of the next one after *index (0 at first), *ret_text to its argument (NULL for -W), and gives
 * its letter, or 0 at the end. */
char mf__commandline_next(const struct mf__commandline *line, int *index, char **ret_text);

#endif

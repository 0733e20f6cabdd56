/*
 * moonfork_error.h - every outcome that a runtime function can report, as one table.
 *
 * A function returns 0 (or a count) or one of these negative codes. Timed out, full, closed and
 * died are results to act on, not faults. Includes nothing.
 */
#ifndef MOONFORK_ERROR_H
#define MOONFORK_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

/* X(code, value, name, text): the name is what Lua sees as the third value, and never changes. */
#define MF_ERRORS(X)                                                                               \
    X(MF_ETIMEOUT, -1, "timeout", "timed out")                                                     \
    X(MF_EEMPTY, -2, "empty", "nothing there now")                                                 \
    X(MF_EFULL, -3, "full", "no room now")                                                         \
    X(MF_ECLOSED, -4, "closed", "closed")                                                          \
    X(MF_ENOMEM, -5, "nomem", "out of memory: the arena's budget, or the process's, is used up")   \
    X(MF_EINTR, -6, "interrupted", "interrupted by a signal")                                      \
    X(MF_EDIED, -7, "died", "the process died")                                                    \
    X(MF_ECORRUPT, -8, "corrupt", "the bytes are not a message of moonfork")                       \
    X(MF_EFORKED, -9, "forked", "this process was forked by other means than moonfork's own")      \
    X(MF_ESYS, -10, "system", "a system call failed")                                              \
    X(MF_EINVAL, -11, "invalid", "invalid argument or state")                                      \
    X(MF_ELIMIT, -12, "limit", "a limit is reached")                                               \
    X(MF_ECANCELLED, -13, "cancelled", "cancelled")                                                \
    X(MF_EUNKNOWN, -14, "unknown", "the exit status was taken by somebody else")                   \
    X(MF_EDEADLOCK, -15, "deadlock", "the processes wait for each other")                          \
    X(MF_EZYGOTE, -16, "zygote", "the zygote could not be made")

enum mf_error {
#define MF_ERROR_VALUE(code, value, name, text) code = (value),
    MF_ERRORS(MF_ERROR_VALUE)
#undef MF_ERROR_VALUE
};

/* The short name of a code ("timeout"), "ok" for 0 and above, "error" for a number that is none.
 * Static text; never NULL; valid anywhere. */
const char *mf_error_name(int code);

/* One sentence for people about a code. Static text; never NULL; valid anywhere. */
const char *mf_error_text(int code);

#ifdef __cplusplus
}
#endif

#endif

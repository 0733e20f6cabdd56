/*
 * zygote_request.h - what a creator asks of its zygote: one message of a SOCK_SEQPACKET, whose
 * descriptors come with it. Between zygote.c and zygote_server.c.
 */
#ifndef MF_ZYGOTE_REQUEST_H
#define MF_ZYGOTE_REQUEST_H

#include "process.h"
#include "surroundings.h"

enum {
    MF_ZYGOTE_HIGHEST = 512,  /* the numbers of these are below it */
    MF_ZYGOTE_KEPT = 128,     /* descriptors to be kept, at most */
    MF_ZYGOTE_PIECE = 1 << 15 /* bytes behind the request that go in one message with it, or each */
};

/* Behind it: the data, the environment, the name. Its descriptors: the folder, the standard ones,
 * the kept ones. */
struct mf_zygote_request {
    int (*main)(mf_runtime *rt, void *data);
    uint64_t taken;
    size_t data_size, environment_size, name_size;
    uint32_t slot, kept_count;
    int cpu;                  /* where the creator runs, or -1 */
    uint8_t standard;         /* bits: which of 0, 1, 2 are open, and so are sent */
    bool keep_stdin;          /* else /dev/null */
    bool has_folder;          /* the working folder is sent */
    bool has_environment;     /* else it is as it was when the zygote was made */
    int kept[MF_ZYGOTE_KEPT]; /* number << 1 | is close-on-exec */
    struct mf_surroundings around;
};

enum { MF_ZYGOTE_FDS = 1 + 3 + MF_ZYGOTE_KEPT };

static inline size_t mf__zygote_request_size(const struct mf_zygote_request *r)
{
    return r->data_size + r->environment_size + r->name_size;
}

/* The answer: 0, or the errno of clone. */
struct mf_zygote_answer {
    int error;
};

/* The first message: of prepare. */
struct mf_zygote_greeting {
    int status;
    char text[1000];
};

/* The life of the zygote, which ends with the other end of the socket. */
_Noreturn void mf__zygote_serve(mf_runtime *rt, int socket);

#endif

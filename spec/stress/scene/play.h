/*
 * play.h - plays scenes with a victim that is struck at a crash point, several at a time, each in a
 * family of its own that may hang or fail without the others. For crash.c.
 */
#ifndef PLAY_H
#define PLAY_H

#include "scene.h"

struct outcome {
    unsigned plays, missed; /* the victim was struck, or did not come to the point */
    struct tally tally;
};

struct play {
    const struct primitive *scene;
    const char *name;         /* of the point */
    uint32_t hit;             /* at which visit */
    int signal;               /* SIGKILL; SIGSTOP, and SIGCONT 200 ms later; 0: nobody is struck */
    uint32_t rounds;          /* how often the victim does it, at most */
    _Atomic uint32_t *visits; /* with signal 0: where they are counted, or NULL */
    struct outcome *outcome;  /* is added to */
};

/* Begins a play, when there is room. */
void play_begin(const struct play *p);

/* Waits for the end of all. */
void play_all(void);

/* Memory that plays share with who begins them. */
void *play_share(size_t size);

#endif

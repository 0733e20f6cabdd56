/*
 * surroundings.h - what a process has of the world besides memory and descriptors, as bytes: for a
 * child that is copied from another process than the one whose child it is to be.
 */
#ifndef MF_SURROUNDINGS_H
#define MF_SURROUNDINGS_H

#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

/* Of the calling thread and its process. */
struct mf_surroundings {
    sigset_t mask;
    uint64_t ignored; /* signals: 1 << (number - 1) */
    cpu_set_t cpus;
    int has_cpus;
    mode_t umask;
    pid_t group;
    int nice;
    struct rlimit limits[RLIM_NLIMITS];
};

void mf__surroundings_take(struct mf_surroundings *s);

/* Gives the calling process those of s; `own` is what it has now. Signal handlers are not touched;
 * what the system refuses stays. The mask comes last. */
void mf__surroundings_apply(const struct mf_surroundings *s, const struct mf_surroundings *own);

/* What cannot be given to another process afterwards. */
struct mf_identity {
    uid_t uids[3];
    gid_t gids[3], groups[32];
    int group_count;
    pid_t session;
    uint64_t capabilities; /* those that are in force */
    dev_t root_device;
    ino_t root;
    int seccomp, filters, no_new_privileges;
};

void mf__identity_take(struct mf_identity *id);
bool mf__identity_is_same(const struct mf_identity *a, const struct mf_identity *b);

/* The environment as "NAME=value\0..." : its size, and the bytes if there is room for them. */
size_t mf__environment_take(char *bytes, size_t room);

/* Replaces the environment. The bytes must outlive the process. */
void mf__environment_apply(char *bytes, size_t size);

#endif

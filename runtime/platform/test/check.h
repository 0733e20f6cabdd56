/*
 * check.h - what the C tests share: a condition that must hold, and a test that has a name.
 *
 * A test is a function whose name is a sentence of behaviour; main runs each with RUN. A process
 * that hangs is ended by an alarm.
 */
#ifndef MF_CHECK_H
#define MF_CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *check_test = "main";

/* How many times longer than usual things may take: $MF_SLACK, for programs that slow others down.
 */
static inline unsigned check_slack(void)
{
    const char *slack = getenv("MF_SLACK");
    return slack ? (unsigned)strtoul(slack, NULL, 10) : 1;
}

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s: not so: %s\n", __FILE__, __LINE__, check_test,             \
                    #condition);                                                                   \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

#define RUN(test)                                                                                  \
    do {                                                                                           \
        check_test = #test;                                                                        \
        alarm(50 * check_slack());                                                                 \
        test();                                                                                    \
    } while (0)

/* The next of a row of numbers that only looks random: the same in every run. */
static inline unsigned check_random(unsigned *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

#endif

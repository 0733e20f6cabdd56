/*
 * life.h - longer scenes, for crash.c: what one victim does again and again until it is struck.
 */
#ifndef LIFE_H
#define LIFE_H

#include "scene.h"

/* Ends with one without a name. */
extern const struct primitive life_primitives[];

/* Of tasks.c: a worker with many tasks. */
extern const struct primitive many_tasks;

#endif

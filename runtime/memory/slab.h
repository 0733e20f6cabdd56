/*
 * slab.h - slabs whose blocks are all free become units again.
 *
 * A burst of small messages would else keep its memory for ever. Whether a slab has not been needed
 * for a while is told by a few of its blocks: those that are free are marked, and who takes one
 * wipes the mark. A slab that still has its marks a second later is taken apart under the lock of
 * its class, if every one of its blocks is in the list; how long that takes is bounded by a slab's
 * size.
 *
 * If the process dies: before the map says MF_RUN_LEAVING nothing has happened; after it, who
 * settles the class takes the rest of the blocks out of the list, and the run is in the dead one's
 * intent.
 */
#ifndef MF_SLAB_H
#define MF_SLAB_H

#include "arena.h"

/* Looks at slabs, and gives idle ones back to the units; a part of them at a call, so that it does
 * not take long. To be called now and then by who waits; it holds no lock and has nothing in hand.
 */
void mf__slabs_trim(mf_runtime *rt);

#endif

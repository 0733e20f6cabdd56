/*
 * queue.h - the one queue: many producers, many consumers, messages in order.
 *
 * Roles: any process that holds the queue may put and get. Producers meet at end[0], consumers at
 * end[1]; the two sides share no lock.
 *
 * field                writer                       protected by      reader
 * end[0].at (tail)     producer: THE commit of put  end[0].lock       all
 * end[0].segment       producer                     end[0].lock       producers
 * end[1].at (head)     consumer: THE commit of get  end[1].lock       all
 * end[1].segment       consumer                     end[1].lock       consumers
 * descriptor[seq]      producer, before tail        end[0].lock       consumer of seq
 * segment.next         producer, before tail        end[0].lock       consumers
 * capacity             at birth                     constant          all
 * known (<= tail)      consumer, from tail          end[1].lock       consumers
 * wanted               the only consumer; to 0 all  -                 producers
 * closed               anyone, 0 -> 1               end[0].lock       all
 * lost                 who settles a death          end[1].lock       all
 *
 * tail and head are numbers of messages since birth; the store of tail (release) pairs with its
 * load by consumers (acquire), and covers the descriptor and its payload. Segments are linked
 * rings that a consumer leaves for good when it has read their last descriptor.
 *
 * If a process dies at put: before the store of tail nothing happened, and its block is in its slot
 * (hand); at or after it the message is in. Between the store and the emptying of hand, slot.seq
 * tells: whoever takes the lock over, or settles the death, compares it with tail. At get likewise
 * with head: the message is the dead one's from the store on, and is counted as lost unless it had
 * been delivered. A new segment is in slot.segment until it is linked; an old one until it is
 * freed.
 */
#ifndef MF_QUEUE_H
#define MF_QUEUE_H

#include "message.h"

typedef struct mf_object mf_queue;

/* Makes a queue, held by this process; capacity is the most messages in it, 0 for no bound but the
 * arena's budget. MF_ENOMEM. */
int mf_queue_new(mf_runtime *rt, uint64_t capacity, mf_queue **ret_q);

/* Puts a copy of the bytes, and keeps the objects of handles meanwhile. Sleeps while a bounded
 * queue is full, until the deadline (clock.h; 0 does not sleep). 0; MF_EFULL (deadline 0),
 * MF_ETIMEOUT, MF_ECLOSED, MF_ENOMEM, MF_ELIMIT, MF_EINTR, MF_EFORKED, MF_ECORRUPT: nothing was
 * put. Deadline 0 gives MF_ETIMEOUT where a stopped process stands in the way for a second. */
int mf_queue_put(mf_runtime *rt, mf_queue *q, const void *data, size_t size,
                 const uint64_t *handles, uint32_t n, int64_t deadline);

/* Puts a block made with mf__message_new, or (n_handles 0) any block that this process owns; the
 * queue owns it when 0 is returned, the caller otherwise. */
int mf__queue_put_block(mf_runtime *rt, mf_queue *q, struct mf_block *b, size_t size, uint32_t n,
                        int64_t deadline);

/* Puts n messages of 8 bytes each into a queue without a bound: as many at once as a segment has
 * room for, so that a process that is killed in it has put the first of them, or all. *ret_put were
 * put: all with 0; else MF_ECLOSED, MF_ENOMEM, MF_ECORRUPT or MF_EFORKED says why not the others.
 */
int mf__queue_put_words(mf_runtime *rt, mf_queue *q, const uint64_t *words, uint32_t n,
                        uint32_t *ret_put);

/* Takes at most max messages of 8 bytes from the head of the queue, for the only consumer of an
 * unbounded one. How many: 0 when there is none, or a message of another kind comes first. What was
 * in the hands of a process that is killed in it is gone, and not counted as lost. */
uint32_t mf__queue_get_words(mf_runtime *rt, mf_queue *q, uint64_t *ret_words, uint32_t max);

/* Takes the oldest message, sleeping until the deadline. 0; MF_EEMPTY (deadline 0), MF_ETIMEOUT,
 * MF_ECLOSED (closed and drained), MF_EINTR, MF_EFORKED, MF_ECORRUPT (what stands in the oldest
 * message's place is none; nothing was taken). Call mf__queue_delivered when the caller
 * has made use of it (until then its death counts it lost), then mf__message_free. */
int mf__queue_get(mf_runtime *rt, mf_queue *q, struct mf_message *ret_m, int64_t deadline);
void mf__queue_delivered(mf_runtime *rt);

/* Sleeps until the queue is not empty, or closed, and takes nothing. 0, MF_EEMPTY (deadline 0),
 * MF_ETIMEOUT, MF_EINTR. Another consumer may be faster. */
int mf_queue_wait(mf_runtime *rt, mf_queue *q, int64_t deadline);

/* For the only consumer of a queue: sleeps until there are n messages, or an urgent one, and
 * takes nothing. Puts that leave it asleep make no system call. 0 (also when it is closed, or when
 * there is one before it sleeps), MF_ETIMEOUT, MF_EINTR, MF_EFORKED. */
int mf__queue_gather(mf_runtime *rt, mf_queue *q, uint64_t n, int64_t deadline);

/* Puts a message of 8 bytes that is not to be gathered with what follows: the consumer wakes.
 * Errors of mf_queue_put. */
int mf__queue_put_urgent(mf_runtime *rt, mf_queue *q, uint64_t word);

/* As mf__queue_get for a queue of 8-byte items that stand for tasks: the item is in self->task
 * before it leaves the queue, so that who settles this process's death finds it there or in the
 * queue, never in both or neither. */
int mf__queue_get_task(mf_runtime *rt, mf_queue *q, uint64_t *ret_task, int64_t deadline);

/* No more puts; gets go on until it is drained, of all that was put; all sleepers look again. Waits
 * for who is in a put, a second at most (it stands still). 0, MF_EFORKED. */
int mf_queue_close(mf_runtime *rt, mf_queue *q);

bool mf_queue_is_closed(const mf_queue *q);
uint64_t mf_queue_size(const mf_queue *q);
uint64_t mf_queue_capacity(const mf_queue *q);

/* A snapshot; exact when nobody puts or gets. */
void mf_queue_stats(const mf_queue *q, struct mf_queue_stats *ret);

extern const struct mf_kind mf__queue_kind;

#endif

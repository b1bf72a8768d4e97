/* The arena: fixed slots of memory shared by the worker processes, and lanes that hash them.
 *
 * One mapping holds everything: this header, the lanes, then the slots. A slot is taken, filled,
 * and given to at most one lane; a second holder (a decoder that still reads it) counts as one
 * more reference. A lane is one SHA-256 stream with its queue of filled slots: any worker may hash
 * it, one at a time, so a hash moves between processes and several lanes share one core's pipeline.
 *
 * Rules: all functions are thread- and process-safe and take the one lock for a few dozen
 * instructions; hashing happens outside of it. A worker that dies inside leaves the lock held:
 * the parent never takes it (arena_wake does not lock), and replaces arena and workers together.
 * Indices that come from a caller are checked; the mapping itself is trusted only as far as the
 * workers that share it.
 */
#ifndef OCF_ARENA_H
#define OCF_ARENA_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "sha256.h"

enum { OCF_ARENA_SLOTS = 1024, OCF_ARENA_LANES = 2048, OCF_ARENA_BATCH = 8 };
enum { OCF_ARENA_OK = 0, OCF_ARENA_FULL = -1, OCF_ARENA_BAD = -2, OCF_ARENA_BUSY = -3 };

typedef void (*ocf_hash_many)(const ocf_sha256_lane *lanes, size_t n);

typedef struct { uint32_t slot, size; } ocf_filled;

typedef struct {
    ocf_sha256 ctx;
    uint64_t hashed;
    uint32_t open, claimed, head, count;
    ocf_filled queue[OCF_ARENA_SLOTS]; /* room for every slot: a push never finds it full */
} ocf_lane;

typedef struct {
    pthread_mutex_t lock;
    uint32_t change;  /* futex: counts events somebody may wait for */
    uint32_t waiters;
    uint32_t slots, slot_bytes, free_count;
    uint32_t pending; /* lanes with a queue that nobody hashes right now */
    uint16_t free_slots[OCF_ARENA_SLOTS]; /* a stack: the hottest slot is the next one */
    uint8_t references[OCF_ARENA_SLOTS];
    ocf_lane lanes[OCF_ARENA_LANES];
} ocf_arena;

size_t ocf_arena_header_bytes(void); /* slots begin here, page aligned */
int ocf_arena_init(ocf_arena *a, uint32_t slots, uint32_t slot_bytes); /* of fresh, zero memory */
uint32_t ocf_arena_change(const ocf_arena *a);

int ocf_arena_take(ocf_arena *a);                     /* slot, or FULL; one reference */
int ocf_arena_hold(ocf_arena *a, uint32_t slot);      /* one more reference */
int ocf_arena_release(ocf_arena *a, uint32_t slot);

int ocf_arena_lane_open(ocf_arena *a, const ocf_sha256 *from); /* lane, or FULL */
int ocf_arena_lane_push(ocf_arena *a, uint32_t lane, uint32_t slot, uint32_t size); /* takes over a reference */
int ocf_arena_lane_idle(ocf_arena *a, uint32_t lane); /* 1: everything pushed is hashed */
int ocf_arena_lane_close(ocf_arena *a, uint32_t lane, ocf_sha256 *out); /* BAD unless idle */
int ocf_arena_lane_drop(ocf_arena *a, uint32_t lane); /* forget the queue; BUSY while a worker hashes it */

/* Hash one slot each of up to `width` pending lanes, longest queues first, `only` (count of them)
 * restricting which lanes. Bytes hashed; 0: nothing pending. */
uint64_t ocf_arena_hash(ocf_arena *a, ocf_hash_many hash, uint32_t width, const uint32_t *only, size_t count);
uint32_t ocf_arena_pending(const ocf_arena *a);
uint32_t ocf_arena_free(const ocf_arena *a); /* slots nobody holds */

/* Sleep until the change counter differs from `seen`, at most `milliseconds`. */
void ocf_arena_wait(ocf_arena *a, uint32_t seen, uint32_t milliseconds);
void ocf_arena_wake(ocf_arena *a);

#endif

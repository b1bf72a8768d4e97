/* Slots, lanes and waiting; see arena.h for the contract. */
#include "arena.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096 };

size_t ocf_arena_header_bytes(void)
{
    return (sizeof(ocf_arena) + PAGE - 1) / PAGE * PAGE;
}

int ocf_arena_init(ocf_arena *a, uint32_t slots, uint32_t slot_bytes)
{
    pthread_mutexattr_t shared;
    if (slots == 0 || slots > OCF_ARENA_SLOTS)
        return OCF_ARENA_BAD;
    /* Not cleared here: that would touch all 17 MB of lanes, and fresh memory is zero. */
    a->slots = a->free_count = slots;
    a->slot_bytes = slot_bytes;
    for (uint32_t i = 0; i < slots; i++)
        a->free_slots[i] = (uint16_t)(slots - 1 - i);
    int failed = pthread_mutexattr_init(&shared)
        || pthread_mutexattr_setpshared(&shared, PTHREAD_PROCESS_SHARED)
        || pthread_mutex_init(&a->lock, &shared);
    return failed ? OCF_ARENA_BAD : OCF_ARENA_OK;
}

uint32_t ocf_arena_change(const ocf_arena *a)
{
    return __atomic_load_n(&a->change, __ATOMIC_ACQUIRE);
}

uint32_t ocf_arena_pending(const ocf_arena *a)
{
    return __atomic_load_n(&a->pending, __ATOMIC_RELAXED);
}

uint32_t ocf_arena_free(const ocf_arena *a)
{
    return __atomic_load_n(&a->free_count, __ATOMIC_RELAXED);
}

void ocf_arena_wake(ocf_arena *a)
{
    __atomic_add_fetch(&a->change, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&a->waiters, __ATOMIC_SEQ_CST))
        syscall(SYS_futex, &a->change, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

void ocf_arena_wait(ocf_arena *a, uint32_t seen, uint32_t milliseconds)
{
    struct timespec timeout = {milliseconds / 1000, (long)(milliseconds % 1000) * 1000000};
    __atomic_add_fetch(&a->waiters, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&a->change, __ATOMIC_SEQ_CST) == seen)
        syscall(SYS_futex, &a->change, FUTEX_WAIT, seen, &timeout, NULL, 0);
    __atomic_sub_fetch(&a->waiters, 1, __ATOMIC_SEQ_CST);
}

/* Unlock, and tell those who wait that something became possible. */
static void unlock_and_wake(ocf_arena *a)
{
    pthread_mutex_unlock(&a->lock);
    ocf_arena_wake(a);
}

int ocf_arena_take(ocf_arena *a)
{
    int slot = OCF_ARENA_FULL;
    pthread_mutex_lock(&a->lock);
    if (a->free_count) {
        slot = a->free_slots[--a->free_count];
        a->references[slot] = 1;
    }
    pthread_mutex_unlock(&a->lock);
    return slot;
}

int ocf_arena_hold(ocf_arena *a, uint32_t slot)
{
    int status = OCF_ARENA_BAD;
    pthread_mutex_lock(&a->lock);
    if (slot < a->slots && a->references[slot] && a->references[slot] < UINT8_MAX) {
        a->references[slot]++;
        status = OCF_ARENA_OK;
    }
    pthread_mutex_unlock(&a->lock);
    return status;
}

static int release(ocf_arena *a, uint32_t slot)
{
    if (slot >= a->slots || a->references[slot] == 0)
        return OCF_ARENA_BAD;
    if (--a->references[slot] == 0)
        a->free_slots[a->free_count++] = (uint16_t)slot;
    return OCF_ARENA_OK;
}

int ocf_arena_release(ocf_arena *a, uint32_t slot)
{
    pthread_mutex_lock(&a->lock);
    int status = release(a, slot);
    unlock_and_wake(a);
    return status;
}

int ocf_arena_lane_open(ocf_arena *a, const ocf_sha256 *from)
{
    int lane = OCF_ARENA_FULL;
    pthread_mutex_lock(&a->lock);
    for (int i = 0; i < OCF_ARENA_LANES && lane < 0; i++)
        if (!a->lanes[i].open)
            lane = i;
    if (lane >= 0) {
        ocf_lane *l = &a->lanes[lane];
        l->ctx = *from;
        l->hashed = 0;
        l->claimed = l->head = l->count = 0;
        l->open = 1;
    }
    pthread_mutex_unlock(&a->lock);
    return lane;
}

static ocf_lane *open_lane(ocf_arena *a, uint32_t lane)
{
    return lane < OCF_ARENA_LANES && a->lanes[lane].open ? &a->lanes[lane] : NULL;
}

int ocf_arena_lane_push(ocf_arena *a, uint32_t lane, uint32_t slot, uint32_t size)
{
    int status = OCF_ARENA_BAD;
    pthread_mutex_lock(&a->lock);
    ocf_lane *l = open_lane(a, lane);
    if (l && slot < a->slots && a->references[slot] && size <= a->slot_bytes && l->count < OCF_ARENA_SLOTS) {
        l->queue[(l->head + l->count) % OCF_ARENA_SLOTS] = (ocf_filled){slot, size};
        a->pending += l->count++ == 0 && !l->claimed;
        status = OCF_ARENA_OK;
    }
    unlock_and_wake(a);
    return status;
}

int ocf_arena_lane_idle(ocf_arena *a, uint32_t lane)
{
    pthread_mutex_lock(&a->lock);
    ocf_lane *l = open_lane(a, lane);
    int idle = l == NULL ? OCF_ARENA_BAD : l->count == 0 && !l->claimed;
    pthread_mutex_unlock(&a->lock);
    return idle;
}

int ocf_arena_lane_close(ocf_arena *a, uint32_t lane, ocf_sha256 *out)
{
    int status = OCF_ARENA_BAD;
    pthread_mutex_lock(&a->lock);
    ocf_lane *l = open_lane(a, lane);
    if (l && l->count == 0 && !l->claimed) {
        *out = l->ctx;
        l->open = 0;
        status = OCF_ARENA_OK;
    }
    pthread_mutex_unlock(&a->lock);
    return status;
}

int ocf_arena_lane_drop(ocf_arena *a, uint32_t lane)
{
    pthread_mutex_lock(&a->lock);
    ocf_lane *l = open_lane(a, lane);
    int status = l == NULL ? OCF_ARENA_BAD : OCF_ARENA_BUSY;
    if (l && !l->claimed) {
        a->pending -= l->count > 0;
        for (; l->count; l->count--, l->head = (l->head + 1) % OCF_ARENA_SLOTS)
            release(a, l->queue[l->head].slot);
        l->open = 0;
        status = OCF_ARENA_OK;
    }
    unlock_and_wake(a);
    return status;
}

static int wanted(uint32_t lane, const uint32_t *only, size_t count)
{
    if (only == NULL)
        return 1;
    for (size_t i = 0; i < count; i++)
        if (only[i] == lane)
            return 1;
    return 0;
}

/* Claim up to `width` lanes, longest queues first; how many. Called with the lock held. */
static uint32_t claim(ocf_arena *a, uint32_t width, const uint32_t *only, size_t count, uint32_t *claimed)
{
    uint32_t n = 0, seen = 0;
    for (uint32_t i = 0; i < OCF_ARENA_LANES && seen < a->pending; i++) {
        ocf_lane *l = &a->lanes[i];
        if (!l->open || l->claimed || l->count == 0)
            continue;
        seen++;
        if (!wanted(i, only, count))
            continue;
        uint32_t at = n < width ? n++ : width;
        while (at > 0 && a->lanes[claimed[at - 1]].count < l->count) {
            if (at < width)
                claimed[at] = claimed[at - 1];
            at--;
        }
        if (at < width)
            claimed[at] = i;
    }
    for (uint32_t i = 0; i < n; i++)
        a->lanes[claimed[i]].claimed = 1;
    a->pending -= n;
    return n;
}

static void unclaim(ocf_arena *a, const uint32_t *claimed, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        ocf_lane *l = &a->lanes[claimed[i]];
        l->hashed += l->queue[l->head].size;
        release(a, l->queue[l->head].slot);
        l->head = (l->head + 1) % OCF_ARENA_SLOTS;
        l->claimed = 0;
        a->pending += --l->count > 0;
    }
}

uint64_t ocf_arena_hash(ocf_arena *a, ocf_hash_many hash, uint32_t width, const uint32_t *only, size_t count)
{
    uint32_t claimed[OCF_ARENA_BATCH];
    ocf_sha256_lane batch[OCF_ARENA_BATCH];
    const uint8_t *slots = (const uint8_t *)a + ocf_arena_header_bytes();
    uint64_t total = 0;
    if (width > OCF_ARENA_BATCH)
        width = OCF_ARENA_BATCH;
    pthread_mutex_lock(&a->lock);
    uint32_t n = width ? claim(a, width, only, count, claimed) : 0;
    for (uint32_t i = 0; i < n; i++) {
        ocf_lane *l = &a->lanes[claimed[i]];
        const ocf_filled *f = &l->queue[l->head];
        batch[i] = (ocf_sha256_lane){&l->ctx, slots + (size_t)f->slot * a->slot_bytes, f->size};
        total += f->size;
    }
    pthread_mutex_unlock(&a->lock);
    if (n == 0)
        return 0;
    hash(batch, n);
    pthread_mutex_lock(&a->lock);
    unclaim(a, claimed, n);
    unlock_and_wake(a);
    return total;
}

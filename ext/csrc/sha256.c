/* Streaming, interleaving and choice of kernel, all above the compression functions.
 *
 * Interleaving is scheduling with equal machines: W lane slots run in lockstep, a slot works on one
 * stream at a time, a stream cannot be in two slots at once. McNaughton's wrap-around rule is
 * optimal for that: lay all streams end to end, cut the line into W pieces of length
 * T = max(longest, total / W), give each slot a piece. A stream on a cut is begun by the later slot
 * at time 0 and ended by the earlier one at time T; it is no longer than T, so the halves cannot
 * meet. That needs no sorting, no memory, and at most W - 1 streams change slots.
 */
#include "sha256.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>

enum { BLOCK = OCF_SHA256_BLOCK, MAX_LANES = OCF_SHA256_MAX_LANES };

static const ocf_sha256_kernel *const kernels[OCF_SHA256_KERNELS] = {
    &ocf_sha256_portable, &ocf_sha256_shani, &ocf_sha256_armv8};

/* id << 8 | bit set of lane widths, in one word so that a reader never sees half a choice. */
static _Atomic unsigned choice = 1u << 1;

static unsigned now_chosen(void) { return atomic_load_explicit(&choice, memory_order_relaxed); }

/* ---- choice ---- */

const ocf_sha256_kernel *ocf_sha256_kernel_at(int id) { return kernels[id]; }

int ocf_sha256_kernel_status(int id) {
    if (!kernels[id]->cpu_has_it)
        return OCF_SHA256_NOT_BUILT;
    return kernels[id]->cpu_has_it() ? OCF_SHA256_USABLE : OCF_SHA256_NO_CPU;
}

int ocf_sha256_choose(int id, unsigned widths) {
    if (id < 0 || id >= OCF_SHA256_KERNELS || ocf_sha256_kernel_status(id) != OCF_SHA256_USABLE)
        return -1;
    widths |= 1u << 1;
    if (widths & ~((2u << MAX_LANES) - 2))
        return -1;
    for (int w = 1; w <= MAX_LANES; w++)
        if (widths >> w & 1 && !kernels[id]->compress[w])
            return -1;
    atomic_store_explicit(&choice, (unsigned)id << 8 | widths, memory_order_relaxed);
    return 0;
}

int ocf_sha256_chosen(void) { return (int)(now_chosen() >> 8); }

unsigned ocf_sha256_chosen_widths(void) { return now_chosen() & 0xff; }

static int64_t monotonic_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* A machine shared with others interrupts long slices more often than short ones, and the fastest
 * slice is the one nobody interrupted. Wall clock on purpose: a virtual machine's thread CPU clock
 * now and then reads 30 % short, and a minimum picks just those readings. */
void ocf_sha256_measure(ocf_sha256_speeds speeds) {
    enum { BLOCKS = 128, ROUNDS = 12, BUDGET_NS = 2500000 };
    static const uint8_t zeros[BLOCKS * BLOCK];
    uint32_t state[MAX_LANES][8] = {{0}}, *h[MAX_LANES];
    const uint8_t *data[MAX_LANES];
    int64_t begin_ns = monotonic_ns();
    for (int i = 0; i < MAX_LANES; i++) {
        h[i] = state[i];
        data[i] = zeros;
    }
    memset(speeds, 0, sizeof(ocf_sha256_speeds));
    for (int round = 0; round < ROUNDS; round++)
        for (int cell = 0; cell < OCF_SHA256_KERNELS * MAX_LANES; cell++) {
            int id = cell / MAX_LANES, width = cell % MAX_LANES + 1;
            if (!kernels[id]->compress[width] || !kernels[id]->cpu_has_it())
                continue;
            int64_t start = monotonic_ns();
            if (round && start - begin_ns > BUDGET_NS)
                return;
            kernels[id]->compress[width](h, data, BLOCKS);
            double took = (double)(monotonic_ns() - start);
            double speed = 1e3 * BLOCKS * BLOCK * width / (took > 1 ? took : 1);
            if (speed > speeds[id][width])
                speeds[id][width] = speed;
        }
}

unsigned ocf_sha256_winning_widths(const double speeds[OCF_SHA256_MAX_LANES + 1]) {
    unsigned widths = 1u << 1;
    double best = speeds[1];
    for (int w = 2; w <= MAX_LANES; w++)
        if (speeds[w] > best) {
            best = speeds[w];
            widths |= 1u << w;
        }
    return widths;
}

/* ---- one stream ---- */

static void compress1(uint32_t *h, const uint8_t *data, size_t blocks) {
    kernels[now_chosen() >> 8]->compress[1](&h, &data, blocks);
}

void ocf_sha256_init(ocf_sha256 *ctx) {
    static const ocf_sha256 fresh = {
        .h = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab,
              0x5be0cd19}};
    *ctx = fresh;
}

static size_t tail_size(const ocf_sha256 *ctx) { return ctx->length % BLOCK; }

/* Bytes of `size` that only complete the block begun in the tail. */
static size_t head_size(const ocf_sha256 *ctx, size_t size) {
    size_t used = tail_size(ctx);
    return used == 0 ? 0 : size < BLOCK - used ? size : BLOCK - used;
}

/* Everything of an update before and after its whole blocks. The length moves in `finish` only, so
 * that head_size means the same all the way between. */
static void begin(ocf_sha256 *ctx, const uint8_t *data, size_t size) {
    size_t used = tail_size(ctx), head = head_size(ctx, size);
    if (head == 0)
        return;
    memcpy(ctx->tail + used, data, head);
    if (used + head == BLOCK)
        compress1(ctx->h, ctx->tail, 1);
}

static void finish(ocf_sha256 *ctx, const uint8_t *data, size_t size) {
    size_t rest = (size - head_size(ctx, size)) % BLOCK;
    if (rest)
        memcpy(ctx->tail, data + size - rest, rest);
    ctx->length += size;
}

void ocf_sha256_update(ocf_sha256 *ctx, const uint8_t *data, size_t size) {
    begin(ctx, data, size);
    size_t head = head_size(ctx, size), blocks = (size - head) / BLOCK;
    if (blocks)
        compress1(ctx->h, data + head, blocks);
    finish(ctx, data, size);
}

static void store_be(uint8_t *out, uint64_t value, size_t size) {
    for (; size; value >>= 8)
        out[--size] = (uint8_t)value;
}

static uint64_t load_be(const uint8_t *data, size_t size) {
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value = value << 8 | data[i];
    return value;
}

static void store_words(const uint32_t h[8], uint8_t out[OCF_SHA256_DIGEST]) {
    for (size_t i = 0; i < 8; i++)
        store_be(out + 4 * i, h[i], 4);
}

/* FIPS 180-4, 5.1.1: the tail, a one bit, zeros, the length in bits. Returns how many blocks. */
static size_t last_blocks(const ocf_sha256 *ctx, uint8_t out[2 * BLOCK]) {
    size_t used = tail_size(ctx), size = used < BLOCK - 8 ? BLOCK : 2 * BLOCK;
    memcpy(out, ctx->tail, used);
    memset(out + used, 0, size - used);
    out[used] = 0x80;
    store_be(out + size - 8, ctx->length << 3, 8);
    return size / BLOCK;
}

void ocf_sha256_final(const ocf_sha256 *ctx, uint8_t out[OCF_SHA256_DIGEST]) {
    uint32_t h[8];
    uint8_t last[2 * BLOCK];
    memcpy(h, ctx->h, sizeof h);
    compress1(h, last, last_blocks(ctx, last));
    store_words(h, out);
}

/* ---- state ---- */

void ocf_sha256_store_state(const ocf_sha256 *ctx, uint8_t out[OCF_SHA256_STATE]) {
    memcpy(out, "sha\3", 4);
    store_words(ctx->h, out + 4);
    memset(out + 36, 0, BLOCK);
    memcpy(out + 36, ctx->tail, tail_size(ctx));
    store_be(out + 100, ctx->length, 8);
}

const char *ocf_sha256_load_state(ocf_sha256 *ctx, const uint8_t state[OCF_SHA256_STATE]) {
    ocf_sha256_init(ctx);
    if (memcmp(state, "sha\3", 4) != 0)
        return "it does not begin with 'sha' and byte 3";
    ctx->length = load_be(state + 100, 8);
    if (ctx->length >> 61)
        return "its length is beyond what SHA-256 can hash";
    for (size_t i = 0; i < 8; i++) {
        uint32_t word = (uint32_t)load_be(state + 4 + 4 * i, 4);
        if (ctx->length < BLOCK && word != ctx->h[i])
            return "it has a chaining value before the first whole block";
        ctx->h[i] = word;
    }
    memcpy(ctx->tail, state + 36, BLOCK);
    for (size_t i = tail_size(ctx); i < BLOCK; i++)
        if (ctx->tail[i])
            return "bytes behind its tail are not zero";
    return NULL;
}

/* ---- many streams ---- */

/* A lane slot: what it runs now, and what is left of its piece of the line after that. */
typedef struct {
    uint32_t *h;
    const uint8_t *data;
    size_t blocks;
    size_t next, skip, left; /* next lane, its blocks on the earlier slot's piece, budget */
} slot;

static size_t lane_blocks(const ocf_sha256_lane *lane) {
    return (lane->size - head_size(lane->ctx, lane->size)) / BLOCK;
}

/* Gives an idle slot its next share of a stream; leaves blocks at 0 when its piece is done. */
static void refill(slot *s, const ocf_sha256_lane *lanes, size_t n) {
    for (; s->blocks == 0 && s->left && s->next < n; s->next++) {
        const ocf_sha256_lane *lane = &lanes[s->next];
        size_t whole = lane_blocks(lane), done_elsewhere = 0;
        if (whole == 0)
            continue;
        s->blocks = whole - s->skip;
        s->skip = 0;
        if (s->blocks > s->left) { /* on the cut: its beginning is the later slot's first work */
            done_elsewhere = s->blocks - s->left;
            s->blocks = s->left;
        }
        s->left -= s->blocks;
        s->h = lane->ctx->h;
        s->data = lane->data + head_size(lane->ctx, lane->size) + done_elsewhere * BLOCK;
    }
}

/* Cuts the line into pieces of `span` blocks; returns how many slots got one. */
static int cut(slot *slots, const ocf_sha256_lane *lanes, size_t n, uint64_t span) {
    int used = 0;
    uint64_t start = 0, cut_at = 0; /* of lane i, of the next slot, on the line */
    for (size_t i = 0; i < n; i++) {
        uint64_t end = start + lane_blocks(&lanes[i]);
        for (; cut_at < end; cut_at += span)
            slots[used++] = (slot){.next = i, .skip = cut_at - start, .left = span};
        start = end;
    }
    return used;
}

/* All active slots for as long as none of them runs dry, widest allowed kernels first. */
static void run(slot *slots, int active, unsigned chosen) {
    ocf_sha256_compress *const *compress = kernels[chosen >> 8]->compress;
    uint32_t *h[MAX_LANES];
    const uint8_t *data[MAX_LANES];
    size_t step = slots[0].blocks;
    for (int i = 0; i < active; i++) {
        h[i] = slots[i].h;
        data[i] = slots[i].data;
        if (slots[i].blocks < step)
            step = slots[i].blocks;
    }
    for (int i = 0, width; i < active; i += width) {
        for (width = active - i; !(chosen >> width & 1); width--)
            ;
        compress[width](h + i, data + i, step);
    }
    for (int i = 0; i < active; i++) {
        slots[i].blocks -= step;
        slots[i].data += step * BLOCK;
    }
}

static void interleave(const ocf_sha256_lane *lanes, size_t n, uint64_t total, uint64_t longest) {
    unsigned chosen = now_chosen();
    unsigned width = n < MAX_LANES ? (unsigned)n : MAX_LANES;
    int active;
    while (!(chosen >> width & 1))
        width--;
    uint64_t span = total / width + (total % width != 0);
    slot slots[MAX_LANES];
    int used = cut(slots, lanes, n, span > longest ? span : longest);
    do {
        active = 0;
        for (int i = 0; i < used; i++) {
            refill(&slots[i], lanes, n);
            if (slots[i].blocks)
                slots[active++] = slots[i];
        }
        used = active;
        if (active)
            run(slots, active, chosen);
    } while (active);
}

void ocf_sha256_update_many(const ocf_sha256_lane *lanes, size_t n) {
    uint64_t total = 0, longest = 0;
    for (size_t i = 0; i < n; i++) {
        begin(lanes[i].ctx, lanes[i].data, lanes[i].size);
        uint64_t blocks = lane_blocks(&lanes[i]);
        total += blocks;
        longest = blocks > longest ? blocks : longest;
    }
    if (total)
        interleave(lanes, n, total, longest);
    for (size_t i = 0; i < n; i++)
        finish(lanes[i].ctx, lanes[i].data, lanes[i].size);
}

void ocf_sha256_final_many(const ocf_sha256 *ctxs, uint8_t (*out)[OCF_SHA256_DIGEST], size_t n) {
    enum { AT_ONCE = 16 };
    ocf_sha256 copy[AT_ONCE];
    ocf_sha256_lane lanes[AT_ONCE];
    uint8_t last[AT_ONCE][2 * BLOCK];
    for (size_t first = 0; first < n; first += AT_ONCE) {
        size_t some = n - first < AT_ONCE ? n - first : AT_ONCE;
        for (size_t i = 0; i < some; i++) {
            copy[i] = ctxs[first + i];
            lanes[i] = (ocf_sha256_lane){&copy[i], last[i], last_blocks(&copy[i], last[i]) * BLOCK};
            copy[i].length = 0; /* the tail is in `last` now */
        }
        ocf_sha256_update_many(lanes, some);
        for (size_t i = 0; i < some; i++)
            store_words(copy[i].h, out[first + i]);
    }
}

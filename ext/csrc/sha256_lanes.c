/* Many streams interleaved on one core.
 *
 * Interleaving is scheduling with equal machines: W lane slots run in lockstep, a slot works on one
 * stream at a time, a stream cannot be in two slots at once. McNaughton's wrap-around rule is
 * optimal for that: lay all streams end to end, cut the line into W pieces of length
 * T = max(longest, total / W), give each slot a piece. A stream on a cut is begun by the later slot
 * at time 0 and ended by the earlier one at time T; it is no longer than T, so the halves cannot
 * meet. That needs no sorting, no memory, and at most W - 1 streams change slots.
 */
#include "sha256_internal.h"

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
    ocf_sha256_compress *const *compress = ocf_sha256_followed->kernels[chosen >> 8]->compress;
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
    unsigned chosen = ocf_sha256_choice_word(ocf_sha256_followed);
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
        ocf_sha256_begin(lanes[i].ctx, lanes[i].data, lanes[i].size);
        uint64_t blocks = lane_blocks(&lanes[i]);
        total += blocks;
        longest = blocks > longest ? blocks : longest;
    }
    if (total)
        interleave(lanes, n, total, longest);
    for (size_t i = 0; i < n; i++)
        ocf_sha256_finish(lanes[i].ctx, lanes[i].data, lanes[i].size);
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
            size_t blocks = ocf_sha256_last_blocks(&copy[i], last[i]);
            lanes[i] = (ocf_sha256_lane){&copy[i], last[i], blocks * BLOCK};
            copy[i].length = 0; /* the tail is in `last` now */
        }
        ocf_sha256_update_many(lanes, some);
        for (size_t i = 0; i < some; i++)
            ocf_sha256_store_words(copy[i].h, out[first + i]);
    }
}

/* SHA-256 with an open state: streaming, several streams interleaved on one core, several kernels.
 *
 * Not a general hash library: one algorithm, no allocation, no Python.h, no locks.
 * Threads: a context belongs to one caller at a time; every function may run without the GIL.
 * Invariant: all kernels and all lane widths leave bit-identical states; only the time differs.
 */
#ifndef OCF_SHA256_H
#define OCF_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define OCF_SHA256_BLOCK 64
#define OCF_SHA256_DIGEST 32
#define OCF_SHA256_STATE 108
#define OCF_SHA256_MAX_LANES 4

/* Plain data without pointers: may be copied, live in shared memory, move between processes.
 * `tail` holds the length % 64 bytes not yet compressed; what lies behind them is unspecified. */
typedef struct {
    uint32_t h[8];
    uint64_t length;
    uint8_t tail[OCF_SHA256_BLOCK];
} ocf_sha256;

void ocf_sha256_init(ocf_sha256 *ctx);
void ocf_sha256_update(ocf_sha256 *ctx, const uint8_t *data, size_t size);
/* Leaves `ctx` as it was, so more data may follow. */
void ocf_sha256_final(const ocf_sha256 *ctx, uint8_t out[OCF_SHA256_DIGEST]);

/* The 108 bytes of Go's crypto/sha256: "sha\3", h as big-endian words, the tail and zeros, the
 * length as a big-endian 64-bit word. */
void ocf_sha256_store_state(const ocf_sha256 *ctx, uint8_t out[OCF_SHA256_STATE]);
/* NULL, or why the function above cannot have stored these bytes; `ctx` is then undefined. */
const char *ocf_sha256_load_state(ocf_sha256 *ctx, const uint8_t state[OCF_SHA256_STATE]);

/* One stream's share of an interleaved update. `data` may be NULL when `size` is 0. */
typedef struct {
    ocf_sha256 *ctx;
    const uint8_t *data;
    size_t size;
} ocf_sha256_lane;

/* The same result as one ocf_sha256_update per lane, for any n and any sizes; the contexts must be
 * distinct, the buffers may overlap. Neither the array nor the data is changed. */
void ocf_sha256_update_many(const ocf_sha256_lane *lanes, size_t n);

/* ocf_sha256_final of n contexts, the last blocks interleaved too. */
void ocf_sha256_final_many(const ocf_sha256 *ctxs, uint8_t (*out)[OCF_SHA256_DIGEST], size_t n);

/* ---- kernels ---- */

/* Compresses `blocks` blocks of each stream i of `lanes`, from data[i] into h[i]. */
typedef void ocf_sha256_compress(uint32_t *const h[], const uint8_t *const data[], size_t blocks);

typedef struct {
    const char *name;
    const char *needs;                                       /* what a CPU must have, for a person */
    int (*cpu_has_it)(void);                                 /* NULL: not built for this machine */
    ocf_sha256_compress *compress[OCF_SHA256_MAX_LANES + 1]; /* by lane width; NULL: none */
} ocf_sha256_kernel;

/* Hidden also where they are only declared: reached through the GOT, the table costs the kernels a
 * register, and the three-lane one 5 % of its speed. */
extern const ocf_sha256_kernel ocf_sha256_portable, ocf_sha256_shani, ocf_sha256_armv8;
extern const uint32_t ocf_sha256_k[64] __attribute__((visibility("hidden")));

#define OCF_SHA256_KERNELS 3 /* id 0 is the portable reference */
const ocf_sha256_kernel *ocf_sha256_kernel_at(int id);
enum { OCF_SHA256_USABLE, OCF_SHA256_NOT_BUILT, OCF_SHA256_NO_CPU };
int ocf_sha256_kernel_status(int id);

/* MB/s summed over the lanes, [id][width]; 0 where there is no such kernel. Takes < 3 ms. */
typedef double ocf_sha256_speeds[OCF_SHA256_KERNELS][OCF_SHA256_MAX_LANES + 1];
void ocf_sha256_measure(ocf_sha256_speeds speeds);
/* Bit w is set for each width faster than all narrower ones; width 1 always is. */
unsigned ocf_sha256_winning_widths(const double speeds[OCF_SHA256_MAX_LANES + 1]);

/* Sets what all later calls of the process use; safe while others run. Bit w of `widths` allows
 * width w, width 1 always is. 0, or -1 when the kernel is not usable or has no such width. */
int ocf_sha256_choose(int id, unsigned widths);
int ocf_sha256_chosen(void);
unsigned ocf_sha256_chosen_widths(void);

#endif

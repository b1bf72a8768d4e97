/* The kernels of SHA-256: its compression functions, how fast they are here, which one is in use.
 *
 * Not hashing: sha256.h is, and it only reads the choice that is made here, by pointer, so the two
 * may be linked apart. The choice is one for the process; every function may run without the GIL.
 * Invariant: all kernels and all lane widths leave bit-identical states; only the time differs.
 */
#ifndef OCF_SHA256_KERNEL_H
#define OCF_SHA256_KERNEL_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define OCF_SHA256_BLOCK 64
#define OCF_SHA256_MAX_LANES 4

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

/* id << 8 | bit set of lane widths, in one word so that a reader never sees half a choice. */
typedef struct {
    const ocf_sha256_kernel *const *kernels; /* by id */
    _Atomic unsigned word;
} ocf_sha256_choice;

/* Sets what all later calls of the process use; safe while others run. Bit w of `widths` allows
 * width w, width 1 always is. 0, or -1 when the kernel is not usable or has no such width. */
int ocf_sha256_choose(int id, unsigned widths);
int ocf_sha256_chosen(void);
unsigned ocf_sha256_chosen_widths(void);
/* The choice itself, for those who hash; it lives as long as the process. */
const ocf_sha256_choice *ocf_sha256_in_use(void);

static inline unsigned ocf_sha256_choice_word(const ocf_sha256_choice *choice) {
    return atomic_load_explicit(&choice->word, memory_order_relaxed);
}

#endif

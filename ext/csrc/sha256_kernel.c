/* The table of kernels, their speeds, and the one choice of the process. */
#include "sha256_kernel.h"

#include <string.h>
#include <time.h>

enum { BLOCK = OCF_SHA256_BLOCK, MAX_LANES = OCF_SHA256_MAX_LANES };

static const ocf_sha256_kernel *const kernels[OCF_SHA256_KERNELS] = {
    &ocf_sha256_portable, &ocf_sha256_shani, &ocf_sha256_armv8};

static ocf_sha256_choice choice = {.kernels = kernels, .word = 1u << 1};

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
    atomic_store_explicit(&choice.word, (unsigned)id << 8 | widths, memory_order_relaxed);
    return 0;
}

const ocf_sha256_choice *ocf_sha256_in_use(void) { return &choice; }

int ocf_sha256_chosen(void) { return (int)(ocf_sha256_choice_word(&choice) >> 8); }

unsigned ocf_sha256_chosen_widths(void) { return ocf_sha256_choice_word(&choice) & 0xff; }

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

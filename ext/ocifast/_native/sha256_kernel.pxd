"""What other compiled modules may cimport: the kernel in use, and whether it is the one demanded.

The functions of sha256_kernel.h are for this module only, which alone is linked with the kernels:
that is how one choice holds for the whole process. Contract and thread rules: sha256_kernel.h.
"""

cdef extern from "sha256_kernel.h" nogil:
    enum:
        OCF_SHA256_KERNELS, OCF_SHA256_MAX_LANES
        OCF_SHA256_USABLE, OCF_SHA256_NOT_BUILT

    ctypedef struct ocf_sha256_kernel:
        const char *name
        const char *needs
        void *compress[5]

    ctypedef struct ocf_sha256_choice:
        pass

    ctypedef double ocf_sha256_speeds[3][5]

    const ocf_sha256_kernel *ocf_sha256_kernel_at(int id)
    int ocf_sha256_kernel_status(int id)
    void ocf_sha256_measure(ocf_sha256_speeds speeds)
    unsigned ocf_sha256_winning_widths(const double *speeds)
    int ocf_sha256_choose(int id, unsigned widths)
    int ocf_sha256_chosen()
    unsigned ocf_sha256_chosen_widths()
    const ocf_sha256_choice *ocf_sha256_in_use()

cdef const ocf_sha256_choice *kernel_in_use() noexcept nogil
cdef int require_kernel() except -1  # raises KernelUnavailable while a demand is not met

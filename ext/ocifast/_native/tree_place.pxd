from libc.stdint cimport uint8_t, uint64_t

from ocifast._native.tree_meta cimport ocf_meta

cdef extern from "tree_parents.h" nogil:
    enum:
        OCF_TREE_PATH

cdef extern from "tree_homes.h" nogil:
    enum:
        OCF_MARK_THERE
        OCF_MARK_OPAQUE
        OCF_MARK_HIDES
        OCF_MARK_STAYS
        OCF_MARK_HELD
        OCF_MARK_NOT
    ctypedef struct ocf_contents:
        int folder
        const uint8_t *rows
        const uint8_t *heap
        size_t count
        const uint8_t *homes
        size_t homes_count
    ctypedef struct ocf_made_folder:
        pass
    ctypedef struct ocf_tree_table:
        const uint8_t *rows
        const uint8_t *heap
        const uint8_t *marks
        const uint8_t *source
        size_t count
    int ocf_contents_init(ocf_contents *c)
    void ocf_contents_free(ocf_contents *c)
    int ocf_homes_plan(
        const ocf_tree_table *t, ocf_contents *contents, size_t layers, ocf_made_folder *folders)

cdef extern from "tree_place.h" nogil:
    enum:
        OCF_PLACE_DEVICE
        OCF_PLACE_CHANGED
        OCF_PLACE_LINK
    ctypedef struct ocf_placing:
        ocf_tree_table tree
        ocf_contents *contents
        size_t layers
        ocf_made_folder *folders
        int root, devices
        const char *opaque
    ctypedef struct ocf_placer:
        uint64_t recorded
        size_t index
        int error
    void ocf_placer_init(ocf_placer *p, const ocf_placing *what, ocf_meta *meta)
    void ocf_placer_free(ocf_placer *p)
    int ocf_place_folders(ocf_placer *p)
    int ocf_place_rest(ocf_placer *p, size_t first, size_t last)
    int ocf_place_links(ocf_placer *p)
    int ocf_place_metadata(ocf_placer *p)
    int ocf_place_removals(ocf_placer *p, const uint8_t *which, size_t count)
    int ocf_place_holds(ocf_placer *p, const uint8_t *which, size_t count, int into)
    int ocf_place_row_metadata(
        ocf_meta *meta, int descriptor, const uint8_t *rows, size_t index, const uint8_t *heap)

cdef extern from "tree_remove.h" nogil:
    int ocf_tree_remove(int folder, const char *name)

cdef extern from "<stdio.h>" nogil:
    enum:
        RENAME_EXCHANGE
    int renameat2(
        int folder, const char *name, int other, const char *other_name, unsigned int flags)

cdef extern from "<unistd.h>" nogil:
    int syncfs(int file)

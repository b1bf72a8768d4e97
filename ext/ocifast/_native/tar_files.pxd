from libc.stdint cimport uint8_t, uint64_t

from ocifast._native.tar cimport ocf_bytes
from ocifast._native.tree_meta cimport ocf_meta

cdef extern from "tar_files.h" nogil:
    ctypedef struct ocf_files_cutter:
        ocf_bytes parts
    void ocf_files_cutter_free(ocf_files_cutter *c)
    int ocf_files_cut(
        ocf_files_cutter *c, size_t size, uint64_t base,
        const uint8_t *rows, size_t count, const uint8_t *heap)
    ctypedef struct ocf_files_writer:
        int folder
        ocf_bytes homes
        ocf_meta *meta
        uint64_t number, written
        int error
    void ocf_files_writer_init(ocf_files_writer *w)
    void ocf_files_writer_close(ocf_files_writer *w)
    void ocf_files_writer_free(ocf_files_writer *w)
    int ocf_files_write(
        ocf_files_writer *w, const uint8_t *parts, size_t parts_size,
        const uint8_t *piece, size_t piece_size)

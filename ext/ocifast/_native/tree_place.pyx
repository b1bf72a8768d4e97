"""A tree on disk, from the table of one and contents that lie in homes: no object an entry.

Steps: folders, the rest (by several threads, if wanted), hard links, metadata of folders.
Invariant: nothing is made outside of the root, through a link, or where something was before.
"""

cimport cython
from libc.errno cimport errno
from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from ocifast._native.tar cimport OCF_NO_MEMORY, OCF_OK, ocf_tar_row
from ocifast._native.tree_meta cimport Metadata

import os

from ocifast._native.tar import check_table
from ocifast.errors import TreeError

MARK_THERE = OCF_MARK_THERE
MARK_OPAQUE = OCF_MARK_OPAQUE
MARK_HIDES = OCF_MARK_HIDES
MARK_STAYS = OCF_MARK_STAYS
MARK_HELD = OCF_MARK_HELD
MARK_NOT = OCF_MARK_NOT

cdef dict REASONS = {
    OCF_PLACE_DEVICE: "it is a device, and devices are refused",
    OCF_PLACE_CHANGED: "another folder has taken its place while the tree was being made",
    OCF_PLACE_LINK: "it is a hard link to what is not there",
    OCF_TREE_PATH: "its path has a component that leads elsewhere",
}
cdef enum:
    FOLDERS
    REST
    LINKS
    METADATA
    REMOVALS
    HOLDS

cdef dict DEVICES = {"create": 0, "record": 1, "deny": 2}


@cython.final
cdef class Placement:
    """A tree that is being made below the open folder `root`.

    `source` has a pair of u32 a row: which of `contents` its file is in, and its row there. Of each
    of `contents` there is the open folder that a FileWriter wrote to, rows and heap of its table,
    and the writer's `homes`. `marks` is a byte a row, or empty; `opaque` the xattr of a folder that
    is marked so. Buffers are borrowed. Raises FormatError for a table that is not sound.
    """

    cdef ocf_placing what
    cdef list keep
    cdef bytes indices
    cdef int into
    cdef readonly uint64_t recorded

    def __cinit__(self):
        memset(&self.what, 0, sizeof(self.what))

    def __init__(
        self, const unsigned char[::1] rows not None, const unsigned char[::1] heap not None,
        const unsigned char[::1] source not None, contents: list, root: int, *,
        devices: str = "create", marks: bytes = b"", opaque: bytes = b"",
    ) -> None:
        check_table(rows, heap)
        cdef size_t count = <size_t>rows.shape[0] // sizeof(ocf_tar_row)
        if <size_t>source.shape[0] != 8 * count or (marks and <size_t>len(marks) != count):
            raise ValueError("sources and marks are not those of the table")
        if self.keep is not None:
            raise ValueError("the placement is already initialised")
        self.keep = [rows, heap, source, marks, opaque]
        self.what.tree.rows = &rows[0] if count else NULL
        self.what.tree.heap = &heap[0] if heap.shape[0] else NULL
        self.what.tree.source = &source[0] if count else NULL
        self.what.tree.marks = <const uint8_t *>marks if marks else NULL
        self.what.tree.count = count
        self.what.root, self.what.devices = root, DEVICES[devices]
        self.what.opaque = opaque
        self.what.folders = <ocf_made_folder *>calloc(count + 1, sizeof(ocf_made_folder))
        self.what.contents = <ocf_contents *>calloc(len(contents) + 1, sizeof(ocf_contents))
        if self.what.folders == NULL or self.what.contents == NULL:
            raise MemoryError
        for folder, layer_rows, layer_heap, homes in contents:
            self.add(folder, layer_rows, layer_heap, homes)
        cdef int status
        with nogil:
            status = ocf_homes_plan(
                &self.what.tree, self.what.contents, self.what.layers, self.what.folders)
        if status != OCF_OK:
            raise MemoryError

    cdef int add(
        self, int folder, const unsigned char[::1] rows, const unsigned char[::1] heap,
        const unsigned char[::1] homes,
    ) except -1:
        check_table(rows, heap)
        cdef ocf_contents *layer = &self.what.contents[self.what.layers]
        self.keep.append((rows, heap, homes))
        layer.folder = folder
        layer.rows = &rows[0] if rows.shape[0] else NULL
        layer.heap = &heap[0] if heap.shape[0] else NULL
        layer.homes = &homes[0] if homes.shape[0] else NULL
        layer.count = <size_t>rows.shape[0] // sizeof(ocf_tar_row)
        layer.homes_count = <size_t>homes.shape[0] // 4
        self.what.layers += 1
        cdef int status = ocf_contents_init(layer)
        if status == OCF_NO_MEMORY:
            raise MemoryError
        if status != OCF_OK:
            raise ValueError("homes are not those of the table")
        return 0

    def __dealloc__(self):
        if self.what.contents != NULL:
            for layer in range(self.what.layers):
                ocf_contents_free(&self.what.contents[layer])
        free(self.what.contents)
        free(self.what.folders)

    def folders(self, metadata: Metadata) -> None:
        """Make folders. Steps raise TreeError for what cannot be made, OSError where it fails."""
        self.step(FOLDERS, metadata, 0, 0)

    def rest(self, metadata: Metadata, first: int, last: int) -> None:
        """Place what is neither folder nor hard link, of rows `first` up to `last`."""
        self.step(REST, metadata, first, min(last, self.what.tree.count))

    def links(self, metadata: Metadata) -> None:
        """Place hard links: all that they may lead to is there."""
        self.step(LINKS, metadata, 0, 0)

    def metadata(self, metadata: Metadata) -> None:
        """Give folders their metadata, deepest first; nothing may be placed any more."""
        self.step(METADATA, metadata, 0, 0)

    def remove(self, metadata: Metadata, which: bytes) -> None:
        """Remove the rows of these indices (u32), which are there, from the last one on."""
        self.indices = which
        self.step(REMOVALS, metadata, 0, <size_t>len(which) // 4)

    def hold(self, metadata: Metadata, which: bytes, into: int) -> None:
        """Give rows that are there a second name, their number, in the open folder `into`."""
        self.indices, self.into = which, into
        self.step(HOLDS, metadata, 0, <size_t>len(which) // 4)

    cdef int step(self, int which, Metadata metadata, size_t first, size_t last) except -1:
        cdef ocf_placer placer
        cdef int status = OCF_OK
        cdef const uint8_t *indices = NULL
        if which >= REMOVALS:
            indices = self.indices
        ocf_placer_init(&placer, &self.what, &metadata.meta)
        with nogil:
            if which == FOLDERS:
                status = ocf_place_folders(&placer)
            elif which == REST:
                status = ocf_place_rest(&placer, first, last)
            elif which == LINKS:
                status = ocf_place_links(&placer)
            elif which == METADATA:
                status = ocf_place_metadata(&placer)
            elif which == REMOVALS:
                status = ocf_place_removals(&placer, indices, last)
            else:
                status = ocf_place_holds(&placer, indices, last, self.into)
            ocf_placer_free(&placer)
        self.recorded += placer.recorded
        return self.check(status, &placer, metadata)

    cdef int check(self, int status, ocf_placer *placer, Metadata metadata) except -1:
        if status == OCF_OK:
            return 0
        if status == OCF_NO_MEMORY:
            raise MemoryError
        cdef ocf_tar_row row
        memcpy(&row, self.what.tree.rows + placer.index * sizeof(row), sizeof(row))
        # copies, for a person
        text = <bytes>self.what.tree.heap[row.path_offset:row.path_offset + row.path_size]
        name = os.fsdecode(text)
        if placer.error in REASONS:
            raise TreeError(name, REASONS[placer.error])
        raise metadata.fail(placer.error, name)


def set_metadata(
    descriptor: int, const unsigned char[::1] rows not None,
    const unsigned char[::1] heap not None, index: int, metadata: Metadata,
) -> None:
    """Give an open folder the metadata of one row. Raises as Placement's steps do."""
    cdef int status, folder = descriptor
    cdef size_t at = index
    check_table(rows, heap)
    if at >= <size_t>rows.shape[0] // sizeof(ocf_tar_row):
        raise IndexError(f"row {index} of a table that has fewer")
    cdef const uint8_t *runs = NULL
    if heap.shape[0]:
        runs = &heap[0]
    with nogil:
        status = ocf_place_row_metadata(&metadata.meta, folder, &rows[0], at, runs)
    if status != OCF_OK:
        raise metadata.fail(metadata.meta.error, ".")


def exchange(folder: int, name: bytes, other: int, other_name: bytes) -> None:
    """Let two names trade places, in one step. Raises OSError where a file system cannot."""
    if renameat2(folder, name, other, other_name, RENAME_EXCHANGE):
        raise OSError(errno, os.strerror(errno), os.fsdecode(other_name))


def sync_file_system(descriptor: int) -> None:
    """Bring all of the file system that a descriptor is of to disk. Raises OSError."""
    cdef int status, file = descriptor
    with nogil:
        status = syncfs(file)
    if status:
        raise OSError(errno, os.strerror(errno))


def remove_tree(folder: int, name: bytes) -> None:
    """Remove `name` in an open folder, and all below it, following no link and crossing no mount.

    Raises OSError: something of it stays.
    """
    cdef int error, descriptor = folder
    cdef const char *text = name
    with nogil:
        error = ocf_tree_remove(descriptor, text)
    if error:
        raise OSError(error, os.strerror(error), os.fsdecode(name))

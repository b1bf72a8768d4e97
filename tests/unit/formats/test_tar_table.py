"""The table of entries: sound or not at all, with and without numpy, handed over as one blob."""

import os
import pickle
import struct
import subprocess
import sys

import numpy as np
import pytest
from support.tar_build import MAGIC_GNU, archive, entry, pax
from support.tar_read import read

from ocifast.errors import FormatError
from ocifast.formats.tar import FIELDS, ROW, EntryTable
from ocifast.tree import Entry, EntryKind

SPARSE = pax(
    (b"GNU.sparse.map", b"0,2,7,1"), (b"GNU.sparse.size", b"9"), (b"SCHILY.xattr.user.a", b"v")
)
LAYER = archive(
    entry(b"d/", kind=b"5", mode=0o755),
    SPARSE,
    entry(b"s", b"abc"),
    entry(b"l", kind=b"2", link=b"target", uid=7, gid=8, mtime=9),
    entry(b"c", kind=b"3", major=5, minor=1, magic=MAGIC_GNU),
)


@pytest.fixture
def table() -> EntryTable:
    return read(LAYER).table


def test_a_row_is_120_bytes_in_native_order() -> None:
    assert ROW.size == 120
    assert struct.calcsize("@" + "".join(FIELDS.values())) == 120


def test_entries_carry_everything(table: EntryTable) -> None:
    folder, sparse, link, device = table
    assert folder == Entry(path=b"d/", kind=EntryKind.DIRECTORY, mode=0o755, payload_offset=512)
    assert (sparse.size, sparse.stored_size, sparse.regions) == (9, 3, ((0, 2), (7, 1)))
    assert sparse.xattrs == ((b"user.a", b"v"),)
    assert sparse.is_sparse
    assert (sparse.start_offset, sparse.header_offset, sparse.payload_offset) == (512, 1536, 2048)
    assert (link.kind, link.link_target, link.uid, link.gid) == (EntryKind.SYMLINK, b"target", 7, 8)
    assert link.mtime_ns == 9_000_000_000
    assert (device.kind, device.dev_major, device.dev_minor) == (EntryKind.CHAR_DEVICE, 5, 1)
    assert link.regions is None


def test_indexing_is_that_of_a_sequence(table: EntryTable) -> None:
    entries = list(table)
    assert [table[i] for i in range(-4, 4)] == entries * 2
    assert list(reversed(table)) == entries[::-1]  # type: ignore[call-overload]
    assert entries[2] in table
    for index in (4, -5, 1 << 70):
        with pytest.raises(IndexError, match="of a table of 4"):
            table[index]


def test_the_array_is_a_view_of_the_same_rows(table: EntryTable) -> None:
    array = table.array
    assert array.dtype.itemsize == ROW.size
    assert array.dtype.names == tuple(FIELDS)
    for row, e in zip(array, table, strict=True):
        start = int(row["path_offset"])
        assert bytes(table.heap[start : start + int(row["path_size"])]) == e.path
        for name in ("size", "stored_size", "mode", "uid", "mtime_ns", "header_offset"):
            assert int(row[name]) == getattr(e, name)
    assert np.shares_memory(array, table.array)
    with pytest.raises(ValueError, match="read-only"):
        array["mode"] = 0


def test_iteration_does_not_import_numpy() -> None:
    code = (
        "import sys\n"
        "from ocifast._native.tar import TarParser\n"
        "from ocifast.formats.tar import EntryTable\n"
        "from ocifast.limits import Limits\n"
        "p = TarParser(Limits()); p.feed(bytes(1024)); p.finish()\n"
        "table = EntryTable.from_buffer(EntryTable(*p.take_table()).to_bytes())\n"
        "assert list(table) == [] and 'numpy' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_one_blob_carries_the_table(table: EntryTable) -> None:
    blob = table.to_bytes()
    for data in (blob, bytearray(blob), memoryview(b"xx" + blob)[2:]):
        copy = EntryTable.from_buffer(data)
        assert copy == table
        assert list(copy) == list(table)
    assert b"".join(table.to_buffers()) == blob
    assert pickle.loads(pickle.dumps(table)) == table


def test_a_table_goes_through_a_descriptor_with_one_writev(table: EntryTable) -> None:
    descriptor = os.memfd_create("table")
    os.writev(descriptor, table.to_buffers())
    assert EntryTable.from_buffer(os.pread(descriptor, 1 << 20, 0)) == table
    os.close(descriptor)


def test_tables_compare_by_content_and_do_not_hash(table: EntryTable) -> None:
    assert table == read(LAYER).table
    assert table != read(archive(entry())).table
    assert table != 5
    with pytest.raises(TypeError):
        hash(table)
    assert repr(table).startswith("<EntryTable of 4 entries, ")


def test_a_blob_cut_or_grown_anywhere_is_refused(table: EntryTable) -> None:
    blob = table.to_bytes()
    for cut in range(len(blob)):
        with pytest.raises(FormatError):
            EntryTable.from_buffer(blob[:cut])
    with pytest.raises(FormatError):
        EntryTable.from_buffer(blob + b"\0")


def test_a_blob_with_any_byte_changed_is_refused_or_safe_to_read(table: EntryTable) -> None:
    blob = table.to_bytes()
    refused = 0
    for at in range(len(blob)):
        for value in (0, 1, 0x7F, 0xFF):
            mutant = bytearray(blob)
            mutant[at] = value
            try:
                for e in EntryTable.from_buffer(mutant):
                    repr((e, e.name, e.is_whiteout, e.is_opaque, e.is_aufs))
            except FormatError:
                refused += 1
    assert refused > len(blob)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("path_offset", 1 << 63),
        ("path_offset", (1 << 64) - 1),
        ("path_size", (1 << 32) - 1),
        ("link_size", 1000),
        ("xattr_size", 5),
        ("xattr_offset", 1),
        ("sparse_regions", 1 << 31),
        ("sparse_offset", 1 << 40),
        ("type", 0),
        ("type", ord("7")),
        ("flags", 32),
        ("reserved", 1),
        ("size", 1),
    ],
)
def test_rows_that_do_not_fit_their_heap_are_refused(
    table: EntryTable, column: str, value: int
) -> None:
    rows = table.array.copy()
    rows[column][1] = value
    with pytest.raises(FormatError, match="row 1"):
        EntryTable(rows.tobytes(), table.heap)

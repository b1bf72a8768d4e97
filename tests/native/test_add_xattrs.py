"""Xattrs that are listed later, for some rows: what a walk with them would have said."""

import os
import struct

import pytest

from ocifast._native.tree_content import differing
from ocifast._native.tree_walk import add_xattrs, walk
from ocifast.errors import FormatError
from ocifast.formats.tar import EntryTable


def indices(*numbers):
    return struct.pack(f"{len(numbers)}I", *numbers)


@pytest.fixture
def root(tmp_path):
    """A tree with xattrs on some of its entries, of all depths."""
    deep = tmp_path / "a" / "/".join(["d"] * 70)
    deep.mkdir(parents=True)
    for name in ("a/one", "a/two", "b", "a/" + "d/" * 70 + "end"):
        (tmp_path / name).write_bytes(b"x")
    for name in ("a", "a/two", "a/" + "d/" * 70 + "end"):
        os.setxattr(tmp_path / name, "user.k", b"v" * len(name))
        os.setxattr(tmp_path / name, "user.a", b"")
    (tmp_path / "link").symlink_to("b")
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def tables(root):
    with_them, without = walk(root)[:2], walk(root, xattrs=False)[:2]
    return EntryTable(*with_them), EntryTable(*without)


def test_all_rows_are_what_a_walk_with_xattrs_says(root):
    complete, table = tables(root)
    assert any(entry.xattrs for entry in complete)
    assert not any(entry.xattrs for entry in table)
    _, rows, heap = table.to_buffers()
    found = EntryTable(*add_xattrs(root, rows, heap, indices(*range(len(table)))))
    assert list(found) == list(complete)


def test_rows_that_are_not_asked_about_stay_what_they_were(root):
    complete, table = tables(root)
    _, rows, heap = table.to_buffers()
    found = EntryTable(*add_xattrs(root, rows, heap, indices(0)))
    assert found[0] == complete[0]
    assert list(found)[1:] == list(table)[1:]
    assert EntryTable(*add_xattrs(root, rows, heap, b"")) == table


def test_indices_that_are_none_are_refused(root):
    _, table = tables(root)
    _, rows, heap = table.to_buffers()
    for wrong in (indices(len(table)), indices(2**32 - 1), b"abc"):
        with pytest.raises(ValueError, match=r"row|u32"):
            add_xattrs(root, rows, heap, wrong)
    with pytest.raises(FormatError):
        add_xattrs(root, bytes(rows)[:-1], heap, b"")
    assert len(EntryTable(*add_xattrs(root, b"", b"", b""))) == 0


def test_a_refused_call_closes_no_descriptor_of_the_process(root):
    before = os.fstat(0)
    with pytest.raises(ValueError, match="u32"):
        add_xattrs(root, b"", b"", b"abc")
    with pytest.raises(FormatError):
        add_xattrs(root, b"x", b"", b"")
    assert os.path.samestat(os.fstat(0), before)


def test_an_entry_that_is_gone_is_named(root, tmp_path):
    _, table = tables(root)
    _, rows, heap = table.to_buffers()
    (tmp_path / "b").unlink()
    row = next(at for at, entry in enumerate(table) if entry.path == b"b")
    with pytest.raises(FileNotFoundError) as caught:
        add_xattrs(root, rows, heap, indices(row))
    assert caught.value.filename == "b"


def test_a_folder_that_became_a_link_is_not_followed(root, tmp_path):
    _, table = tables(root)
    _, rows, heap = table.to_buffers()
    row = next(at for at, entry in enumerate(table) if entry.path == b"a/one")
    (tmp_path / "a").rename(tmp_path / "moved")
    (tmp_path / "a").symlink_to("moved")
    with pytest.raises(OSError, match=r"a/one|Too many|Not a directory"):
        add_xattrs(root, rows, heap, indices(row))


def test_a_comparison_says_which_files_have_any(root):
    _, table = tables(root)
    _, rows, heap = table.to_buffers()
    files = [at for at, entry in enumerate(table) if entry.kind.value == "file"]
    pairs = indices(*(at for row in files for at in (row, row)))
    plain = differing(root, rows, heap, root, rows, heap, pairs)
    assert plain == bytes(len(files))
    flags = differing(root, rows, heap, root, rows, heap, pairs, xattrs=True)
    having = {entry.path for entry in tables(root)[0] if entry.xattrs}
    assert [bool(flag & 2) for flag in flags] == [table[row].path in having for row in files]
    assert not any(flag & 1 for flag in flags)

"""Entries are values: compared, hashed, pickled, shown; nothing is cleaned."""

import os
import pickle

import pytest

from ocifast.tree import Entry, EntryKind


def test_an_entry_is_a_value() -> None:
    first = Entry(b"a", EntryKind.FILE, size=5, xattrs=((b"user.a", b""),))
    assert first == first._replace()
    assert hash(first) == hash(first._replace())
    assert pickle.loads(pickle.dumps(first)) == first
    with pytest.raises(AttributeError):
        first.size = 6  # type: ignore[misc]


@pytest.mark.parametrize("path", [b"a", b"./a//b/../", b"\xff\xfe", "é".encode(), b"/"])
def test_the_name_is_the_path_and_comes_back(path: bytes) -> None:
    assert os.fsencode(Entry(path, EntryKind.FILE).name) == path


def test_a_sparse_file_may_have_no_regions_at_all() -> None:
    assert Entry(b"a", EntryKind.FILE, regions=()).is_sparse
    assert not Entry(b"a", EntryKind.FILE).is_sparse

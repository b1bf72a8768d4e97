"""What a merge refuses: more than its limits, and tables no parser would make."""

from contextlib import suppress
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.merge_model import TYPES, merged, raw_table
from support.merging import files, link, merge
from support.tables import entry

from ocifast._native.tree_merge import TreeMerge
from ocifast.errors import FormatError, LimitExceeded, StateError
from ocifast.formats.tar import FIELDS, ROW, EntryTable
from ocifast.limits import Limits
from ocifast.tree.entry import EntryKind


def test_more_entries_than_the_limit_are_refused_however_they_come() -> None:
    limits = Limits(entries=5)
    assert len(merge(files(*map(str, range(10))), limits=limits)) == 10
    for layers in (
        [files(*map(str, range(11)))],
        [files("/".join("abcdefghijkl"))],
        [files(str(number)) for number in range(11)],
        [files(("l", "/".join("abcdefghijkl"))), files("l/x")],
        [files("a"), *([entry("a", size=n)] for n in range(11))],
    ):
        with pytest.raises(LimitExceeded) as caught:
            merge(*layers, limits=limits)
        assert caught.value.name == "entries"
        assert caught.value.actual > caught.value.limit


def test_a_limit_of_no_entries_lets_an_empty_tree_through() -> None:
    assert merge([], [entry("./")], limits=Limits(entries=0)) == []
    with pytest.raises(LimitExceeded):
        merge(files("a"), limits=Limits(entries=0))


def test_a_table_larger_than_the_limit_is_not_made() -> None:
    layer = [entry("a" * 100, xattrs=((b"user.a", bytes(100)),))]
    needed = ROW.size + 100 + 8 + 6 + 100
    assert len(merge(layer, limits=Limits(table_bytes=needed))) == 1
    state = TreeMerge(Limits(table_bytes=needed - 1))
    state.apply(*raw_table(layer))
    with pytest.raises(LimitExceeded) as caught:
        state.take()
    assert (caught.value.name, caught.value.limit) == ("table_bytes", needed - 1)
    assert caught.value.actual == needed
    with pytest.raises(StateError):
        state.take()


def test_paths_that_add_up_to_much_more_than_the_tar_had_are_refused() -> None:
    """Each link is short, and each leads deeper."""
    deep = "/".join(["d" * 200] * 20)
    layer = [link("l0", deep)]
    layer += [link(deep.rpartition("/")[0] + f"/{'d' * 200}/l1", deep)]
    layer += [entry(f"l0/l1/{n}") for n in range(100)]
    assert max(len(each.path) for each in merge(layer)) > 8000
    with pytest.raises(LimitExceeded):
        merge(layer, limits=Limits(table_bytes=100_000))


def broken(**fields):
    """A table of one row, some of which is wrong."""
    rows, heap = raw_table([entry("etc/x")])
    values = list(ROW.unpack(rows))
    for name, value in fields.items():
        values[list(FIELDS).index(name)] = value
    return ROW.pack(*values), heap


@pytest.mark.parametrize(
    ("rows", "heap"),
    [
        (bytes(119), b""),
        (bytes(120), b""),
        broken(path_offset=1 << 40),
        broken(path_size=1000),
        broken(link_size=1000),
        broken(xattr_size=5),
        broken(sparse_regions=9),
        broken(type=ord("7")),
        broken(flags=32),
    ],
)
def test_a_table_that_is_not_sound_is_refused_and_closes_the_merge(rows, heap) -> None:
    state = TreeMerge(Limits())
    with pytest.raises(FormatError, match="row"):
        state.apply(rows, heap)
    with pytest.raises(StateError):
        state.apply(b"", b"")


@pytest.mark.parametrize("path", ["", ".", "a", ".wh", ".wh.", "d/.wh.", "wh/", "..", "d/.."])
@pytest.mark.parametrize("as_entries", [False, True])
def test_flags_that_no_parser_would_set_do_no_harm(path, as_entries) -> None:
    below = raw_table(files("d/x", "a", "me"))
    for kind, flags in product(EntryKind, range(32)):
        state = TreeMerge(Limits())
        state.apply(*below)
        made = raw_table([entry(path, kind, link_target=b"d/x")], flags)
        with suppress(FormatError):
            state.apply(*made, as_entries=as_entries)
            EntryTable(*state.take()[:2])


def test_a_whiteout_shorter_than_its_prefix_is_refused_by_its_name() -> None:
    state = TreeMerge(Limits())
    state.apply(*raw_table([entry("ok")]))
    with pytest.raises(FormatError, match="'wh'"):
        state.apply(*raw_table([entry("wh")], 1))


def test_names_with_a_nul_are_different_names() -> None:
    """No parser lets them through, but a table may come from elsewhere."""
    layer = [entry(b"a"), entry(b"a\0"), entry(b"a\0\0"), entry(b"a\0/b"), entry(b"a\0")]
    assert merge(layer) == merged([layer])
    layer[4:] = [entry(b"b\0" * 9), entry(b"b\0" * 8 + b"b"), entry(b"b\0" * 8)]
    assert merge(layer) == merged([layer])


@settings(max_examples=200)
@given(st.data())
def test_rows_of_noise_are_refused_or_merged(data) -> None:
    heap = data.draw(st.binary(min_size=40, max_size=120))
    rows = bytearray()
    for _ in range(data.draw(st.integers(1, 6))):
        spans = [data.draw(st.integers(0, 41)) for _ in range(2)]
        sizes = [data.draw(st.integers(0, 20)) for _ in range(2)]
        rows += ROW.pack(
            *(0, 0, 0, 0, 0, 0),
            *spans,
            *(0, 0),
            *sizes,
            *(0, 0, 0, 0, 0, 0, 0),
            data.draw(st.sampled_from(list(TYPES.values()))),
            data.draw(st.integers(0, 31)),
            0,
        )
    state = TreeMerge(Limits())
    with suppress(FormatError):
        for _ in range(2):
            state.apply(bytes(rows), heap)
        EntryTable(*state.take()[:2])

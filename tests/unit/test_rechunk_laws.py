"""What rechunked layers are: together the same tree, and apart no others than they have to be."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.layer_stacks import STACKS, placed, rows_of
from support.tables import entry, table_of

from ocifast.errors import FormatError
from ocifast.limits import Limits
from ocifast.ops.rechunk_rows import chunked
from ocifast.ops.squash_rows import applied
from ocifast.tree.entry import EntryKind

EXAMPLES = settings().max_examples
THOROUGH = settings(max_examples=150 if EXAMPLES >= 100 else EXAMPLES)


def tree_of(tables):
    return applied(tables, Limits())


def some_tree(files=400, seed=1):
    """Many files in few folders, a few of them large, and links between them."""
    rng, found = random.Random(seed), {}
    for number in range(files):
        folder = f"usr/lib/part{rng.randrange(30)}/sub{rng.randrange(3)}"
        size = 300_000 if number % 97 == 0 else rng.randrange(20_000)
        found[f"{folder}/file{number}"] = entry(f"{folder}/file{number}", size=size)
    folders = {path.rpartition("/")[0] + "/" for path in found}
    made = [entry(path, mtime_ns=10**9) for path in sorted(folders)]
    return [*made, *found.values()]


def with_places(layers):
    """What tells layers apart: their entries, without places in what they are made of."""
    return [
        tuple(
            (each.path, each.kind, each.size, each.mode, each.mtime_ns, each.link_target)
            for each in layer.table
        )
        for layer in layers
    ]


@settings(THOROUGH)
@given(STACKS, st.one_of(st.integers(1, 6), st.sampled_from([-600, -2000])))
def test_rechunked_layers_come_to_the_same_tree(layers, how) -> None:
    tables = [placed(layer) for layer in layers]
    try:
        whole = tree_of(tables)
    except FormatError:
        return
    options = {"layers": how} if how > 0 else {"max_size": -how}
    found = chunked(whole, **options)
    assert rows_of(tree_of([each.table for each in found])) == rows_of(whole)
    if how > 0:
        assert len(found) <= how


@pytest.mark.parametrize("count", [1, 2, 3, 5, 10, 25])
def test_layers_are_as_many_as_allowed_and_no_more(count) -> None:
    found = chunked(tree_of([table_of(some_tree())]), layers=count)
    assert len(found) <= count
    assert len(found) >= count // 2


def test_layers_are_no_larger_than_asked_unless_a_file_is() -> None:
    most = 400_000
    for layer in chunked(tree_of([table_of(some_tree())]), max_size=most)[:-1]:
        files = [each for each in layer.table if each.kind is EntryKind.FILE]
        size = sum(512 + -(-each.size // 512) * 512 for each in files)
        assert size <= most
        assert all(each.size < most // 2 for each in files) or len(files) == 1


def test_every_layer_has_the_folders_it_needs_and_the_top_one_their_times() -> None:
    *parts, top = chunked(tree_of([table_of(some_tree())]), layers=8)
    for layer in parts:
        met = {b""}
        for each in layer.table:
            assert each.path.rstrip(b"/").rpartition(b"/")[0] in met
            met.add(each.path.rstrip(b"/"))
            assert each.kind is not EntryKind.DIRECTORY or each.mtime_ns == 0
    assert {each.kind for each in top.table} == {EntryKind.DIRECTORY}
    assert {each.mtime_ns for each in top.table} == {0, 10**9}  # of those nobody wrote, and others


@pytest.mark.parametrize("change", ["content", "new", "gone", "folder"])
@pytest.mark.parametrize("options", [{"layers": 12}, {"max_size": 500_000}], ids=str)
def test_a_change_stays_in_its_layer(change, options) -> None:
    before = some_tree()
    number = next(n for n, each in enumerate(before) if each.path.endswith(b"file77"))
    after = list(before)
    if change == "content":
        after[number] = before[number]._replace(size=before[number].size + 1, mtime_ns=5)
    elif change == "new":
        after.append(entry("usr/lib/part3/sub1/new", size=100))
    elif change == "gone":
        del after[number]
    else:
        after[0] = before[0]._replace(mtime_ns=77)
    old, new = (
        with_places(chunked(tree_of([table_of(each)]), **options)) for each in (before, after)
    )
    assert len(set(old) - set(new)) == 1
    assert len(set(new) - set(old)) == 1


def test_names_of_an_inode_stay_together() -> None:
    made = some_tree()
    links = [
        entry(f"var/{number}/link", EntryKind.HARDLINK, link_target=each.path)
        for number, each in enumerate(made)
        if each.kind is EntryKind.FILE and number % 3 == 0
    ]
    folders = [entry(f"var/{number}/") for number in range(len(made))]
    for layer in chunked(tree_of([table_of([*made, *folders, *links])]), layers=20):
        paths = {each.path for each in layer.table}
        for each in layer.table:
            assert each.kind is not EntryKind.HARDLINK or each.link_target in paths

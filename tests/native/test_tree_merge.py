"""Layers on top of each other in memory: what the rows say, and how a merge is used."""

import os
import struct
import threading

import pytest
from support.merge_model import NOWHERE, merged, raw_table, taken
from support.merging import BELOW, files, hard, link, merge
from support.tables import DIRECTORY, FILE, HARDLINK, SYMLINK, entry, table_of

from ocifast._native.tree_merge import TreeMerge
from ocifast._native.tree_walk import walk
from ocifast.errors import FormatError, StateError
from ocifast.formats.tar import FIELDS, ROW, EntryTable
from ocifast.limits import Limits
from ocifast.tree.entry import Entry, EntryKind

FLAGS, MODE = list(FIELDS).index("flags"), list(FIELDS).index("mode")
FIFO, CHAR, BLOCK = EntryKind.FIFO, EntryKind.CHAR_DEVICE, EntryKind.BLOCK_DEVICE


# ---- one layer ----


def test_a_layer_comes_out_in_the_order_of_a_tree_with_all_it_says() -> None:
    said = {"mode": 0o4711, "uid": 70_000, "gid": 2**32 - 2, "mtime_ns": -1}
    layer = [
        entry("b", size=7, **said),
        entry("d/", mode=0o1777, uid=4),
        entry("d/null", CHAR, dev_major=1, dev_minor=300),
        entry("d/sda", BLOCK, dev_major=8, dev_minor=2**32 - 1),
        entry("a.x", FIFO),
        link("a", "/no/where"),
        entry("d/Z"),
        entry("d\xff".encode("latin-1") + b"/\xfe"),
    ]
    rows = merge(layer)
    assert rows == merged([layer])
    assert [each.path for each in rows] == [
        *(b"a", b"a.x", b"b", b"d/", b"d/Z", b"d/null", b"d/sda", b"d\xff/", b"d\xff/\xfe")
    ]
    assert rows[2][2:7] == (0o4711, 70_000, 2**32 - 2, -1, 7)


def test_a_parent_that_nobody_wrote_is_a_plain_folder_from_nowhere() -> None:
    rows = merge(files("a/b/c"))
    assert [(r.path, r.mode, r.uid, r.gid, r.mtime_ns, r.source) for r in rows] == [
        (b"a/", 0o755, 0, 0, 0, NOWHERE),
        (b"a/b/", 0o755, 0, 0, 0, NOWHERE),
        (b"a/b/c", 0o644, 0, 0, 0, (0, 0)),
    ]
    again = merge(files("a/b/c"), [entry("a/", mode=0o700, mtime_ns=5)])
    assert (again[0].mode, again[0].mtime_ns, again[0].source) == (0o700, 5, (1, 0))


def test_a_folder_of_no_entry_is_marked_and_on_top_of_others_says_nothing_of_them() -> None:
    upper = TreeMerge(Limits())
    upper.apply(*raw_table(files("a/b/x", "c/")))
    rows, heap, _ = upper.take()
    flags = [row[FLAGS] for row in ROW.iter_unpack(rows)]
    assert flags == [16, 16, 0, 0]
    below = [entry("a/", mode=0o700, mtime_ns=3), link("a/b", "../d"), entry("d/", mode=0o711)]
    again = TreeMerge(Limits())
    again.apply(*raw_table(below))
    again.apply(rows, heap)
    made, *rest = again.take()
    expected = merged([below, files("a/b/x", "c/")])
    assert [row[:-1] for row in taken(made, *rest)] == [row[:-1] for row in expected]
    assert [(row[FLAGS], row[MODE]) for row in ROW.iter_unpack(made)] == [
        *((0, 0o700), (0, 0o777), (0, 0o755), (0, 0o711), (0, 0o644))
    ]
    again = TreeMerge(Limits())
    again.apply(*raw_table(files("a", "c")))
    again.apply(rows, heap)
    assert [row[FLAGS] for row in ROW.iter_unpack(again.take()[0])] == flags


def test_a_row_keeps_its_place_in_the_stream_and_its_sparse_map() -> None:
    regions = ((0, 10), (50, 5))
    one = Entry(b"s", FILE, 100, 15, start_offset=3, header_offset=4, payload_offset=5)
    one = one._replace(regions=regions, xattrs=((b"user.a", b"1"),))
    state = TreeMerge(Limits())
    state.apply(*raw_table([one]))
    assert list(EntryTable(*state.take()[:2])) == [one]


def test_the_names_of_an_inode_share_what_it_is_and_the_first_is_the_file() -> None:
    regions = ((0, 10), (50, 5))
    one = entry("m", size=100, mode=0o600, uid=5, mtime_ns=9, xattrs=((b"user.k", b"v"),))
    one = one._replace(stored_size=15, payload_offset=512, regions=regions)
    state = TreeMerge(Limits())
    state.apply(*raw_table([one, hard("a", "m"), hard("z", "./m", mode=0, uid=1, mtime_ns=1)]))
    first, *others = EntryTable(*state.take()[:2])
    assert first == one._replace(path=b"a")
    for each, path in zip(others, (b"m", b"z"), strict=True):
        same = one._replace(size=0, stored_size=0, payload_offset=0, regions=None)
        assert each == same._replace(path=path, kind=HARDLINK, link_target=b"a")


def test_of_an_xattr_that_is_repeated_the_last_counts_and_names_come_sorted() -> None:
    given = ((b"user.b", b"1"), (b"user.a", b""), (b"user.b", b"22"), (b"user", b"\0"))
    for kind in (FILE, DIRECTORY, SYMLINK):
        (row,) = merge([entry("x", kind, xattrs=given, link_target=b"")])
        assert row.xattrs == ((b"user", b"\0"), (b"user.a", b""), (b"user.b", b"22"))


def test_what_a_parser_made_of_a_tar_is_taken_as_it_is() -> None:
    layer = [entry("d/"), entry("d/f", size=1000), hard("h", "d/f"), link("l", "d")]
    table = table_of(layer)
    state = TreeMerge(Limits())
    state.apply(memoryview(table.array).cast("B"), table.heap)
    rows, heap, source = state.take()
    places = {each.path: each.payload_offset for each in table}
    found = {each.path: each for each in EntryTable(rows, heap)}
    assert found[b"d/f"].payload_offset == places[b"d/f"] > 0
    assert [each[-1] for each in taken(rows, heap, source)] == [(0, 0), (0, 1), (0, 1), (0, 3)]


def test_a_walk_over_a_folder_is_what_it_was_after_a_merge(tmp_path) -> None:
    (tmp_path / "a!").touch()
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/c").write_text("text")
    os.link(tmp_path / "a/b/c", tmp_path / "a/z")
    (tmp_path / "a/l").symlink_to("/b")
    os.mkfifo(tmp_path / "f")
    root = os.open(tmp_path, os.O_RDONLY)
    try:
        rows, heap, _ = walk(root)
    finally:
        os.close(root)
    state = TreeMerge(Limits())
    state.apply(rows, heap)
    assert list(EntryTable(*state.take()[:2])) == list(EntryTable(rows, heap))


def test_no_layer_and_an_empty_one_give_nothing() -> None:
    assert merge() == merge([]) == merge([], []) == merge([entry("./")], [entry("/")]) == []


# ---- its state ----


def test_a_merge_that_was_taken_takes_nothing_more() -> None:
    state = TreeMerge(Limits())
    state.apply(*raw_table(BELOW))
    state.take()
    with pytest.raises(StateError):
        state.apply(*raw_table(BELOW))
    with pytest.raises(StateError):
        state.take()


def test_a_merge_that_has_failed_takes_nothing_more() -> None:
    state = TreeMerge(Limits())
    with pytest.raises(FormatError):
        state.apply(*raw_table([link("l", "l"), entry("l/x")]))
    with pytest.raises(StateError):
        state.apply(*raw_table(BELOW))
    with pytest.raises(StateError):
        state.take()


def test_a_merge_is_initialised_once_and_before_use() -> None:
    state = TreeMerge(Limits())
    with pytest.raises(StateError):
        state.__init__(Limits())
    bare = TreeMerge.__new__(TreeMerge)
    with pytest.raises(StateError):
        bare.apply(b"", b"")
    with pytest.raises(StateError):
        bare.take()
    assert (bare.unmatched, bare.dangling) == (0, 0)


@pytest.mark.parametrize("given", [(None, b""), (b"", None), ("", b""), (b"", 5)])
def test_what_is_no_buffer_is_refused(given) -> None:
    with pytest.raises(TypeError):
        TreeMerge(Limits()).apply(*given)


def test_a_table_is_held_until_the_merge_is_taken() -> None:
    rows, heap = map(bytearray, raw_table(BELOW))
    state = TreeMerge(Limits())
    state.apply(rows, heap)
    with pytest.raises(BufferError):
        rows += b"x"
    found = taken(*state.take())
    rows.clear()
    heap.clear()
    assert found == merge(BELOW)


def test_rows_need_not_be_aligned() -> None:
    rows, heap = raw_table([*BELOW, link("l", "l")])
    state = TreeMerge(Limits())
    state.apply(memoryview(b"123" + rows)[3:], memoryview(b"1" + heap)[1:])
    more, more_heap = raw_table(files("l/x"))
    with pytest.raises(FormatError, match="'l/x'"):
        state.apply(memoryview(b"1" + more)[1:], more_heap)


def test_threads_cannot_use_one_merge_at_once() -> None:
    state, large = TreeMerge(Limits()), raw_table(entry(f"d{n % 97}/{n}") for n in range(50_000))
    outcomes = []

    def run():
        try:
            state.apply(*large)
            outcomes.append("done")
        except StateError:
            outcomes.append("refused")

    threads = [threading.Thread(target=run) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert "done" in outcomes
    assert len(taken(*state.take())) == 50_097


# ---- many and deep ----


def test_a_tree_of_a_thousand_levels_is_made_and_gone_through() -> None:
    path = "/".join(["d"] * 1000)
    rows = merge(files(path, path + "x"))
    assert len(rows) == 1001
    assert rows[-1].path == (path + "x").encode()
    assert rows[-2].path == path.encode()
    assert merge(files(path + "/"), files(".wh.d")) == []


def test_three_hundred_thousand_entries_in_three_layers() -> None:
    def layer(number):
        for n in range(100_000):
            yield entry(f"usr/lib/d{n % 1000}/{number}-{n * 7919 % 100_003}")

    state = TreeMerge(Limits())
    for number in range(3):
        state.apply(*raw_table(layer(number)))
    state.apply(*raw_table([*files("usr/lib/.wh.d7"), entry("usr/", mode=0o700)]))
    rows, _heap, source = state.take()
    assert len(rows) == (2 + 999 + 999 * 300) * ROW.size
    assert len(source) == len(rows) // ROW.size * 8
    assert struct.unpack("=II", bytes(source)[:8]) == (3, 1)

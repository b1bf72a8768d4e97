"""Two trees side by side: every path once, and what differs of the two entries."""

import struct
from itertools import permutations

import pytest
from support.joining import ONE, SECOND, TWO, ZEROS, differs, joined, words
from support.merge_model import raw_table
from support.tables import DIRECTORY, HARDLINK, SYMLINK, entry

from ocifast._native.tree_join import join
from ocifast.errors import FormatError
from ocifast.tree.entry import EntryKind

FIFO, CHAR, BLOCK = EntryKind.FIFO, EntryKind.CHAR_DEVICE, EntryKind.BLOCK_DEVICE


def test_every_path_of_both_is_in_one_pair_in_the_order_of_a_tree() -> None:
    """A slash is before all other bytes, whatever their numbers."""
    names = [
        b"a/",
        b"a/b",
        b"a/z/",
        b"a\x01",
        b"a b",
        b"a-b/",
        b"a-b/c",
        b"a.",
        b"a0",
        b"b",
        b"\xff",
    ]
    rows = list(map(entry, names))
    assert joined(rows, [])[0] == [(n, None) for n in range(len(rows))]
    assert joined([], rows)[0] == [(None, n) for n in range(len(rows))]
    pairs, masks, _ = joined(rows[::2], rows[1::2])
    assert [a if b is None else b for a, b in pairs] == [n // 2 for n in range(len(rows))]
    assert not any(masks)


def test_paths_that_part_behind_many_bytes_are_told_apart() -> None:
    for size in range(20):
        stem = b"/".join([b"name"] * 5)[:size] + b"x"
        rows = [entry(stem + end) for end in (b"", b"/b", b"\x01", b"-", b"-b", b"b", b"\xfe")]
        assert joined(rows, rows[1::2])[0] == [
            *((0, None), (1, 0), (2, None), (3, 1), (4, None), (5, 2), (6, None))
        ]


def test_a_nul_is_no_slash() -> None:
    a, b = [entry(b"a/b")], [entry(b"a\0b")]
    assert joined(a, b)[0] == [(0, None), (None, 0)]
    assert joined(b, a)[0] == [(None, 0), (0, None)]


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize(
    "names", [["b", "a"], ["a", "a"], ["a", "a/"], ["a/b", "a"], ["a-b", "a/b"], ["a", "c", "b"]]
)
def test_a_table_that_is_not_in_the_order_of_a_tree_is_refused(side, names) -> None:
    tables = [raw_table([entry("a")]), raw_table([entry("a")])]
    tables[side] = raw_table(map(entry, names))
    number, which = len(names) - 1, ("first", "second")[side]
    with pytest.raises(FormatError, match=f"row {number} of the {which} table"):
        join(*tables[0], None, *tables[1], None)


def test_only_one_order_of_names_is_taken() -> None:
    taken = []
    for names in permutations(["a", "a/b", "a\x01", "a-b"]):
        try:
            joined(list(map(entry, names)), [])
            taken.append(names)
        except FormatError:
            pass
    assert taken == [("a", "a/b", "a\x01", "a-b")]


@pytest.mark.parametrize("side", [0, 1])
def test_a_table_that_is_not_sound_is_refused(side) -> None:
    for broken in ((bytes(119), b""), (bytes(120), b"")):
        tables = [raw_table([]), raw_table([])]
        tables[side] = broken
        with pytest.raises(FormatError):
            join(*tables[0], None, *tables[1], None)
        tables[side] = (None, b"")
        with pytest.raises(TypeError):
            join(*tables[0], None, *tables[1], None)


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_digests_of_another_number_of_rows_are_refused(size) -> None:
    table = raw_table([entry("a")])
    for first, second in ((bytes(size), None), (None, bytes(size))):
        with pytest.raises(FormatError, match="digests"):
            join(*table, first, *table, second)


# ---- fields ----


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"mode": 0o600}, {"MODE"}),
        ({"uid": 1}, {"OWNER"}),
        ({"gid": 1}, {"OWNER"}),
        ({"mtime_ns": SECOND}, {"MTIME"}),
        ({"size": 1}, {"SIZE", "CONTENT"}),
        ({"xattrs": ((b"user.a", b""),)}, {"XATTRS"}),
        ({"dev_major": 1, "start_offset": 1, "header_offset": 1, "payload_offset": 1}, set()),
        ({"kind": FIFO, "mode": 0o600, "uid": 1}, {"TYPE", "MODE", "OWNER"}),
    ],
)
def test_what_differs_of_a_file_is_told(fields, expected) -> None:
    plain = entry("f")
    assert differs(plain, plain._replace(**fields)) == expected
    assert differs(plain._replace(**fields), plain) == expected


def test_what_a_link_or_a_device_is_counts_only_for_it() -> None:
    assert differs(entry("l", SYMLINK, link_target=b"a"), entry("l", SYMLINK)) == {"LINK"}
    for kind in (CHAR, BLOCK):
        for fields in ({"dev_major": 1}, {"dev_minor": 1}):
            assert differs(entry("d", kind), entry("d", kind, **fields)) == {"DEVICE"}
    assert differs(entry("p", FIFO), entry("p", FIFO, dev_major=1, size=4)) == set()


def test_the_mode_of_a_symlink_means_nothing() -> None:
    link = entry("l", SYMLINK, link_target=b"a", mode=0o777)
    assert differs(link, link._replace(mode=0)) == set()
    assert differs(link, entry("l", mode=0)) == {"TYPE", "MODE"}


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (SECOND, SECOND + 999_999_999, True),
        (SECOND, 2 * SECOND, False),
        (SECOND + 1, SECOND + 2, False),
        (SECOND + 1, SECOND + 1, True),
        (-SECOND, -1, True),
        (-1, 0, False),
        (-SECOND, -SECOND - 1, False),
        (-(2**63), 2**63 - 1, False),
    ],
)
def test_times_are_compared_as_the_coarser_of_both_has_them(a, b, same) -> None:
    expected = set() if same else {"MTIME"}
    assert differs(entry("f", mtime_ns=a), entry("f", mtime_ns=b)) == expected
    assert differs(entry("f", mtime_ns=b), entry("f", mtime_ns=a)) == expected


def test_the_time_of_a_folder_that_is_implied_means_nothing() -> None:
    plain = entry("d/", mtime_ns=SECOND, uid=3)
    for flags in ((16, 0), (0, 16), (16, 16)):
        sides = [raw_table([entry("d/")], flags[0]), raw_table([plain], flags[1])]
        assert words(struct.unpack("=H", bytes(join(*sides[0], None, *sides[1], None)[1]))[0]) == {
            "OWNER"
        }


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (None, None, {"UNREAD"}),
        (ONE, None, {"UNREAD"}),
        (ONE, ZEROS, {"UNREAD"}),
        (ZEROS, TWO, {"UNREAD"}),
        (ONE, TWO, {"CONTENT"}),
        (TWO, TWO, set()),
    ],
)
def test_two_files_of_one_size_are_to_be_read_unless_both_have_a_digest(a, b, expected) -> None:
    assert differs(entry("f", size=3), entry("f", size=3), a, b) == expected
    assert differs(entry("f"), entry("f"), a, b) == set()
    assert differs(entry("f", size=3), entry("f", size=4), a, b) == {"SIZE", "CONTENT"}
    assert differs(entry("f", FIFO), entry("f", FIFO), a, b) == set()


# ---- hard links ----


def hard(path, target, **fields):
    return entry(path, HARDLINK, link_target=target.encode(), **fields)


def test_names_of_an_inode_are_compared_as_the_inode() -> None:
    one = [entry("a", size=5, mode=0o600), hard("b", "a", mode=0o600), hard("c", "a", mode=0o600)]
    two = [entry("a", size=5, mode=0o644), hard("b", "a", mode=0o644), hard("c", "a", mode=0o644)]
    _, masks, unread = joined(one, two)
    assert masks == [{"MODE", "UNREAD"}] * 3
    assert unread == [(0, 0, 0), (1, 0, 0), (2, 0, 0)]
    digests = ONE + ZEROS * 2, ONE + ZEROS * 2
    assert joined(one, two, *digests)[1] == [{"MODE"}] * 3


def test_a_name_that_became_one_of_another_inode_is_told() -> None:
    one = [entry("a", size=5), hard("b", "a")]
    two = [entry("a", size=5), entry("b", size=5)]
    pairs, masks, unread = joined(one, two)
    assert masks == [{"UNREAD"}, {"UNREAD", "LINKS"}]
    assert unread == [(0, 0, 0), (1, 0, 1)]
    assert joined(one, two, ONE + ZEROS, ONE + TWO)[1] == [set(), {"CONTENT", "LINKS"}]
    three = [entry("0", size=5), hard("a", "0"), hard("b", "0")]
    assert joined(one, three, ONE * 2, ONE * 3)[1] == [set(), {"LINKS"}, {"LINKS"}]
    assert pairs == [(0, 0), (1, 1)]


def test_links_to_nothing_are_compared_by_their_text() -> None:
    assert differs(hard("h", "no"), hard("h", "no")) == set()
    assert differs(hard("h", "no"), hard("h", "none")) == {"LINK"}
    assert differs(hard("h", "h"), hard("h", "h")) == set()
    assert differs(hard("h", "no"), entry("h")) == {"TYPE", "LINKS"}
    one, two = [entry("a"), hard("h", "a")], [hard("h", "a")]
    assert joined(one, two)[1] == [set(), {"TYPE"}]


def test_a_link_to_a_folder_finds_it_with_or_without_its_slash() -> None:
    for spelled in ("d", "d/"):
        one = [entry(spelled, DIRECTORY, mode=0o700), hard("h", "d")]
        two = [entry("d", DIRECTORY, mode=0o700), hard("h", "d")]
        assert joined(one, two)[1] == [set(), set()]


def test_large_trees_are_joined() -> None:
    def rows(step):
        return [entry(f"{n:06}", size=n % 7) for n in range(0, 120_000, step)]

    pairs, masks, unread = joined(rows(2), rows(3))
    assert len(pairs) == 80_000
    assert sum(None not in each for each in pairs) == 20_000
    assert len(unread) == sum(mask == {"UNREAD"} for mask in masks) == 17_142

"""What of a tree differs from the layers below it. The law: base and difference make the tree."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tables import DIRECTORY, HARDLINK, SYMLINK, entry, table_of

from ocifast.formats.tar import EntryTable
from ocifast.limits import Limits
from ocifast.ops.effective_tree import TreeLayer, of_layers
from ocifast.ops.pack_base import changed

SECOND = 10**9


def names(table):
    return [each.name for each in table]


def effective(layers):
    """What layers come to, as entries by path."""
    return {each.path.rstrip(b"/"): each for each in applied(*layers)}


def applied(*layers):
    """What layers come to, as a table in the order of a tree."""
    tables = [layer if isinstance(layer, EntryTable) else table_of(layer) for layer in layers]
    return of_layers([TreeLayer(table, None) for table in tables], Limits()).table


def difference(tree, lower, prefix=b""):
    return changed(table_of(tree), applied(lower), prefix)


BASE = [
    entry("etc/"),
    entry("etc/motd", size=3, mtime_ns=SECOND),
    entry("etc/passwd", size=9, mtime_ns=SECOND),
    entry("usr/"),
    entry("usr/lib/"),
    entry("usr/lib/x", size=1),
]


def test_nothing_is_packed_when_nothing_differs():
    assert names(difference(BASE, BASE)) == []


def test_what_is_new_comes_with_its_parents():
    tree = [*BASE, entry("usr/lib/y", size=1)]
    assert names(difference(tree, BASE)) == ["usr/", "usr/lib/", "usr/lib/y"]


def test_what_is_gone_is_a_whiteout_of_the_topmost_path():
    tree = [each for each in BASE if not each.path.startswith(b"usr/lib")]
    found = list(difference(tree, BASE))
    assert [each.name for each in found] == ["usr/", "usr/.wh.lib"]
    assert found[1].is_whiteout
    assert (found[1].mode, found[1].mtime_ns, found[1].size) == (0, 0, 0)


@pytest.mark.parametrize(
    "change",
    [
        {"size": 4},
        {"mtime_ns": 2 * SECOND},
        {"mode": 0o600},
        {"uid": 5},
        {"gid": 5},
        {"xattrs": ((b"user.a", b"b"),)},
    ],
)
def test_each_thing_a_table_says_of_a_file_makes_a_difference(change):
    tree = [each._replace(**change) if each.path == b"etc/motd" else each for each in BASE]
    assert names(difference(tree, BASE)) == ["etc/", "etc/motd"]


def test_parts_of_a_second_and_the_time_of_a_folder_make_none():
    tree = [each._replace(mtime_ns=5 * SECOND) if each.kind is DIRECTORY else each for each in BASE]
    assert names(difference(tree, BASE)) == []


def test_a_link_that_points_elsewhere_differs():
    base = [entry("a", SYMLINK, link_target=b"b")]
    tree = [entry("a", SYMLINK, link_target=b"c")]
    assert names(difference(tree, base)) == ["a"]


def test_all_names_of_an_inode_come_when_one_has_changed():
    tree = [entry("a", size=1), entry("b", HARDLINK, link_target=b"a"), entry("c", size=1)]
    assert names(difference(tree, [entry("a", size=1), entry("c", size=1)])) == ["a", "b"]


def test_a_folder_that_became_a_file_is_that_file_alone():
    assert names(difference([entry("usr", size=1)], BASE[3:])) == ["usr"]


def test_a_file_that_became_a_folder_is_that_folder():
    assert names(difference([entry("a/"), entry("a/b")], [entry("a")])) == ["a/", "a/b"]


def test_only_the_folder_of_the_prefix_is_compared():
    lower = [entry("opt/"), entry("opt/app/"), entry("opt/app/old"), entry("opt/other")]
    found = difference([entry("new")], lower, b"opt/app")
    assert names(found) == [".wh.old", "new"]


def test_parents_that_no_layer_names_are_there_all_the_same():
    assert names(difference([entry("x")], [entry("a/b/c"), entry("x")])) == [".wh.a"]


def test_whiteouts_hide_what_is_below_their_layer_only():
    layers = [
        [entry("a/"), entry("a/old"), entry("b")],
        [entry("a/new"), entry("a/.wh..wh..opq"), entry(".wh.b"), entry("b", size=2)],
    ]
    found = effective(layers)
    assert sorted(found) == [b"a", b"a/new", b"b"]
    assert found[b"b"].size == 2


def test_a_file_over_a_folder_hides_what_is_in_it():
    assert sorted(effective([[entry("a/"), entry("a/b")], [entry("a")]])) == [b"a"]


parts = st.sampled_from(["a", "b", "c"])


@st.composite
def trees(draw):
    """A tree in which no file is a folder too."""
    found = {}
    for path in draw(st.lists(st.lists(parts, min_size=1, max_size=3), max_size=8)):
        above = ["/".join(path[:depth]) for depth in range(1, len(path))]
        if any(found.get(each, "d") == "f" for each in above) or "/".join(path) in found:
            continue
        found |= dict.fromkeys(above, "d")
        found["/".join(path)] = draw(st.sampled_from("df"))
    return [
        entry(f"{path}/", mode=draw(st.sampled_from([0o755, 0o700])))
        if kind == "d"
        else entry(path, size=draw(st.integers(0, 2)))
        for path, kind in sorted(found.items(), key=lambda item: item[0].split("/"))
    ]


def shape(entries):
    return {
        path: (each.kind, each.mode, each.size if each.kind is not DIRECTORY else 0)
        for path, each in entries.items()
    }


@given(lower=trees(), tree=trees())
def test_base_and_difference_make_the_tree(lower, tree):
    layer = changed(table_of(tree), applied(lower))
    assert shape(effective([lower, layer])) == shape(effective([tree]))
    assert names(layer) == sorted(names(layer), key=lambda name: name.split("/")), "in tree order"

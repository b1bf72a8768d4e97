"""Whiteouts in a merge (W): they act on the layers below, whatever the order."""

import pytest
from support.merge_model import NOWHERE, merged, raw_table, taken
from support.merging import BELOW, fails, files, hard, link, merge, tree
from support.tables import FILE, HARDLINK, entry

from ocifast._native.tree_merge import TreeMerge
from ocifast.limits import Limits


def test_w01_a_whiteout_of_no_name_is_refused() -> None:
    assert fails(BELOW, files("etc/.wh.")) == "etc/.wh."
    assert fails(files(".wh.")) == ".wh."


@pytest.mark.parametrize("name", [".wh..", ".wh..."])
def test_w02_a_whiteout_of_a_dot_name_removes_nothing(name) -> None:
    """The parser refuses it; a table from elsewhere cannot get at the folder or its parent."""
    assert tree(BELOW, files(f"etc/{name}", name)) == tree(BELOW)


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_w03_an_opaque_whiteout_hides_what_is_below_wherever_it_stands(turn) -> None:
    upper = [entry("etc/", mode=0o700), *files("etc/new", "etc/sub/d", "etc/.wh..wh..opq")]
    found = tree(BELOW, upper[turn:] + upper[:turn])
    assert found == ["etc/", "etc/new", "etc/sub/", "etc/sub/d", "lnk -> etc", "top"]


def test_w03_an_emptied_folder_is_still_what_it_was() -> None:
    rows = merge([entry("etc/", mode=0o711, uid=3), *BELOW], files("etc/.wh..wh..opq"))
    assert (rows[0].path, rows[0].mode, rows[0].uid, rows[0].source) == (b"etc/", 0o711, 3, (0, 0))
    assert [each.path for each in rows] == [b"etc/", b"lnk", b"top"]


def test_w03_an_opaque_root_hides_all_of_the_layers_below() -> None:
    upper = files("etc/new", ".wh..wh..opq", "x")
    assert tree(BELOW, upper) == ["etc/", "etc/new", "x"]
    assert tree(BELOW, upper, files("./.wh..wh..opq", "y"), files("z")) == ["y", "z"]
    assert merge(BELOW, upper)[0].source == NOWHERE


def test_w04_a_whiteout_never_removes_what_its_own_layer_brings() -> None:
    for upper in (files("etc/a", "etc/.wh.a"), files("etc/.wh.a", "etc/a")):
        rows = merge(BELOW, upper)
        (found,) = (each for each in rows if each.path == b"etc/a")
        assert found.source[0] == 1
        assert [each.path for each in rows] == [each.path for each in merge(BELOW)]


def test_w04_a_folder_that_is_removed_and_made_again_has_only_what_is_new() -> None:
    for upper in (files("etc/", "etc/n", ".wh.etc"), files(".wh.etc", "etc/n")):
        assert tree(BELOW, upper) == ["etc/", "etc/n", "lnk -> etc", "top"]


def test_w05_the_folder_of_a_whiteout_is_found_through_links() -> None:
    assert tree(BELOW, files("lnk/.wh.a", "lnk/sub/.wh.c")) == [
        *("etc/", "etc/b", "etc/sub/", "lnk -> etc", "top")
    ]
    assert tree(BELOW, files("lnk/.wh..wh..opq")) == ["etc/", "lnk -> etc", "top"]


def test_w05_a_link_that_becomes_a_folder_hides_nothing_of_where_it_led() -> None:
    for upper in (
        files("lnk/", "lnk/.wh.a", "lnk/.wh..wh..opq"),
        files("lnk/.wh.a", "lnk/.wh..wh..opq", "./lnk/"),
    ):
        expected = ["etc/", "etc/a", "etc/b", "etc/sub/", "etc/sub/c", "lnk/", "top"]
        assert tree(BELOW, upper) == expected


def test_w05_links_below_a_link_that_becomes_a_folder_stay_whatever_the_order() -> None:
    """`l/m/` is not `d/m`, as `l` leads there no more; so `d/m` is not what becomes a folder."""
    below = files("d/", ("d/m", "/e"), ("l", "d"), "e/x")
    expected = ["d/", "d/m -> /e", "e/", "e/x", "l/", "l/m/"]
    assert tree(below, files("l/m/", "l/")) == tree(below, files("l/", "l/m/")) == expected
    assert tree(below, files("d/m/.wh.x", "l/m/", "l/")) == [
        *("d/", "d/m -> /e", "e/", "l/", "l/m/")
    ]


def test_w05_a_link_in_circles_that_becomes_a_folder_is_no_trouble() -> None:
    below = files(("l", "l"))
    for upper in (files("l/x/", "l/"), files("l/", "l/x/"), files("l/x/y/", "l/", "l/.wh.x")):
        found = tree(below, upper[::-1])
        assert found[:2] == ["l/", "l/x/"]


def test_w06_a_whiteout_of_any_kind_is_one_and_is_never_in_the_tree() -> None:
    odd = [entry("etc/.wh.a/"), link("etc/.wh.b", "x"), hard("etc/.wh.sub", "top")]
    assert tree(BELOW, odd) == ["etc/", "lnk -> etc", "top"]


def test_w07_housekeeping_of_aufs_is_passed_over_and_no_source_of_links() -> None:
    layer = files(".wh..wh.plnk/", ".wh..wh.plnk/1.2", ".wh..wh.aufs", "a")
    assert tree(layer, [hard("b", ".wh..wh.plnk/1.2")]) == ["a", "b = .wh..wh.plnk/1.2"]
    assert [each.path for each in merge(layer, as_entries=True)] == [b"a"]


def test_w08_an_opaque_folder_and_whiteouts_inside_it() -> None:
    upper = files("etc/.wh.a", "etc/.wh..wh..opq", "etc/.wh.none", "etc/sub/.wh.c", "etc/b")
    for turned in (upper, upper[::-1]):
        assert tree(BELOW, turned) == ["etc/", "etc/b", "lnk -> etc", "top"]


def test_w08_of_two_names_of_an_inode_one_stays_when_the_other_is_removed() -> None:
    below = [entry("a", size=9, mode=0o600), hard("b", "a"), hard("c", "a")]
    rows = merge(below, files(".wh.a"))
    assert rows == merged([below, files(".wh.a")])
    assert [(each.path, each.kind, each.size, each.mode) for each in rows] == [
        (b"b", FILE, 9, 0o600),
        (b"c", HARDLINK, 0, 0o600),
    ]
    assert tree(below, files(".wh.a"), [hard("a", "c")]) == ["a", "b = a", "c = a"]
    assert tree(below, files(".wh.a"), [hard("z", "a")]) == ["b", "c = b", "z = a"]


def test_w08_the_order_of_whiteouts_is_nothing_even_through_links_they_remove() -> None:
    upper = files(".wh.lnk", "lnk/.wh.a", "etc/.wh..wh..opq", ".wh.etc")
    for turn in range(4):
        assert tree(BELOW, upper[turn:] + upper[:turn]) == ["top"]
    upper = files(".wh.lnk", "lnk/.wh.a")
    assert tree(BELOW, upper) == tree(BELOW, upper[::-1])


def test_w10_two_layers_squashed_are_the_layers() -> None:
    """A table without whiteouts that replaces the whole tree gives the same tree again."""
    layers = [BELOW, files("etc/.wh..wh..opq", "etc/new"), [hard("h", "top"), link("etc/l", "..")]]
    state = TreeMerge(Limits())
    for each in layers:
        state.apply(*raw_table(each))
    rows, heap, _ = state.take()
    for below in ([], BELOW):
        again = TreeMerge(Limits())
        again.apply(*raw_table(below))
        again.apply(*raw_table(files(".wh..wh..opq")))
        again.apply(rows, heap)
        found = [each[:-1] for each in taken(*again.take())]
        assert found == [each[:-1] for each in merge(*layers)]


def test_as_entries_whiteouts_are_in_the_tree_and_remove_nothing() -> None:
    layer = files("etc/.wh.a", "etc/a", ".wh..wh..opq", "lnk/.wh..wh..opq", ("lnk", "etc"))
    rows = merge(layer, as_entries=True)
    assert [each.path for each in rows] == [
        *(b".wh..wh..opq", b"etc/", b"etc/.wh.a", b"etc/a", b"lnk")
    ]
    assert merge(layer, layer, as_entries=True)[0].source == (1, 2)


def test_whiteouts_that_removed_nothing_and_links_to_nothing_are_counted() -> None:
    state = TreeMerge(Limits())
    layers = [
        [*files("a", "d/x", ".wh.a", "no/.wh..wh..opq"), hard("h", "none")],
        [*files(".wh.a", ".wh.b", "d/.wh..wh..opq", "no/.wh.c"), hard("i", "d"), hard("j", "h")],
    ]
    for each in layers:
        state.apply(*raw_table(each))
    assert (state.unmatched, state.dangling) == (4, 3)
    state.take()
    assert (state.unmatched, state.dangling) == (4, 3)

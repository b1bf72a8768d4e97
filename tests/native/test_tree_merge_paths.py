"""Paths in a merge (P): through links inside the root, and what replaces what."""

import pytest
from support.merge_model import merged, raw_table
from support.merging import BELOW, fails, files, hard, link, merge, tree
from support.tables import DIRECTORY, FILE, SYMLINK, entry

from ocifast._native.tree_merge import TreeMerge
from ocifast.limits import Limits
from ocifast.tree.entry import EntryKind

FIFO, CHAR, BLOCK = EntryKind.FIFO, EntryKind.CHAR_DEVICE, EntryKind.BLOCK_DEVICE


def test_p01_a_path_is_below_the_root_however_it_is_spelled() -> None:
    layer = files("/a", "//b", "./c", "d//e/./f", "./g/.//", "/.//h/.")
    assert tree(layer) == ["a", "b", "c", "d/", "d/e/", "d/e/f", "g/", "h"]


def test_p02_a_path_cannot_leave_the_root() -> None:
    assert tree(files("../../a", "b/../../c")) == ["a", "b/", "c"]
    for path in ("..", "a/..", "a/../", "/../."):
        assert fails([entry(path, DIRECTORY)]) == path


def test_p03_parents_are_found_through_links_of_any_layer_inside_the_root() -> None:
    run = files("run/", ("var/run", "/run"), ("var/lock", "../run/lock"), ("out", "/../../run"))
    upper = files("var/run/pid", "var/lock/l", "out/o")
    expected = ["out -> /../../run", "run/", "run/lock/", "run/lock/l", "run/o", "run/pid"]
    expected += ["var/", "var/lock -> ../run/lock", "var/run -> /run"]
    assert tree(run, upper) == tree(run + upper) == expected


def test_p03_the_last_component_is_never_followed() -> None:
    below = files("d/x", ("l", "d"))
    assert tree(below, files("l")) == ["d/", "d/x", "l"]
    assert tree(below, [link("l", "e")]) == ["d/", "d/x", "l -> e"]
    assert tree(below, files("l/")) == ["d/", "d/x", "l/"]


def test_p03_a_link_to_nothing_makes_the_folders_it_names() -> None:
    assert tree(files(("l", "no/such")), files("l/x")) == [
        *("l -> no/such", "no/", "no/such/", "no/such/x")
    ]


def test_p03_a_name_of_the_inode_of_a_link_leads_where_the_link_does() -> None:
    layer = [link("a/l", "b"), hard("m", "a/l"), entry("m/x"), entry("a/l/y")]
    assert tree(layer) == ["a/", "a/b/", "a/b/y", "a/l -> b", "b/", "b/x", "m = a/l"]


@pytest.mark.parametrize("path", ["", ".", "/.", "./", "/"])
@pytest.mark.parametrize("kind", [kind for kind in EntryKind if kind is not DIRECTORY])
def test_p04_the_root_can_only_be_a_directory(path, kind) -> None:
    assert fails([entry(path, kind, link_target=b"etc")]) == path
    assert fails(BELOW, [entry(path, kind, link_target=b"top")]) == path
    assert tree(BELOW, [entry(path, DIRECTORY, mode=0)]) == tree(BELOW)


CHAINS = [
    [link("inner/up", ".."), link("inner/up/escape", "../victim"), entry("inner/up/escape/x")],
    [link("cur", "."), link("par", "cur/.."), entry("par/x"), entry("cur/cur/par/cur/y")],
    [link("a/b/c/up", "../.."), link("a/b/escape", "c/up/../.."), entry("a/b/escape/x")],
    [link("a/b/c/up", "../.."), hard("a/b/h", "c/up/../../a/b/c/up"), entry("a/b/h/x")],
    [link("a", "/b"), link("b", "c"), link("c", "../d"), link("d", "./e/"), entry("a/x")],
    [link("e", ""), entry("e/x")],
    [entry("a/b/"), link("a/l", "/a/b/../b/.."), entry("a/l/l/l/x"), hard("y", "a/l/l/x")],
]


@pytest.mark.parametrize("chain", CHAINS)
def test_p05_chains_of_links_end_inside_the_root(chain) -> None:
    together = tree(chain)
    assert tree(chain[:-1], chain[-1:]) == tree(*([each] for each in chain)) == together
    assert not any(name.startswith(("..", "/")) for name in together)


def test_p05_forty_links_are_followed_and_no_more() -> None:
    def chain(count):
        return [link(f"l{n}", f"l{n + 1}") for n in range(1, count)] + [link(f"l{count}", "end")]

    assert "end/x" in tree(chain(40), files("l1/x"))
    assert fails(chain(41), files("ok", "l1/x", "after")) == "l1/x"
    assert fails(chain(41), files("l1/.wh.x")) == "l1/.wh.x"
    assert fails(chain(41), [hard("h", "l1/x")]) == "h"


@pytest.mark.parametrize("target", ["l", "./l", "/l", "m/..//l", "l/l"])
def test_p05_a_link_in_circles_is_an_error_that_names_the_path(target) -> None:
    below = [link("l", target), entry("m/")]
    assert tree(below, [hard("h", "l")])[0].startswith("h -> ")
    assert fails(below, files("ok", "l/x")) == "l/x"


def test_p08_a_hard_link_changes_nothing_of_its_inode() -> None:
    below = [entry("su", mode=0o4755, size=9, uid=0)]
    rows = merge(below, [hard("evil", "su", mode=0o777, uid=7, mtime_ns=5, size=1)])
    assert {(each.mode, each.uid, each.mtime_ns) for each in rows} == {(0o4755, 0, 0)}
    assert [each.source for each in rows] == [(0, 0), (0, 0)]


def test_p09_a_hard_link_to_a_symlink_is_a_name_of_the_symlink() -> None:
    below = [entry("passwd", size=5), link("l", "passwd", mode=0o777)]
    upper = [hard("h", "l", mode=0o666), hard("i", "h")]
    assert tree(below, upper) == ["h -> passwd", "i = h", "l = h", "passwd"]
    assert {each.mode for each in merge(below, upper)[:3]} == {0o777}


@pytest.mark.parametrize("target", ["none", "d", "d/", "no/such", ".", "", "x/..", "d/..", "f/x"])
def test_a_hard_link_to_nothing_or_a_folder_is_kept_with_its_own_text(target) -> None:
    layer = [entry("d/"), entry("f"), hard("h", target, mode=0o604, uid=4, mtime_ns=3)]
    assert tree(layer) == ["d/", "f", f"h = {target}"]
    assert merge(layer)[-1][2:6] == (0o604, 4, 0, 3)


def test_a_link_to_a_link_to_nothing_is_one_too() -> None:
    layer = [hard("a", "none"), hard("b", "a"), hard("c", "c")]
    assert tree(layer) == ["a = none", "b = a", "c = c"]
    assert tree(layer, files("none"), [hard("a", "none"), hard("b", "a")]) == [
        *("a", "b = a", "c = c", "none = a")
    ]


def test_a_hard_link_to_itself_leaves_what_is_there() -> None:
    below = [entry("a", size=4), hard("b", "a")]
    assert tree(below, [hard("a", "a"), hard("b", "a"), hard("a", "b")]) == ["a", "b = a"]


def test_the_target_of_a_hard_link_may_be_in_a_lower_layer_or_spelled_oddly() -> None:
    below = files("usr/bin/x", ("bin", "usr/bin"))
    upper = [hard("a", "/bin//x"), hard("b", "./usr/../bin/x"), hard("c/d", "../../bin/x/")]
    assert tree(below, upper) == [
        *("a", "b = a", "bin -> usr/bin", "c/", "c/d = a", "usr/", "usr/bin/", "usr/bin/x = a")
    ]


def test_a_link_that_becomes_a_folder_may_have_another_name_before() -> None:
    below = files(("l", "d"), "d/x")
    upper = [hard("h", "l"), *files("l/"), hard("i", "l")]
    assert tree(below, upper) == ["d/", "d/x", "h -> d", "i = l", "l/"]
    assert tree(below, [*files(".wh.l"), *upper]) == ["d/", "d/x", "h = l", "i = l", "l/"]
    state = TreeMerge(Limits())
    for each in (below, files(".wh.l", "l/")):
        state.apply(*raw_table(each))
    assert state.unmatched == 0


def test_a_link_whose_folder_comes_out_somewhere_else_stays() -> None:
    """`z/z/z/k/` is `k`, and `k/l/` then no more `d/l`."""
    below = files("d/", ("k", "d"), ("d/l", "no"), ("z", "/"))
    for upper in (files("k/l/", "z/z/z/k/"), files("z/z/z/k/", "k/l/")):
        assert tree(below, upper) == ["d/", "d/l -> no", "k/", "k/l/", "z -> /"]


def test_p13_a_file_that_is_used_as_a_folder_is_replaced_by_one() -> None:
    for kind in (FILE, FIFO, CHAR):
        assert tree([entry("a", kind)], files("a/b")) == ["a/", "a/b"]
        assert tree([entry("a", kind), entry("a/b")]) == ["a/", "a/b"]
    assert tree([hard("a", "none")], files("a/b/")) == ["a/", "a/b/"]
    both = [entry("a", size=6), hard("z", "a")]
    assert tree(both, files("a/b")) == ["a/", "a/b", "z"]
    assert tree(both[:1], [hard("a/b", "a")]) == ["a/", "a/b"]


def test_p14_what_is_of_another_type_is_replaced_with_all_below_it() -> None:
    folder, old_link = files("x/", "x/deep/er", "y/z"), files(("x", "y"), "y/z")
    for kind in (FILE, SYMLINK, FIFO, CHAR, BLOCK):
        new = [entry("x", kind, link_target=b"y" if kind is SYMLINK else b"")]
        expected = ["x" + " -> y" * (kind is SYMLINK), "y/", "y/z"]
        assert tree(folder, new) == tree(old_link, new) == expected
        assert tree(folder, new, folder) == ["x/", "x/deep/", "x/deep/er", "y/", "y/z"]
    assert tree(old_link, files("x/")) == ["x/", "y/", "y/z"]
    assert tree(folder, [hard("x", "y/z")]) == ["x", "y/", "y/z = x"]
    assert tree(folder, [hard("x", "x/deep/er")]) == ["x", "y/", "y/z"]


def test_p14_a_folder_over_a_folder_keeps_its_content_and_takes_new_metadata() -> None:
    said = {"mode": 0o1700, "uid": 3, "gid": 4, "mtime_ns": 5, "xattrs": ((b"user.a", b"b"),)}
    rows = merge([entry("d/", xattrs=((b"user.z", b""),)), entry("d/x")], [entry("d/", **said)])
    assert [each.path for each in rows] == [b"d/", b"d/x"]
    assert rows[0][2:6] == (0o1700, 3, 4, 5)
    assert rows[0].xattrs == said["xattrs"]


def test_p15_what_replaces_a_name_of_an_inode_leaves_the_other_names() -> None:
    below = [entry("a", size=9), hard("b", "a"), link("l", "x"), hard("m", "l")]
    for kind in (FILE, DIRECTORY, FIFO):
        upper = [entry("a", kind, mode=0), entry("l", kind, mode=0)]
        rows = {each.path.rstrip(b"/"): each for each in merge(below, upper)}
        assert (rows[b"b"].kind, rows[b"b"].size, rows[b"b"].mode) == (FILE, 9, 0o644)
        assert (rows[b"m"].kind, rows[b"m"].link) == (SYMLINK, b"x")
        assert merge(below, upper) == merged([below, upper])


def test_p16_of_two_entries_of_a_path_the_last_counts() -> None:
    layer = [entry("a", size=1), entry("./a", size=2), entry("d/", mode=1), entry("d/x")]
    layer += [entry("d", DIRECTORY, mode=2), entry("/a", FIFO)]
    rows = merge(layer)
    assert [(each.path, each.kind, each.mode) for each in rows] == [
        (b"a", FIFO, 0o644),
        (b"d/", DIRECTORY, 2),
        (b"d/x", FILE, 0o644),
    ]
    assert rows == merged([layer])

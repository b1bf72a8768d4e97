"""Names and links (P) against `unpack`: what they lead to is inside of the root, or refused.

What each path comes to is the merge's to say (`test_tree_merge_paths.py`), what is refused the
parser's (`test_tar_paths.py`). Here are the files that come of it, and those outside that stay.
"""

import os
import shutil

import pytest
from support.canary import xattrs_of
from support.hostile import PROFILES, Ground, parents
from support.images import Link, layout_files, make_sample, write_folder
from support.merging import files, hard, link
from support.tables import DIRECTORY, FILE, SYMLINK, entry

from ocifast import LimitExceeded, OcifastError, TarError, unpack
from ocifast.tree.entry import EntryKind

FIFO = EntryKind.FIFO


@pytest.fixture
def ground(scratch):
    return Ground(scratch)


# ---- P01 to P04: one name ----


@pytest.mark.parametrize("profile", PROFILES)
def test_p01_an_absolute_path_is_below_the_root_and_reported(ground, profile) -> None:
    at = f"{ground.victim}/secret"
    new, double = entry(at, size=40), entry("//etc/x", size=9)
    expected = [*parents(ground.inside + "/x"), f"{ground.inside}/secret", "etc/", "etc/x"]
    assert ground.unpack([new, double], profile=profile) == sorted(expected)
    assert ground.holds(new)
    assert ground.holds(double)
    assert any("absolute" in text for text in ground.findings)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("path", ["../x", "../victim/secret", "/../x", "./../../x", "..", "../"])
def test_p02_a_path_that_begins_outside_is_refused(ground, profile, path) -> None:
    found = ground.refuses(TarError, [entry("ok"), entry(path)], profile=profile)
    assert found.code == "dotdot"


@pytest.mark.parametrize(
    "path", ["a/../x", "a/../../victim/x", "a/../../../../../../x", "a/b/../x"]
)
def test_p02_dots_inside_are_refused_or_stay_inside(ground, path) -> None:
    assert ground.refuses(TarError, [entry(path)], profile="strict").code == "dotdot"
    found = ground.unpack([entry("a/b/"), link("a/l", str(ground.victim)), entry(path, size=7)])
    assert {each for each in found if each.endswith("x")} <= {"x", "victim/x", "a/x"}


@pytest.mark.parametrize("to", ["{}", "../{}", "../../../../..{}", "//.{}/."])
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("together", [True, False])
def test_p03_below_a_link_is_where_it_leads_inside_the_root(ground, to, profile, together) -> None:
    """Images need it (`/var/run -> /run`), so such a link cannot just be refused."""
    below = [link("l", to.format(ground.victim))]
    upper = [entry("l/secret", size=5), entry("l/sub/", mode=0o777), entry("l/new", size=6)]
    layers = [below + upper] if together else [below, upper]
    expected = [f"l -> {to.format(ground.victim)}", *parents(ground.inside + "/x")]
    expected += [f"{ground.inside}/{name}" for name in ("new", "secret", "sub/")]
    assert ground.unpack(*layers, profile=profile) == sorted(expected)
    assert ground.holds(upper[0], f"{ground.inside}/secret")
    assert ground.mode(f"{ground.inside}/sub") == 0o777


def test_p03_the_last_component_is_never_followed(ground) -> None:
    new = entry("l", size=30)
    assert ground.unpack([link("l", f"{ground.victim}/secret")], [new]) == ["l"]
    assert ground.holds(new)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("path", ["", ".", "/.", "./", "/", ".//."])
@pytest.mark.parametrize("kind", [kind for kind in EntryKind if kind is not DIRECTORY])
def test_p04_the_root_is_a_folder_and_nothing_else(ground, profile, path, kind) -> None:
    """A link in its place once took all that followed to where it led (CVE-2021-29136)."""
    odd = entry(path, kind, link_target=os.fsencode(ground.victim) if kind in LINKS else b"")
    later = [entry("secret", size=9), entry("sub/", mode=0o777)]
    for layers in ([[odd, *later]], [[odd], later], [later, [odd]]):
        ground.refuses(TarError, *layers, profile=profile)


LINKS = {SYMLINK, EntryKind.HARDLINK}


@pytest.mark.parametrize("profile", PROFILES)
def test_p04_metadata_of_the_root_is_that_of_the_destination_and_of_nothing_above(
    ground, profile
) -> None:
    root = entry("./", mode=0o751, mtime_ns=7_000_000_001)
    assert ground.unpack([root, entry("a")], [entry("b")], profile=profile) == ["a", "b"]
    assert (ground.mode("."), ground.stat(".").st_mtime_ns) == (0o751, 7_000_000_001)


@pytest.mark.parametrize("path", [".../", "./.../", "..../"])
def test_p04_names_of_dots_are_names_and_not_the_root(ground, path) -> None:
    found = ground.unpack([entry("./", mode=0o755), entry(path, mode=0o777)])
    assert found == [path.removeprefix("./")]
    assert (ground.mode("."), ground.mode(path)) == (0o755, 0o777)


def test_p04_the_root_is_known_however_it_is_spelled(ground) -> None:
    for path in (".", "/", "./", "././", "//", "./" * 40, "/" * 90):
        ground.unpack([entry(path, DIRECTORY, mode=0o711), entry("a")], replace=True)
        assert ground.mode(".") == 0o711, path


# ---- P12 to P16: one name for two things ----


@pytest.mark.parametrize("to", ["../root-evil", "../root-evil/", "{}-evil", "../root-evil/."])
def test_p12_a_sibling_whose_name_begins_alike_is_outside(ground, to) -> None:
    to = to.format(ground.dest)
    ground.refuses(TarError, [entry("../root-evil/secret")])
    attack = [link("l", to), entry("l/secret", size=4), entry("l/sub/", mode=0o777)]
    found = ground.unpack(attack)
    assert [each for each in found if each.endswith("root-evil/secret")]


def test_p13_a_file_used_as_a_folder_is_refused_within_a_layer_and_replaced_across(ground) -> None:
    for kind in (FILE, FIFO):
        parts = [entry("a", kind), entry("a/b", size=2)]
        assert ground.refuses(TarError, parts, profile="strict").code == "file-parent"
        for profile in PROFILES:
            found = ground.unpack(parts[:1], parts[1:], profile=profile, replace=True)
            assert found == ["a/", "a/b"]
        assert ground.unpack(parts, replace=True) == ["a/", "a/b"]
        assert any("used both" in text for text in ground.findings)
        shutil.rmtree(ground.dest)


KINDS = {
    "file": [entry("x", size=5)],
    "folder": files("x/", "x/deep/", "x/deep/er", "x/keep"),
    "link": [link("x", "/y")],
    "link away": [link("x", "../victim")],
    "fifo": [entry("x", FIFO)],
    "twin": [entry("t", size=6), hard("x", "t")],
}


@pytest.mark.parametrize("below", KINDS)
@pytest.mark.parametrize("above", KINDS)
def test_p14_what_is_of_another_type_is_replaced_with_all_below_it(ground, below, above) -> None:
    base = files("y/", "y/secret")
    found = ground.unpack(base + KINDS[below], KINDS[above])
    alone = ground.unpack(KINDS[above], replace=True)
    expected = {"y/", "y/secret", *alone} | ({"t"} if below == "twin" != above else set())
    assert set(found) == expected
    ground.unpack(base + KINDS[below], replace=True)
    assert set(ground.unpack(KINDS[above], keep=True)) == expected


def test_p14_a_folder_over_a_folder_takes_its_metadata_whole(ground) -> None:
    old = entry("d/", mode=0o1777, mtime_ns=3, xattrs=((b"user.a", b"1"), (b"user.b", b"2")))
    new = entry("d/", mode=0o700, mtime_ns=5_000_000_000, xattrs=((b"user.b", b"3"),))
    for kept in (False, True):
        ground.report([old, entry("d/x")], replace=True)
        found = ground.unpack(
            *([[new]] if kept else [[old, entry("d/x")], [new]]), keep=kept, replace=not kept
        )
        assert found == ["d/", "d/x"]
        assert (ground.mode("d"), ground.stat("d").st_mtime_ns) == (0o700, 5_000_000_000)
        assert xattrs_of(str(ground.dest / "d")) in ((("user.b", b"3"),), ())


def test_p15_other_names_of_an_inode_keep_its_bytes(ground) -> None:
    old, new = entry("a", size=50, mode=0o644), entry("a", size=20, mode=0o777)
    assert ground.unpack([old, hard("b", "a")], [new]) == ["a", "b"]
    assert ground.holds(new)
    assert ground.holds(old, "b")
    assert (ground.mode("a"), ground.mode("b")) == (0o777, 0o644)


def test_p15_what_is_kept_is_never_written_into(ground) -> None:
    """The name in the destination is one more of a file that is somewhere else."""
    ground.dest.mkdir()
    mine = ground.aside / "mine"
    mine.write_bytes(b"mine")
    os.link(mine, ground.dest / "a")
    (ground.dest / "d").mkdir()
    os.link(mine, ground.dest / "d/b")
    before = os.stat(mine)
    new = [entry("a", size=9, mode=0o777), hard("d/b", "a"), entry("c", size=1)]
    assert ground.unpack(new, keep=True) == ["a", "c", "d/", "d/b = a"]
    after = os.stat(mine)
    assert mine.read_bytes() == b"mine"
    assert (after.st_mode, after.st_mtime_ns, after.st_nlink) == (
        before.st_mode,
        before.st_mtime_ns,
        1,
    )


@pytest.mark.parametrize(
    ("first", "second"), [("a", "a"), ("a", "./a"), ("/a", "a"), ("d/a", "d//a"), ("d/a", "d/./a")]
)
def test_p16_of_two_entries_of_a_path_the_last_counts_unless_strict(ground, first, second) -> None:
    parts = [entry(first, size=5), entry(second, size=9)]
    assert ground.refuses(TarError, parts, profile="strict").code == "duplicate"
    ground.report(parts)
    assert ground.holds(parts[1], first.strip("/"))
    assert any("second entry" in text for text in ground.findings)


# ---- P18 to P22 ----


def test_p19_files_of_the_image_are_not_read(ground) -> None:
    """Nobody asks who root is in there: such a pipe would be waited for without end."""
    odd = [entry("etc/passwd", FIFO), link("etc/group", f"{ground.victim}/secret")]
    assert "etc/passwd" in ground.unpack(odd)
    assert "etc/passwd" in ground.unpack([entry("etc/x")], keep=True)


@pytest.mark.parametrize("what", ["index.json", "oci-layout", "manifest", "layer"])
def test_p20_a_file_of_a_layout_that_is_a_link_is_refused(ground, what) -> None:
    sample = make_sample(1)
    stored = layout_files(sample)
    names = {"layer": f"blobs/sha256/{sample.layers[0].digest[7:]}"}
    names["manifest"] = next(name for name, data in stored.items() if b'"layers"' in (data or b""))
    name = names.get(what, what)
    outside = ground.aside / "outside"
    outside.write_bytes(stored[name])
    layout = write_folder(ground.aside / "layout", stored | {name: Link(str(outside))})
    with pytest.raises((OcifastError, OSError)):
        unpack(f"oci:{layout}", ground.dest, workers=0)
    ground.canary.check()
    assert not ground.dest.exists()


def test_p21_names_are_bytes(ground) -> None:
    names = [
        b"caf\xc3\xa9",
        b"cafe\xcc\x81",
        b"caf\xe9",
        b"A",
        b"a",
        b"a ",
        b"a\\b",
        b"new\nline",
        b"-rf",
    ]
    new = [entry(name, size=20) for name in names]
    assert ground.unpack(new) == sorted(map(os.fsdecode, names))
    assert all(map(ground.holds, new))


def test_p22_trees_that_are_too_deep_are_refused_and_deep_ones_can_be_removed(ground) -> None:
    ground.refuses(LimitExceeded, [entry("d/" * 1025)], match="depth")
    ground.report([entry("d/" * 600)])
    assert ground.unpack([entry("x")], replace=True) == ["x"]


def test_p22_what_links_make_of_a_path_counts_too(ground) -> None:
    """Folder upon folder by short names: each costs the way to it, however it is reached."""
    chain = [entry("d/" * 600), link("l", "d/" * 600), entry("l/" + "e/" * 600)]
    ground.refuses(LimitExceeded, chain, match="depth")

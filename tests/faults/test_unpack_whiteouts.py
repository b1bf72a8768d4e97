"""Whiteouts (W) against `unpack`: they hide what is in layers below, and nothing anywhere else.

The same rows as of a merge (`test_tree_merge_whiteouts.py`), with files; in the form of overlayfs
too, and over a destination that is kept, which is one more layer below.
"""

import os
import stat

import pytest
from support.canary import IS_ROOT, look
from support.hostile import PROFILES, Ground, content_of
from support.merging import BELOW, files, hard, link
from support.tables import entry

from ocifast import TarError, TreeError, unpack
from ocifast.ops.pack import pack_layer

ALL = ["etc/", "etc/a", "etc/b", "etc/sub/", "etc/sub/c", "lnk -> etc", "top"]

root_only = pytest.mark.skipif(not IS_ROOT, reason="only root may make whiteouts of overlayfs")


@pytest.fixture
def ground(scratch):
    return Ground(scratch)


@pytest.fixture(params=["layers", "kept"])
def over(request, ground):
    """Unpack a layer over others, which are layers too, or are in the destination already."""

    def run(below, *layers, **options):
        if request.param == "layers":
            return ground.unpack(below, *layers, replace=True, **options)
        ground.report(below, replace=True)
        return ground.unpack(*layers, keep=True, **options)

    return run


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("options", [{}, {"overlay": True}])
@pytest.mark.parametrize("folder", ["", "etc/", "./", "lnk/"])
def test_w01_a_whiteout_of_no_name_is_refused(ground, profile, options, folder) -> None:
    found = ground.refuses(TarError, BELOW, files(f"{folder}.wh."), profile=profile, **options)
    assert found.code == "whiteout"


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("path", [".wh..", ".wh...", "etc/.wh..", "etc/.wh...", "lnk/.wh..."])
def test_w02_a_whiteout_of_the_folder_or_what_is_above_is_refused(ground, profile, path) -> None:
    for layers in ((BELOW, files(path)), (files(path),)):
        assert ground.refuses(TarError, *layers, profile=profile).code == "whiteout"


def test_w02_a_refused_layer_changes_nothing_of_what_is_kept(ground) -> None:
    ground.report(BELOW)
    with pytest.raises(TarError):
        ground.report(files("new", ".wh.top", "etc/.wh..."), keep=True)
    assert ground.tree() == ALL
    with pytest.raises(TarError):
        ground.report(files("new", ".wh.top", "etc/.wh..."), replace=True)
    assert ground.tree() == ALL


@pytest.mark.parametrize("turn", range(4))
@pytest.mark.parametrize("profile", PROFILES)
def test_w03_an_opaque_whiteout_hides_what_is_below_wherever_it_stands(over, turn, profile) -> None:
    upper = [entry("etc/", mode=0o700), *files("etc/new", "etc/sub/d", "etc/.wh..wh..opq")]
    found = over(BELOW, upper[turn:] + upper[:turn], profile=profile)
    assert found == ["etc/", "etc/new", "etc/sub/", "etc/sub/d", "lnk -> etc", "top"]


def test_w03_an_opaque_root_hides_all_and_nothing_of_what_is_above_the_root(over, ground) -> None:
    assert over(BELOW, files("x", ".wh..wh..opq", "etc/new")) == ["etc/", "etc/new", "x"]
    assert over(BELOW, files(".wh..wh..opq")) == []
    assert ground.dest.is_dir()


def test_w04_a_whiteout_never_hides_what_its_own_layer_brings(over, ground) -> None:
    new = entry("etc/a", size=30)
    for upper in ([new, *files("etc/.wh.a")], [*files("etc/.wh.a"), new]):
        assert over(BELOW, upper) == ALL
        assert ground.holds(new)
    for upper in (files("etc/n", ".wh.etc"), files(".wh.etc", "etc/n")):
        assert over(BELOW, upper) == ["etc/", "etc/n", "lnk -> etc", "top"]


@pytest.mark.parametrize("to", ["{}", "../victim", "../../../../..{}", "../root-evil"])
def test_w05_the_folder_of_a_whiteout_is_found_through_links_inside_the_root(
    over, ground, to
) -> None:
    to = to.format(ground.victim)
    found = over([link("l", to)], files("l/.wh.secret", "l/sub/.wh..wh..opq", "l/.wh..wh..opq"))
    assert found == [f"l -> {to}"]
    inside = f"{to}/secret" if to.startswith("/") else f"{to.replace('../', '')}/secret"
    below = [link("l", to), *files(inside.lstrip("/"), "kept")]
    found = over(below, files("l/.wh.secret"))
    assert "kept" in found
    assert not [each for each in found if each.endswith("secret")]


def test_w05_a_whiteout_removes_a_link_and_not_what_it_leads_to(over, ground) -> None:
    below = [*BELOW, link("away", str(ground.victim)), link("etc/s", "../../victim/secret")]
    found = over(below, files(".wh.away", "etc/.wh.s", ".wh.lnk"))
    assert found == [each for each in ALL if "lnk" not in each]


@pytest.mark.parametrize(
    "parts",
    [
        files("etc/.wh.a/"),
        [entry("etc/.wh.a", size=5)],
        [link("etc/.wh.a", "../../victim/secret")],
        [hard("etc/.wh.a", "top"), *files("top")],
        files("etc/.wh.a/../../victim/x"),
        files("etc/.wh.a/secret"),
    ],
)
def test_w06_a_whiteout_that_is_no_empty_file_is_refused_and_never_one_in_the_tree(
    ground, parts
) -> None:
    assert ground.refuses(TarError, BELOW, parts, profile="strict").code in {
        *("whiteout-form", "dotdot")
    }
    found = ground.unpack(BELOW, parts)
    assert not [each for each in found if each.endswith((".wh.a", ".wh.a -> ../../victim/secret"))]
    assert any("no empty" in text or "not an empty" in text for text in ground.findings)


def test_w07_housekeeping_of_aufs_is_passed_over_and_no_source_of_links(ground) -> None:
    layer = [*files(".wh..wh.plnk/", ".wh..wh.aufs", ".wh..wh.orph/", "a")]
    layer.append(entry(".wh..wh.plnk/1.2", size=9))
    assert ground.refuses(TarError, layer, profile="strict").code == "aufs"
    assert ground.unpack(layer) == ["a"]
    with pytest.raises(ValueError, match="b"):
        ground.unpack([*layer, hard("b", ".wh..wh.plnk/1.2")], replace=True)
    assert ground.tree() == ["a"]


@pytest.mark.parametrize("turn", range(5))
def test_w08_an_opaque_folder_with_whiteouts_inside_it(over, turn) -> None:
    upper = files("etc/.wh.a", "etc/.wh..wh..opq", "etc/.wh.none", "etc/sub/.wh.c", "etc/b")
    found = over(BELOW, upper[turn:] + upper[:turn])
    assert found == ["etc/", "etc/b", "lnk -> etc", "top"]


def test_w08_of_two_names_of_an_inode_one_stays_when_the_other_is_removed(over, ground) -> None:
    first = entry("a", size=9, mode=0o600)
    below = [first, hard("b", "a"), hard("c", "a")]
    assert over(below, files(".wh.a")) == ["b", "c = b"]
    assert ground.read("c") == content_of(first)
    assert ground.stat("b").st_nlink == 2
    assert over(below, files(".wh.a"), [hard("a", "c")]) == ["a", "b = a", "c = a"]
    assert over(below, [*files(".wh.a"), entry("a", size=3)]) == ["a", "b", "c = b"]


def test_w08_what_is_removed_and_brought_again_is_new(over, ground) -> None:
    new = entry("etc/sub/c", size=7, mode=0o640)
    found = over(BELOW, files(".wh.etc"), [new])
    assert found == ["etc/", "etc/sub/", "etc/sub/c", "lnk -> etc", "top"]
    assert ground.holds(new)


def test_w09_no_file_ever_has_the_name_of_a_whiteout(over) -> None:
    upper = files(".wh.none", "etc/.wh..wh..opq", "d/.wh.x", "d/y", ".wh.top/")
    found = over(BELOW, upper)
    assert found == ["d/", "d/y", "etc/", "lnk -> etc"]


@pytest.mark.parametrize("layers", range(1, 4))
def test_w10_packed_and_unpacked_again_the_tree_is_the_same(ground, layers) -> None:
    stack = [
        [*BELOW, hard("h", "top")],
        files("etc/.wh..wh..opq", "etc/new"),
        [hard("i", "h"), link("etc/l", "../.."), *files("etc/sub/.wh.c", ".wh.lnk")],
    ][:layers]
    found = ground.unpack(*stack)
    pack_layer(ground.dest, ground.aside / "layer", workers=0)
    unpack(ground.aside / "layer", ground.dest, replace=True, workers=0, rootless=not IS_ROOT)
    assert ground.tree() == found


# ---- the form of overlayfs ----


def is_whiteout(status):
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def is_opaque(path):
    names = os.listxattr(path)
    return "trusted.overlay.opaque" in names and os.getxattr(path, "trusted.overlay.opaque") == b"y"


@root_only
def test_w03_w04_w08_in_the_form_of_overlayfs_each_layer_has_what_is_its_own(ground) -> None:
    upper = [*files("etc/a", "etc/.wh.a", "etc/.wh.b", "etc/sub/.wh..wh..opq", ".wh.top", "lnk2/")]
    found = ground.unpack(BELOW, upper, overlay=True)
    assert found == [
        *("0/", *(f"0/{each}" for each in ALL)),
        *("1/", "1/etc/", "1/etc/a", "1/etc/b", "1/etc/sub/", "1/lnk2/", "1/top"),
    ]
    assert is_whiteout(ground.stat("1/etc/b"))
    assert is_whiteout(ground.stat("1/top"))
    assert stat.S_ISREG(ground.stat("1/etc/a").st_mode)
    assert is_opaque(ground.dest / "1/etc/sub")
    assert not is_opaque(ground.dest / "1/etc")


@root_only
def test_w05_in_the_form_of_overlayfs_no_path_leads_out_of_its_layer(ground) -> None:
    below = [link("l", str(ground.victim)), link("m", "../0/etc"), *files("etc/a")]
    upper = [*files("l/.wh.secret", "l/.wh..wh..opq", "m/.wh.a"), entry("l/sub/", mode=0o777)]
    upper += [*files("x"), link("n", "../../victim"), *files("n/secret", "n/.wh.name")]
    ground.refuses(TreeError, below, upper, overlay=True, match="no folder in a layer below")


@root_only
def test_w08_in_the_form_of_overlayfs_there_are_whiteouts_only_of_what_is_below(ground) -> None:
    """In a folder that is not merged with one below, the kernel lists them as broken files."""
    upper = files("new/.wh.x", "etc/.wh..wh..opq", "etc/.wh.a", "etc/n", "etc/sub/.wh.c", ".wh.top")
    found = ground.unpack(BELOW, upper, overlay=True)
    listed = [each for each in found if each.startswith("1/")]
    assert listed == ["1/", "1/etc/", "1/etc/n", "1/top"]
    assert is_whiteout(ground.stat("1/top"))


@root_only
def test_in_the_form_of_overlayfs_folders_nobody_wrote_look_as_those_below(ground) -> None:
    said = {"mode": 0o1751, "uid": 7, "gid": 8, "mtime_ns": 9, "xattrs": ((b"user.a", b"1"),)}
    ground.report([entry("d/", **said), entry("d/x")], files("d/y"), overlay=True)
    below, above = (look(str(ground.dest / number / "d")) for number in "01")
    assert above._replace(inode=below.inode, ctime_ns=below.ctime_ns, size=below.size) == below


@root_only
def test_in_the_form_of_overlayfs_a_hard_link_into_a_layer_below_is_refused(ground) -> None:
    ground.refuses(TreeError, files("a"), [hard("b", "a")], overlay=True, match="b")
    assert ground.unpack(files("a"), [*files("a"), hard("b", "a")], overlay=True) == [
        *("0/", "0/a", "1/", "1/a", "1/b = 1/a")
    ]

"""A base and its changeset, unpacked by umoci, are the tree that was compared: on disk, as root."""

import itertools
import os
import shutil
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from support.changes import Node, names, pairs, put_on_disk, tar_of, tree
from support.packing import age, make_tree, mtree, pack

from ocifast.ops.diff import diff

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="owners and devices need root")

FOLDER = Node("dir", mode=0o755)


@pytest.fixture
def unpack(oracle, tmp_path):
    """Unpack an image of the layout `tmp_path/layout`; gives its root."""
    numbers = itertools.count()

    def run(name, layout=tmp_path / "layout"):
        bundle = layout.parent / f"bundle{next(numbers)}"
        command = [oracle("umoci"), "unpack", "--image", f"{layout}:{name}", str(bundle)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return bundle / "rootfs"

    return run


def stacked(a, b, layout, **options):
    """Make an image of `a` and of the changeset to `b`, and give the changeset's tar."""
    pack(a, f"oci:{layout}:app")
    with diff(f"oci:{layout}:app", b, workers=0) as found:
        found.write_layer(f"oci:{layout}:app", append=True, workers=0, **options)
        found.write_layer(layout.parent / "up.tar", compress="none", workers=0)
    return (layout.parent / "up.tar").read_bytes()


def check_same(root, b):
    with diff(root, b, workers=0) as found:
        assert [(c.kind.value, c.name, *c.fields) for c in found] == []
    assert mtree(root) == mtree(b)


FILE = Node(data=b"content", mtime=9)
KINDS = {
    "file": FILE,
    "other file": Node(data=b"other", mode=0o4711, uid=7, gid=8, xattrs=(("user.a", b"\xff"),)),
    "folder": Node("dir", mode=0o711, mtime=5),
    "symlink": Node("symlink", b"../etc", uid=3),
    "dangling": Node("symlink", b"/no/where"),
    "fifo": Node("fifo", mode=0o640),
    "char": Node("char", device=(1, 3), mode=0o666),
    "block": Node("block", device=(7, 9)),
}


def test_every_kind_of_entry_may_become_every_other(tmp_path, unpack) -> None:
    """And may come, and go; a folder with something in it."""
    kinds = {**KINDS, "full": "full", "none": None}
    before, after = {}, {}
    for number, (old, new) in enumerate(itertools.product(kinds, kinds)):
        for found, kind in ((before, old), (after, new)):
            if kind == "full":
                found[f"d__x{number}"], found[f"d__x{number}__in__it"] = FOLDER, FILE
            elif kinds[kind] is not None:
                found[f"d__x{number}"] = kinds[kind]
    a, b = put_on_disk(tree(**before), tmp_path / "a"), put_on_disk(tree(**after), tmp_path / "b")
    stacked(a, b, tmp_path / "layout")
    check_same(unpack("app"), b)


FULL = {f"usr__{n}": FILE for n in "abc"}
PAIRS = {
    "opaque": (
        tree(**FULL, usr__sub__x=FILE),
        tree(usr__new=FILE, usr__a=FILE._replace(data=b"2")),
        "usr/.wh..wh..opq",
    ),
    "an opaque folder that is empty": (tree(**FULL), tree(usr=FOLDER), "usr/.wh..wh..opq"),
    "an opaque folder in another": (
        tree(**{f"a__{name}": node for name, node in FULL.items()}, a__x=FILE),
        tree(a__usr=FOLDER, a__x=FILE),
        "a/usr/.wh..wh..opq",
    ),
    "whiteouts": (tree(**FULL), tree(usr__a=FILE), "usr/.wh.b"),
    "a whiteout at the top": (tree(a__b__c=FILE, d=FILE), tree(d=FILE), ".wh.a"),
    "all is gone": (tree(a=FILE, **FULL), {}, ".wh.usr"),
    "all came": ({}, tree(a=FILE, **FULL), "usr/a"),
    "a name more": (tree(a=FILE), tree(a=FILE, z__b="a"), "z/b"),
    "a name less": (tree(a=FILE, b="a"), tree(b=FILE), ".wh.a"),
    "names change inodes": (
        tree(a=FILE, b="a", c=FILE._replace(data=b"3"), d="c"),
        tree(a=FILE, d="a", c=FILE._replace(data=b"3"), b="c"),
        "b",
    ),
    "one of two names is changed": (
        tree(a=FILE, b="a"),
        tree(a=FILE, b=FILE._replace(data=b"b")),
        "b",
    ),
    "all names are changed": (
        tree(a=FILE, d__b="a"),
        tree(a=FILE._replace(mode=0o600), d__b="a"),
        "d/b",
    ),
    "metadata of folders": (
        tree(a=FOLDER, a__b=FOLDER, a__b__c=FILE),
        tree(a=FOLDER, a__b=Node("dir", mode=0o1700, uid=4, mtime=8), a__b__c=FILE),
        "a/b/",
    ),
    "a folder becomes a link to another": (
        tree(lib__x=FILE, usr__lib__y=FILE),
        tree(lib=Node("symlink", b"usr/lib"), usr__lib__y=FILE),
        "lib",
    ),
    "a link becomes a folder": (
        tree(lib=Node("symlink", b"usr/lib"), usr__lib__y=FILE),
        tree(lib__x=FILE, usr__lib__y=FILE),
        "lib/x",
    ),
    "names that look like others": (
        tree(**{"a b": FILE, "-x": FILE, "wh.a": FILE, ".wh": FILE}),
        tree(**{"a\nb": FILE, "-y": FILE, "wh.b": FILE, "é": FILE}),
        ".wh..wh",
    ),
}


@pytest.mark.parametrize("b_is", ["folder", "layer"])
@pytest.mark.parametrize("name", PAIRS)
def test_umoci_makes_the_second_tree(name, b_is, tmp_path, unpack) -> None:
    before, after, telling = PAIRS[name]
    a, b = put_on_disk(before, tmp_path / "a"), put_on_disk(after, tmp_path / "b")
    given = b
    if b_is == "layer":
        given = tmp_path / "b.tar"
        given.write_bytes(tar_of(after))
    layer = stacked(a, given, tmp_path / "layout")
    assert telling in names(layer)
    check_same(unpack("app"), b)


def test_a_tree_of_everything_is_changed_and_changed_back(tmp_path, unpack) -> None:
    a = make_tree(tmp_path / "a")
    b = tmp_path / "b"
    shutil.copytree(a, b, symlinks=True, ignore=shutil.ignore_patterns("fifo"))
    for path in ("etc/file0.txt", "usr/lib/file1.txt"):
        (b / path).write_bytes(b"changed")
    shutil.rmtree(b / "usr/lib/deep")
    (b / "usr/lib/deep").symlink_to("/var")
    (b / "empty").rmdir()
    (b / "empty").write_text("a file now")
    os.setxattr(b / "etc/empty", "user.note", b"\0\xff")
    (b / "usr").chmod(0o2755)
    age(b)
    stacked(a, b, tmp_path / "layout")
    check_same(unpack("app"), b)
    with diff(f"oci:{tmp_path}/layout:app", a, workers=0) as found:
        found.write_layer(f"oci:{tmp_path}/layout:app", append=True, workers=0)
    check_same(unpack("app"), a)


def known_to_go(content):
    """Without xattrs that are empty: Go takes an empty record for none."""
    return {
        path: (inode, node._replace(xattrs=tuple(x for x in node.xattrs if x[1])))
        for path, (inode, node) in content.items()
    }


@given(pair=pairs())
@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_trees_at_random_are_made_by_umoci(unpack, tmp_path_factory, pair) -> None:
    top = tmp_path_factory.mktemp("pair")
    a, b = (
        put_on_disk(known_to_go(each), top / name) for name, each in zip("ab", pair, strict=True)
    )
    stacked(a, b, top / "layout")
    check_same(unpack("app", top / "layout"), b)

"""Diff: each thing that can differ, whatever both sides are, and what is not a difference."""

import gc
import gzip
import io
import itertools
import os
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.changes import IS_ROOT, Node, pairs, put_on_disk, tar_of, tree, tree_of
from support.layers import squeeze, zstd
from support.packing import WHEN, age, make_tree, pack
from support.tables import SYMLINK, entry
from support.tables import tar_of as tar_of_entries

import ocifast
from ocifast.ops.diff import diff
from ocifast.ops.layer_index import index_layer
from ocifast.tree.change import FIELDS, ChangeKind

FILE = Node(data=b"12345", mtime=WHEN)
PLACES = ["folder", "layer"]


def run(a, b, **options):
    """Compare in this process, and give the result, closed."""
    with diff(a, b, **({"workers": 0} | options)) as found:
        return found


def seen(found):
    """What a result says, in short."""
    return [(c.kind.value, c.name, *c.fields) for c in found]


def place(kind, content, path):
    """Put a tree where a test wants it: on disk or into a layer."""
    if kind == "folder":
        return put_on_disk(content, path)
    path.write_bytes(tar_of(content))
    return path


CASES = {
    "type": (FILE, FILE._replace(kind="fifo"), ("type",)),
    "mode": (FILE, FILE._replace(mode=0o4711), ("mode",)),
    "user": (FILE, FILE._replace(uid=70_000), ("owner",)),
    "group": (FILE, FILE._replace(gid=9), ("owner",)),
    "size": (FILE, FILE._replace(data=b"1234567"), ("size", "content")),
    "mtime": (FILE, FILE._replace(mtime=WHEN + 1), ("mtime",)),
    "link": (Node("symlink", b"x"), Node("symlink", b"y"), ("link",)),
    "device": (Node("char", device=(1, 3)), Node("char", device=(1, 5)), ("device",)),
    "kind of device": (Node("char", device=(1, 3)), Node("block", device=(1, 3)), ("type",)),
    "xattr": (FILE, FILE._replace(xattrs=(("user.a", b"\xff\0b"),)), ("xattrs",)),
    "value of an xattr": (
        FILE._replace(xattrs=(("user.a", b"1"),)),
        FILE._replace(xattrs=(("user.a", b"2"),)),
        ("xattrs",),
    ),
    "content": (FILE, FILE._replace(data=b"54321"), ("content",)),
    "metadata of a folder": (Node("dir", mode=0o755), Node("dir", mode=0o700), ("mode",)),
    "folder and file": (Node("dir", mode=0o755), Node(mode=0o755), ("type",)),
}
OF_ROOT = ("user", "group", "device", "kind of device")


@pytest.mark.parametrize("b_is", PLACES)
@pytest.mark.parametrize("a_is", PLACES)
@pytest.mark.parametrize("case", CASES)
def test_each_field_is_compared_wherever_both_sides_lie(case, a_is, b_is, tmp_path) -> None:
    old, new, fields = CASES[case]
    if not IS_ROOT and case in OF_ROOT and "folder" in (a_is, b_is):
        pytest.skip("owners and devices are made by root only")
    a = place(a_is, tree(etc__x=old, same=FILE), tmp_path / "a")
    b = place(b_is, tree(etc__x=new, same=FILE), tmp_path / "b")
    found = run(a, b)
    assert seen(found) == [("M", "etc/x" + "/" * (new.kind == "dir"), *fields)]
    assert not run(a, a)
    assert seen(run(a, b, ignore=fields)) == []


@pytest.mark.parametrize("b_is", PLACES)
@pytest.mark.parametrize("a_is", PLACES)
def test_which_names_are_one_file_is_compared(a_is, b_is, tmp_path) -> None:
    a = place(a_is, tree(a=FILE, b="a", z__c=FILE), tmp_path / "a")
    b = place(b_is, tree(a=FILE, b=FILE, z__c="a"), tmp_path / "b")
    assert seen(run(a, b)) == [("M", "b", "links"), ("M", "z/c", "links")]
    assert seen(run(a, b, ignore=("links",))) == []


@pytest.mark.parametrize("b_is", PLACES)
@pytest.mark.parametrize("a_is", PLACES)
def test_what_came_and_what_went_is_found(a_is, b_is, tmp_path) -> None:
    a = place(a_is, tree(a=FILE, dir__x=FILE), tmp_path / "a")
    b = place(b_is, tree(a=FILE, new__y=FILE, z=Node("symlink", b"a")), tmp_path / "b")
    found = run(a, b)
    assert seen(found) == [
        ("D", "dir/"),
        ("D", "dir/x"),
        ("A", "new/"),
        ("A", "new/y"),
        ("A", "z"),
    ]
    assert found.totals == type(found.totals)(
        added=3, deleted=2, same=1, bytes_grown=5, bytes_shrunk=5
    )
    first = next(iter(found))
    assert (first.kind, first.old.name, first.new) == (ChangeKind.DELETED, "dir/", None)


@pytest.mark.parametrize("compress", ["none", "gzip", "zstd", "zstd:chunked", "estargz"])
def test_a_tree_and_its_layer_are_the_same_however_compressed(compress, tmp_path) -> None:
    top = make_tree(tmp_path / "tree")
    (top / os.fsdecode(b"\xff\xfe")).unlink()  # a TOC could not name it
    age(top)
    layer = tmp_path / "layer"
    pack(top, layer, compress=compress)
    extra = {"estargz": [("A", ".no.prefetch.landmark"), ("A", "stargz.index.json")]}
    assert seen(run(top, layer)) == extra.get(compress, [])
    (top / "etc/file0.txt").write_bytes(b"x")
    age(top)
    changed = [("M", "etc/file0.txt", "size", "content"), ("M", "var/twin", "size", "content")]
    assert [each for each in seen(run(top, layer)) if each[0] == "M"] == changed


@pytest.mark.parametrize("form", ["gnu", "posix", "ustar"])
def test_a_tree_and_what_gnu_tar_makes_of_it_are_the_same(form, tmp_path, oracle) -> None:
    top = put_on_disk(
        tree(
            a=Node(data=b"1" * 3000, mtime=WHEN),
            z__b="a",
            etc=Node("dir", mode=0o711, mtime=WHEN),
            etc__link=Node("symlink", b"../a"),
            dev__null=Node("char", device=(1, 3)) if IS_ROOT else FILE,
            fifo=Node("fifo", mode=0o640),
        ),
        tmp_path / "tree",
    )
    if IS_ROOT:
        os.chown(top / "etc", 70_000, 5)
    os.utime(top / "a", ns=(0, WHEN * 10**9 + 123_456_789))
    layer = tmp_path / "layer.tar"
    subprocess.run(
        [oracle("tar"), f"--format={form}", "--sort=name", "-C", top, "-cf", layer, "."],
        check=True,
    )
    assert seen(run(top, layer)) == []
    assert seen(run(layer, top)) == []


def test_times_are_compared_as_exactly_as_both_sides_have_them(tmp_path) -> None:
    a, b = (put_on_disk(tree(x=FILE), tmp_path / name) for name in "ab")
    for fraction, fields in ((0, []), (1, [("M", "x", "mtime")])):
        os.utime(a / "x", ns=(0, WHEN * 10**9 + 5))
        os.utime(b / "x", ns=(0, WHEN * 10**9 + 5 + fraction))
        assert seen(run(a, b)) == fields
        (tmp_path / "layer").write_bytes(tar_of(tree(x=FILE)))
        assert seen(run(a, tmp_path / "layer")) == [], "of which one has whole seconds"


def test_a_time_before_the_epoch_is_rounded_down_as_others_are(tmp_path) -> None:
    top = put_on_disk(tree(x=FILE), tmp_path / "a")
    os.utime(top / "x", ns=(0, -1_500_000_000))
    layer = tar_of_entries([entry("x", size=5, mtime_ns=-2 * 10**9)])
    assert seen(run(top, layer, ignore=("owner",))) == [("M", "x", "content")]


@pytest.mark.parametrize(
    "blob",
    [
        pytest.param(lambda tar: tar, id="plain"),
        pytest.param(lambda tar: squeeze(tar, "gzip"), id="gzip"),
        pytest.param(lambda tar: squeeze(tar, "zstd"), id="zstd"),
        pytest.param(lambda tar: gzip.compress(tar[:700]) + gzip.compress(tar[700:]), id="members"),
        pytest.param(lambda tar: zstd.compress(tar[:9]) + zstd.compress(tar[9:]), id="frames"),
    ],
)
def test_a_layer_is_the_same_however_it_is_compressed_or_given(blob, tmp_path) -> None:
    raw = tar_of(tree(x=FILE, d__y=FILE))
    given = blob(raw)
    path = tmp_path / "layer"
    path.write_bytes(given)
    with path.open("rb") as file:
        for source in (path, str(path), given, bytearray(given), io.BytesIO(given), file.fileno()):
            assert seen(run(source, raw)) == []
    assert seen(run(iter([given[:5], given[5:]]), raw)) == []


def test_an_index_takes_the_place_of_its_layer(tmp_path) -> None:
    a, b = tar_of(tree(x=FILE)), tar_of(tree(x=FILE._replace(data=b"54321")))
    top = put_on_disk(tree(x=FILE), tmp_path / "top")
    index = index_layer(a)
    assert seen(run(index, b)) == seen(run(a, b)) == [("M", "x", "content")]
    assert seen(run(b, index)) == [("M", "x", "content")]
    assert seen(run(index, top)) == []
    assert seen(run(index, a)) == []


def test_renames_join_what_went_and_came_with_one_content(tmp_path) -> None:
    moved = Node(data=b"moved", mtime=WHEN)
    a = tree(old__name=moved, empty1=Node(), twin1=FILE, twin2=FILE)
    b = tree(new__name=moved._replace(mode=0o600), empty2=Node(), other__twin2=FILE)
    for kinds in (("folder", "folder"), ("folder", "layer"), ("layer", "layer")):
        at = tmp_path / "-".join(kinds)
        at.mkdir()
        sides = [
            place(kind, content, at / name)
            for kind, content, name in zip(kinds, (a, b), "ab", strict=True)
        ]
        found = run(*sides, renames=True)
        renamed = [(c.old_path, c.path, c.fields) for c in found if c.kind is ChangeKind.RENAMED]
        assert renamed == [
            (b"old/name", b"new/name", ("mode",)),
            (b"twin2", b"other/twin2", ()),
        ]
        rest = [(c.kind.value, c.name) for c in found if c.kind is not ChangeKind.RENAMED]
        assert rest == [
            ("D", "empty1"), ("A", "empty2"), ("A", "new/"), ("D", "old/"), ("A", "other/"),
            ("D", "twin1"),
        ]  # fmt: skip
        assert (found.totals.renamed, found.totals.deleted) == (2, 3)
        assert (found.totals.bytes_grown, found.totals.bytes_shrunk) == (0, 5)
        assert len(found) == len(list(found))


def test_paths_that_match_a_pattern_do_not_count(tmp_path) -> None:
    a = tar_of(tree(a__keep=FILE, a__x__pyc=FILE, log__1=FILE))
    b = tar_of(tree(a__keep=Node(), a__y=FILE, log__2=FILE))
    assert seen(run(a, b, exclude=("log/", "x/", "keep"))) == [("A", "a/y")]
    assert seen(run(a, b, exclude=("/a", "!log/2", "log/*"))) == []
    assert seen(run(a, b, exclude=("a/", "log/", "!log/2"))) == [], "as git has it"
    with pytest.raises(ValueError, match="pattern"):
        run(a, b, exclude=("!",))


def test_a_name_that_is_left_out_does_not_hide_what_another_name_tells(tmp_path) -> None:
    """The first name of a file stands for it in tables, and is the one that is left out here."""
    old, new = FILE._replace(xattrs=(("user.a", b"1"),)), FILE._replace(xattrs=(("user.a", b"2"),))
    other = FILE._replace(data=b"54321")
    for number, (a, b, changes) in enumerate(
        [
            (tree(a=old, b="a"), tree(a=new, b="a"), [("M", "b", "xattrs")]),
            (tree(a=old, b="a"), tree(a=other, b="a"), [("M", "b", "xattrs", "content")]),
            (tree(a=FILE, b="a"), tree(a=old, b="a"), [("M", "b", "xattrs")]),
            (tree(a=old, b="a"), tree(a=old, b="a"), []),
            (tree(a=old, b="a"), tree(b=old), [("M", "b", "links")]),
        ]
    ):
        at = tmp_path / str(number)
        at.mkdir()
        for kinds in (("folder", "folder"), ("folder", "layer"), ("layer", "layer")):
            sides = [
                place(kind, content, at / f"{kind}-{number}-{'-'.join(kinds)}")
                for number, (kind, content) in enumerate(zip(kinds, (a, b), strict=True))
            ]
            assert seen(run(*sides, exclude=("a",))) == changes, kinds


def test_what_a_rebuild_changes_is_left_out_of_a_semantic_diff() -> None:
    noise = ["usr/lib/x.pyc", "etc/ld.so.cache", "var/log/apt/history.log", "tmp/x", "etc/group-"]
    a = dict.fromkeys(noise, FILE) | {"usr/bin/x": FILE, "usr/bin/y": FILE}
    b = dict.fromkeys(noise, FILE._replace(data=b"other"))
    b |= {"usr/bin/x": FILE._replace(mtime=1), "usr/bin/y": FILE._replace(mode=0o755)}
    sides = tar_of(tree_of(a)), tar_of(tree_of(b))
    assert seen(run(*sides, semantic=True)) == [("M", "usr/bin/y", "mode")]
    assert len(run(*sides)) == len(noise) + 2


def test_a_quick_diff_reads_no_content_and_says_so(tmp_path, monkeypatch) -> None:
    a = put_on_disk(tree(x=FILE, y=FILE), tmp_path / "a")
    b = put_on_disk(tree(x=FILE._replace(data=b"54321"), y=Node(mtime=WHEN)), tmp_path / "b")
    (tmp_path / "b.tar").write_bytes(
        tar_of(tree(x=FILE._replace(data=b"54321"), y=Node(mtime=WHEN)))
    )
    monkeypatch.setattr("ocifast.ops.diff_content.tree_content", None)
    for other in (b, tmp_path / "b.tar"):
        found = run(a, other, quick=True)
        assert seen(found) == [("M", "y", "size", "content")]
        assert found.notes == ("quick: content was not read; size and time stand for it",)


@pytest.mark.parametrize("option", [{"ignore": ("tiem",)}, {"ignore": "mtime"}, {"no": 1}])
def test_an_option_that_is_none_is_refused(option) -> None:
    with pytest.raises((ValueError, TypeError)):
        run(bytes(1024), bytes(1024), **option)


def test_a_result_can_be_iterated_again_and_again(tmp_path) -> None:
    found = run(tar_of(tree(a=FILE)), tar_of(tree(b=FILE)))
    assert list(found) == list(found)
    assert iter(found) is not iter(found)
    assert len(found) == 2
    assert bool(found)


def test_changes_are_made_one_at_a_time(monkeypatch) -> None:
    """However many there are, none is kept."""
    count = 20_000
    many = tar_of_entries(
        entry(f"{number:08}", SYMLINK, link_target=b"x") for number in range(count)
    )
    found = run(bytes(1024), many)
    made = []
    original = type(found.parts[0])._change
    monkeypatch.setattr(
        type(found.parts[0]), "_change", lambda self, n: made.append(n) or original(self, n)
    )
    assert (len(found), found.totals.added, len(found.growth())) == (count, count, 0)
    assert made == []
    changes = iter(found)
    assert next(changes).name == "00000000"
    assert len(made) == 1
    for _ in changes:
        pass
    assert len(made) == count
    gc.collect()
    assert sum(type(each) is ocifast.Change for each in gc.get_objects()) < 10


def test_a_notebook_shows_hostile_names_as_text() -> None:
    name = "<script>alert(1)</script>&'\""
    html = run(bytes(1024), tar_of({name: (1, FILE)}))._repr_html_()
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&amp;" in html
    undecodable = run(bytes(1024), tar_of_entries([entry(b"\xff\xfe<b>")]))._repr_html_()
    assert undecodable.encode()
    assert "<b>" not in undecodable.removeprefix("<div><b>").partition("</b>")[2]
    assert "no difference" in run(bytes(1024), bytes(1024))._repr_html_()


def test_what_a_person_sees_of_a_result_is_short() -> None:
    found = run(tar_of(tree(a=FILE)), tar_of(tree(b=FILE)))
    assert repr(found) == (
        "<Diff of <layer> and <layer>: 1 added, 0 modified, 1 deleted, 0 renamed>"
    )


def test_fields_have_one_order_everywhere() -> None:
    old, new = FILE, Node(data=b"other!", mode=0o600, uid=1, xattrs=(("user.a", b"1"),))
    ((_, _, *fields),) = seen(run(tar_of(tree(x=old)), tar_of(tree(x=new))))
    assert fields == [name for name in FIELDS if name in fields]
    assert len(fields) == 6


@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow])
@given(
    pair=pairs(),
    options=st.fixed_dictionaries(
        {
            "exclude": st.sampled_from([(), ("a",), ("b/",), ("/a/b",), ("*", "!/a")]),
            "ignore": st.sampled_from(
                [(), ("content",), ("xattrs",), ("links",), ("size", "mtime")]
            ),
            "renames": st.booleans(),
            "quick": st.booleans(),
        }
    ),
)
def test_it_makes_no_difference_where_trees_lie(tmp_path_factory, pair, options) -> None:
    at = tmp_path_factory.mktemp("trees")
    folders = [put_on_disk(each, at / name) for each, name in zip(pair, "ab", strict=True)]
    layers = [tar_of(each) for each in pair]
    (first, *others) = (
        [(c.kind, c.path, c.fields, c.old_path, c.growth) for c in run(a, b, **options)]
        for a, b in itertools.product(*zip(folders, layers, strict=True))
    )
    assert others == [first] * 3

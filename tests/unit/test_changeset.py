"""The difference of two trees as a layer. The law: applied to the first, it makes the second."""

import contextlib
import gzip
import os
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from support.changes import (
    Node,
    applied,
    first_names,
    in_order,
    names,
    pairs,
    plain,
    put_on_disk,
    shape,
    tar_of,
    tree,
)

from ocifast.engine import Engine
from ocifast.errors import DigestMismatch, StateError, UnsupportedError
from ocifast.limits import DEFAULT_LIMITS
from ocifast.ops.diff import diff
from ocifast.ops.diff_join import join_trees
from ocifast.ops.diff_options import DiffOptions
from ocifast.ops.effective_tree import TreeLayer, of_layers
from ocifast.ops.layer_index import index_layer, read_layers
from ocifast.ops.path_filter import PathFilter
from ocifast.tree.change import FIELDS

law = settings(max_examples=700, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module")
def engine():
    with Engine(0) as made:
        yield made


def layer_of(found, engine, **options):
    """The tar of the changeset of a diff."""
    descriptor = os.memfd_create("layer")
    try:
        packed = found.write_layer(descriptor, engine=engine, compress="none", **options)
        return os.pread(descriptor, packed.size, 0)
    finally:
        os.close(descriptor)


def changeset(a, b, engine, **options):
    with diff(tar_of(a), tar_of(b), engine=engine, **options) as found:
        return layer_of(found, engine)


def joined(lower, layer, upper, engine):
    """What differs when two layers are applied and compared with one, by ocifast's own means."""
    reports = read_layers(
        [lower, layer, upper],
        engine,
        profile="strict",
        limits=DEFAULT_LIMITS,
        expected=[None] * 3,
    )
    read = [TreeLayer(each.table, each.contents) for each in reports]
    both = of_layers(read[:2], DEFAULT_LIMITS), of_layers(read[2:], DEFAULT_LIMITS)
    return list(join_trees(*both, DiffOptions(), PathFilter(())))


def expected_changes(a, b):
    """What a diff of two trees has to say, worked out path by path."""
    first_a, first_b = first_names(a), first_names(b)
    found = []
    for path in sorted(a.keys() | b.keys(), key=in_order):
        if path not in a or path not in b:
            found.append((path, "A" if path in b else "D", ()))
            continue
        old, new = a[path][1], b[path][1]
        same_kind = old.kind == new.kind
        if same_kind:
            old, new = plain(old), plain(new)
        differs = {
            "type": not same_kind,
            "mode": old.mode != new.mode,
            "owner": (old.uid, old.gid) != (new.uid, new.gid),
            "size": same_kind and old.kind == "file" and len(old.data) != len(new.data),
            "mtime": old.mtime != new.mtime,
            "link": same_kind and old.kind == "symlink" and old.data != new.data,
            "device": same_kind and old.device != new.device,
            "xattrs": old.xattrs != new.xattrs,
            "links": first_a[path] != first_b[path],
            "content": same_kind and old.kind == "file" and old.data != new.data,
        }
        fields = tuple(name for name in FIELDS if differs[name])
        if fields:
            found.append((path, "M", fields))
    return found


@law
@given(pair=pairs())
def test_applied_to_the_first_tree_the_changeset_makes_the_second(engine, pair):
    a, b = pair
    layer = changeset(a, b, engine)
    assert shape(applied(a, layer)) == shape(b)


@law
@given(pair=pairs())
def test_what_differs_is_what_a_comparison_path_by_path_says(engine, pair):
    a, b = pair
    with diff(tar_of(a), tar_of(b), engine=engine) as found:
        seen = [(c.name.rstrip("/"), c.kind.value, c.fields) for c in found]
        assert sum(c.growth for c in found) == found.totals.bytes_grown - found.totals.bytes_shrunk
    assert seen == expected_changes(a, b)


@law
@given(pair=pairs())
def test_a_base_and_its_changeset_do_not_differ_from_the_tree(engine, pair):
    a, b = pair
    layer = changeset(a, b, engine)
    assert joined(tar_of(a), layer, tar_of(b), engine) == []


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(pair=pairs())
def test_the_changeset_to_a_folder_makes_it_too(engine, tmp_path_factory, pair):
    a, b = pair
    top = put_on_disk(b, tmp_path_factory.mktemp("trees") / "b")
    with diff(tar_of(a), top, engine=engine) as found:
        assert bool(found) == (shape(a) != shape(b))
        layer = layer_of(found, engine)
    assert shape(applied(a, layer)) == shape(b)


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(pair=pairs())
def test_two_folders_differ_as_their_layers_do(engine, tmp_path_factory, pair):
    a, b = pair
    at = tmp_path_factory.mktemp("trees")
    tops = put_on_disk(a, at / "a"), put_on_disk(b, at / "b")
    with diff(*tops, engine=engine) as found:
        seen = [(c.name.rstrip("/"), c.kind.value, c.fields) for c in found]
    assert seen == expected_changes(a, b)


def full(count=3, **more):
    """A folder with files in it."""
    return tree(**{f"usr__{name}": Node(data=b"1") for name in "abcdef"[:count]}, **more)


def test_a_folder_that_lost_all_its_content_is_opaque(engine):
    layer = changeset(full(), tree(usr=Node("dir", mode=0o755)), engine)
    assert names(layer) == ["usr/.wh..wh..opq", "usr/"]


def test_a_folder_that_lost_one_file_has_one_whiteout(engine):
    layer = changeset(full(1), tree(usr=Node("dir", mode=0o755)), engine)
    assert names(layer) == ["usr/.wh.a", "usr/"]


def test_a_folder_that_keeps_something_is_not_opaque(engine):
    layer = changeset(full(3), full(1), engine)
    assert sorted(names(layer)) == ["usr/", "usr/.wh.b", "usr/.wh.c"]


def test_a_folder_is_opaque_when_all_that_stays_is_written_anyway(engine):
    after = tree(usr__a=Node(data=b"2"), usr__new=Node())
    layer = changeset(full(), after, engine)
    assert names(layer) == ["usr/.wh..wh..opq", "usr/", "usr/new", "usr/a"]
    assert shape(applied(full(), layer)) == shape(after)


def test_the_root_is_never_opaque(engine):
    before = tree(a=Node(), b=Node(), c=Node())
    assert names(changeset(before, {}, engine)) == [".wh.a", ".wh.b", ".wh.c"]


def test_what_is_in_an_opaque_folder_has_no_whiteouts_of_its_own(engine):
    before = full(sub__a=Node(), usr__deep__a=Node(), usr__deep__b=Node())
    after = tree(usr__deep=Node("dir", mode=0o700), usr__deep__new=Node(), sub__a=Node())
    layer = changeset(before, after, engine)
    assert [name for name in names(layer) if ".wh." in name] == ["usr/.wh..wh..opq"]
    assert shape(applied(before, layer)) == shape(after)


def test_only_the_topmost_of_what_is_gone_has_a_whiteout(engine):
    layer = changeset(tree(a__b__c=Node(), d=Node()), tree(d=Node()), engine)
    assert names(layer) == [".wh.a"]


@pytest.mark.parametrize(
    "after",
    [Node(data=b"now a file"), Node("symlink", b"d"), Node("fifo"), Node("char", device=(1, 3))],
)
def test_what_takes_the_place_of_a_folder_needs_no_whiteout(engine, after):
    layer = changeset(tree(a__b=Node(), d=Node()), tree(a=after, d=Node()), engine)
    assert names(layer) == ["a"]


def test_parents_come_along_with_their_metadata(engine):
    usr, lib = Node("dir", mode=0o711, uid=3), Node("dir", mode=0o700, mtime=5)
    before = tree(usr=usr, usr__lib=lib, etc__x=Node())
    after = tree(usr=usr, usr__lib=lib, usr__lib__new=Node(), etc__x=Node())
    layer = changeset(before, after, engine)
    assert names(layer) == ["usr/", "usr/lib/", "usr/lib/new"]
    assert shape(applied({}, layer)) == shape({p: n for p, n in after.items() if p[0] == "u"})


def test_all_names_of_an_inode_come_when_one_of_them_changed(engine):
    before = tree(a=Node(data=b"1"), z__b="a", c=Node(data=b"3"))
    after = tree(a=Node(data=b"2"), z__b="a", c=Node(data=b"3"))
    layer = changeset(before, after, engine)
    assert names(layer) == ["z/", "a", "z/b"]
    assert shape(applied(before, layer)) == shape(after)


def test_a_name_more_or_less_of_an_inode_is_a_change_of_names_alone(engine):
    one, two = tree(a=Node(data=b"1")), tree(a=Node(data=b"1"), b="a")
    assert names(changeset(one, two, engine)) == ["a", "b"]
    assert names(changeset(two, one, engine)) == [".wh.b"]


def test_no_difference_is_an_empty_layer(engine):
    assert changeset(full(), full(), engine) == bytes(1024)


def test_what_is_ignored_is_not_written(engine):
    before = tree(a=Node(mtime=1), b=Node(uid=1), c=Node(data=b"1"))
    after = tree(a=Node(mtime=2), b=Node(uid=2), c=Node(data=b"2"))
    assert names(changeset(before, after, engine, ignore=("mtime", "owner"))) == ["c"]


def test_what_is_excluded_is_neither_written_nor_removed(engine):
    before = tree(**{f"log__{name}": Node() for name in "abc"}, log__old=Node(data=b"1"), x=Node())
    after = tree(log__new=Node(), x=Node(data=b"2"))
    assert names(changeset(before, after, engine, exclude=("log/",))) == ["x"]
    layer = changeset(before, after, engine, exclude=("old", "new"))
    assert sorted(names(layer)) == ["log/", "log/.wh.a", "log/.wh.b", "log/.wh.c", "x"]
    assert "log/old" in applied(before, layer)


def test_a_rename_is_a_whiteout_and_a_file(engine):
    before, after = tree(a=Node(data=b"same")), tree(b=Node(data=b"same"))
    assert names(changeset(before, after, engine, renames=True)) == [".wh.a", "b"]


@pytest.mark.parametrize("kind", ["folder", "file", "gzip", "buffer", "descriptor"])
def test_contents_come_from_wherever_the_second_tree_lies(engine, tmp_path, kind):
    after = tree(**{f"d__{n}": Node(data=bytes([n]) * n * 3000) for n in range(1, 9)})
    raw = tar_of(after)
    file = tmp_path / "b"
    file.write_bytes(gzip.compress(raw) if kind == "gzip" else b"skipped" + raw)
    with contextlib.ExitStack() as stack:
        given = str(file)
        if kind == "folder":
            given = put_on_disk(after, tmp_path / "tree")
        elif kind == "buffer":
            given = bytearray(raw)
        elif kind in ("file", "descriptor"):
            descriptor = stack.enter_context(open(file, "rb")).fileno()
            os.lseek(descriptor, 7, os.SEEK_SET)
            given = descriptor
        found = stack.enter_context(diff(tar_of(full()), given, engine=engine))
        layer = layer_of(found, engine)
    assert shape(applied(full(), layer)) == shape(after)


def test_a_sparse_file_is_written_whole(engine, tmp_path, oracle):
    top = tmp_path / "b"
    top.mkdir()
    with (top / "sparse").open("wb") as file:
        file.truncate(3 << 20)
        for at in (70_000, 2_000_000):
            file.seek(at)
            file.write(b"data")
    layer = tmp_path / "sparse.tar"
    for form in ("gnu", "posix"):
        command = [oracle("tar"), "--sparse", f"--format={form}", "-C", top, "-cf", layer, "sparse"]
        subprocess.run(command, check=True)
        assert layer.stat().st_size < 1 << 20, "tar has found the holes"
        with diff(bytes(1024), layer, engine=engine) as found:
            written = layer_of(found, engine)
        ((_, node),) = applied({}, written).values()
        assert node.data == (top / "sparse").read_bytes()


def test_a_source_that_is_gone_after_reading_is_refused(engine):
    pieces = iter([tar_of(full())])
    with diff(bytes(1024), pieces, engine=engine) as found:
        assert len(found) == 4
        with pytest.raises(StateError, match="only once"):
            layer_of(found, engine)


def test_a_layer_that_changed_since_it_was_compared_is_refused(engine, tmp_path):
    path = tmp_path / "b.tar"
    raw = tar_of(tree(a=Node(data=b"first")))
    path.write_bytes(raw)
    with diff(bytes(1024), path, engine=engine) as found:
        path.write_bytes(raw.replace(b"first", b"other"))
        with pytest.raises(DigestMismatch) as caught:
            layer_of(found, engine)
    assert "of a" in caught.value.__notes__[0]


def test_an_index_has_no_contents_to_write(engine):
    index = index_layer(tar_of(full()), engine=engine)
    with (
        diff(bytes(1024), index, engine=engine) as found,
        pytest.raises(UnsupportedError, match="only its index"),
    ):
        layer_of(found, engine)
    with diff(index, tar_of(tree(usr__a=Node(data=b"1"))), engine=engine) as found:
        assert sorted(names(layer_of(found, engine))) == ["usr/", "usr/.wh.b", "usr/.wh.c"]


def test_layers_compared_one_by_one_make_no_changeset(engine):
    with (
        diff(bytes(1024), tar_of(full()), layers=True, engine=engine) as found,
        pytest.raises(ValueError, match="one by one"),
    ):
        layer_of(found, engine)


def test_the_same_changeset_comes_from_every_number_of_workers(tmp_path):
    a, b = tmp_path / "a.tar", tmp_path / "b.tar"
    a.write_bytes(tar_of(full()))
    b.write_bytes(tar_of(tree(usr__c=Node(data=b"x" * 100_000), usr__d=Node())))
    digests = set()
    for workers in (0, 1, 2):
        with diff(a, b, workers=workers) as found:
            packed = found.write_layer(tmp_path / "out", overwrite=True, workers=workers)
            digests.add(packed.digest)
    assert len(digests) == 1


def test_a_changeset_has_a_name_only_when_it_is_whole(engine, tmp_path):
    path = tmp_path / "b.tar"
    raw = tar_of(tree(a=Node(data=b"first"), b=Node(data=b"second")))
    path.write_bytes(raw)
    with diff(bytes(1024), path, engine=engine) as found:
        path.write_bytes(raw.replace(b"second", b"broken"))
        with pytest.raises(DigestMismatch):
            found.write_layer(tmp_path / "out", engine=engine)
    assert os.listdir(tmp_path) == ["b.tar"]

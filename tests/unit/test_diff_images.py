"""Diff of images: what their layers come to, layer by layer, their documents, their platforms."""

import dataclasses
import gzip
import hashlib
import json

import pytest
from support.changes import Node, put_on_disk, tar_of, tree
from support.images import (
    CONFIG,
    MANIFEST,
    Sample,
    compact,
    descriptor,
    directory_files,
    docker_files,
    layout_files,
    write_folder,
    write_tar,
)
from support.layers import LAYER, SUFFIX, Layer, sha256, squeeze

from ocifast.errors import DiffIdMismatch, PlatformMismatch, StoreError
from ocifast.ops.diff import diff
from ocifast.ops.document_diff import DocumentChange
from ocifast.ops.image import open_image
from ocifast.ops.layer_index import read_layers

NAME = "example.com/team/app:1"
BASE = tree(etc__motd=Node(data=b"hello"), etc__gone=Node(data=b"gone"), usr__a=Node())


def layer(content, codec="gzip"):
    raw = content if isinstance(content, bytes) else tar_of(content)
    blob = squeeze(raw, codec)
    return Layer(blob, LAYER + SUFFIX[codec], sha256(blob), sha256(raw), len(raw), 0)


def image(*contents, codec="gzip", **more):
    return Sample(tuple(layer(each, codec) for each in contents), (NAME,), **more)


def oci(sample, path):
    return "oci:" + write_folder(path, layout_files(sample))


FORMS = {
    "oci": oci,
    "oci-archive": lambda sample, path: "oci-archive:" + write_tar(path, layout_files(sample)),
    "docker-archive": lambda sample, path: (
        "docker-archive:" + write_tar(path, docker_files(sample))
    ),
    "dir": lambda sample, path: "dir:" + write_folder(path, directory_files(sample)),
}


def run(a, b, **options):
    with diff(a, b, **({"workers": 0} | options)) as found:
        return found


def seen(found):
    return [(c.kind.value, c.name, *c.fields) for c in found]


REMOVED = tree(**{"etc__.wh.gone": Node(mode=0)})
CHANGED = tree(etc__motd=Node(data=b"world"))


@pytest.mark.parametrize("b_is", FORMS)
@pytest.mark.parametrize("a_is", FORMS)
def test_images_are_compared_wherever_they_are_kept(a_is, b_is, tmp_path) -> None:
    a = FORMS[a_is](image(BASE), tmp_path / "a")
    b = FORMS[b_is](image(BASE, REMOVED, CHANGED), tmp_path / "b")
    found = run(a, b)
    assert seen(found) == [("D", "etc/gone"), ("M", "etc/motd", "content")]
    assert found.notes == ("1 layer is the same on both sides, from the bottom",)
    assert {change.document for change in found.documents} >= {"config"}


@pytest.mark.parametrize("form", FORMS)
def test_an_image_is_compared_with_a_folder_and_with_a_layer(form, tmp_path) -> None:
    given = FORMS[form](image(BASE, REMOVED, codec="zstd"), tmp_path / "image")
    after = {path: node for path, node in BASE.items() if path != "etc/gone"}
    assert seen(run(given, put_on_disk(after, tmp_path / "top"))) == []
    assert seen(run(tar_of(after), given)) == []
    bare = given.partition(":")[2]
    if form != "dir":
        assert seen(run(bare, tar_of(BASE))) == [("A", "etc/gone")], "the file says what it is"


def test_an_image_that_is_open_is_one_too(tmp_path) -> None:
    a = open_image(oci(image(BASE), tmp_path / "a"))
    b = open_image(oci(image(BASE, CHANGED), tmp_path / "b"))
    assert seen(run(a, b)) == [("M", "etc/motd", "content")]


def test_the_same_image_is_not_read(tmp_path, monkeypatch) -> None:
    one, two = (oci(image(BASE, CHANGED), tmp_path / name) for name in "ab")
    monkeypatch.setattr("ocifast.ops.side_layers.read_layers", pytest.fail)
    found = run(one, two)
    assert not found
    assert found.notes == ("2 layers are the same on both sides, from the bottom",)


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_a_layer_that_both_have_is_read_once(codec, tmp_path, monkeypatch) -> None:
    """However it is compressed: diff_ids say so."""
    read = []
    monkeypatch.setattr(
        "ocifast.ops.side_layers.read_layers",
        lambda s, *a, **o: read.append(s) or read_layers(s, *a, **o),
    )
    a = oci(image(BASE, CHANGED), tmp_path / "a")
    b = oci(image(BASE, REMOVED, codec=codec), tmp_path / "b")
    assert seen(run(a, b)) == [("D", "etc/gone"), ("M", "etc/motd", "content")]
    assert [len(sources) for sources in read] == [3]


def test_layers_are_compared_one_by_one(tmp_path) -> None:
    a = oci(image(BASE, CHANGED), tmp_path / "a")
    b = oci(image(BASE, REMOVED, CHANGED), tmp_path / "b")
    found = run(a, b, layers=True)
    assert [(c.layer, c.kind.value, c.name) for c in found] == [
        (1, "A", "etc/.wh.gone"),
        (1, "D", "etc/motd"),
        (2, "A", "etc/"),
        (2, "A", "etc/motd"),
    ]
    assert found.notes == ("1 layer is the same, of 3, and not read",)
    assert found.totals.changes == len(found) == 4


def test_layers_of_a_folder_are_refused_and_of_a_layer_there_is_one(tmp_path) -> None:
    with pytest.raises(ValueError, match="folder, and has no layers"):
        run(put_on_disk(BASE, tmp_path / "top"), tar_of(BASE), layers=True)
    found = run(tar_of(REMOVED), tar_of(BASE), layers=True)
    assert [(c.layer, c.name) for c in found if c.kind.value == "D"] == [(0, "etc/.wh.gone")]


def test_whiteouts_of_what_is_not_there_are_noted(tmp_path) -> None:
    absent = tree(**{".wh.nothing": Node(), "usr__.wh..wh..opq": Node(), "no__.wh.way": Node()})
    given = oci(image(BASE, absent), tmp_path / "a")
    found = run(given, tar_of(BASE))
    (note,) = found.notes
    assert note == f"{given}: 2 whiteouts remove what is not there"
    assert seen(found) == [("D", "no/"), ("A", "usr/a")]


def test_hard_links_to_a_lower_layer_are_names_of_one_file(tmp_path) -> None:
    link = tree(etc__twin=Node(data=b"hello"))
    raw = bytearray(tar_of(link))
    at = raw.index(b"etc/twin")
    header = bytes(raw[at : at + 512])
    made = header[:156] + b"1" + b"etc/motd".ljust(100, b"\0") + header[257:]
    made = made[:124] + b"%011o\0" % 0 + made[136:]
    spaced = made[:148] + b" " * 8 + made[156:]
    made = made[:148] + b"%06o\0 " % sum(spaced) + made[156:]
    given = oci(image(BASE, bytes(raw[:at]) + made + bytes(1024)), tmp_path / "a")
    after = {**BASE, "etc/twin": BASE["etc/motd"]}
    assert seen(run(given, put_on_disk(after, tmp_path / "top"))) == []


def test_a_plain_layer_may_have_more_entries_than_an_archive_of_images(tmp_path, monkeypatch):
    monkeypatch.setattr("ocifast.ops.archive_table.MEMBERS", 2)
    path = tmp_path / "layer.tar"
    path.write_bytes(tar_of(BASE))
    assert run(path, bytes(1024)).totals.deleted == 5


def test_an_archive_whose_image_is_damaged_is_not_taken_for_a_layer(tmp_path) -> None:
    files = docker_files(image(BASE))
    del files[next(name for name in files if name.endswith("layer.tar"))]
    path = write_tar(tmp_path / "save.tar", files)
    with pytest.raises(StoreError):
        run(path, bytes(1024))


def test_an_archive_that_is_compressed_is_refused_with_a_reason(tmp_path) -> None:
    path = write_tar(tmp_path / "save.tar.gz", docker_files(image(BASE)), codec="gzip")
    with pytest.raises(StoreError, match="decompress the archive first"):
        run(f"docker-archive:{path}", bytes(1024))


# --- documents


def with_documents(path, runtime=None, annotations=None, **config):
    """A layout of an image whose documents say this."""
    sample = image(BASE, **({"runtime": runtime} if runtime is not None else {}))
    raw = compact(json.loads(sample.config) | config)
    manifest = json.loads(sample.manifest) | {"config": descriptor(raw, CONFIG)}
    if annotations:
        manifest["annotations"] = annotations
    stored = compact(manifest)
    files = layout_files(sample)
    for content in (raw, stored):
        files["blobs/sha256/" + hashlib.sha256(content).hexdigest()] = content
    index = json.loads(files["index.json"])
    index["manifests"] = [descriptor(stored, MANIFEST)]
    files["index.json"] = compact(index)
    return "oci:" + write_folder(path, files)


def documents(a, b, **options):
    return [tuple(each)[1:] for each in run(a, b, **options).documents if each[0] == "config"]


def test_an_environment_is_compared_by_names(tmp_path) -> None:
    a = with_documents(tmp_path / "a", {"Env": ["PATH=/bin", "A=1", "GONE=x"]})
    b = with_documents(tmp_path / "b", {"Env": ["NEW=", "A=2", "PATH=/bin"]})
    assert documents(a, b) == [
        ("/config/Env/A", '"1"', '"2"'),
        ("/config/Env/GONE", '"x"', None),
        ("/config/Env/NEW", None, '""'),
    ]
    twice = with_documents(tmp_path / "c", {"Env": ["PATH=/bin", "A=1", "A=2"]})
    assert ("/config/Env/2", None, '"A=2"') in documents(
        with_documents(tmp_path / "d", {"Env": ["PATH=/bin", "A=1"]}), twice
    )


def test_fields_of_documents_are_named_by_pointers(tmp_path) -> None:
    a = with_documents(tmp_path / "a", {"Labels": {"a/b~c": "1"}, "Cmd": ["x", "y"]}, unknown=1)
    b = with_documents(tmp_path / "b", {"Labels": {"a/b~c": "2"}, "Cmd": ["x"]}, unknown=[1])
    assert documents(a, b) == [
        ("/config/Cmd/1", '"y"', None),
        ("/config/Labels/a~1b~0c", '"1"', '"2"'),
        ("/unknown", "1", None),
        ("/unknown/0", None, "1"),
    ]
    assert bool(run(a, b))
    assert not run(a, b, ignore=("config", "manifest"))


def test_annotations_of_a_manifest_are_compared(tmp_path) -> None:
    a = with_documents(tmp_path / "a", annotations={"version": "1"})
    b = with_documents(tmp_path / "b", annotations={"version": "2"})
    assert run(a, b).documents == (
        DocumentChange("manifest", "/annotations/version", '"1"', '"2"'),
    )
    assert not run(a, b, ignore=("manifest",))


def test_what_a_rebuild_changes_in_documents_is_left_out_of_a_semantic_diff(tmp_path) -> None:
    a = with_documents(tmp_path / "a", created="2024-01-01T00:00:00Z", history=[])
    b = with_documents(tmp_path / "b", created="2025-01-01T00:00:00Z", container="x")
    assert not run(a, b, semantic=True)
    assert [each.pointer for each in run(a, b).documents if each.document == "config"][:2] == [
        "/container",
        "/created",
    ]


# --- platforms


def of_platforms(path):
    arm = image(BASE, CHANGED, platform=("linux", "arm64"))
    return "oci:" + write_folder(path, layout_files(image(BASE), arm, index=True))


def test_images_of_different_platforms_are_not_compared_unless_asked(tmp_path) -> None:
    both = of_platforms(tmp_path / "both")
    arm = oci(image(BASE, platform=("linux", "arm64")), tmp_path / "arm")
    amd = oci(image(BASE), tmp_path / "amd")
    with pytest.raises(PlatformMismatch, match=r"linux/amd64.*linux/arm64") as caught:
        run(amd, arm)
    assert caught.value.exit_code == 2
    assert seen(run(both, both, platform="linux/amd64,linux/arm64")) == [
        ("M", "etc/motd", "content")
    ]
    assert seen(run(both, both, platform="linux/arm64")) == []
    assert seen(run(both, amd, platform="linux/amd64")) == []
    assert seen(run(amd, arm, platform="linux/amd64,linux/arm64")) == []


# --- workers


def test_every_number_of_workers_finds_the_same(tmp_path, no_job_is_small) -> None:
    contents = [
        tree(**{f"d{n}__{m}": Node(data=bytes([n]) * 30_000) for m in range(9)}) for n in range(5)
    ]
    a = oci(image(*contents), tmp_path / "a")
    b = oci(dataclasses.replace(image(*contents[::-1]), names=(NAME,)), tmp_path / "b")
    top = put_on_disk(contents[0], tmp_path / "top")
    (tmp_path / "layer.tar.gz").write_bytes(gzip.compress(tar_of(contents[1])))
    for sides in ((a, b), (b, top), (tmp_path / "layer.tar.gz", a), (top, top)):
        results = [run(*sides, workers=workers) for workers in (0, 1, 2)]
        assert [seen(each) for each in results] == [seen(results[0])] * 3
        assert [each.to_dict() for each in results] == [results[0].to_dict()] * 3


def test_a_strict_diff_refuses_an_image_that_removes_what_is_not_there(tmp_path) -> None:
    given = oci(image(BASE, tree(etc__wrong=Node(), **{"etc__.wh.never": Node(mode=0)})), tmp_path)
    assert run(given, given, profile="strict").totals.changes == 0, "the same layers are not read"
    other = oci(image(BASE), tmp_path / "other")
    assert run(other, given).totals.added == 1
    with pytest.raises(StoreError, match="1 whiteouts remove what is not there"):
        run(other, given, profile="strict")


def test_a_config_that_lies_of_its_diff_ids_is_believed_unless_it_is_strict(tmp_path) -> None:
    """Layers are recognised by what documents promise; strict reads what is stored otherwise."""
    good = layer(BASE)
    evil = layer(CHANGED)._replace(diff_id=good.diff_id)
    a = oci(Sample((good,), (NAME,)), tmp_path / "a")
    b = oci(Sample((evil,), (NAME,)), tmp_path / "b")
    assert not run(a, b, ignore=("manifest",))
    assert run(a, b).documents, "the manifest names another blob"
    with pytest.raises(DiffIdMismatch):
        run(a, b, ignore=("manifest",), profile="strict")
    again = oci(image(BASE, codec="zstd"), tmp_path / "c")
    assert run(a, again, profile="strict").totals.changes == 0


def test_an_archive_that_is_compressed_as_a_whole_is_not_taken_for_a_layer(tmp_path) -> None:
    plain = tmp_path / "save.tar"
    write_tar(plain, docker_files(image(BASE)))
    squeezed = tmp_path / "save.tar.gz"
    squeezed.write_bytes(gzip.compress(plain.read_bytes()))
    assert run(str(plain), tar_of(BASE)).totals.changes == 0
    with pytest.raises(StoreError, match="decompress it first"):
        run(str(squeezed), tar_of(BASE))
    with pytest.raises(StoreError, match="decompress it first"):
        run(tar_of(BASE), gzip.compress(plain.read_bytes()))

"""Reading OCI layouts and `dir:` folders: what is looked up, and what is refused."""

import base64
import json
from pathlib import Path

import pytest
from support.images import (
    CONFIG,
    INDEX,
    MANIFEST,
    REF_NAME,
    blob_name,
    compact,
    descriptor,
    directory_files,
    index_json,
    layout_files,
    make_sample,
    root_entries,
    write_folder,
    write_tar,
)
from support.layers import sha256

from ocifast.errors import (
    AmbiguousImage,
    DigestMismatch,
    DocumentError,
    ImageNotFound,
    OcifastError,
    SizeMismatch,
    StoreError,
)
from ocifast.ops.image import open_image, open_store
from ocifast.transports.base import Image, ImageIndex, Opaque

SAMPLE = make_sample(1, names=("debian:12",))


@pytest.fixture
def read(tmp_path: Path):
    """Write a layout and read it."""

    def run(files, selector: str = "", **options):
        path = write_folder(tmp_path / "layout", files)
        return open_store(f"oci:{path}{selector}", **options)

    return run


def rooted(*entries, **blobs: bytes):
    """A layout of these entries, with these blobs in it and those of the sample."""
    files = layout_files(SAMPLE)
    files["index.json"] = index_json(list(entries))
    return files | {blob_name(blob): blob for blob in blobs.values()}


def index_of(*children, **more) -> bytes:
    return compact({"schemaVersion": 2, "mediaType": INDEX, "manifests": list(children), **more})


def image_with(**changes) -> bytes:
    return compact({**json.loads(SAMPLE.manifest), **changes})


def test_an_image_has_its_documents_and_the_places_of_its_layers(read) -> None:
    (image,) = read(layout_files(SAMPLE), profile="strict")
    assert image.names == ("debian:12",)
    assert image.config_raw == SAMPLE.config
    assert [layer.location.size for layer in image.layers] == [
        len(layer.blob) for layer in SAMPLE.layers
    ]
    assert image.findings == ()


@pytest.mark.parametrize(
    "selector",
    [":debian:12", ":docker.io/library/debian:12", ":@0", f":@{sha256(SAMPLE.manifest)}"],
)
def test_an_image_is_selected_by_name_number_or_digest(read, selector: str) -> None:
    other = make_sample(2, names=("debian:13",))
    (image,) = read(layout_files(SAMPLE, other), selector)
    assert image.config_raw == SAMPLE.config


@pytest.mark.parametrize("selector", [":debian", ":@2", ":@sha256:" + "0" * 64, ":12"])
def test_what_is_not_there_is_not_found_and_what_is_is_listed(read, selector: str) -> None:
    with pytest.raises(ImageNotFound, match="debian:12") as error:
        read(layout_files(SAMPLE), selector)
    assert error.value.exit_code == 3


def test_containerds_full_name_is_the_name_of_an_image(read) -> None:
    sample = make_sample(1, names=("docker.io/library/debian:12",))
    files = layout_files(sample)
    files["index.json"] = index_json(root_entries(sample, containerd=True))
    for selector in ("", ":12", ":debian:12"):
        (image,) = read(files, selector)
        assert image.names == ("docker.io/library/debian:12",)


def test_a_name_of_several_images_is_ambiguous(read) -> None:
    other = make_sample(2, names=SAMPLE.names)
    with pytest.raises(AmbiguousImage, match=sha256(other.manifest)):
        read(layout_files(SAMPLE, other), ":debian:12")


def test_an_image_with_two_names_is_one_image(read) -> None:
    sample = make_sample(1, names=("a:1", "b:2"))
    (image,) = read(layout_files(sample))
    assert image.names == ("a:1", "b:2")


def test_a_selected_image_does_not_need_the_others_to_be_whole(read) -> None:
    other = make_sample(2, names=("other:1",))
    files = layout_files(SAMPLE, other)
    del files[blob_name(other.manifest)]
    (image,) = read(files, ":debian:12")
    assert image.config_raw == SAMPLE.config
    with pytest.raises(StoreError, match="no such file"):
        read(files)


@pytest.mark.parametrize(
    "raw", [b'{"imageLayoutVersion":"2.0.0"}', b"{}", b"[]", b'{"imagelayoutversion":"1.0.0"}']
)
def test_another_version_of_layout_is_refused(read, raw: bytes) -> None:
    with pytest.raises(DocumentError):
        read({**layout_files(SAMPLE), "oci-layout": raw})


def test_a_layout_without_its_version_is_read_unless_strict(read) -> None:
    files = layout_files(SAMPLE)
    del files["oci-layout"]
    assert read(files)
    with pytest.raises(StoreError, match="no OCI layout"):
        read(files, profile="strict")


def test_a_missing_layer_is_no_error_until_it_is_needed(read) -> None:
    files = layout_files(SAMPLE)
    del files[blob_name(SAMPLE.layers[0].blob)]
    (image,) = read(files)
    assert [layer.location is None for layer in image.layers] == [True, False]


def test_children_that_were_not_saved_are_opaque_and_absent(read) -> None:
    absent = descriptor(b"absent", MANIFEST, platform={"os": "linux", "architecture": "s390x"})
    index = index_of(descriptor(SAMPLE.manifest, MANIFEST), absent)
    (root,) = read(rooted(descriptor(index, INDEX), index=index))
    assert isinstance(root, ImageIndex)
    assert isinstance(root.children[0], Image)
    assert isinstance(root.children[1], Opaque)
    assert root.children[1].location is None


def test_a_child_without_its_config_is_as_if_it_were_not_there(read) -> None:
    other = make_sample(2)
    index = index_of(descriptor(other.manifest, MANIFEST))
    (root,) = read(rooted(descriptor(index, INDEX), index=index, manifest=other.manifest))
    assert root.children[0].location is None


def test_j12_what_is_of_unknown_type_is_copied_not_understood(read) -> None:
    unknown = b"not even json"
    (root,) = read(rooted(descriptor(unknown, "application/x-unknown"), blob=unknown))
    assert isinstance(root, Opaque)
    assert root.location.size == len(unknown)


def test_j12_the_config_of_an_artifact_is_not_parsed(read) -> None:
    raw = image_with(config=descriptor(b"no json", "application/x-unknown"))
    (root,) = read(rooted(descriptor(raw, MANIFEST), manifest=raw, config=b"no json"))
    assert root.config is None
    assert root.config_raw == b"no json"
    assert [layer.diff_id for layer in root.layers] == [None, None]


@pytest.mark.parametrize(
    "more",
    [
        {"annotations": {"vnd.docker.reference.type": "attestation-manifest"}},
        {"platform": {"os": "unknown", "architecture": "unknown"}},
    ],
)
def test_an_attestation_is_no_image_to_run(read, more) -> None:
    raw = image_with(layers=[descriptor(b"{}", "application/vnd.in-toto+json")])
    index = index_of(descriptor(SAMPLE.manifest, MANIFEST), descriptor(raw, MANIFEST, **more))
    (root,) = read(rooted(descriptor(index, INDEX), index=index, manifest=raw, blob=b"{}"))
    image, attestation = root.children
    assert attestation.config is None
    assert attestation.findings == ()
    assert image.config is not None


def test_an_entry_cannot_hide_an_image_by_calling_it_an_attestation(read) -> None:
    hiding = {"vnd.docker.reference.type": "attestation-manifest"}
    index = index_of(
        descriptor(SAMPLE.manifest, MANIFEST, annotations=hiding),
        descriptor(SAMPLE.manifest, MANIFEST),
    )
    (root,) = read(rooted(descriptor(index, INDEX), index=index))
    assert [child.config is None for child in root.children] == [True, False]


def test_layers_of_unknown_type_are_not_looked_into_and_it_is_said(read) -> None:
    odd = descriptor(b"x", "application/vnd.oci.image.layer.v1.tar+gzip+encrypted")
    raw = image_with(layers=[odd])
    (image,) = read(rooted(descriptor(raw, MANIFEST), manifest=raw, blob=b"x"))
    assert image.config is None
    assert "encrypted" in image.findings[0]


def nested(depth: int):
    raw, kind = SAMPLE.manifest, MANIFEST
    blobs = {}
    for number in range(depth):
        raw, kind = index_of(descriptor(raw, kind)), INDEX
        blobs[str(number)] = raw
    return rooted(descriptor(raw, kind), **blobs)


def test_j05_indexes_may_be_nested_eight_deep(read) -> None:
    assert read(nested(8))
    with pytest.raises(StoreError, match="nested deeper than 8"):
        read(nested(9))


def test_j05_the_documents_of_a_walk_are_counted(read) -> None:
    raw, kind = SAMPLE.manifest, MANIFEST
    blobs = {}
    for number in range(4):  # 30 ** 4 images by four documents
        raw, kind = index_of(*[descriptor(raw, kind)] * 30, annotations={"n": str(number)}), INDEX
        blobs[str(number)] = raw
    with pytest.raises(StoreError, match="more than 10000 documents"):
        read(rooted(descriptor(raw, kind), **blobs))


def test_j05_a_document_that_is_named_often_is_read_once(read, monkeypatch) -> None:
    index = index_of(*[descriptor(SAMPLE.manifest, MANIFEST)] * 500)
    (root,) = read(rooted(descriptor(index, INDEX), index=index))
    assert len(root.children) == 500
    assert len({id(child.manifest) for child in root.children}) == 1


def test_j05_a_layout_that_names_too_much_is_refused(read, monkeypatch) -> None:
    monkeypatch.setattr("ocifast.transports.walk.TOTAL_NODES", 2000)
    wide = [
        index_of(*[descriptor(b"x", MANIFEST)] * 900, annotations={"n": str(n)}) for n in range(3)
    ]
    blobs = {str(number): raw for number, raw in enumerate(wide)}
    assert len(read(rooted(*(descriptor(raw, INDEX) for raw in wide[:2]), **blobs))) == 2
    with pytest.raises(StoreError, match="more than 2000 documents"):
        read(rooted(*(descriptor(raw, INDEX) for raw in wide), **blobs))


@pytest.mark.parametrize("what", ["manifest", "config"])
@pytest.mark.parametrize("wrong", ["longer", "shorter", "other"])
def test_j06_j08_a_document_that_is_not_the_promised_one_is_refused(
    read, what: str, wrong: str
) -> None:
    files = layout_files(SAMPLE)
    raw = getattr(SAMPLE, what)
    changed = {"longer": raw + b" ", "shorter": raw[:-1], "other": raw.replace(b"2", b"3", 1)}
    files[blob_name(raw)] = changed[wrong]
    expected = DigestMismatch if wrong == "other" else SizeMismatch
    with pytest.raises(expected) as error:
        read(files)
    assert blob_name(raw) in error.value.__notes__[0]
    assert error.value.exit_code == 1


def test_j06_a_promise_beyond_the_cap_is_refused_before_it_is_read(read) -> None:
    entry = {**descriptor(SAMPLE.manifest, MANIFEST), "size": 5 << 20}
    with pytest.raises(DocumentError, match="5242880 bytes"):
        read(rooted(entry))


@pytest.mark.parametrize(
    "digest", ["sha256:../../../etc/passwd", "sha256:" + "A" * 64, "sha256:00", "md5:" + "0" * 32]
)
def test_j07_a_digest_is_looked_at_before_it_becomes_a_name(read, digest: str) -> None:
    with pytest.raises(OcifastError):
        read(rooted({**descriptor(SAMPLE.manifest, MANIFEST), "digest": digest}))


def test_j08_a_pinned_digest_is_that_of_the_bytes(read) -> None:
    other = make_sample(2)
    files = layout_files(SAMPLE)
    files[blob_name(SAMPLE.manifest)] = other.manifest.ljust(len(SAMPLE.manifest))
    with pytest.raises((DigestMismatch, SizeMismatch)):
        read(files, f":@{sha256(SAMPLE.manifest)}")


def test_j09_a_document_may_be_embedded_in_its_descriptor(read) -> None:
    files = layout_files(SAMPLE)
    data = base64.b64encode(SAMPLE.manifest).decode()
    files["index.json"] = index_json([descriptor(SAMPLE.manifest, MANIFEST, data=data)])
    del files[blob_name(SAMPLE.manifest)]
    (image,) = read(files)
    assert image.manifest.raw == SAMPLE.manifest
    files["index.json"] = index_json([descriptor(SAMPLE.manifest, MANIFEST, data="e30=")])
    with pytest.raises(DocumentError, match="data"):
        read(files)


def test_j10_as_many_diff_ids_as_layers(read) -> None:
    value = json.loads(SAMPLE.config)
    value["rootfs"]["diff_ids"].append("sha256:" + "0" * 64)
    config = compact(value)
    raw = image_with(config=descriptor(config, CONFIG))
    with pytest.raises(DocumentError, match="3 elements"):
        read(rooted(descriptor(raw, MANIFEST), manifest=raw, config=config))


def test_j10_a_history_of_other_length_is_odd_and_refused_when_strict(read) -> None:
    value = json.loads(SAMPLE.config)
    value["history"].pop(0)
    config = compact(value)
    raw = image_with(config=descriptor(config, CONFIG))
    files = rooted(descriptor(raw, MANIFEST), manifest=raw, config=config)
    (image,) = read(files)
    assert "history" in image.findings[0]
    with pytest.raises(DocumentError, match="history"):
        read(files, profile="strict")


def test_a_layout_may_be_named_by_its_path_alone(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "folder", layout_files(SAMPLE))
    archive = write_tar(tmp_path / "archive", layout_files(SAMPLE))
    for path in (folder, archive):
        assert open_image(path).config_raw == SAMPLE.config


def test_a_tag_is_of_the_index_when_it_names_one(tmp_path: Path) -> None:
    arm = make_sample(2, platform=("linux", "arm64"))
    path = write_folder(tmp_path / "layout", layout_files(SAMPLE, arm, index=True))
    (index,) = open_store(f"oci:{path}:debian:12")
    assert isinstance(index, ImageIndex)
    assert open_image(path, platform="linux/arm64").names == ("debian:12",)


# --- dir:


def test_a_dir_holds_one_image(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "d", directory_files(SAMPLE))
    for reference in (path, f"dir:{path}"):
        (image,) = open_store(reference, profile="strict")
        assert image.manifest.raw == SAMPLE.manifest
        assert all(layer.location for layer in image.layers)


def test_a_dir_of_another_version_is_refused(tmp_path: Path) -> None:
    files = {**directory_files(SAMPLE), "version": b"Directory Transport Version: 2.0\n"}
    with pytest.raises(StoreError, match=r"2\.0"):
        open_store("dir:" + write_folder(tmp_path / "d", files))


def test_j08_a_dir_whose_config_is_another_is_refused(tmp_path: Path) -> None:
    files = directory_files(SAMPLE)
    files[sha256(SAMPLE.config)[7:]] = SAMPLE.config.replace(b"amd64", b"arm64")
    with pytest.raises(DigestMismatch):
        open_store("dir:" + write_folder(tmp_path / "d", files))


def test_a_name_in_an_entry_is_kept_from_looking_like_a_path(read) -> None:
    entry = descriptor(SAMPLE.manifest, MANIFEST, annotations={REF_NAME: "../../x"})
    (image,) = read(rooted(entry))
    assert image.names == ("../../x",)

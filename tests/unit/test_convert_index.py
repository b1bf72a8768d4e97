"""`convert` and indexes: kept whole, or one platform chosen, and what hangs on them."""

import json

import pytest
from support.converting import FORMATS, images, run, sound, truth, truths, write_source
from support.images import (
    INDEX,
    MANIFEST,
    REF_NAME,
    Sample,
    blob_name,
    blobs_of,
    compact,
    descriptor,
    index_json,
    layout_files,
    make_sample,
    platform_of,
    write_folder,
    write_tar,
)

from ocifast.errors import ImageNotFound, OcifastError, ReferenceSyntaxError, UnsupportedError
from ocifast.ops.image import open_store
from ocifast.spec.platform import Platform
from ocifast.transports.base import Image, ImageIndex

AMD = make_sample(1, names=("app:1",))
ARM = make_sample(2, names=("app:1",), platform=("linux", "arm64"))
EMPTY = "application/vnd.oci.empty.v1+json"
STATEMENT = b'{"_type":"https://in-toto.io/Statement/v0.1"}'


@pytest.fixture
def index(tmp_path) -> str:
    return write_folder(tmp_path / "in", layout_files(AMD, ARM, index=True))


@pytest.fixture(autouse=True)
def machine(monkeypatch) -> None:
    monkeypatch.setattr("ocifast.ops.image.host_platform", lambda: Platform("linux", "amd64"))


def only(reference: str):
    (root,) = open_store(reference)
    return root


@pytest.mark.parametrize("to", ["oci", "oci-archive", "dir"])
def test_an_index_is_kept_whole(tmp_path, index: str, to: str) -> None:
    report = run(index, f"{to}:{tmp_path}/out", compress="zstd")
    root = only(f"{to}:{tmp_path}/out")
    assert isinstance(root, ImageIndex)
    assert [str(child.descriptor.platform) for child in root.children] == [
        "linux/amd64",
        "linux/arm64",
    ]
    assert set(truths(f"{to}:{tmp_path}/out")) == {AMD.image_id, ARM.image_id}
    assert str(root.index.digest) == report.images[0].digest
    assert len(report.images[0].layers) == 4
    assert sound(f"{to}:{tmp_path}/out")


@pytest.mark.parametrize("to", ["oci", "oci-archive", "dir"])
def test_an_index_of_which_nothing_changes_keeps_its_digest(tmp_path, index: str, to: str) -> None:
    before = str(only(index).index.digest)
    run(index, f"{to}:{tmp_path}/out", compress="gzip")
    assert str(only(f"{to}:{tmp_path}/out").index.digest) == before


@pytest.mark.parametrize("to", FORMATS)
def test_of_an_index_one_platform_may_be_chosen(tmp_path, index: str, to: str) -> None:
    run(index, f"{to}:{tmp_path}/out", platform="linux/arm64")
    assert isinstance(only(f"{to}:{tmp_path}/out"), Image)
    assert truths(f"{to}:{tmp_path}/out") == truth(ARM, names=to != "dir")


def test_into_a_docker_archive_goes_the_image_for_this_machine(tmp_path, index: str) -> None:
    report = run(index, f"docker-archive:{tmp_path}/out.tar")
    assert truths(f"{tmp_path}/out.tar") == truth(AMD)
    assert report.images[0].platform == "linux/amd64"


def test_all_platforms_are_demanded_where_they_cannot_be_kept(tmp_path, index: str) -> None:
    run(index, f"oci:{tmp_path}/out", every_platform=True)
    assert len(images(f"oci:{tmp_path}/out")) == 2
    with pytest.raises(UnsupportedError, match="platform"):
        run(index, f"docker-archive:{tmp_path}/out.tar", every_platform=True)
    one = write_source(tmp_path, "docker-archive", AMD)
    run(one, f"docker-archive:{tmp_path}/one.tar", every_platform=True)


def test_a_platform_that_is_not_there_is_not_found_and_those_there_are_told(
    tmp_path, index: str
) -> None:
    with pytest.raises(ImageNotFound, match="linux/amd64, linux/arm64"):
        run(index, f"oci:{tmp_path}/out", platform="linux/s390x")
    with pytest.raises(ReferenceSyntaxError):
        run(index, f"oci:{tmp_path}/out2", platform="one two")


def test_only_layers_of_the_chosen_platform_are_read(tmp_path) -> None:
    files = layout_files(AMD, ARM, index=True)
    del files[blob_name(AMD.layers[0].blob)]
    path = write_folder(tmp_path / "in", files)
    run(path, f"oci:{tmp_path}/out", platform="linux/arm64")
    assert truths(f"oci:{tmp_path}/out") == truth(ARM)
    with pytest.raises(OcifastError, match="missing"):
        run(path, f"oci:{tmp_path}/all")


def test_platforms_that_were_not_saved_are_left_out_and_it_is_said(tmp_path) -> None:
    files = layout_files(AMD, ARM, index=True)
    for name in blobs_of(ARM):
        del files[name]
    report = run(write_folder(tmp_path / "in", files), f"oci:{tmp_path}/out")
    root = only(f"oci:{tmp_path}/out")
    assert [str(child.descriptor.platform) for child in root.children] == ["linux/amd64"]
    assert any("left out" in finding for finding in report.images[0].findings)


def attested() -> tuple[dict, bytes]:
    """A layout of an index with an image and BuildKit's attestation of it."""
    config = b"{}"
    manifest = compact(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(config, EMPTY),
            "layers": [descriptor(STATEMENT, "application/vnd.in-toto+json")],
        }
    )
    about = {
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": descriptor(AMD.manifest, MANIFEST)["digest"],
    }
    unknown = {"architecture": "unknown", "os": "unknown"}
    raw = compact(
        {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [
                descriptor(AMD.manifest, MANIFEST, platform=platform_of(AMD)),
                descriptor(manifest, MANIFEST, platform=unknown, annotations=about),
            ],
        }
    )
    files = layout_files(AMD)
    files |= {blob_name(blob): blob for blob in (config, manifest, STATEMENT, raw)}
    files["index.json"] = index_json([descriptor(raw, INDEX, annotations={REF_NAME: "app:1"})])
    return files, raw


@pytest.mark.parametrize("to", ["oci", "oci-archive"])
def test_an_attestation_speaks_of_the_image_that_took_the_place_of_its_own(tmp_path, to) -> None:
    files, _ = attested()
    run(write_tar(tmp_path / "in.tar", files), f"{to}:{tmp_path}/out", compress="zstd")
    root = only(f"{to}:{tmp_path}/out")
    image, attestation = root.children
    about = attestation.descriptor.annotations["vnd.docker.reference.digest"]
    assert about == str(image.manifest.digest) != descriptor(AMD.manifest, MANIFEST)["digest"]
    assert attestation.layers[0].descriptor.digest == descriptor(STATEMENT, "")["digest"]
    assert sound(f"{to}:{tmp_path}/out")


def test_an_index_with_attestations_is_kept_to_the_byte_if_layers_are(tmp_path) -> None:
    files, raw = attested()
    run(write_folder(tmp_path / "in", files), f"oci:{tmp_path}/out", compress="keep")
    assert only(f"oci:{tmp_path}/out").index.raw == raw


def test_attestations_are_no_platform_of_a_docker_archive(tmp_path) -> None:
    files, _ = attested()
    run(write_folder(tmp_path / "in", files), f"docker-archive:{tmp_path}/out.tar")
    assert truths(f"{tmp_path}/out.tar") == truth(AMD)


def test_j12_unknown_fields_and_annotations_of_an_index_are_kept(tmp_path) -> None:
    files, raw = attested()
    value = json.loads(raw)
    value |= {"annotations": {"org.example": "kept"}, "x-unknown": {"deep": [1]}}
    value["manifests"][0]["x-more"] = "kept too"
    changed = compact(value)
    files[blob_name(changed)] = changed
    files["index.json"] = index_json([descriptor(changed, INDEX)])
    run(write_folder(tmp_path / "in", files), f"oci:{tmp_path}/out", compress="zstd")
    written = json.loads(only(f"oci:{tmp_path}/out").index.raw)
    assert written["annotations"] == {"org.example": "kept"}
    assert written["x-unknown"] == {"deep": [1]}
    assert written["manifests"][0]["x-more"] == "kept too"


@pytest.mark.parametrize("to", ["oci", "oci-archive"])
def test_j12_an_artifact_beside_the_image_is_copied_byte_for_byte(tmp_path, to: str) -> None:
    artifact = compact(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": "application/vnd.example.signature",
            "config": descriptor(b"{}", EMPTY),
            "layers": [descriptor(b"signature", "application/octet-stream")],
            "subject": descriptor(AMD.manifest, MANIFEST),
        }
    )
    files = layout_files(AMD)
    files |= {blob_name(blob): blob for blob in (b"{}", b"signature", artifact)}
    entries = json.loads(files["index.json"])["manifests"]
    files["index.json"] = index_json([*entries, descriptor(artifact, MANIFEST)])
    run(write_folder(tmp_path / "in", files), f"{to}:{tmp_path}/out")
    roots = open_store(f"{to}:{tmp_path}/out")
    assert [root.manifest.raw for root in roots] == [AMD.manifest, artifact]
    assert sound(f"{to}:{tmp_path}/out")


def test_two_platforms_with_the_same_layers_are_read_once(tmp_path) -> None:
    twin = Sample(AMD.layers, AMD.names, ("linux", "arm64"))
    path = write_folder(tmp_path / "in", layout_files(AMD, twin, index=True))
    report = run(path, f"oci:{tmp_path}/out", compress="zstd")
    assert (report.layers_distinct, report.images[0].shared_layers) == (2, 2)
    assert len(images(f"oci:{tmp_path}/out")) == 2

"""`convert` and places that are no place for an image: refused, and left as they are."""

import json
import os

import pytest
from support.converting import images, read_keys, run, truth, truths, watched
from support.images import (
    MANIFEST,
    Link,
    blob_name,
    compact,
    descriptor,
    docker_files,
    index_json,
    layout_files,
    make_sample,
    write_folder,
    write_tar,
)

from ocifast.errors import OcifastError, UnsupportedError

APP = make_sample(1, names=("app:1",))
DOCKER = docker_files(APP)


def test_a_destination_that_is_no_place_for_an_image_is_refused(tmp_path) -> None:
    source = write_tar(tmp_path / "in.tar", DOCKER)
    (tmp_path / "file").write_bytes(b"precious")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/precious").write_bytes(b"precious")
    write_folder(tmp_path / "newer", {"oci-layout": b'{"imageLayoutVersion":"2.0.0"}'})
    write_folder(tmp_path / "broken", {**layout_files(APP), "index.json": b"{"})
    cases = {
        "oci:file": (NotADirectoryError, FileExistsError),
        "oci:file/below": NotADirectoryError,
        "oci-archive:file/below": NotADirectoryError,
        "docker-archive:file": FileExistsError,
        "dir:folder": FileExistsError,
        "dir:file": FileExistsError,
        "oci:folder": OcifastError,
        "oci:newer": OcifastError,
        "oci:broken": OcifastError,
    }
    for case, kind in cases.items():
        transport, _, path = case.partition(":")
        with pytest.raises(kind):
            run(source, f"{transport}:{tmp_path}/{path}")
    assert (tmp_path / "file").read_bytes() == b"precious"
    assert os.listdir(tmp_path / "folder") == ["precious"]
    assert (tmp_path / "broken/index.json").read_bytes() == b"{"
    assert sorted(os.listdir(tmp_path)) == ["broken", "file", "folder", "in.tar", "newer"]


@pytest.mark.parametrize("to", ["oci", "oci-archive", "docker-archive", "dir"])
def test_a_destination_that_cannot_be_written_is_an_error(tmp_path, to: str) -> None:
    source = write_tar(tmp_path / "in.tar", DOCKER)
    with pytest.raises(OSError, match="/sys/ocifast"):  # where not even root may
        run(source, f"{to}:/sys/ocifast")


def test_p20_a_layout_whose_blobs_are_a_link_is_not_written_to(tmp_path) -> None:
    source = write_tar(tmp_path / "in.tar", DOCKER)
    (tmp_path / "elsewhere").mkdir()
    write_folder(tmp_path / "out", {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
                                    "blobs": Link(f"{tmp_path}/elsewhere")})  # fmt: skip
    with pytest.raises(OcifastError, match="blobs"):
        run(source, f"oci:{tmp_path}/out")
    assert os.listdir(tmp_path / "elsewhere") == []


def test_a_name_docker_does_not_take_is_found_out_before_the_work(tmp_path) -> None:
    source = write_folder(tmp_path / "in", layout_files(make_sample(1, names=("My Image",))))
    _, events = watched(source, f"docker-archive:{tmp_path}/out.tar", keep_going=True)
    assert read_keys(events) == []
    with pytest.raises(UnsupportedError, match="lower case"):
        run(source, f"docker-archive:{tmp_path}/out.tar")
    assert os.listdir(tmp_path) == ["in"]
    run(source, f"docker-archive:{tmp_path}/out.tar:mine:1")
    assert [image.names for image in images(f"{tmp_path}/out.tar")] == [("mine:1",)]


def test_an_artifact_is_no_image_for_docker_and_takes_nothing_from_those_that_are(tmp_path) -> None:
    config = descriptor(b"{}", "application/vnd.oci.empty.v1+json")
    artifact = compact(
        {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [config]}
    )
    files = layout_files(APP)
    entries = json.loads(files["index.json"])["manifests"]
    files["index.json"] = index_json([descriptor(artifact, MANIFEST), *entries])
    files |= {blob_name(artifact): artifact, blob_name(b"{}"): b"{}"}
    source = write_folder(tmp_path / "in", files)
    report = run(source, f"docker-archive:{tmp_path}/out.tar", keep_going=True)
    assert [image.error_type for image in report.images] == ["UnsupportedError", None]
    assert truths(f"{tmp_path}/out.tar") == truth(APP)

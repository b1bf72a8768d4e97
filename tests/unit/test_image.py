"""Which image a reference means: of a path, of several, of an index of platforms."""

import io
import os
import tarfile
from pathlib import Path

import pytest
from support.images import (
    DOCKER_VARIANTS,
    INDEX,
    MANIFEST,
    Files,
    Sample,
    blob_name,
    compact,
    descriptor,
    directory_files,
    docker_files,
    index_json,
    layout_files,
    make_sample,
    tar_of,
    write_folder,
    write_tar,
)
from support.layers import squeeze

from ocifast.errors import (
    AmbiguousImage,
    ImageNotFound,
    OcifastError,
    ReferenceSyntaxError,
    StoreError,
    TarError,
)
from ocifast.ops.archive_table import CUT_SHORT
from ocifast.ops.image import choose, open_image, open_store
from ocifast.spec.platform import Platform
from ocifast.transports.base import ImageIndex

AMD, ARM = make_sample(1), make_sample(2, platform=("linux", "arm64"))


def without_end(files: Files) -> bytes:
    """An archive that ends behind its last member."""
    data = tar_of(files)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        last = tar.getmembers()[-1]
    return data[: last.offset_data + (last.size + 511) // 512 * 512]


@pytest.fixture
def index(tmp_path: Path) -> str:
    return write_folder(tmp_path / "index", layout_files(AMD, ARM, index=True))


@pytest.fixture
def machine(monkeypatch):
    """Let this machine be another one."""

    def be(platform: str) -> None:
        monkeypatch.setattr("ocifast.ops.image.host_platform", lambda: Platform.parse(platform))

    return be


def test_a_bare_path_is_looked_at(tmp_path: Path) -> None:
    stores = [
        write_folder(tmp_path / "layout", layout_files(AMD)),
        write_folder(tmp_path / "dir", directory_files(AMD)),
        write_folder(tmp_path / "save", docker_files(AMD)),
        write_tar(tmp_path / "layout.tar", layout_files(AMD)),
        write_tar(tmp_path / "save.tar", docker_files(AMD)),
        write_tar(tmp_path / "save.tar.gz", docker_files(AMD), codec="gzip"),
    ]
    for store in stores:
        assert open_image(store).config_raw == AMD.config


@pytest.mark.parametrize("files", [{}, {"x": b"y"}, {"manifest.json": b""}])
def test_what_holds_no_image_is_said_to_hold_none(tmp_path: Path, files) -> None:
    folder = write_folder(tmp_path / "folder", files)
    for reference in (folder, write_tar(tmp_path / "tar", files)):
        with pytest.raises(OcifastError):
            open_image(reference)


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"hello" * 1000)
    with pytest.raises(OcifastError):
        open_image(str(tmp_path / "x"))
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(OcifastError):
        open_image(str(tmp_path / "empty"))


@pytest.mark.parametrize("codec", ["plain", "gzip"])
@pytest.mark.parametrize("variant", DOCKER_VARIANTS)
def test_an_archive_cut_short_before_its_list_of_images_is_not_taken_for_an_old_one(
    tmp_path: Path, variant: str, codec: str
) -> None:
    files = docker_files(AMD, variant=variant)
    lists = {"manifest.json", "index.json", "repositories"}
    cut = {name: content for name, content in files.items() if name not in lists}
    path = tmp_path / "cut.tar"
    path.write_bytes(squeeze(without_end(cut), codec))
    with pytest.raises(StoreError, match="it has been cut short"):
        open_store(str(path))


@pytest.mark.parametrize("codec", ["plain", "gzip"])
def test_an_archive_that_only_lacks_its_end_is_read_and_that_is_told(
    tmp_path: Path, codec: str
) -> None:
    path = tmp_path / "endless.tar"
    path.write_bytes(squeeze(without_end(docker_files(AMD)), codec))
    image = open_image(str(path))
    assert image.config_raw == AMD.config
    assert CUT_SHORT in image.findings
    with pytest.raises(TarError):
        open_image(str(path), profile="strict")


def test_a_path_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    for reference in (f"{tmp_path}/x", f"oci:{tmp_path}/x", f"docker-archive:{tmp_path}/x"):
        with pytest.raises(FileNotFoundError) as error:
            open_image(reference)
        assert error.value.filename == f"{tmp_path}/x"


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", layout_files(AMD))
    with pytest.raises(StoreError, match="oci: means a folder"):
        open_image(f"oci:{path}")


def test_of_an_index_the_image_for_this_machine_is_opened(index: str, machine) -> None:
    machine("linux/arm64/v8")
    assert open_image(index).config_raw == ARM.config
    machine("linux/amd64/v3")
    assert open_image(index).config_raw == AMD.config


def test_of_an_index_the_image_for_a_platform_is_opened(index: str) -> None:
    assert open_image(index, platform="linux/arm64").config_raw == ARM.config
    assert open_image(index, platform="linux/x86_64").config_raw == AMD.config


def test_a_platform_that_is_not_there_is_not_found_and_the_others_are_listed(index: str) -> None:
    with pytest.raises(ImageNotFound, match="linux/amd64, linux/arm64"):
        open_image(index, platform="linux/s390x")
    with pytest.raises(ReferenceSyntaxError):
        open_image(index, platform="a b")


def test_the_only_image_that_is_there_is_the_one_for_any_machine(tmp_path: Path, machine) -> None:
    machine("linux/s390x")
    files = layout_files(AMD, ARM, index=True)
    del files[blob_name(AMD.manifest)]
    assert open_image(write_folder(tmp_path / "x", files)).config_raw == ARM.config


def test_an_image_for_another_platform_than_asked_for_is_not_it(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "x", layout_files(AMD))
    assert open_image(path, platform="linux/amd64").config_raw == AMD.config
    with pytest.raises(ImageNotFound, match="linux/amd64"):
        open_image(path, platform="linux/arm64")


def test_several_images_are_ambiguous_and_named(tmp_path: Path) -> None:
    other = Sample(ARM.layers)
    path = write_folder(tmp_path / "x", layout_files(AMD, other))
    with pytest.raises(AmbiguousImage, match=r"example\.com/team/app:1, @sha256:") as error:
        open_image(path)
    assert error.value.exit_code == 2
    assert len(open_store(path)) == 2


def test_an_artifact_beside_an_image_does_not_make_it_ambiguous(tmp_path: Path) -> None:
    artifact = compact(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": "application/x-signature",
            "config": descriptor(b"{}", "application/vnd.oci.empty.v1+json"),
            "layers": [],
        }
    )
    files = layout_files(AMD)
    files["index.json"] = index_json(
        [descriptor(artifact, MANIFEST), descriptor(AMD.manifest, MANIFEST)]
    )
    files |= {blob_name(artifact): artifact, blob_name(b"{}"): b"{}"}
    assert open_image(write_folder(tmp_path / "x", files)).config_raw == AMD.config


def test_an_empty_layout_holds_no_image(tmp_path: Path) -> None:
    files = {**layout_files(AMD), "index.json": index_json([])}
    with pytest.raises(ImageNotFound, match="none"):
        open_image(write_folder(tmp_path / "x", files))


def test_an_index_may_stay_whole(index: str) -> None:
    (root,) = open_store(index)
    assert isinstance(choose(root, None, several=True), ImageIndex)
    assert choose(root, "linux/arm64", several=True).config_raw == ARM.config


def test_an_index_in_an_index_is_looked_into(tmp_path: Path) -> None:
    files = layout_files(AMD, ARM, index=True)
    inner = next(
        raw for name, raw in files.items() if raw and INDEX.encode() in raw[:99] and "/" in name
    )
    outer = compact(
        {"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor(inner, INDEX)]}
    )
    files |= {blob_name(outer): outer, "index.json": index_json([descriptor(outer, INDEX)])}
    path = write_folder(tmp_path / "x", files)
    assert open_image(path, platform="linux/arm64").config_raw == ARM.config


def test_a_root_that_is_no_image_cannot_be_opened_as_one(tmp_path: Path) -> None:
    files = {**layout_files(AMD), "index.json": index_json([descriptor(b"x", "text/plain")])}
    with pytest.raises(StoreError, match="text/plain"):
        open_image(write_folder(tmp_path / "x", files))


def test_opening_keeps_nothing_open(index: str, tmp_path: Path) -> None:
    save = write_tar(tmp_path / "save.tar", docker_files(AMD))
    before = len(os.listdir("/proc/self/fd"))
    kept = [open_store(reference) for reference in (index, save)]
    assert len(os.listdir("/proc/self/fd")) == before
    assert len(kept) == 2

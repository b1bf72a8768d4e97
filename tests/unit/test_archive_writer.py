"""Writing archives and dirs: whole or not there, and nothing left behind."""

import errno
import os
from pathlib import Path

import pytest
from support.images import make_sample
from support.layers import sha256

from ocifast.errors import SizeMismatch, StoreError, UnsupportedError
from ocifast.ops.archive_writer import write_archive, write_directory
from ocifast.spec.digest import Digest
from ocifast.spec.manifest import Manifest
from ocifast.spec.save_manifest import parse_save_manifest
from ocifast.transports import pending_file
from ocifast.transports.blob_store import BlobStore
from ocifast.transports.finished_image import (
    FinishedImage,
    StoreMember,
    directory_members,
    docker_archive_members,
    oci_archive_members,
)

BLOB = b"blob " * 1000
DIGEST = Digest(sha256(BLOB))
MEMBERS = [
    StoreMember("first", 2, b"{}"),
    StoreMember("folder"),
    StoreMember("folder/blob", len(BLOB), digest=DIGEST),
]
DIRECTORY = [StoreMember("version", 3, b"1.1"), StoreMember("0a", len(BLOB), digest=DIGEST)]


@pytest.fixture
def store(tmp_path: Path):
    with BlobStore(str(tmp_path / "store")) as opened:
        opened.put(BLOB)
        yield opened


@pytest.fixture(params=["unnamed", "hidden"])
def either(request, monkeypatch):
    """With O_TMPFILE, and as on file systems that have none."""
    if request.param == "hidden":
        monkeypatch.setattr(pending_file.PendingFile, "_open_unnamed", lambda self: None)


def test_an_archive_is_written_whole(store: BlobStore, tmp_path: Path, either) -> None:
    out = tmp_path / "out"
    out.mkdir()
    told: list[int] = []
    size = write_archive(str(out / "a.tar"), MEMBERS, store, advance=told.append)
    assert (out / "a.tar").stat().st_size == size == sum(told) + 1024
    assert os.listdir(out) == ["a.tar"]


def test_an_archive_that_is_there_is_replaced_only_when_asked(
    store: BlobStore, tmp_path: Path, either
) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(b"old")
    with pytest.raises(FileExistsError) as error:
        write_archive(str(path), MEMBERS, store)
    assert error.value.filename == str(path)
    assert path.read_bytes() == b"old"
    write_archive(str(path), MEMBERS, store, overwrite=True)
    assert path.read_bytes()[:5] == b"first"


@pytest.mark.parametrize("step", ["copy_file_range", "write", "fdatasync"])
def test_an_archive_that_cannot_be_finished_leaves_nothing(
    store: BlobStore, tmp_path: Path, step: str, monkeypatch, either
) -> None:
    out = tmp_path / "out"
    out.mkdir()

    def fail(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="No space") as error:
        write_archive(str(out / "a.tar"), MEMBERS, store)
    assert error.value.filename == str(out / "a.tar")
    assert os.listdir(out) == []


def test_a_blob_of_another_size_is_not_packed(store: BlobStore, tmp_path: Path) -> None:
    with pytest.raises(SizeMismatch):
        write_archive(str(tmp_path / "a"), [StoreMember("x", 9, digest=DIGEST)], store)
    assert not (tmp_path / "a").exists()


def test_a_dir_is_written_whole(store: BlobStore, tmp_path: Path, either) -> None:
    out = tmp_path / "out"
    out.mkdir()
    write_directory(str(out / "d"), DIRECTORY, store)
    assert sorted(os.listdir(out / "d")) == ["0a", "version"]
    assert (out / "d/0a").read_bytes() == BLOB
    assert os.listdir(out) == ["d"]


def test_a_dir_takes_the_place_of_an_empty_folder(store: BlobStore, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    write_directory(str(tmp_path / "d"), DIRECTORY, store)
    assert (tmp_path / "d/version").read_bytes() == b"1.1"


def test_a_dir_that_is_there_is_replaced_only_when_asked(store: BlobStore, tmp_path: Path) -> None:
    path = tmp_path / "d"
    path.mkdir()
    (path / "version").write_bytes(b"old")
    (path / "old").write_bytes(b"")
    with pytest.raises(FileExistsError):
        write_directory(str(path), DIRECTORY, store)
    write_directory(str(path), DIRECTORY, store, overwrite=True)
    assert sorted(os.listdir(path)) == ["0a", "version"]
    assert sorted(os.listdir(tmp_path)) == ["d", "store"]


def test_a_folder_of_something_else_is_never_replaced(store: BlobStore, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/letter").write_bytes(b"x")
    with pytest.raises(StoreError, match="no `dir:`"):
        write_directory(str(tmp_path / "d"), DIRECTORY, store, overwrite=True)
    assert os.listdir(tmp_path / "d") == ["letter"]


def test_a_dir_that_cannot_be_finished_leaves_nothing(store: BlobStore, tmp_path: Path) -> None:
    members = [*DIRECTORY, StoreMember("bad", 9, digest=DIGEST)]
    with pytest.raises(SizeMismatch):
        write_directory(str(tmp_path / "d"), members, store)
    assert os.listdir(tmp_path) == ["store"]


def test_what_a_killed_run_left_of_a_dir_is_no_hindrance(store: BlobStore, tmp_path: Path) -> None:
    left = tmp_path / ".ocifast-dir-d"
    left.mkdir()
    (left / "0a").write_bytes(b"half")
    write_directory(str(tmp_path / "d"), DIRECTORY, store)
    assert (tmp_path / "d/0a").read_bytes() == BLOB
    assert sorted(os.listdir(tmp_path)) == ["d", "store"]


# --- which files an image becomes


def finished(seed: int, *names: str) -> FinishedImage:
    sample = make_sample(seed)
    manifest = Manifest.parse(sample.manifest, document="x")
    return FinishedImage(
        top=manifest.descriptor,
        blobs=(manifest.descriptor, manifest.config, *manifest.layers),
        names=names,
        manifest=manifest,
        diff_ids=tuple(layer.diff_id for layer in sample.layers),
    )


def saved(*images: FinishedImage):
    members = {member.name: member for member in docker_archive_members(images)}
    return parse_save_manifest(members["manifest.json"].content)


def test_docker_gets_names_in_its_familiar_form_with_a_tag() -> None:
    (image,) = saved(finished(1, "docker.io/library/debian:12", "debian", "localhost/x:1"))
    assert image.repo_tags == ("debian:12", "debian:latest", "localhost/x:1")


def test_an_image_that_comes_twice_is_one_with_both_names() -> None:
    (image,) = saved(finished(1, "a:1"), finished(1, "b:1"))
    assert image.repo_tags == ("a:1", "b:1")


def test_a_tag_that_comes_twice_is_that_of_the_last_image() -> None:
    first, last = saved(finished(1, "a:1", "b:1"), finished(2, "a:1"))
    assert (first.repo_tags, last.repo_tags) == (("b:1",), ("a:1",))


def test_blobs_that_images_share_are_packed_once() -> None:
    names = [member.name for member in oci_archive_members([finished(1, "a"), finished(1, "b")])]
    assert len(names) == len(set(names))


def test_docker_has_no_archive_of_an_index_or_a_name_it_does_not_take() -> None:
    with pytest.raises(UnsupportedError, match="choose a platform"):
        docker_archive_members([FinishedImage(finished(1).top, ())])
    with pytest.raises(UnsupportedError, match="does not take the name 'A B'"):
        docker_archive_members([finished(1, "A B")])


def test_a_dir_has_its_manifest_last() -> None:
    names = [member.name for member in directory_members(finished(1))]
    assert names[0] == "version"
    assert names[-1] == "manifest.json"
    assert len(names) == 5

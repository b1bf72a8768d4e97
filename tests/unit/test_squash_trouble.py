"""Images that cannot be squashed, and what is left when it does not go well: nothing."""

import errno
import json
import os

import pytest
from support.converting import left_over, snapshot, sound, spoil, write_source
from support.images import Sample, docker_files, layout_files, make_sample, write_folder, write_tar
from support.layers import make_layer
from support.squashing import config_of, file, hard, image_of, members_of

from ocifast.errors import (
    DiffIdMismatch,
    DigestMismatch,
    ImageNotFound,
    ReferenceSyntaxError,
    StoreError,
    TarError,
    UnsupportedError,
)
from ocifast.ops.convert_pass import ConvertPass
from ocifast.ops.proven_stream import ProvenStream
from ocifast.ops.rechunk import rechunk
from ocifast.ops.squash import flatten, squash
from ocifast.transports.pending_file import OUTPUT

APP = make_sample(1, count=3)


@pytest.fixture
def source(tmp_path):
    return write_source(tmp_path / "in", "oci", APP)


@pytest.mark.parametrize(
    "which",
    [{"from_layer": 3}, {"from_layer": -1}, {"last": 0}, {"last": 4}, {"from_layer": 1, "last": 1}],
    ids=str,
)
def test_a_range_that_is_not_there_is_refused(source, tmp_path, which) -> None:
    with pytest.raises(ValueError, match="layer"):
        squash(source, f"oci:{tmp_path}/out:app", workers=0, **which)
    assert os.listdir(tmp_path) == ["in"]


@pytest.mark.parametrize("how", [{}, {"layers": 2, "max_size": 9}, {"layers": 0}, {"max_size": 0}])
def test_layers_of_no_number_and_no_size_are_refused(source, tmp_path, how) -> None:
    with pytest.raises(ValueError, match="layers"):
        rechunk(source, f"oci:{tmp_path}/out:app", workers=0, **how)


def test_new_layers_cannot_be_kept(source, tmp_path) -> None:
    with pytest.raises(ValueError, match="cannot be kept"):
        flatten(source, f"oci:{tmp_path}/out:app", compress="keep", workers=0)


def test_an_image_without_layers_is_refused(tmp_path) -> None:
    source = write_source(tmp_path / "in", "oci", Sample((), ("a:1",)))
    with pytest.raises(UnsupportedError, match="no layers"):
        flatten(source, f"oci:{tmp_path}/out:app", workers=0)


def test_there_has_to_be_an_image(source, tmp_path) -> None:
    with pytest.raises(ImageNotFound):
        flatten(f"{source}:other", f"oci:{tmp_path}/out:app", workers=0)
    with pytest.raises(FileNotFoundError):
        flatten(f"oci:{tmp_path}/nowhere", f"oci:{tmp_path}/out:app", workers=0)
    with pytest.raises(ReferenceSyntaxError):
        flatten(source, f"{tmp_path}/out", workers=0)


def test_an_archive_that_is_compressed_is_refused_as_it_is_read_twice(tmp_path) -> None:
    path = write_tar(tmp_path / "in.tar.gz", docker_files(APP), codec="gzip")
    with pytest.raises(StoreError, match="decompress the archive first"):
        flatten(path, f"oci:{tmp_path}/out:app", workers=0)
    assert os.listdir(tmp_path) == ["in.tar.gz"]


def test_a_layer_that_is_not_what_was_promised_leaves_nothing(tmp_path) -> None:
    source = write_source(tmp_path / "in", "docker-archive", APP.plain)
    spoil(source.partition(":")[2], APP.plain.layers[1])
    with pytest.raises(DiffIdMismatch):
        flatten(source, f"docker-archive:{tmp_path}/out.tar", workers=0)
    assert os.listdir(tmp_path) == ["in"]


def test_a_blob_that_is_not_what_its_name_says_leaves_nothing(tmp_path) -> None:
    wrong = APP.layers[1]._replace(blob=make_layer("gzip", 77).blob)
    files = layout_files(APP)
    name = f"blobs/sha256/{APP.layers[1].digest.removeprefix('sha256:')}"
    files[name] = wrong.blob[: len(APP.layers[1].blob)].ljust(len(APP.layers[1].blob), b"\0")
    write_folder(tmp_path / "in", files)
    with pytest.raises((DigestMismatch, TarError, ValueError)):
        flatten(f"oci:{tmp_path}/in", f"oci:{tmp_path}/out:app", workers=0)
    assert os.listdir(tmp_path) == ["in"]


@pytest.mark.parametrize("to", ["oci-archive", "docker-archive", "dir"])
def test_what_is_there_is_not_replaced_unless_asked(source, tmp_path, to) -> None:
    flatten(source, f"{to}:{tmp_path}/out", workers=0)
    before = snapshot(tmp_path / "out")
    with pytest.raises(FileExistsError):
        squash(source, f"{to}:{tmp_path}/out", last=1, workers=0)
    assert snapshot(tmp_path / "out") == before
    squash(source, f"{to}:{tmp_path}/out", last=1, overwrite=True, workers=0)
    assert snapshot(tmp_path / "out") != before
    assert sound(f"{to}:{tmp_path}/out")


def test_a_layer_that_changes_after_it_was_verified_is_found_out(tmp_path, monkeypatch) -> None:
    """In the second reading, of which no spooled tar is the proof."""
    source = write_source(tmp_path / "in", "oci", APP)
    name = APP.layers[1].digest.removeprefix("sha256:")
    path = tmp_path / "in/oci/blobs/sha256" / name
    real = ProvenStream.__init__

    def changed(self, *arguments) -> None:
        path.write_bytes(path.read_bytes()[:-9] + b"\0" * 9)
        real(self, *arguments)

    monkeypatch.setattr(ProvenStream, "__init__", changed)
    with pytest.raises((DigestMismatch, ValueError)) as caught:
        flatten(source, f"oci-archive:{tmp_path}/out", workers=0, spool=False)
    assert caught.value
    assert os.listdir(tmp_path) == ["in"]


def test_a_full_disk_leaves_nothing_and_is_named(source, tmp_path, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), OUTPUT)

    monkeypatch.setattr(ConvertPass, "_put", full)
    with pytest.raises(OSError, match="No space") as caught:
        flatten(source, f"oci-archive:{tmp_path}/out", workers=0)
    assert str(tmp_path) in str(caught.value.filename)
    assert os.listdir(tmp_path) == ["in"]
    assert left_over(tmp_path) == []


def test_links_to_nothing_are_left_out_and_told_or_refused(tmp_path) -> None:
    source = write_source(tmp_path / "in", "oci", image_of([file("a", "x"), hard("b", "no")]))
    report = flatten(source, f"oci:{tmp_path}/out:app", workers=0)
    assert [each.name for each in members_of(report.destination)] == ["a"]
    assert "1 hard links have no target, and are left out" in report.findings
    with pytest.raises(StoreError, match="no target"):
        flatten(source, f"oci:{tmp_path}/out:app", profile="strict", workers=0)


def test_a_history_that_is_out_of_step_is_left_out(tmp_path) -> None:
    class Odd(Sample):
        @property
        def config(self) -> bytes:
            value = json.loads(super().config)
            value["history"] = value["history"][1:]
            return json.dumps(value).encode()

    source = write_source(tmp_path / "in", "oci", Odd(APP.layers, ("a:1",)))
    report = squash(source, f"oci:{tmp_path}/out:app", last=2, workers=0)
    assert sound(report.destination)
    assert any("history" in finding for finding in report.findings)
    assert "history" not in config_of(report.destination)

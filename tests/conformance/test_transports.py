"""Every transport of the table against the kit: what is written is read back, byte for byte."""

import hashlib
import os
import tarfile
from itertools import product
from pathlib import Path

import pytest
from support.images import layout_files, make_sample, write_folder
from transport_kit import WRITERS, copy_image, facts

from ocifast.ops.image import open_store
from ocifast.transports import TRANSPORTS

NAMES = [("example.com/team/app:1", "docker.io/library/debian:12"), ("localhost:5000/x:v2",)]


@pytest.fixture
def samples(request):
    return [make_sample(seed, names=names) for seed, names in enumerate(NAMES, 1)]


def read_back(reference):
    found = []
    for image in open_store(reference, profile="strict"):
        layers = image.layers
        digests = [str(layer.descriptor.digest) for layer in layers]
        for layer in layers:
            descriptor = layer.location.open()
            try:
                blob = os.pread(descriptor, layer.location.size, layer.location.offset)
            finally:
                os.close(descriptor)
            assert f"sha256:{hashlib.sha256(blob).hexdigest()}" == layer.descriptor.digest
        diff_ids = [str(layer.diff_id) for layer in layers]
        identifier = str(image.config_descriptor.digest)
        found.append((identifier, str(image.manifest.digest), digests, diff_ids))
    return found


def test_every_transport_has_a_writer() -> None:
    assert set(WRITERS) == set(TRANSPORTS)


@pytest.mark.parametrize(("first", "second"), list(product(WRITERS, WRITERS)))
def test_what_one_transport_writes_goes_through_any_other_unchanged(
    first: str, second: str, tmp_path: Path, samples
) -> None:
    if "dir" in (first, second):
        samples = samples[:1]
    source = write_folder(tmp_path / "source", layout_files(*samples))
    between = copy_image(f"oci:{source}", first, tmp_path / "between")
    last = copy_image(between, second, tmp_path / "last")
    expected = [facts(sample) for sample in samples]
    assert read_back(between) == expected
    assert read_back(last) == expected


@pytest.mark.parametrize("transport", [name for name in WRITERS if name != "dir"])
def test_names_survive_every_transport_that_has_any(
    transport: str, tmp_path: Path, samples
) -> None:
    source = write_folder(tmp_path / "source", layout_files(*samples))
    copy = copy_image(f"oci:{source}", transport, tmp_path / "copy")
    for sample in samples:
        for name in sample.names:
            (image,) = open_store(f"{copy}:{name}")
            assert str(image.config_descriptor.digest) == sample.image_id


@pytest.mark.parametrize("transport", ["oci-archive", "docker-archive"])
def test_the_same_images_give_the_same_archive(transport: str, tmp_path: Path, samples) -> None:
    source = write_folder(tmp_path / "source", layout_files(*samples))
    for name in ("one", "two"):
        copy_image(f"oci:{source}", transport, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("transport", ["oci-archive", "docker-archive"])
def test_an_archive_tells_what_is_in_it_before_its_layers(
    transport: str, tmp_path: Path, samples
) -> None:
    source = write_folder(tmp_path / "source", layout_files(*samples))
    copy_image(f"oci:{source}", transport, tmp_path / "copy")
    with tarfile.open(tmp_path / "copy") as tar:
        members = tar.getmembers()
    layers = {layer.digest[7:] for sample in samples for layer in sample.layers}
    kinds = [member.name.rpartition("/")[2] in layers for member in members]
    assert kinds == sorted(kinds)
    assert [member.name for member in members[:2]] == ["oci-layout", "index.json"]

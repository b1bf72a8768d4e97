"""Inspect: what the documents say, of every kind of store, and of an archive of any size."""

import json
import os
from pathlib import Path

import pytest
from support.images import (
    DOCKER_VARIANTS,
    INDEX,
    MANIFEST,
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
from support.layers import sha256

from ocifast.errors import ImageNotFound
from ocifast.formats.tar_writer import END, member_header, padding
from ocifast.ops.inspect import ImageFacts, IndexFacts, OtherFacts, inspect

SAMPLE = make_sample(1, names=("debian:12",))
ARM = make_sample(2, platform=("linux", "arm64"))


def only(reference: str, **options) -> ImageFacts:
    (image,) = inspect(reference, **options).images
    assert isinstance(image, ImageFacts)
    return image


def test_an_image_of_a_layout_is_described(tmp_path: Path) -> None:
    image = only(write_folder(tmp_path / "x", layout_files(SAMPLE)))
    assert image.names == ("debian:12",)
    assert image.digest == sha256(SAMPLE.manifest)
    assert image.image_id == SAMPLE.image_id
    assert image.platform == "linux/amd64"
    assert image.created == "2024-01-02T03:04:05Z"
    assert image.config.cmd == ("/bin/hello",)
    found = [(x.media_type, x.digest, x.size, x.diff_id, x.created_by) for x in image.layers]
    assert found == [
        (x.media_type, x.digest, len(x.blob), x.diff_id, f"COPY {number}")
        for number, x in enumerate(SAMPLE.layers)
    ]
    blobs = [SAMPLE.manifest, SAMPLE.config, *(layer.blob for layer in SAMPLE.layers)]
    assert image.size == sum(map(len, blobs))


@pytest.mark.parametrize("variant", DOCKER_VARIANTS)
def test_layers_of_docker_archives_are_told_by_their_first_bytes(
    tmp_path: Path, variant: str
) -> None:
    path = write_tar(tmp_path / "x", docker_files(SAMPLE, variant=variant))
    image = only(path)
    suffix = "+gzip" if variant in "DF" else ""
    assert {x.media_type for x in image.layers} == {
        f"application/vnd.oci.image.layer.v1.tar{suffix}"
    }
    assert image.image_id == (None if variant == "A" else SAMPLE.image_id)
    if variant in "BCE":  # what is not compressed has its diff_id as digest
        assert [x.digest for x in image.layers] == [x.diff_id for x in SAMPLE.layers]


def test_an_index_is_described_with_what_it_names(tmp_path: Path) -> None:
    absent = descriptor(b"-", MANIFEST, platform={"os": "linux", "architecture": "s390x"})
    children = [descriptor(sample.manifest, MANIFEST) for sample in (SAMPLE, ARM)]
    index = compact({"schemaVersion": 2, "mediaType": INDEX, "manifests": [*children, absent]})
    files = layout_files(SAMPLE, ARM)
    files |= {blob_name(index): index, "index.json": index_json([descriptor(index, INDEX)])}
    path = write_folder(tmp_path / "x", files)
    (root,) = inspect(path).images
    assert isinstance(root, IndexFacts)
    amd, arm, other = root.manifests
    assert (amd.platform, arm.platform) == ("linux/amd64", "linux/arm64")
    assert isinstance(other, OtherFacts)
    assert (other.present, other.platform) == (False, "linux/s390x")
    assert only(path, platform="linux/arm64").image_id == ARM.image_id
    with pytest.raises(ImageNotFound, match="for linux/riscv64"):
        inspect(path, platform="linux/riscv64")


def test_a_platform_leaves_out_images_for_others(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "x", layout_files(SAMPLE, ARM))
    assert only(path, platform="linux/arm64").image_id == ARM.image_id


def test_what_is_described_is_plain_json(tmp_path: Path) -> None:
    for name, files in (("one", layout_files(SAMPLE, ARM, index=True)), ("two", layout_files(ARM))):
        value = inspect(write_folder(tmp_path / name, files)).to_dict()
        assert value["schema"] == "ocifast.inspect/1"
        assert json.loads(json.dumps(value)) == value
    (image,) = value["images"]
    assert image["kind"] == "image"
    assert set(image["layers"][0]) >= {
        *("path", "media_type", "digest", "size", "diff_id", "uncompressed_size", "entries"),
    }


def test_what_a_store_lacks_is_marked(tmp_path: Path) -> None:
    files = layout_files(SAMPLE)
    del files[blob_name(SAMPLE.layers[1].blob)]
    image = only(write_folder(tmp_path / "x", files))
    assert [layer.present for layer in image.layers] == [True, False]
    assert image.size > len(SAMPLE.layers[1].blob)


def test_oddities_are_told(tmp_path: Path) -> None:
    files = list(layout_files(SAMPLE).items())
    blob = blob_name(SAMPLE.layers[0].blob)
    found = inspect(write_tar(tmp_path / "x", [*files, (blob, SAMPLE.layers[0].blob)]))
    assert found.findings == (f"{blob} is in the archive twice, the last one counts",)


def huge_archive(path: Path) -> None:
    """Forty layers of half a GiB, nearly all of it holes."""
    sample = make_sample(3, count=40)
    with open(path, "wb") as file:
        for name, content in docker_files(sample, variant="C").items():
            if content is None:
                continue
            is_layer = content[:1] not in b"[{"
            size = len(content) + (512 << 20) * is_layer
            file.write(member_header(name, size) + content)
            file.seek(size - len(content), os.SEEK_CUR)
            file.write(padding(size))
        file.write(END)


@pytest.mark.figures
def test_twenty_gigabytes_are_inspected_by_their_headers(tmp_path: Path) -> None:
    import time

    huge_archive(tmp_path / "huge.tar")
    assert os.stat(tmp_path / "huge.tar").st_size > 20 << 30
    times = []
    for _ in range(5):
        before = time.process_time()
        image = only(str(tmp_path / "huge.tar"))
        times.append(time.process_time() - before)
    assert len(image.layers) == 40
    assert min(times) < 0.05

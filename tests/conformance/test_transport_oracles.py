"""skopeo and umoci read what we write, we read what they write, and digests are the same."""

import json
import subprocess
from pathlib import Path

import pytest
from support.images import (
    DOCKER_VARIANTS,
    docker_files,
    layout_files,
    make_sample,
    write_folder,
    write_tar,
)
from support.layers import sha256
from transport_kit import WRITERS, copy_image

from ocifast.ops.image import open_image, open_store

NAME = "example.com/team/app:1"


@pytest.fixture
def skopeo(oracle, tmp_path):
    tool = oracle("skopeo")

    def run(*arguments: str) -> str:
        command = [tool, "--insecure-policy", "--tmpdir", str(tmp_path), *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def umoci(oracle):
    tool = oracle("umoci")

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [tool, *arguments], check=False, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.mark.parametrize("transport", WRITERS)
def test_skopeo_reads_what_we_write(transport: str, tmp_path: Path, skopeo) -> None:
    sample = make_sample(1, names=(NAME,))
    source = write_folder(tmp_path / "source", layout_files(sample))
    reference = copy_image(f"oci:{source}", transport, tmp_path / "ours")
    if transport != "dir":
        reference += f":{NAME}"
    assert skopeo("inspect", "--config", "--raw", reference).encode() == sample.config
    skopeo("copy", reference, f"dir:{tmp_path}/theirs")
    (theirs,) = open_store(f"dir:{tmp_path}/theirs")
    assert [str(layer.diff_id) for layer in theirs.layers] == [x.diff_id for x in sample.layers]
    if transport == "docker-archive":
        return  # its layers are handed on uncompressed, under another manifest
    assert str(theirs.manifest.digest) == sha256(sample.manifest)


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
@pytest.mark.parametrize("transport", ["oci", "oci-archive", "dir"])
def test_we_read_what_skopeo_writes(transport: str, codec: str, tmp_path: Path, skopeo) -> None:
    sample = make_sample(2, codec=codec, names=(NAME,))
    source = write_folder(tmp_path / "source", layout_files(sample))
    target = f"{transport}:{tmp_path}/theirs" + ("" if transport == "dir" else f":{NAME}")
    skopeo("copy", f"oci:{source}:{NAME}", target)
    image = open_image(target, profile="strict")
    assert str(image.manifest.digest) == sha256(sample.manifest)
    assert image.config_raw == sample.config
    assert all(layer.location is not None for layer in image.layers)


def test_we_read_a_docker_archive_of_skopeo(tmp_path: Path, skopeo) -> None:
    sample = make_sample(3, names=(NAME,))
    source = write_folder(tmp_path / "source", layout_files(sample))
    skopeo("copy", f"oci:{source}:{NAME}", f"docker-archive:{tmp_path}/theirs:{NAME}")
    image = open_image(f"docker-archive:{tmp_path}/theirs:{NAME}", profile="strict")
    assert [str(layer.diff_id) for layer in image.layers] == [x.diff_id for x in sample.layers]
    assert image.names == (NAME,)


@pytest.mark.parametrize("variant", DOCKER_VARIANTS[1:])
def test_skopeo_finds_the_image_we_find_in_an_archive(variant: str, tmp_path: Path, skopeo) -> None:
    sample = make_sample(4, names=(NAME,))
    path = write_tar(tmp_path / "save.tar", docker_files(sample, variant=variant))
    theirs = skopeo("inspect", "--config", "--raw", f"docker-archive:{path}:{NAME}").encode()
    assert open_image(f"docker-archive:{path}:{NAME}").config_raw == theirs


def test_an_index_of_platforms_is_what_skopeo_says_it_is(tmp_path: Path, skopeo) -> None:
    samples = [make_sample(5), make_sample(6, platform=("linux", "arm64"))]
    source = write_folder(tmp_path / "source", layout_files(*samples, index=True))
    skopeo("copy", "--all", f"oci:{source}", f"dir:{tmp_path}/theirs")
    (index,) = open_store(f"dir:{tmp_path}/theirs")
    assert [str(child.manifest.digest) for child in index.children] == [
        sha256(sample.manifest) for sample in samples
    ]
    for sample, architecture in zip(samples, ("amd64", "arm64"), strict=True):
        image = open_image(f"dir:{tmp_path}/theirs", platform=f"linux/{architecture}")
        assert image.config_raw == sample.config


def test_umoci_lists_tags_and_reads_layers_we_wrote(tmp_path: Path, umoci) -> None:
    sample = make_sample(7, names=("v1", "v2"))
    source = write_folder(tmp_path / "source", layout_files(sample))
    copy_image(f"oci:{source}", "oci", tmp_path / "ours")
    assert umoci("list", "--layout", f"{tmp_path}/ours").split() == ["v1", "v2"]
    stat = json.loads(umoci("stat", "--image", f"{tmp_path}/ours:v1", "--json"))
    layers = [each["layer"]["digest"] for each in stat["history"] if each["layer"]]
    assert layers == [layer.digest for layer in sample.layers]


def test_we_read_a_tag_umoci_made(tmp_path: Path, umoci) -> None:
    sample = make_sample(8, names=("v1",))
    source = write_folder(tmp_path / "source", layout_files(sample))
    copy_image(f"oci:{source}", "oci", tmp_path / "ours")
    umoci("tag", "--image", f"{tmp_path}/ours:v1", "v2")
    for tag in ("v1", "v2"):
        assert str(open_image(f"oci:{tmp_path}/ours:{tag}").manifest.digest) == sha256(
            sample.manifest
        )

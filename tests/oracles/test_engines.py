"""Docker and podman load what we write and run it, and what they save comes back unchanged.

`engine` is both, one after the other; the answer of a container is compared line by line.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.engine_images import ANSWER, NAME, make_engine_image
from support.engines import Client
from support.images import (
    DOCKER_VARIANTS,
    Sample,
    directory_files,
    docker_files,
    layout_files,
    write_folder,
    write_tar,
)

Convert = Callable[..., dict[str, Any]]


def identity(engine: Client, name: str) -> str:
    """The image ID, with its algorithm: podman leaves that out."""
    found = engine("image", "inspect", "--format", "{{.Id}}", name).strip()
    return f"sha256:{found.removeprefix('sha256:')}"


def load(engine: Client, archive: Path) -> None:
    engine("load", "--input", str(archive))


@pytest.mark.parametrize("compress", ["none", "gzip"])
@pytest.mark.parametrize("codec", ["plain", "gzip", "zstd"])
def test_an_engine_runs_the_docker_archive_of_a_layout(
    engine: Client, convert: Convert, program: bytes, tmp_path: Path, codec: str, compress: str
) -> None:
    image = make_engine_image(program, codec)
    layout = write_folder(tmp_path / "layout", layout_files(image))
    convert(f"oci:{layout}", "-o", "docker-archive:out.tar", "--compress", compress)
    load(engine, tmp_path / "out.tar")
    assert identity(engine, NAME) == image.image_id
    assert engine.output_of(NAME) == ANSWER


@pytest.mark.parametrize("variant", DOCKER_VARIANTS.replace("A", ""))
def test_every_kind_of_docker_archive_runs_after_a_way_through_a_layout(
    engine: Client, convert: Convert, image: Sample, tmp_path: Path, variant: str
) -> None:
    write_tar(tmp_path / "in.tar", docker_files(image, variant=variant))
    convert("in.tar", "-o", "oci:layout")
    convert("oci:layout", "-o", "docker-archive:out.tar")
    load(engine, tmp_path / "out.tar")
    assert identity(engine, NAME) == image.image_id
    assert engine.output_of(NAME) == ANSWER


def test_an_archive_from_before_image_ids_runs(
    engine: Client, convert: Convert, image: Sample, tmp_path: Path
) -> None:
    write_tar(tmp_path / "in.tar", docker_files(image, variant="A"))
    convert("in.tar", "-o", "docker-archive:out.tar")
    load(engine, tmp_path / "out.tar")
    assert engine.output_of(NAME) == ANSWER


@pytest.mark.parametrize("compress", ["none", "gzip", "zstd"])
def test_podman_runs_the_oci_archive_of_a_docker_archive(
    podman: Client, convert: Convert, image: Sample, tmp_path: Path, compress: str
) -> None:
    write_tar(tmp_path / "in.tar", docker_files(image))
    convert("in.tar", "-o", "oci-archive:out.tar", "--compress", compress)
    load(podman, tmp_path / "out.tar")
    assert identity(podman, NAME) == image.image_id
    assert podman.output_of(NAME) == ANSWER
    podman.forget_images()


@pytest.mark.parametrize("compress", ["keep", "gzip", "zstd", "none"])
def test_podman_runs_the_folder_of_a_docker_archive(
    podman: Client, convert: Convert, image: Sample, tmp_path: Path, compress: str
) -> None:
    write_tar(tmp_path / "in.tar", docker_files(image))
    convert("in.tar", "-o", "dir:out", "--compress", compress)
    name = podman("pull", "--quiet", f"dir:{tmp_path}/out").strip()
    assert name == image.image_id.removeprefix("sha256:")
    assert podman.output_of(name) == ANSWER
    podman.forget_images()


@pytest.mark.parametrize("compress", ["zstd:chunked", "estargz"])
def test_podman_runs_a_layout_whose_layers_were_made_seekable(
    podman: Client, convert: Convert, image: Sample, tmp_path: Path, compress: str
) -> None:
    write_tar(tmp_path / "in.tar", docker_files(image))
    convert("in.tar", "-o", "oci:out:app", "--compress", compress)
    name = podman("pull", "--quiet", f"oci:{tmp_path}/out:app").strip()
    assert (name == image.image_id.removeprefix("sha256:")) == (compress == "zstd:chunked")
    assert podman.output_of(name) == ANSWER
    podman.forget_images()


def test_what_an_engine_saves_keeps_its_identity_through_a_layout(
    engine: Client, convert: Convert, image: Sample, tmp_path: Path
) -> None:
    write_tar(tmp_path / "first.tar", docker_files(image))
    load(engine, tmp_path / "first.tar")
    (tmp_path / "saved.tar").write_bytes(engine.read("save", NAME))
    engine.forget_images()
    found = convert("saved.tar", "-o", "oci:layout", "--compress", "zstd")
    assert found["image_id"] == image.image_id
    assert [done["diff_id"] for done in found["layers"]] == [
        layer.diff_id for layer in image.layers
    ]
    convert("oci:layout", "-o", "docker-archive:out.tar")
    load(engine, tmp_path / "out.tar")
    assert identity(engine, NAME) == image.image_id
    assert engine.output_of(NAME) == ANSWER


def test_what_an_engine_saves_is_read_from_a_pipe(
    engine: Client, convert: Convert, image: Sample, tmp_path: Path
) -> None:
    write_tar(tmp_path / "first.tar", docker_files(image))
    load(engine, tmp_path / "first.tar")
    found = convert("-", "-o", "oci:layout", stdin=engine.read("save", NAME))
    assert found["image_id"] == image.image_id
    assert found["names"] == [NAME]


def test_nothing_is_wrong_with_what_an_engine_saves(
    engine: Client, ocifast: Callable[..., bytes], image: Sample, tmp_path: Path
) -> None:
    write_tar(tmp_path / "first.tar", docker_files(image))
    load(engine, tmp_path / "first.tar")
    (tmp_path / "saved.tar").write_bytes(engine.read("save", NAME))
    ocifast("verify", "--profile", "strict", "docker-archive:saved.tar")


def test_two_images_docker_saves_in_one_archive_come_back_as_two(
    docker: Client, ocifast: Callable[..., bytes], program: bytes, tmp_path: Path
) -> None:
    names = ["example.com/one:1", "example.com/two:2"]
    images = [make_engine_image(program, "gzip", name, f"from {name}") for name in names]
    write_tar(tmp_path / "first.tar", docker_files(*images))
    load(docker, tmp_path / "first.tar")
    (tmp_path / "saved.tar").write_bytes(docker.read("save", *names))
    docker.forget_images()
    report = json.loads(ocifast("convert", "saved.tar", "-o", "oci:layout", "--json"))
    assert {i["image_id"] for i in report["images"]} == {image.image_id for image in images}
    ocifast("convert", "oci:layout", "-o", "docker-archive:out.tar")
    load(docker, tmp_path / "out.tar")
    for name in names:
        assert docker.output_of(name, "$GREETING") == [f"$GREETING: from {name}"]
    docker.forget_images()


def test_a_container_that_podman_commits_to_oci_is_read(
    podman: Client, convert: Convert, docker: Client, image: Sample, tmp_path: Path
) -> None:
    """Its own layers, config and manifest, not ones that passed through it."""
    write_tar(tmp_path / "first.tar", docker_files(image))
    load(podman, tmp_path / "first.tar")
    podman("create", "--name", "changed", "--network", "none", *podman.run_options, NAME)
    podman("cp", str(tmp_path / "first.tar"), "changed:/etc/removed")
    podman("commit", "--format", "oci", "--change", "ENV GREETING=committed", "changed", "new:1")
    podman("rm", "--force", "changed")
    (tmp_path / "saved.tar").write_bytes(podman.read("save", "--format", "oci-archive", "new:1"))
    podman.forget_images()
    convert("oci-archive:saved.tar", "-o", "docker-archive:out.tar")
    load(docker, tmp_path / "out.tar")
    name = docker("images", "--quiet", "--no-trunc").strip()
    assert docker.output_of(name, "$GREETING", "/opaque/old") == [
        "$GREETING: committed",
        "/opaque/old: absent",
    ]
    docker.forget_images()


def test_a_folder_of_skopeo_becomes_an_archive_docker_runs(
    docker: Client, convert: Convert, image: Sample, tmp_path: Path
) -> None:
    folder = write_folder(tmp_path / "folder", directory_files(image))
    convert(f"dir:{folder}", "-o", f"docker-archive:out.tar:{NAME}")
    load(docker, tmp_path / "out.tar")
    assert docker.output_of(NAME) == ANSWER
    docker.forget_images()

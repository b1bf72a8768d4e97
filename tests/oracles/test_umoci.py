"""Umoci unpacks what we write as dockerd does; dockerd runs what umoci wrote and we converted."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.engine_images import ANSWER, NAME
from support.engines import Client
from support.images import Sample, docker_files, layout_files, write_folder, write_tar
from support.trees import Tree, tree_of_folder, tree_of_tar

Convert = Callable[..., dict[str, Any]]
Umoci = Callable[..., None]
# what dockerd puts into every container
OF_DOCKER = {".dockerenv", "dev", "proc", "sys", "etc/hostname", "etc/hosts", "etc/resolv.conf"}
OF_DOCKER |= {"etc/mtab"}


@pytest.fixture
def umoci(oracle: Callable[[str], str], tmp_path: Path) -> Umoci:
    def run(*words: str) -> None:
        command = [oracle("umoci"), *words]
        done = subprocess.run(command, check=False, capture_output=True, cwd=tmp_path, text=True)
        assert done.returncode == 0, done.stderr

    return run


def rootless() -> list[str]:
    return ["--rootless"] if os.geteuid() else []


def exported(docker: Client, name: str) -> Tree:
    """The root of a container, without what dockerd adds."""
    container = docker("create", "--network", "none", name).strip()
    try:
        tree = tree_of_tar(docker.read("export", container))
    finally:
        docker("rm", container)
    return {n: node for n, node in tree.items() if not {n, n.partition("/")[0]} & OF_DOCKER}


def test_umoci_unpacks_our_layout_as_docker_exports_our_archive(
    docker: Client, umoci: Umoci, convert: Convert, image: Sample, tmp_path: Path
) -> None:
    write_tar(tmp_path / "in.tar", docker_files(image))
    convert("in.tar", "-o", "oci:layout", "--compress", "gzip", "--force")
    convert("oci:layout", "-o", "docker-archive:out.tar")
    umoci("unpack", *rootless(), "--image", f"layout:{NAME}", "bundle")
    docker("load", "--input", str(tmp_path / "out.tar"))
    tree = tree_of_folder(tmp_path / "bundle/rootfs")
    assert {"etc/kept", "etc/twin", "etc/link", "opaque/new"} < tree.keys()
    assert tree["etc/twin"].same_as == "etc/kept"
    assert not {"etc/removed", "opaque/old"} & tree.keys()
    assert tree == exported(docker, NAME)
    docker.forget_images()


def test_docker_runs_an_image_that_umoci_changed(
    docker: Client, umoci: Umoci, convert: Convert, image: Sample, tmp_path: Path
) -> None:
    """Its layers have no end blocks in some versions, and its configs a look of their own."""
    write_folder(tmp_path / "layout", layout_files(image))
    umoci("unpack", *rootless(), "--image", f"layout:{NAME}", "bundle")
    (tmp_path / "bundle/rootfs/etc/kept").unlink()
    (tmp_path / "bundle/rootfs/etc/changed").write_text("by umoci")
    umoci("repack", "--image", f"layout:{NAME}", "bundle")
    umoci("config", "--image", f"layout:{NAME}", "--config.env", "GREETING=umoci")
    convert(f"oci:layout:{NAME}", "-o", f"docker-archive:out.tar:{NAME}")
    docker("load", "--input", str(tmp_path / "out.tar"))
    answer = docker.output_of(NAME, "$GREETING", "/etc/kept", "/etc/twin", "/etc/changed")
    assert answer == [
        "$GREETING: umoci",
        "/etc/kept: absent",
        "/etc/twin: from the base",
        "/etc/changed: by umoci",
    ]
    docker.forget_images()


def test_umoci_adds_to_a_layout_we_wrote_and_we_to_one_of_umoci(
    docker: Client, umoci: Umoci, convert: Convert, image: Sample, tmp_path: Path
) -> None:
    """One layout, three images, two writers: none is lost."""
    umoci("init", "--layout", "layout")
    umoci("new", "--image", "layout:empty")
    write_tar(tmp_path / "in.tar", docker_files(image))
    convert("in.tar", "-o", "oci:layout")
    umoci("tag", "--image", f"layout:{NAME}", "again")
    umoci("gc", "--layout", "layout")
    umoci("stat", "--image", "layout:empty")
    convert("oci:layout:again", "-o", f"docker-archive:out.tar:{NAME}")
    docker("load", "--input", str(tmp_path / "out.tar"))
    assert docker.output_of(NAME) == ANSWER
    docker.forget_images()

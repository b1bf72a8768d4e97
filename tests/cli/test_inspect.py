"""`ocifast inspect`: a table for a person, JSON for a program, bytes for a digest."""

import json
import os
import subprocess
import sys

import pytest
from support.images import (
    Sample,
    docker_files,
    layout_files,
    make_sample,
    tar_of,
    write_folder,
    write_tar,
)
from support.pace import slowness

SAMPLE = make_sample(1, names=("debian:12",))
OTHER = make_sample(2, names=("busybox:latest",), platform=("linux", "arm64"))


def test_one_image_is_shown_in_full(call, tmp_path) -> None:
    write_tar(tmp_path / "save.tar", docker_files(SAMPLE))
    done = call("inspect", "save.tar")
    assert (done.code, done.err) == (0, "")
    fields = dict(line.strip().split(maxsplit=1) for line in done.lines if line.startswith("  "))
    assert done.lines[0] == "docker-archive:save.tar"
    assert fields["names"] == "debian:12"
    assert fields["platform"] == "linux/amd64"
    assert fields["cmd"] == "/bin/hello"
    assert fields["image"] == f"id    {SAMPLE.image_id}"
    assert any("COPY 1" in line for line in done.lines)


def test_several_images_are_a_line_each(call, tmp_path) -> None:
    write_folder(tmp_path / "layout", layout_files(SAMPLE, OTHER))
    done = call("inspect", "oci:layout")
    assert done.code == 0
    assert [line.split()[:2] for line in done.lines[1:]] == [
        ["name", "platform"],
        ["debian:12", "linux/amd64"],
        ["busybox:latest", "linux/arm64"],
    ]


def test_an_index_is_shown_with_its_platforms(call, tmp_path) -> None:
    write_folder(tmp_path / "layout", layout_files(SAMPLE, OTHER, index=True))
    done = call("inspect", "layout")
    assert [line.split()[:2] for line in done.lines[2:]] == [
        ["debian:12", "index"],
        ["-", "linux/amd64"],
        ["-", "linux/arm64"],
    ]
    done = call("inspect", "--platform", "linux/arm64", "layout:x")
    assert done.code == 3


def test_json_is_one_object(call, tmp_path) -> None:
    write_folder(tmp_path / "layout", layout_files(SAMPLE, OTHER))
    done = call("inspect", "--json", "layout")
    (line,) = done.lines
    value = json.loads(line)
    assert value["schema"] == "ocifast.inspect/1"
    assert [image["names"] for image in value["images"]] == [["debian:12"], ["busybox:latest"]]


def test_documents_come_byte_for_byte(call, tmp_path) -> None:
    write_folder(tmp_path / "layout", layout_files(SAMPLE, OTHER))
    write_folder(tmp_path / "index", layout_files(SAMPLE, OTHER, index=True))
    assert call("inspect", "--raw", "oci:layout:debian:12").out == SAMPLE.manifest
    assert call("inspect", "--config", "oci:layout:busybox:latest").out == OTHER.config
    assert b'"manifests"' in call("inspect", "--raw", "index").out
    assert call("inspect", "--raw", "--platform", "linux/arm64", "index").out == OTHER.manifest


@pytest.mark.parametrize("option", ["--raw", "--config"])
def test_a_document_that_is_not_there_is_not_made_up(call, tmp_path, option: str) -> None:
    write_tar(tmp_path / "save.tar", docker_files(SAMPLE, variant="A"))
    done = call("inspect", option, "save.tar")
    assert (done.code, done.out) == (4, b"")
    assert "of its own" in done.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["missing.tar"], 3, "missing.tar: No such file"),
        (["docker-archiv:app.tar"], 3, "No such file; is docker-archive: meant?"),
        (["oci-layout:images"], 3, "No such file; is oci: meant?"),
        (["oci:layout:nothing"], 3, "holds no image nothing (it holds: debian:12"),
        (["--config", "layout"], 2, "name one of them: debian:12, busybox:latest"),
        (["docker://debian"], 2, "oci:FOLDER[:NAME]"),
        (["--platform", "x", "layout"], 2, "os/architecture"),
        (["letter"], 4, "letter"),
    ],
)
def test_what_cannot_be_inspected_is_told_in_one_line(
    call, tmp_path, arguments, code: int, words: str
) -> None:
    write_folder(tmp_path / "layout", layout_files(SAMPLE, OTHER))
    (tmp_path / "letter").write_bytes(b"Dear all, " * 100)
    done = call("inspect", *arguments)
    assert (done.code, done.out) == (code, b"")
    (line,) = done.complaints
    assert words in line
    done = call("inspect", "--json", *arguments[-1:])
    if done.code:
        assert json.loads(done.out)["schema"] == "ocifast.error/1"


def test_a_digest_that_does_not_fit_names_the_file(call, tmp_path) -> None:
    files = layout_files(SAMPLE)
    name = next(name for name, raw in files.items() if raw == SAMPLE.config)
    files[name] = SAMPLE.config.replace(b"amd64", b"arm64")
    write_folder(tmp_path / "layout", files)
    done = call("inspect", "layout")
    assert done.code == 1
    assert name in done.err


def test_d06_a_document_cannot_steer_the_terminal(call, tmp_path) -> None:
    runtime = {"Cmd": ["\x1b[31mred\n", "two words"], "Labels": {"a\r": "\u202eb"}, "User": "\x07"}
    sample = Sample(SAMPLE.layers, ("x:1",), ("linux\x1b", "amd64"), runtime)
    write_folder(tmp_path / "layout", layout_files(sample))
    done = call("inspect", "layout")
    assert done.code == 0
    assert all(line.isprintable() for line in done.lines)
    assert '\\033[31mred\\n "two words"' in done.out.decode()


def test_standard_input_is_an_archive(ocifast) -> None:
    done = ocifast("inspect", "-", input=tar_of(docker_files(SAMPLE)))
    assert done.code == 0
    assert "debian:12" in done.out.decode()


def test_warnings_go_to_stderr_and_can_be_left_out(call, tmp_path) -> None:
    files = layout_files(SAMPLE)
    del files["oci-layout"]
    write_folder(tmp_path / "layout", files)
    assert call("inspect", "oci:layout").complaints == [
        "ocifast: layout: warning: oci-layout is not there"
    ]
    assert call("inspect", "-q", "oci:layout").err == ""
    assert call("inspect", "--profile", "strict", "oci:layout").code == 4


@pytest.mark.figures
@pytest.mark.usefixtures("compiled_once")
def test_an_archive_is_inspected_within_a_fifth_of_a_second(tmp_path) -> None:
    write_tar(tmp_path / "save.tar", docker_files(SAMPLE))
    command = [sys.executable, "-P", "-m", "ocifast", "inspect", "save.tar"]
    times = []
    for _ in range(6):
        limit = 0.2 * slowness()
        before = os.times()
        subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
        after = os.times()
        used = after.children_user + after.children_system
        times.append((used - before.children_user - before.children_system, limit))
    assert any(used < limit for used, limit in times), times


def test_a_docker_archive_that_was_called_an_oci_archive_is_told_its_name(call, tmp_path) -> None:
    write_tar(tmp_path / "saved.tar", docker_files(SAMPLE))
    done = call("inspect", "oci-archive:saved.tar")
    assert done.code == 4
    assert "manifest.json is: write docker-archive:" in done.err

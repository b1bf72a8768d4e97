"""`ocifast pack` as a person types it: output, exit codes, and sentences for what goes wrong."""

import hashlib
import json
import os
import subprocess
import sys
import tarfile

import pytest
from support.packing import WHEN, make_tree

COMMAND = [sys.executable, "-P", "-m", "ocifast", "pack"]


@pytest.fixture
def tree(tmp_path):
    return make_tree(tmp_path / "tree")


def run(*words, code=0, stdin=None, **environment):
    clean = {key: value for key, value in os.environ.items() if key != "SOURCE_DATE_EPOCH"}
    done = subprocess.run(
        [*COMMAND, *map(str, words)],
        check=False,
        input=stdin,
        capture_output=True,
        env=clean | environment,
    )
    text = done.stderr.decode()
    assert done.returncode == code, text
    assert "Traceback" not in text
    return done.stdout, text


def packed(*words, **environment):
    out, _ = run(*words, "--json", **environment)
    return json.loads(out)


def test_json_has_the_keys_of_a_layer_and_what_it_was_made_by(tree, tmp_path) -> None:
    found = packed(tree, "-o", tmp_path / "out")
    assert list(found)[:8] == [
        "schema", "path", "media_type", "digest", "size", "diff_id", "uncompressed_size", "entries",
    ]  # fmt: skip
    assert found["schema"] == "ocifast.pack/1"
    assert (
        found["digest"] == "sha256:" + hashlib.sha256((tmp_path / "out").read_bytes()).hexdigest()
    )
    assert found["recipe"].startswith("gzip-libdeflate/2:level=6")


def test_a_person_is_told_what_was_made(tree, tmp_path) -> None:
    out, error = run(tree, "-o", tmp_path / "out")
    assert out.decode().splitlines()[0] == f"layer    {tmp_path / 'out'}"
    assert b"\ndiff_id  sha256:" in out
    assert "Error" not in error


def test_a_layer_goes_to_stdout_and_nothing_else_does(tree, tmp_path) -> None:
    packed(tree, "-o", tmp_path / "out", "--compress", "zstd")
    out, _ = run(tree, "-o", "-", "--compress", "zstd")
    assert out == (tmp_path / "out").read_bytes()
    _, error = run(tree, "-o", "-", "--json", code=2)
    assert "stdout" in error


def test_the_epoch_of_the_environment_is_read_and_an_option_wins(tree, tmp_path) -> None:
    plain = packed(tree, "-o", tmp_path / "a")
    of_environment = packed(tree, "-o", tmp_path / "b", SOURCE_DATE_EPOCH="1000")
    of_option = packed(
        tree, "-o", tmp_path / "c", "--source-date-epoch", WHEN, SOURCE_DATE_EPOCH="1000"
    )
    assert of_environment["diff_id"] != plain["diff_id"] == of_option["diff_id"]
    _, error = run(tree, "-o", tmp_path / "d", code=2, SOURCE_DATE_EPOCH="yesterday")
    assert "SOURCE_DATE_EPOCH" in error


def test_owners_are_set_and_mapped(tree, tmp_path) -> None:
    run(tree, "-o", tmp_path / "a", "--owner", "7:8")
    with tarfile.open(tmp_path / "a") as tar:
        assert {(m.uid, m.gid) for m in tar} == {(7, 8)}
    mine = f"{os.getuid()}:=9:"
    run(tree, "-o", tmp_path / "b", "--map-owner", mine)
    with tarfile.open(tmp_path / "b") as tar:
        assert {m.uid for m in tar} == {9}


def test_paths_are_listed_on_stdin(tree, tmp_path) -> None:
    run(tree, "-o", tmp_path / "a", "--files-from", "-", stdin=b"etc/empty\nvar\n")
    run(tree, "-o", tmp_path / "b", "--files-from", "-", "-0", stdin=b"etc/empty\0var\0")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with tarfile.open(tmp_path / "a") as tar:
        assert tar.getnames()[:3] == ["etc", "etc/empty", "var"]


def test_an_image_is_made_and_appended_to(tree, tmp_path) -> None:
    layout = f"oci:{tmp_path}/layout:app"
    first = packed(tree, "-o", layout)
    second = packed(tree, "--append-to", layout, "--prefix", "again")
    assert first["image"] != second["image"]
    index = json.loads((tmp_path / "layout/index.json").read_text())
    assert [entry["digest"] for entry in index["manifests"]] == [second["image"]]


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["{tree}"], 2, "required"),
        (["{tree}", "-o", "{out}", "--append-to", "oci:x:y"], 2, "not allowed"),
        (["{tree}", "-o", "{out}", "--owner", "root"], 2, "UID:GID"),
        (["{tree}", "-o", "{out}", "--map-owner", "1:2"], 2, "UID:GID=UID:GID"),
        (["{tree}", "-o", "{out}", "--level", "99"], 2, "level 99"),
        (["{tree}", "-o", "{out}", "--recipe", "x"], 2, "gzip-libdeflate"),
        (["{tree}", "-o", "{out}", "--prefix", "../x"], 2, ".."),
        (["{tree}", "-o", "{out}", "--exclude", "!"], 2, "pattern"),
        (["{tree}/none", "-o", "{out}"], 3, "none"),
        (["{tree}", "-o", "{out}/none/out"], 3, "none"),
        (["{tree}", "-o", "{tree}/out"], 6, "inside"),
        (["{tree}", "-o", "{tree}"], 6, "folder"),
        (["{tree}", "-o", "oci:{out}"], 2, "name"),
        (["{tree}", "--append-to", "oci:{out}:x"], 3, "holds no image"),
        (["{tree}", "-o", "{out}", "--base", "{tree}/none"], 3, "none"),
        (["{tree}", "-o", "{out}", "--max-output", "1K"], 4, "max-output"),
    ],
)
def test_what_goes_wrong_is_one_line_and_leaves_nothing(
    tree, tmp_path, words, code, sentence
) -> None:
    filled = [word.format(tree=tree, out=tmp_path / "out") for word in words]
    out, error = run(*filled, code=code)
    assert out == b""
    *before, last = error.splitlines()
    assert sentence in last
    assert all("packing 1 image" in line for line in before), "and progress"
    assert sorted(os.listdir(tmp_path)) == ["tree"]


def test_what_is_left_out_is_said(tree, tmp_path) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as made:
        os.chdir(tree)
        made.bind(str(tree / "sock"))
    found = packed(tree, "-o", tmp_path / "out")
    assert found["findings"] == ["socket: sock"]
    _, error = run(tree, "-o", tmp_path / "again")
    assert "left out socket: sock" in error

"""`ocifast cat`: one file of a layer on stdout, and nothing else."""

import hashlib
import json
import os
import subprocess
import sys

import pytest
from support.packing import make_tree, pack

COMMAND = [sys.executable, "-P", "-m", "ocifast", "cat"]


@pytest.fixture
def tree(tmp_path):
    top = make_tree(tmp_path / "tree")
    (top / os.fsdecode(b"\xff\xfe")).unlink()
    for compress in ("gzip", "zstd:chunked"):
        pack(top, tmp_path / compress, compress=compress)
    return top


def run(*words, code=0):
    done = subprocess.run([*COMMAND, *words], check=False, capture_output=True)
    assert done.returncode == code, done.stderr
    assert b"Traceback" not in done.stderr
    return done.stdout, done.stderr.decode()


@pytest.mark.parametrize("layer", ["gzip", "zstd:chunked"])
def test_a_file_comes_out_byte_for_byte(tree, tmp_path, layer) -> None:
    out, error = run(tmp_path / layer, "var/sparse")
    assert out == (tree / "var/sparse").read_bytes()
    assert error == ""


def test_json_describes_the_content(tree, tmp_path) -> None:
    out, _ = run("--json", tmp_path / "gzip", "var/sparse")
    content = (tree / "var/sparse").read_bytes()
    assert json.loads(out) == {
        "schema": "ocifast.cat/1",
        "path": "var/sparse",
        "size": len(content),
        "digest": f"sha256:{hashlib.sha256(content).hexdigest()}",
    }


@pytest.mark.parametrize("layer", ["gzip", "zstd:chunked"])
@pytest.mark.parametrize(
    ("path", "code", "sentence"),
    [("no/such", 3, "no such path"), ("etc", 4, "directory"), ("etc/link", 4, "symlink")],
)
def test_what_is_no_file_is_said(tree, tmp_path, layer, path, code, sentence) -> None:
    out, error = run(tmp_path / layer, path, code=code)
    assert out == b""
    assert sentence in error
    assert len(error.splitlines()) == 1


def test_a_layer_that_is_not_there_or_no_layer_is_said(tmp_path) -> None:
    assert "No such file" in run(tmp_path / "none", "x", code=3)[1]
    (tmp_path / "text").write_text("text")
    assert "no tar archive" in run(tmp_path / "text", "x", code=4)[1]

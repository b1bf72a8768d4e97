"""`ocifast index`: a file that takes a layer's place, or a sentence why there is none."""

import gzip
import hashlib
import json
import os

import numpy as np
import pytest
from support.changes import Node, tar_of, tree

CONTENT = tree(etc__motd=Node(data=b"hello\n"), etc__twin="etc/motd", usr=Node("dir", mode=0o700))
OTHER = tree(etc__motd=Node(data=b"world\n"), etc__twin="etc/motd", usr=Node("dir", mode=0o700))

PROGRESS = ("ocifast: indexing", "ocifast: [")


def said(done):
    """What was said, but for how far it has got."""
    return [line for line in done.complaints if not line.startswith(PROGRESS)]


@pytest.fixture(autouse=True)
def layer(tmp_path):
    blob = gzip.compress(tar_of(CONTENT), mtime=0)
    (tmp_path / "layer.tar.gz").write_bytes(blob)
    (tmp_path / "other.tar").write_bytes(tar_of(OTHER))
    return blob


def test_an_index_is_written_and_named(ocifast, tmp_path, layer) -> None:
    done = ocifast("index", "layer.tar.gz", "-o", "layer.npz")
    digest = hashlib.sha256(layer).hexdigest()
    size = (tmp_path / "layer.npz").stat().st_size
    assert (done.code, done.out) == (0, b"")
    assert said(done) == [f"ocifast: layer.npz: 4 entries of sha256:{digest}, {size / 1000:.1f} kB"]
    with np.load(tmp_path / "layer.npz") as arrays:
        assert len(arrays["rows"]) == 4


def test_json_has_the_keys_of_a_layer(call, layer) -> None:
    (line,) = call("index", "layer.tar.gz", "-o", "x.npz", "--json").lines
    found = json.loads(line)
    assert found == {
        "schema": "ocifast.index/1",
        "path": "layer.tar.gz",
        "media_type": "application/vnd.oci.image.layer.v1.tar+gzip",
        "digest": f"sha256:{hashlib.sha256(layer).hexdigest()}",
        "size": len(layer),
        "diff_id": f"sha256:{hashlib.sha256(tar_of(CONTENT)).hexdigest()}",
        "uncompressed_size": len(tar_of(CONTENT)),
        "entries": 4,
        "index": "x.npz",
    }


def test_quiet_says_nothing(call, tmp_path) -> None:
    done = call("index", "layer.tar.gz", "-o", "x.npz", "-q")
    assert (done.code, done.out, done.err) == (0, b"", "")
    assert (tmp_path / "x.npz").exists()


def test_a_diff_of_indexes_is_a_diff_of_layers(call) -> None:
    for name in ("layer.tar.gz", "other.tar"):
        assert call("index", name, "-o", f"{name}.npz", "-q").code == 0
    layers = call("diff", "layer.tar.gz", "other.tar")
    assert layers.code == 1
    for sides in (("layer.tar.gz.npz", "other.tar.npz"), ("layer.tar.gz", "other.tar.npz")):
        assert call("diff", *sides)[:2] == layers[:2]
    same = call("diff", "layer.tar.gz.npz", "layer.tar.gz")
    assert (same.code, same.lines[0]) == (0, "no difference (4 entries)")


def test_a_layer_comes_by_standard_input(ocifast, tmp_path, layer) -> None:
    assert ocifast("index", "-", "-o", "piped.npz", input=layer).code == 0
    assert ocifast("index", "layer.tar.gz", "-o", "named.npz").code == 0
    with np.load(tmp_path / "piped.npz") as piped, np.load(tmp_path / "named.npz") as named:
        for name in ("rows", "heap", "contents"):
            assert piped[name].tobytes() == named[name].tobytes()


def test_a_file_that_exists_is_replaced_only_when_asked(call, tmp_path) -> None:
    (tmp_path / "x.npz").write_text("mine")
    done = call("index", "no-such-layer", "-o", "x.npz")
    assert (done.code, said(done)) == (
        6,
        ["ocifast: x.npz: it is there already (see --overwrite)"],
    )
    assert (tmp_path / "x.npz").read_text() == "mine"
    assert call("index", "layer.tar.gz", "-o", "x.npz", "--overwrite").code == 0
    assert call("diff", "x.npz", "layer.tar.gz").code == 0


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["layer.tar.gz"], 2, "-o/--output"),
        (["-o", "x.npz"], 2, "LAYER"),
        (["none", "-o", "x.npz"], 3, "none: No such file"),
        (["folder", "-o", "x.npz"], 6, "folder: is a directory"),
        (["layer.tar.gz", "-o", "none/x.npz"], 3, "none/x.npz: "),
        (["layer.tar.gz", "-o", "folder"], 6, "folder: "),
        (["text", "-o", "x.npz"], 4, "not a tar archive"),
        (["cut.gz", "-o", "x.npz"], 4, "cut.gz"),
        (["layer.tar.gz", "-o", "x.npz", "--max-output", "1K"], 4, "--max-output"),
    ],
)
def test_what_goes_wrong_is_one_line_and_leaves_nothing(
    call, tmp_path, layer, words, code, sentence
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("no layer " * 200)
    (tmp_path / "cut.gz").write_bytes(layer[:-9])
    before = sorted(os.listdir(tmp_path))
    done = call("index", *words)
    assert (done.code, done.out) == (code, b"")
    (line,) = said(done)
    assert sentence in line
    assert sorted(os.listdir(tmp_path)) == before


def test_trouble_in_json_names_the_layer(call, tmp_path) -> None:
    (tmp_path / "text").write_text("no layer " * 200)
    done = call("index", "text", "-o", "x.npz", "--json")
    found = json.loads(done.out)
    assert (found["schema"], found["path"], found["exit_code"]) == ("ocifast.error/1", "text", 4)


def test_a_damaged_index_is_named_by_a_diff(call, tmp_path) -> None:
    call("index", "layer.tar.gz", "-o", "x.npz", "-q")
    blob = bytearray((tmp_path / "x.npz").read_bytes())
    blob[len(blob) // 2] ^= 1
    (tmp_path / "x.npz").write_bytes(blob)
    done = call("diff", "x.npz", "layer.tar.gz")
    assert (done.code, len(said(done))) == (4, 1)
    assert said(done)[0].startswith("ocifast: x.npz: ")

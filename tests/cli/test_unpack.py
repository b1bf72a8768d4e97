"""`ocifast unpack`: a folder that is there when it is complete, or a sentence why there is none."""

import gzip
import json
import os
import subprocess

import pytest
from support.images import docker_files, layout_files, make_sample, write_folder, write_tar
from support.tar_build import archive, entry

PROGRESS = ("ocifast: unpacking", "ocifast: [")
SAMPLE = make_sample(3, names=("example.com/team/app:1",))


def said(done):
    """What was said, but for how far it has got."""
    return [line for line in done.complaints if not line.startswith(PROGRESS)]


@pytest.fixture(autouse=True)
def layer(tmp_path):
    blob = gzip.compress(
        archive(entry(b"d/", kind=b"5", mode=0o755), entry(b"d/f", b"hello")), mtime=0
    )
    (tmp_path / "layer.tar.gz").write_bytes(blob)
    return blob


def test_a_layer_becomes_a_folder_and_is_summed_up(ocifast, tmp_path) -> None:
    done = ocifast("unpack", "layer.tar.gz", "tree")
    assert (done.code, done.out) == (0, b"")
    (line,) = said(done)
    assert line.startswith("ocifast: tree: 2 entries of 1 layer, 5 B, in ")
    assert (tmp_path / "tree/d/f").read_bytes() == b"hello"


@pytest.mark.parametrize("form", ["oci", "docker-archive", "bare"])
def test_images_of_any_form_give_the_same_tree(call, tmp_path, form) -> None:
    write_folder(tmp_path / "layout", layout_files(SAMPLE))
    write_tar(tmp_path / "save.tar", docker_files(SAMPLE))
    ref = {"oci": "oci:layout", "docker-archive": "docker-archive:save.tar", "bare": "save.tar"}
    assert call("unpack", ref[form], "tree").code == 0
    assert call("diff", "oci:layout", "tree").code == 0


def test_a_layer_comes_by_standard_input(ocifast, tmp_path, layer) -> None:
    assert ocifast("unpack", "-", "tree", "-q", input=layer).code == 0
    assert (tmp_path / "tree/d/f").read_bytes() == b"hello"


def test_json_says_what_was_made(call) -> None:
    done = call("unpack", "layer.tar.gz", "tree", "--json")
    (line,) = done.lines
    found = json.loads(line)
    assert (found["schema"], found["path"]) == ("ocifast.unpack/1", "tree")
    assert (found["entries"], found["size"], found["findings"]) == (2, 5, [])
    assert [each["path"] for each in found["layers"]] == ["layer.tar.gz"]


def test_a_folder_that_is_not_empty_is_refused_replaced_or_kept(call, tmp_path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/mine").write_bytes(b"")
    done = call("unpack", "layer.tar.gz", "tree")
    assert done.code == 6
    assert said(done) == [
        "ocifast: tree: it is not empty: --force replaces it, --keep unpacks over what is there"
    ]
    assert call("unpack", "layer.tar.gz", "tree", "--keep").code == 0
    assert sorted(os.listdir(tmp_path / "tree")) == ["d", "mine"]
    assert call("unpack", "layer.tar.gz", "tree", "--force").code == 0
    assert os.listdir(tmp_path / "tree") == ["d"]
    assert sorted(os.listdir(tmp_path)) == ["layer.tar.gz", "tree"]


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("missing.tar", "tree"), 3, "missing.tar"),
        (("layer.tar.gz", "no/such/tree"), 3, "no/such"),
        (("layer.tar.gz", "layer.tar.gz"), 3, "layer.tar.gz"),
        (("layer.tar.gz", ""), 2, "empty"),
        (("layer.tar.gz", "tree", "--uid-map", "1:2"), 2, "no range such as"),
        (("layer.tar.gz", "tree", "--uid-map", "0:0:0"), 2, "no range of uids"),
        (("layer.tar.gz", "tree", "--rootless", "--uid-map", "0:0:1"), 2, "none to map"),
        (("layer.tar.gz", "tree", "--force", "--keep"), 2, "not allowed with"),
        (("folder", "tree"), 4, "no image or layer"),
        (("text", "tree"), 4, "text"),
    ],
)
def test_what_cannot_be_done_is_one_line(call, tmp_path, arguments, code, text) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("some words\n" * 100)
    before = sorted(os.listdir(tmp_path))
    done = call("unpack", *arguments)
    assert done.code == code
    (line,) = said(done)
    assert text in line
    assert sorted(os.listdir(tmp_path)) == before


def test_a_folder_of_one_letter_is_named_all_the_same(call, tmp_path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t/mine").write_bytes(b"")
    (line,) = said(call("unpack", "layer.tar.gz", "t"))
    assert line.startswith("ocifast: t: it is not empty")


def test_a_damaged_layer_leaves_nothing_and_is_named(call, tmp_path) -> None:
    write_folder(tmp_path / "layout", layout_files(SAMPLE))
    blob = max((tmp_path / "layout/blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 255
    blob.write_bytes(bytes(data))
    done = call("unpack", "oci:layout", "tree", "--json")
    assert done.code in {1, 4}
    assert json.loads(done.lines[0])["schema"] == "ocifast.error/1"
    assert not (tmp_path / "tree").exists()
    assert not [name for name in os.listdir(tmp_path) if "ocifast-" in name]


def test_a_mounted_folder_is_filled_in_place(ocifast, tmp_path) -> None:
    (tmp_path / "mount").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tmp_path / "mount"], check=True, timeout=60)
    try:
        assert ocifast("unpack", "layer.tar.gz", "mount", "-q").code == 0
        assert os.listdir(tmp_path / "mount") == ["d"]
    finally:
        subprocess.run(["umount", tmp_path / "mount"], check=True, timeout=60)
    assert sorted(os.listdir(tmp_path)) == ["layer.tar.gz", "mount"]

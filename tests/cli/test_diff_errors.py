"""`ocifast diff` when something is wrong: one line, and an exit code no difference has."""

import gzip

import pytest
from support.changes import Node, tar_of, tree
from support.images import blob_name, layout_files, make_sample, write_folder

OLD = tree(etc__motd=Node(data=b"hello\n"), etc__gone=Node(data=b"x" * 2000))
NEW = tree(etc__motd=Node(data=b"there\n"))

PROGRESS = ("ocifast: comparing", "ocifast: [")


def said(done):
    """What was said, but for how far it has got."""
    return [line for line in done.complaints if not line.startswith(PROGRESS)]


@pytest.fixture(autouse=True)
def sides(tmp_path):
    (tmp_path / "a.tar").write_bytes(tar_of(OLD))
    (tmp_path / "b.tar").write_bytes(tar_of(NEW))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["a.tar"], "required: B"),
        (["-", "-"], "both sides are standard input"),
        (["a.tar", "b.tar", "--ignore", "tiem"], "'tiem' cannot be ignored: there are type"),
        (["a.tar", "b.tar", "--exclude", "!"], "pattern"),
        (["a.tar", "b.tar", "--stat", "--json"], "not allowed with"),
        (["a.tar", "b.tar", "--name-only", "--json"], "not allowed with"),
        (["a.tar", "b.tar", "-z"], "-z goes with --name-only"),
        (["a.tar", "b.tar", "--json", "--content"], "leave out --json"),
        (["a.tar", "b.tar", "--layers", "--layer-out", "x"], "leave out --layers"),
        (["a.tar", "b.tar", "--layer-out", "-"], "--layer-out needs a file"),
        (["a.tar", "b.tar", "--compress", "zstd"], "--compress goes with --layer-out"),
        (["-", "b.tar", "--content"], "--content reads twice"),
        (["a.tar", "-", "--layer-out", "x"], "--layer-out reads twice"),
        ([".", "b.tar", "--layers"], "is a folder, and has no layers"),
        (["a.tar", "b.tar", "--no-such"], "--no-such"),
    ],
)
def test_a_usage_error_is_one_line_and_exit_code_2(call, words, sentence) -> None:
    done = call("diff", *words)
    assert (done.code, done.out) == (2, b"")
    (line,) = said(done)
    assert sentence in line
    assert "--help)" in line


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("given", "code", "sentence"),
    [
        ("none", 3, "none: No such file"),
        ("oci:none", 3, "none"),
        ("oci:layout:none", 3, "none"),
        ("text", 4, "while reading text"),
        ("cut.tar.gz", 4, "while reading cut.tar.gz"),
        ("broken.npz", 4, "broken.npz"),
        ("oci:damaged", 4, "while reading blobs/sha256/"),
        ("oci:layout", 2, "linux/arm64"),
    ],
)
def test_trouble_is_told_from_a_difference(call, tmp_path, given, code, sentence, turned) -> None:
    (tmp_path / "text").write_text("this is no layer " * 100)
    (tmp_path / "cut.tar.gz").write_bytes(gzip.compress(tar_of(OLD))[:-20])
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 and nothing")
    sample = make_sample(names=("app",), platform=("linux", "arm64"))
    files = layout_files(sample)
    write_folder(tmp_path / "layout", files)
    write_folder(tmp_path / "amd", layout_files(make_sample(1)))
    blob = sample.layers[0].blob
    files[blob_name(blob)] = blob[:4] + b"\x01" + blob[5:]
    write_folder(tmp_path / "damaged", files)
    other = "oci:amd" if given == "oci:layout" else "a.tar"
    done = call("diff", *((given, other) if turned else (other, given)))
    assert (done.code, done.out) == (code, b"")
    assert len(said(done)) == 1
    assert sentence in said(done)[0]


def test_standard_input_is_called_by_its_name(ocifast) -> None:
    done = ocifast("diff", "docker-archive:-", "a.tar", input=tar_of(OLD))
    assert (done.code, len(said(done))) == (4, 1)
    assert said(done)[0].startswith("ocifast: docker-archive:-: it holds no image")


def test_what_was_found_before_the_trouble_came_is_all_that_is_printed(ocifast, tmp_path) -> None:
    (tmp_path / "full").symlink_to("/dev/full")
    done = ocifast("diff", "a.tar", "b.tar", "--html", "full", "-q")
    assert done.code == 6
    assert done.lines[:1] == ["D etc/gone  -2.0 kB"]
    assert said(done) == ["ocifast: full: No space left on device"]

"""`ocifast hash`: its lines are those of sha256sum, its JSON has the keys that were promised."""

import gzip
import hashlib
import json
import subprocess
import tarfile
from pathlib import Path

import pytest

KEYS = [
    *("schema", "path", "media_type", "digest", "size", "diff_id", "uncompressed_size", "entries"),
    *("findings", "finding_count"),
]
ERROR_KEYS = ["schema", "path", "error", "message", "exit_code"]
STRANGE = [
    b"plain.tar.gz",
    b"caf\xc3\xa9",
    b"caf\xe9",
    b"two\nlines",
    b"back\\slash",
    b" x ",
    b"\x1b[31m",
]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_a_layer_is_a_line_with_the_digest_of_the_stored_bytes(call, layers) -> None:
    blob = layers.gzip()
    done = call("hash", "layer.tar.gz")
    assert (done.code, done.lines, done.err) == (0, [f"{sha256(blob)}  layer.tar.gz"], "")


def test_diff_id_is_the_digest_of_the_tar_inside(call, layers) -> None:
    blob = layers.gzip()
    assert call("hash", "--diff-id", "layer.tar.gz").lines == [
        f"{sha256(gzip.decompress(blob))}  layer.tar.gz"
    ]


@pytest.mark.parametrize("arguments", [(), ("-",)], ids=["no argument", "dash"])
def test_without_a_path_standard_input_is_read(ocifast, layers, arguments) -> None:
    blob = layers.gzip()
    assert ocifast("hash", *arguments, input=blob).lines == [f"{sha256(blob)}  -"]


def test_standard_input_may_be_a_file_and_is_read_from_where_it_stands(
    ocifast, layers, tmp_path
) -> None:
    blob = layers.gzip()
    layers.write("junk-then-layer", b"x" * 700 + blob)
    with (tmp_path / "junk-then-layer").open("rb", buffering=0) as file:
        file.seek(700)
        assert ocifast("hash", stdin=file).lines == [f"{sha256(blob)}  -"]


@pytest.mark.parametrize("tag", [[], ["--tag"], ["--binary"]], ids=["plain", "tag", "binary"])
def test_lists_go_both_ways_between_us_and_sha256sum(
    ocifast, layers, oracle, tmp_path: Path, tag
) -> None:
    for name in STRANGE:
        layers.gzip(name)
    ours = ocifast("hash", *STRANGE)
    theirs = subprocess.run(
        [oracle("sha256sum"), *tag, *STRANGE], cwd=tmp_path, capture_output=True, check=True
    ).stdout
    if not tag:
        assert ours.out == theirs
    check = [oracle("sha256sum"), "--strict", "-c", "-"]
    assert not subprocess.run(
        check, cwd=tmp_path, input=ours.out, check=False, stdout=subprocess.DEVNULL
    ).returncode
    checked = ocifast("hash", "-c", "-", input=theirs)
    assert (checked.code, checked.err) == (0, "")
    assert checked.out.count(b": OK\n") == len(STRANGE)


@pytest.mark.parametrize("workers", ["0", "1", "2"])
def test_output_comes_in_the_order_of_the_arguments(ocifast, layers, workers) -> None:
    sizes = [60, 3, 40, 1, 20]  # in MiB, so that workers finish them in another order
    names = [f"{number}.tar" for number in sizes]
    for name, size in zip(names, sizes, strict=True):
        layers.write(name, layers.tar(payload=b"x" * (size << 20)))
    done = ocifast("hash", "--workers", workers, *names, "missing", "1.tar")
    assert [line[66:] for line in done.lines] == [*names, "1.tar"]
    assert done.code == 3


def test_json_has_exactly_the_promised_keys(call, layers) -> None:
    blob = layers.gzip()
    done = call("hash", "--json", "layer.tar.gz")
    found = json.loads(done.out)
    assert list(found) == KEYS
    assert found == {
        "schema": "ocifast.hash/1",
        "path": "layer.tar.gz",
        "media_type": "application/vnd.oci.image.layer.v1.tar+gzip",
        "digest": "sha256:" + sha256(blob),
        "size": len(blob),
        "diff_id": "sha256:" + sha256(gzip.decompress(blob)),
        "uncompressed_size": len(gzip.decompress(blob)),
        "entries": 1,
        "findings": [],
        "finding_count": 0,
    }


def test_json_errors_are_objects_in_their_place_and_words_on_stderr(call, layers) -> None:
    layers.gzip("a")
    layers.write("b", b"this is not a tar, and long enough to show it" * 50)
    done = call("hash", "--json", "a", "missing", "b", "a")
    found = [json.loads(line) for line in done.lines]
    assert [value["schema"] for value in found] == [
        "ocifast.hash/1",
        "ocifast.error/1",
        "ocifast.error/1",
        "ocifast.hash/1",
    ]
    assert list(found[1]) == list(found[2]) == ERROR_KEYS
    assert (found[1]["error"], found[1]["exit_code"]) == ("FileNotFoundError", 3)
    assert (found[2]["error"], found[2]["exit_code"]) == ("TarError", 4)
    assert [line.split(": ")[:2] for line in done.complaints] == [
        ["ocifast", "missing"],
        ["ocifast", "b"],
    ]
    assert done.code == 4


def test_json_is_ascii_and_a_path_survives_it(call, layers) -> None:
    for name in STRANGE:
        layers.gzip(name)
    done = call("hash", "--json", *STRANGE)
    assert done.out.isascii()
    paths = [json.loads(line)["path"] for line in done.lines]
    assert [path.encode("utf-8", "surrogateescape") for path in paths] == STRANGE


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["good"], 0),
        (["good", "missing"], 3),
        (["good/below"], 3),
        (["bad", "missing"], 4),
        (["folder", "bad", "missing"], 6),
        (["missing", "folder", "good"], 6),
    ],
    ids=str,
)
def test_of_many_failures_the_exit_code_is_the_highest(call, layers, tmp_path, names, code) -> None:
    layers.gzip("good")
    layers.write("bad", b"?" * 2000)
    (tmp_path / "folder").mkdir()
    done = call("hash", *names)
    assert done.code == code
    assert len(done.complaints) == len(names) - names.count("good")
    assert len(done.lines) == names.count("good")


def test_entries_follow_their_layer(call, layers) -> None:
    layers.gzip("a", "etc/one", "etc/two")
    layers.gzip("b", "three")
    lines = call("hash", "--entries", "a", "b").lines
    assert [line.split()[-1] for line in lines] == ["a", "etc/one", "etc/two", "b", "three"]
    found = [json.loads(line) for line in call("hash", "--entries", "--json", "a", "b").lines]
    assert [value["path"] for value in found] == ["a", "etc/one", "etc/two", "b", "three"]
    assert [value["schema"][8:-2] for value in found] == ["hash", "entry", "entry", "hash", "entry"]


def repeated(layers) -> None:
    layers.write("twice.tar", layers.tar("etc/a", "etc/a"))


def test_compat_warns_on_stderr_and_quiet_does_not(call, layers) -> None:
    repeated(layers)
    done = call("hash", "twice.tar")
    assert done.code == 0
    assert done.err.startswith("ocifast: twice.tar: warning: tar offset 1024: ")
    assert call("hash", "-q", "twice.tar").err == ""


def test_strict_refuses_what_compat_warns_of(call, layers) -> None:
    repeated(layers)
    done = call("hash", "--profile", "strict", "twice.tar")
    assert (done.code, done.lines) == (4, [])
    assert done.err.startswith("ocifast: twice.tar: tar offset 1024: ")


def test_findings_are_part_of_the_json(call, layers) -> None:
    repeated(layers)
    (finding,) = json.loads(call("hash", "--json", "twice.tar").out)["findings"]
    assert list(finding) == ["code", "stream", "offset", "text"]
    assert (finding["code"], finding["stream"], finding["offset"]) == ("duplicate", "tar", 1024)


def test_hostile_names_in_findings_cannot_steer_a_terminal(call, layers) -> None:
    layers.write("bad.tar", layers.tar("x\x1b]0;owned\x07", "x\x1b]0;owned\x07"))
    text = call("hash", "bad.tar").err
    assert text.rstrip("\n").isprintable()


def test_zstd_and_plain_layers_are_told_apart_by_their_bytes(ocifast, layers, oracle) -> None:
    tar = layers.tar()
    blob = subprocess.run([oracle("zstd"), "-q"], input=tar, capture_output=True, check=True).stdout
    layers.write("a", blob)
    layers.write("b", tar)
    found = [json.loads(line) for line in ocifast("hash", "--json", "a", "b").lines]
    assert [value["media_type"].rpartition(".")[2] for value in found] == ["tar+zstd", "tar"]
    assert {value["diff_id"] for value in found} == {"sha256:" + sha256(tar)}
    assert found[1]["digest"] == found[1]["diff_id"]


def test_an_empty_layer_is_a_layer(call, layers) -> None:
    layers.write("empty.tar", bytes(1024))
    layers.write("archive.tar", layers.tar(tarfile.TarInfo("only/link")))
    assert json.loads(call("hash", "--json", "empty.tar").out)["entries"] == 0
    assert call("ls", "empty.tar").out == b""

"""Diff of what is broken, hostile, missing or changing: a typed error that names it; no leaks."""

import errno
import gzip
import os
import subprocess
import sys

import pytest
from support.changes import Node, put_on_disk, tar_of, tree
from support.images import blob_name, layout_files, make_sample, write_folder
from support.layers import make_layer, sha256
from support.tar_build import END, archive, checksum, entry, header, long_name, pax

from ocifast._native import tree_content
from ocifast.errors import (
    CompressedDataError,
    DiffIdMismatch,
    DigestMismatch,
    FormatError,
    ImageNotFound,
    LimitExceeded,
    OcifastError,
    TarError,
    TreeError,
    VerificationError,
)
from ocifast.limits import Limits
from ocifast.ops.diff import diff

EMPTY = bytes(1024)
SOME = tar_of(tree(a=Node(data=b"a"), b__c=Node(data=b"c" * 3000)))


def run(a, b, **options):
    with diff(a, b, **({"workers": 0} | options)) as found:
        return found


def descriptors():
    return set(os.listdir("/proc/self/fd"))


# --- what is missing


def test_a_side_that_is_not_there_is_named(tmp_path) -> None:
    missing = str(tmp_path / "no/where")
    for sides in ((missing, SOME), (SOME, missing)):
        with pytest.raises(FileNotFoundError) as caught:
            run(*sides)
        assert caught.value.filename == missing


@pytest.mark.parametrize("what", ["oci:{}/none", "oci-archive:{}/none", "dir:{}/none"])
def test_an_image_that_is_not_there_is_named(what, tmp_path) -> None:
    with pytest.raises((OSError, OcifastError), match="none"):
        run(what.format(tmp_path), SOME)


def test_an_image_that_its_layout_does_not_have_is_named(tmp_path) -> None:
    layout = write_folder(tmp_path / "layout", layout_files(make_sample(names=("here",))))
    with pytest.raises(ImageNotFound, match="elsewhere"):
        run(f"oci:{layout}:elsewhere", SOME)


def test_a_layer_that_its_image_does_not_have_is_named(tmp_path) -> None:
    sample = make_sample()
    files = layout_files(sample)
    name = blob_name(sample.layers[1].blob)
    del files[name]
    with pytest.raises((OSError, OcifastError)) as caught:
        run("oci:" + write_folder(tmp_path / "layout", files), SOME)
    assert name.rpartition("/")[2] in str(caught.value)


def test_standard_input_cannot_be_both_sides() -> None:
    with pytest.raises(ValueError, match="both sides are standard input"):
        run("-", "-")


@pytest.mark.parametrize("source", [7.5, None, object()])
def test_what_is_no_side_is_refused(source) -> None:
    with pytest.raises(TypeError):
        run(source, SOME)


def test_workers_and_an_engine_are_not_given_together() -> None:
    from ocifast.engine import Engine

    with Engine(0) as engine, pytest.raises(ValueError, match="not both"):
        run(SOME, SOME, engine=engine)


# --- what is not what was promised


@pytest.mark.parametrize("first", [True, False])
def test_a_layer_with_another_digest_is_refused_and_named(first, tmp_path) -> None:
    sample = make_sample()
    blob = sample.layers[1].blob
    files = layout_files(sample)
    files[blob_name(blob)] = blob[:4] + b"\x01" + blob[5:]  # gzip's time: decodes all the same
    given = "oci:" + write_folder(tmp_path / "layout", files)
    with pytest.raises(VerificationError) as caught:
        run(*((given, SOME) if first else (SOME, given)))
    assert isinstance(caught.value, DigestMismatch)
    assert any(blob_name(blob) in note for note in caught.value.__notes__)
    assert caught.value.exit_code == 1


def test_a_layer_with_another_diff_id_is_refused_and_named(tmp_path) -> None:
    sample = make_sample()
    claimed = sample.layers[1].diff_id
    lie = sha256(b"another tar")
    wrong = sample.config.replace(claimed.encode(), lie.encode())
    manifest = sample.manifest.replace(sha256(sample.config).encode(), sha256(wrong).encode())
    files = layout_files(sample) | {blob_name(wrong): wrong, blob_name(manifest): manifest}
    files["index.json"] = files["index.json"].replace(
        sha256(sample.manifest).encode(), sha256(manifest).encode()
    )
    given = "oci:" + write_folder(tmp_path / "layout", files)
    with pytest.raises(DiffIdMismatch) as caught:
        run(given, SOME)
    assert (str(caught.value.expected), str(caught.value.actual)) == (lie, claimed)
    assert blob_name(sample.layers[1].blob) in caught.value.__notes__[0]


# --- what is malformed or hostile: rows of the catalogue of hostile tars

HOSTILE = {
    "h02 two long names": archive(long_name(b"x"), long_name(b"y"), entry(b"z")),
    "h03 malformed record": archive(pax(b"99 path=x\n"), entry(b"z")),
    "h06 dangling extension": archive(pax((b"path", b"x"))),
    "h10 bad checksum": archive(header(b"x", chksum=b"000000\0 ")),
    "h11 negative size": archive(header(b"x", size=0, mtime=b"\x8e" + bytes(11))),
    "h15 truncated body": header(b"x", size=5000) + b"short",
    "h17 endless name": header(b"././@LongLink", b"L", size=1 << 32) + bytes(512),
    "h19 hidden bytes": archive(long_name(b"x\0hidden"), entry(b"z")),
    "w01 a whiteout of nothing": archive(entry(b".wh.")),
    "w02 a whiteout of the folder": archive(entry(b"a/.wh..")),
    "p a path that leads out": archive(entry(b"../../etc/passwd", b"x")),
    "no tar": b"this is text, and no layer at all" * 40,
}


@pytest.mark.parametrize("layers", [False, True])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_tars_are_refused_on_either_side(name, layers, tmp_path) -> None:
    path = tmp_path / "layer"
    path.write_bytes(HOSTILE[name])
    for sides in ((path, SOME), (SOME, HOSTILE[name])):
        with pytest.raises(OcifastError) as caught:
            run(*sides, layers=layers)
        assert isinstance(caught.value, (FormatError, LimitExceeded))
        assert caught.value.exit_code == 4


def test_a_path_through_a_link_stays_inside() -> None:
    outside = archive(entry(b"l", b"", b"2", link=b"../../../../etc"), entry(b"l/passwd", b"x"))
    found = run(EMPTY, outside)
    assert [c.name for c in found] == ["etc/", "etc/passwd", "l"]


def test_links_in_a_circle_are_refused() -> None:
    circle = archive(
        entry(b"a", b"", b"2", link=b"b"), entry(b"b", b"", b"2", link=b"a"), entry(b"a/x", b"x")
    )
    with pytest.raises(OcifastError) as caught:
        run(EMPTY, circle)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("count", [1, 40])
def test_a_strict_profile_refuses_what_readers_read_differently(count) -> None:
    twice = archive(*[entry(b"same", b"x")] * (count + 1))[: -len(END)]
    assert len(run(EMPTY, twice)) == 1
    with pytest.raises(TarError):
        run(EMPTY, twice, profile="strict")


def test_compressed_data_that_is_damaged_is_refused() -> None:
    blob = bytearray(gzip.compress(SOME, mtime=0))
    blob[-6] ^= 1
    with pytest.raises(CompressedDataError):
        run(EMPTY, bytes(blob))


@pytest.mark.parametrize(
    "limits", [{"entries": 1}, {"output_bytes": 1024}, {"path_bytes": 1}], ids=str
)
def test_limits_hold_for_both_sides(limits) -> None:
    for sides in ((SOME, EMPTY), (EMPTY, SOME)):
        with pytest.raises(LimitExceeded):
            run(*sides, limits=Limits(**limits))


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"PK\x03\x04 no index"])
def test_a_file_that_is_nothing_is_refused(content, tmp_path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(FormatError) as caught:
        run(path, SOME)
    assert caught.value.exit_code == 4


# --- what changes meanwhile


@pytest.mark.parametrize("other", ["folder", "layer"])
@pytest.mark.parametrize("how", ["shorter", "longer", "gone", "replaced"])
def test_a_file_that_changes_while_it_is_compared_is_named(how, other, tmp_path, monkeypatch):
    content = tree(d__x=Node(data=b"x" * 5000))
    a, b = put_on_disk(content, tmp_path / "a"), tmp_path / "b"
    if other == "folder":
        put_on_disk(content, b)
    else:
        b.write_bytes(tar_of(content))

    def meanwhile(read):
        def changing(*given, **more):
            path = a / "d/x"
            if how in ("gone", "replaced"):
                path.unlink()
            if how == "replaced":
                path.symlink_to("/etc/passwd")
            elif how != "gone":
                path.write_bytes(b"x" * (4000 if how == "shorter" else 6000))
            return read(*given, **more)

        return changing

    changing = {name: meanwhile(getattr(tree_content, name)) for name in ("differing", "digests")}
    monkeypatch.setattr("ocifast.ops.diff_content.tree_content", _With(**changing))
    with pytest.raises((TreeError, OSError)) as caught:
        run(a, b)
    assert "d/x" in str(caught.value)


def test_a_file_that_cannot_be_read_is_named_with_its_folder(tmp_path, monkeypatch) -> None:
    a, b = (put_on_disk(tree(x=Node(data=b"x")), tmp_path / name) for name in "ab")

    def fail(*_, **__):
        error = PermissionError(errno.EACCES, "Permission denied", "x")
        error.add_note("in the second folder")
        raise error

    monkeypatch.setattr("ocifast.ops.diff_content.tree_content", _With(differing=fail))
    with pytest.raises(PermissionError) as caught:
        run(a, b)
    assert caught.value.filename == str(b / "x")


class _With:
    """The native module with something else in it."""

    def __init__(self, **others):
        self.__dict__.update({n: getattr(tree_content, n) for n in dir(tree_content)} | others)


def test_a_socket_is_left_out_and_noted(tmp_path, monkeypatch) -> None:
    import socket

    top = put_on_disk(tree(x=Node()), tmp_path / "top")
    monkeypatch.chdir(top)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("sock")
    found = run(top, tar_of(tree(x=Node())))
    assert not found
    assert found.notes == (f"{top}: sock: a socket, which is left out",)


# --- what it takes


@pytest.mark.parametrize("workers", [0, 2])
def test_descriptors_are_closed_whatever_happens(workers, tmp_path, no_job_is_small) -> None:
    top = put_on_disk(tree(x=Node(data=b"x" * 4000)), tmp_path / "top")
    layer, bad, image = tmp_path / "layer.gz", tmp_path / "bad", make_sample()
    layer.write_bytes(make_layer("gzip").blob)
    bad.write_bytes(b"no layer" * 200)
    layout = "oci:" + write_folder(tmp_path / "layout", layout_files(image))
    run(top, layer, workers=workers)  # modules, and what is kept for good
    before = descriptors()
    for sides in ((top, layer), (top, top), (layout, layer), (layer, layout)):
        with diff(*sides, workers=workers) as found:
            for _ in found:
                pass
        found.close()
        assert descriptors() == before
    for sides in ((top, bad), (bad, top), (layout, bad), (top, tmp_path / "none"), (top, None)):
        with pytest.raises((OcifastError, OSError, TypeError)):
            run(*sides, workers=workers)
        assert descriptors() == before
    found = diff(top, layer, workers=workers)
    del found
    assert descriptors() == before, "a result that nobody closes is closed when it is gone"


def test_a_result_that_is_closed_can_still_be_iterated(tmp_path) -> None:
    top = put_on_disk(tree(x=Node(data=b"x")), tmp_path / "top")
    with diff(top, EMPTY, workers=0) as found:
        pass
    assert [c.name for c in found] == ["x"]
    closed = diff(EMPTY, top, workers=0)
    closed.close()
    with pytest.raises((OSError, OcifastError, ValueError)):
        closed.write_layer(tmp_path / "out", workers=0)
    assert not (tmp_path / "out").exists()


def test_a_file_with_several_names_is_read_once(tmp_path, monkeypatch) -> None:
    content = tree(a=Node(data=b"x" * 100), **{f"b__{n}": "a" for n in range(9)})
    a, b = (put_on_disk(content, tmp_path / name) for name in "ab")
    asked = []
    real = tree_content.differing

    def counting(*given, **more):
        asked.append(len(given[-1]))
        return real(*given, **more)

    fake = _With(differing=counting)
    monkeypatch.setattr("ocifast.ops.diff_content.tree_content", fake)
    assert not run(a, b)
    assert asked == [1]


@pytest.mark.figures
def test_a_diff_of_many_entries_is_held_in_columns(tmp_path) -> None:
    """Per entry and side some 300 bytes, and no objects: 200 k entries each side in 400 MiB."""
    program = """
import resource, sys
from ocifast.ops.diff import diff
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = diff(sys.argv[1], sys.argv[2], workers=0)
count = sum(1 for _ in found)
print(count, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""
    blank = header(b"")
    start = checksum(blank)
    for side, step in (("a", 0), ("b", 1)):
        with (tmp_path / side).open("wb") as file:
            for number in range(200_000):
                name = b"d%04d/%09d" % (number // 100, number * 2 + step)
                proof = b"%06o\0 " % (start + sum(name))
                file.write(name + blank[len(name) : 148] + proof + blank[156:])
            file.write(END)
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, tmp_path / "a", tmp_path / "b"],
        check=True,
        capture_output=True,
    )
    count, mebibytes = map(int, done.stdout.split())
    assert count == 400_000
    assert mebibytes < 400

"""Archives of tarfile, GNU tar and bsdtar in all their formats, and what these say is in them."""

import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from support.tar_read import by_tarfile, by_tool, judge, ours, read

from ocifast.tree import EntryKind

Oracle = Callable[[str], str]
GNU_FORMATS = ["v7", "oldgnu", "gnu", "ustar", "posix"]
SPARSE = [
    ["--format=gnu"],
    ["--format=oldgnu"],
    *(["--format=posix", f"--sparse-version={version}"] for version in ("0.0", "0.1", "1.0")),
]
BSD_FORMATS = ["v7", "ustar", "pax", "gnutar", "pax:hdrcharset=BINARY"]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Files, links, a fifo, odd names, long names, a time before 1970."""
    top = tmp_path / "tree"
    deep = top / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    (deep / ("f" * 90)).write_bytes(b"deep")
    (top / "empty").touch()
    (top / "big").write_bytes(b"x" * 100_000)
    os.link(top / "big", top / "hard")
    (top / "short-link").symlink_to("big")
    (top / "long-link").symlink_to("t" * 150)
    os.mkfifo(top / "fifo", 0o640)
    (top / "new\nline").touch()
    (top / "back\\slash").touch()
    (top / "café").touch()
    Path(os.fsdecode(bytes(top) + b"/\xff\xfe")).touch()
    (top / "setuid").touch(mode=0o755)
    (top / "setuid").chmod(0o4755)
    os.utime(top / "empty", ns=(0, 1_234_567_890_123_456_789))
    os.utime(top / "setuid", ns=(0, -5_000_000_000))
    return top


def by_stat(top: Path, path: bytes) -> os.stat_result:
    return os.lstat(os.path.join(os.fsencode(top.parent), path))


def check_against_disk(data: bytes, top: Path, *, nanoseconds: bool) -> None:
    entries = read(data).entries
    names = [n for _, folders, files in os.walk(bytes(top)) for n in folders + files]
    assert len(entries) == len(names) + 1
    for e in entries:
        stat = by_stat(top, e.path)
        assert (e.uid, e.gid) == (stat.st_uid, stat.st_gid)
        if e.kind not in {EntryKind.SYMLINK, EntryKind.HARDLINK}:
            assert e.mode == stat.st_mode & 0o7777
        if e.kind is EntryKind.FILE:
            assert e.size == stat.st_size
        precision = 1 if nanoseconds else 10**9
        assert e.mtime_ns // precision == stat.st_mtime_ns // precision


def run(*command: str | bytes) -> bytes:
    done = subprocess.run(command, capture_output=True, check=False, env={"LC_ALL": "C.UTF-8"})
    assert done.stdout, done.stderr
    return done.stdout


@pytest.mark.parametrize("family", GNU_FORMATS)
def test_gnu_tar_archives_are_read_as_gnu_tar_lists_them(
    family: str, tree: Path, oracle: Oracle
) -> None:
    tar = oracle("tar")
    if family in {"v7", "ustar"}:  # these cannot carry what is in there
        (tree / "long-link").unlink()
        (tree / "setuid").unlink()
    if family == "v7":
        shutil.rmtree(tree / ("d" * 60) / ("e" * 60))
        (tree / "fifo").unlink()
    data = run(tar, "-C", str(tree.parent), f"--format={family}", "-cf", "-", "tree")
    assert judge(data, strict=True) == "ok"
    assert ours(data) == by_tool("tar", tar, data)
    check_against_disk(data, tree, nanoseconds=family == "posix")


@pytest.mark.parametrize("family", BSD_FORMATS)
def test_bsdtar_archives_are_read_as_bsdtar_lists_them(
    family: str, tree: Path, oracle: Oracle
) -> None:
    bsdtar = oracle("bsdtar")
    name, _, option = family.partition(":")
    if name in {"v7", "ustar"}:
        (tree / "long-link").unlink()
        (tree / "setuid").unlink()
    if name == "v7":
        shutil.rmtree(tree / ("d" * 60) / ("e" * 60))
        (tree / "fifo").unlink()
    options = [f"--options={option}"] if option else []
    command = [bsdtar, "-C", str(tree.parent), f"--format={name}", *options, "-cf", "-", "tree"]
    data = run(*command)
    assert judge(data, strict=True) == ("trailing-slash" if name == "v7" else "ok")
    listed = by_tool("bsdtar", bsdtar, data)
    assert listed is None or ours(data) == listed
    assert ours(data) == by_tarfile(data)
    if name != "gnutar":  # libarchive writes a negative time as zero there
        check_against_disk(data, tree, nanoseconds=name == "pax")


@pytest.mark.parametrize("family", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tarfile_archives_are_read_as_tarfile_reads_them(family: int, tree: Path) -> None:
    if family == tarfile.USTAR_FORMAT:
        (tree / "long-link").unlink()
        (tree / "setuid").unlink()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=family) as tar:
        tar.add(tree, "tree")
    data = out.getvalue()
    assert judge(data, strict=True) == "ok"
    assert ours(data) == by_tarfile(data)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member, e in zip(tar, read(data).entries, strict=True):
            assert (member.mode, member.uid, member.gid) == (e.mode, e.uid, e.gid)
            assert member.offset_data == e.payload_offset
            assert float(member.mtime) == pytest.approx(e.mtime_ns / 1e9)


@pytest.mark.parametrize("options", SPARSE, ids=" ".join)
def test_h16_sparse_files_of_gnu_tar_are_mapped(
    options: list[str], tmp_path: Path, oracle: Oracle
) -> None:
    tar = oracle("tar")
    content = bytearray(3_000_000)
    for at in range(0, len(content), 300_000):
        content[at : at + 4096] = os.urandom(4096)
    sparse = tmp_path / "sparse"
    with sparse.open("wb") as file:
        for at in range(0, len(content), 300_000):
            file.seek(at)
            file.write(content[at : at + 4096])
        file.truncate(len(content))
    data = run(tar, "-C", str(tmp_path), *options, "-S", "-cf", "-", "sparse")
    e = read(data).entries[0]
    if not e.is_sparse:
        pytest.skip("this file system does not tell holes")
    assert (e.path, e.size, e.stored_size < e.size) == (b"sparse", len(content), True)
    payload, expanded, at = data[e.payload_offset :], bytearray(e.size), 0
    assert e.regions is not None
    for offset, size in e.regions:
        expanded[offset : offset + size] = payload[at : at + size]
        at += size
    assert expanded == content
    assert ours(data) == by_tool("tar", tar, data)
    assert ours(data) == by_tarfile(data)
    assert judge(data, strict=True) == "sparse"


def test_big_ids_and_times_of_gnu_tar(tmp_path: Path, oracle: Oracle) -> None:
    (tmp_path / "f").touch()
    os.utime(tmp_path / "f", (9_000_000_000, 9_000_000_000))
    for family in ("gnu", "posix"):
        command = [oracle("tar"), "-C", str(tmp_path), f"--format={family}"]
        data = run(*command, "--owner=:3000000", "--group=:4294967294", "-cf", "-", "f")
        e = read(data, strict=True).entries[0]
        assert (e.uid, e.gid, e.mtime_ns) == (3_000_000, (1 << 32) - 2, 9_000_000_000 * 10**9)


def test_xattrs_are_those_the_tools_stored(tmp_path: Path, oracle: Oracle) -> None:
    file = tmp_path / "f"
    file.touch()
    values = {b"user.one": b"\0\xff\n", b"user.two": b"x" * 300}
    try:
        for name, value in values.items():
            os.setxattr(file, name, value)
    except OSError:
        pytest.skip("this file system has no user xattrs")
    for command in ([oracle("tar"), "--xattrs", "--format=posix"], [oracle("bsdtar"), "--xattrs"]):
        data = run(*command, "-C", str(tmp_path), "-cf", "-", "f")
        stored = dict(read(data, strict=True).entries[0].xattrs)
        assert {k: v for k, v in stored.items() if k.startswith(b"user.")} == values

"""The writer of a tree's tar: Go's bytes, whatever the cut, and errors that name what changed."""

import hashlib
import io
import os
import tarfile

import pytest
from support.packing import WHEN, make_tree
from support.tables import HARDLINK, SYMLINK, entry, tar_of

from ocifast._native.tar import TarParser
from ocifast._native.tree_tar import TreeTar, entry_headers
from ocifast._native.tree_walk import walk
from ocifast.errors import FormatError, StateError, TreeError
from ocifast.formats.tar import ROW, EntryTable
from ocifast.limits import Limits
from ocifast.ops.virtual_tree import VirtualTree

CAPABILITY = bytes.fromhex("0100000200200000") + bytes(12)
SECOND = 10**9


def of_go(path, kind=None, **fields):
    return entry(path, kind, **({"mtime_ns": WHEN * SECOND} | fields))


def written(items):
    out, tree = bytearray(1 << 16), VirtualTree(items)
    return bytes(out[: tree.readinto(memoryview(out))])


VECTORS = {
    "four kinds": (
        3584,
        "ea24f5ba5bf879710295ab29bc0e6e61670e12b8e8cc8dd11499afedb10c6683",
        [
            (of_go("etc/"), None),
            (of_go("etc/hello"), b"hello\n"),
            (of_go("etc/link", SYMLINK, link_target=b"hello"), None),
            (of_go("etc/hard", HARDLINK, link_target=b"etc/hello"), None),
        ],
    ),
    "a path that needs a record": (
        2560,
        "e62b595e26f65fdb9e621953ad7444c59a780d321200010afb24fe3059821967",
        [(of_go("d/" + "a" * 120), b"")],
    ),
    "a capability": (
        3072,
        "191128d90e82bd84b05e8ffd85f6ee7d17a225c41f51efba8f56aba1cc633eac",
        [(of_go("bin/ping", mode=0o755, xattrs=((b"security.capability", CAPABILITY),)), b"x")],
    ),
    "not ascii and a large owner": (
        2560,
        "2c944111ad09c43640060d7f812b3eb224be0a1da4628eab09e488931369fa02",
        [(of_go("h\u00e9llo", mode=0o600, uid=3_000_000, gid=5), b"")],
    ),
    "a whiteout": (
        1536,
        "2ceb7cfa7a07a72cac312e59f9b652d6ec5b77597ae4b6217460e67c32824d96",
        [(entry("etc/.wh.gone", mode=0), b"")],
    ),
    "a path that is split": (
        1536,
        "86077446258e6fe00a0511f44809706bbda34475aeb2fd856324ad671f20305f",
        [(of_go("a" * 80 + "/" + "b" * 80), b"")],
    ),
    "a path that could be split and an xattr": (
        2560,
        "53ccc2c99772593b03aa18f11ebdd48ac45ab739665bf49ea24c017bc99747e6",
        [(of_go("a" * 80 + "/" + "b" * 80, xattrs=((b"user.k", b"v"),)), b"")],
    ),
}


@pytest.mark.parametrize("name", VECTORS)
def test_a_vector_of_gos_writer_comes_out(name) -> None:
    size, digest, items = VECTORS[name]
    data = written(items)
    assert len(data) == size
    assert hashlib.sha256(data).hexdigest() == digest


@pytest.mark.parametrize("size", [98, 99, 100, 101, 154, 155, 156, 157, 255, 256, 257, 1000, 4095])
@pytest.mark.parametrize("folder", [False, True])
def test_names_of_all_lengths_are_read_back(size, folder) -> None:
    path = ("/".join(["n" * 50] * 100))[:size].rstrip("/") + "x"
    data = tar_of([entry(path + "/" * folder)])
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert tar.getnames() == [path]


@pytest.mark.parametrize(
    "fields",
    [
        {"uid": 2_097_151, "gid": 2_097_152},
        {"uid": 2**32 - 2, "gid": 2**32 - 2},
        {"mtime_ns": -SECOND},
        {"mtime_ns": 8_589_934_591 * SECOND},
        {"mtime_ns": 8_589_934_592 * SECOND},
        {"mode": 0o7777},
        {"xattrs": ((b"user.b", b"2"), (b"user.a", b"\0\n="))},
        {"xattrs": ((b"user.empty", b""),)},
    ],
)
def test_what_an_octal_field_cannot_hold_is_in_a_record(fields) -> None:
    parser = TarParser(Limits(), strict=True)
    parser.feed(tar_of([entry("file", **fields)]))
    parser.finish()
    (found,) = EntryTable(*parser.take_table())
    for key, value in fields.items():
        expected = tuple(sorted(value)) if key == "xattrs" else value
        assert getattr(found, key) == expected


@pytest.mark.parametrize(("ns", "seconds"), [(1, 0), (999_999_999, 0), (-1, -1), (-SECOND - 1, -2)])
def test_parts_of_a_second_are_cut_towards_the_past(ns, seconds) -> None:
    with tarfile.open(fileobj=io.BytesIO(tar_of([entry("a", mtime_ns=ns)]))) as tar:
        assert [member.mtime for member in tar] == [seconds]


def test_targets_that_are_long_or_not_ascii_are_whole() -> None:
    targets = ["t" * 100, "t" * 101, "ü", "/" * 120]
    data = tar_of([entry(f"{n}", SYMLINK, link_target=t.encode()) for n, t in enumerate(targets)])
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert [member.linkname for member in tar] == targets


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"xattrs": ((b"user.a=b", b"c"),)}, "equals sign"),
        ({"xattrs": ((b"", b"c"),)}, "empty"),
        ({"dev_major": 2_097_152}, "device number"),
        ({"path": b"name\0"}, "NUL"),
        ({"kind": SYMLINK, "link_target": b"a\0b"}, "NUL"),
    ],
)
def test_what_a_tar_cannot_hold_is_refused_by_name(fields, reason) -> None:
    with pytest.raises(TreeError, match=f"name\0?: .*{reason}"):
        tar_of([entry("name")._replace(**fields)])


# ---- from a folder ----


@pytest.fixture
def tree(tmp_path):
    top = make_tree(tmp_path / "tree")
    descriptor = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    yield top, descriptor
    os.close(descriptor)


def read(writer, size=1 << 20):
    out, piece = bytearray(), memoryview(bytearray(size))
    while count := writer.readinto(piece):
        out += piece[:count]
        if count < size:
            break
    return bytes(out)


def writer_of(root, **options):
    rows, heap, _ = walk(root)
    return TreeTar(rows, heap, root, **options)


def test_it_is_as_long_as_was_said_and_the_same_for_any_cut(tree) -> None:
    _, root = tree
    whole = read(writer_of(root))
    assert len(whole) == writer_of(root).size
    assert whole[-1024:] == bytes(1024)
    for size in (7, 511, 512, 513, 4096, 65_537):
        assert read(writer_of(root), size) == whole


def test_the_table_of_what_was_written_is_the_one_it_was_written_from(tree) -> None:
    _, root = tree
    rows, heap, _ = walk(root)
    parser = TarParser(Limits(), strict=True)
    parser.feed(read(TreeTar(rows, heap, root)))
    parser.finish()
    found = EntryTable(*parser.take_table())
    kept = ("path", "kind", "size", "mode", "uid", "gid", "link_target", "xattrs")
    told = [tuple(getattr(each, key) for key in kept) for each in EntryTable(rows, heap)]
    assert [tuple(getattr(each, key) for key in kept) for each in found] == told


def test_python_reads_names_and_contents(tree) -> None:
    top, root = tree
    data = io.BytesIO(read(writer_of(root)))
    with tarfile.open(fileobj=data, encoding="utf-8", errors="surrogateescape") as tar:
        for member in tar:
            path = top / member.name
            if member.isreg():
                assert tar.extractfile(member).read() == path.read_bytes()
        names = set(tar.getnames())
    assert {os.fsdecode(b"\xff\xfe"), "var/sparse", "n" * 255, "ünïcode"} < names


def test_rows_may_come_in_any_order(tree) -> None:
    _, root = tree
    rows, heap, _ = walk(root)
    table = EntryTable(rows, heap)
    backwards = table.array[::-1]
    data = read(TreeTar(backwards.tobytes(), heap, root))
    with tarfile.open(fileobj=io.BytesIO(data), encoding="utf-8", errors="surrogateescape") as tar:
        found = [os.fsencode(name) for name in tar.getnames()]
    assert found == [each.path.rstrip(b"/") for each in table][::-1]


def test_deep_folders_are_reached_with_few_descriptors(tmp_path) -> None:
    top = tmp_path / "tree"
    path = top
    for level in range(150):
        path = path / "d"
        path.mkdir(parents=True)
        (path / "a").write_text(f"{level}")
        (path / "z").write_text(f"{level}")
    root = os.open(top, os.O_RDONLY)
    try:
        with tarfile.open(fileobj=io.BytesIO(read(writer_of(root)))) as tar:
            names = [f"{'d/' * level}{name}" for level in range(1, 151) for name in "az"]
            found = {name: tar.extractfile(name).read() for name in names}
    finally:
        os.close(root)
    assert found == {name: f"{name.count('/') - 1}".encode() for name in names}


CHANGES = {
    "it grew before": (lambda path: path.write_bytes(path.read_bytes() + b"x"), "3001 now"),
    "it shrank before": (lambda path: path.write_bytes(b"x"), "1 now"),
    "a link is there": (
        lambda path: (path.unlink(), path.symlink_to("/etc/passwd")),
        "something else",
    ),
    "a fifo is there": (lambda path: (path.unlink(), os.mkfifo(path)), "something else"),
    "a folder is there": (lambda path: (path.unlink(), path.mkdir()), "something else"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changed_since_it_was_listed_is_named(tree, change) -> None:
    top, root = tree
    writer = writer_of(root)
    make, reason = CHANGES[change]
    make(top / "usr/lib/file1.txt")
    with pytest.raises(TreeError, match=f"usr/lib/file1.txt: .*{reason}"):
        read(writer)
    with pytest.raises(StateError):
        writer.readinto(bytearray(10))


@pytest.mark.parametrize("size", [100, 1 << 20])
@pytest.mark.parametrize(("new", "reason"), [(2000, "shrank"), (4000, "grew")])
def test_a_file_that_changes_while_it_is_read_is_named(tmp_path, size, new, reason) -> None:
    top = tmp_path / "tree"
    top.mkdir()
    (top / "file").write_bytes(b"x" * 3000)
    root = os.open(top, os.O_RDONLY)
    try:
        writer = writer_of(root)
        assert writer.readinto(bytearray(512 + 1000)) == 1512
        os.truncate(top / "file", new)
        with pytest.raises(TreeError, match=f"file: it {reason}"):
            read(writer, size)
    finally:
        os.close(root)


@pytest.mark.parametrize("cut", [512, 512 + 4096])
def test_a_sparse_file_that_is_cut_while_it_is_read_is_named(tmp_path, cut) -> None:
    """What is missing looks like a hole to the end."""
    top = tmp_path / "tree"
    top.mkdir()
    with (top / "file").open("wb") as file:
        file.truncate(1 << 20)
        file.seek((1 << 20) - 4096)
        file.write(b"x" * 4096)
    root = os.open(top, os.O_RDONLY)
    try:
        writer = writer_of(root)
        assert writer.readinto(bytearray(cut)) == cut
        os.truncate(top / "file", 100)
        with pytest.raises(TreeError, match="file: it shrank"):
            read(writer)
    finally:
        os.close(root)


EMPTY_CHANGES = {
    "it grew": (lambda path: path.write_bytes(b"x"), TreeError),
    "a link is there": (lambda path: (path.unlink(), path.symlink_to("/etc")), TreeError),
    "it is gone": (lambda path: path.unlink(), FileNotFoundError),
}


@pytest.mark.parametrize("change", EMPTY_CHANGES)
def test_an_empty_file_is_looked_at_too(tree, change) -> None:
    top, root = tree
    writer = writer_of(root)
    make, error = EMPTY_CHANGES[change]
    make(top / "etc/empty")
    with pytest.raises(error, match="etc/empty"):
        read(writer)


def test_a_whiteout_is_not_looked_for(tmp_path) -> None:
    blank = [0] * 22
    blank[10], blank[19] = 11, ord("0")
    root = os.open(tmp_path, os.O_RDONLY)
    try:
        data = read(TreeTar(ROW.pack(*blank), b"etc/.wh.old", root))
    finally:
        os.close(root)
    assert len(data) == 512 + 1024
    assert data.startswith(b"etc/.wh.old\0")


def test_a_file_that_is_gone_is_said(tree) -> None:
    top, root = tree
    writer = writer_of(root)
    (top / "usr/lib/file1.txt").unlink()
    with pytest.raises(FileNotFoundError) as caught:
        read(writer)
    assert caught.value.filename == "usr/lib/file1.txt"


def test_a_folder_that_became_a_link_is_not_followed(tree, tmp_path) -> None:
    top, root = tree
    (tmp_path / "away").mkdir()
    writer = writer_of(root)
    (top / "usr/lib").rename(tmp_path / "moved")
    (top / "usr/lib").symlink_to(tmp_path / "moved")
    with pytest.raises(OSError, match="usr/lib"):
        read(writer)


def test_a_table_whose_paths_lead_elsewhere_reads_nothing(tmp_path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "secret").write_text("secret")
    root = os.open(tmp_path / "tree", os.O_RDONLY)
    try:
        for path in (b"../secret", b"/etc/passwd", b"a/../../secret", b"./x", b""):
            blank = [0] * 22
            blank[3] = blank[4] = 6
            blank[10], blank[19] = len(path), ord("0")
            writer = TreeTar(ROW.pack(*blank), path, root)
            with pytest.raises((TreeError, FileNotFoundError)):
                read(writer)
    finally:
        os.close(root)


def test_a_table_that_is_not_sound_is_refused() -> None:
    blank = [0] * 22
    blank[10], blank[19] = 5, ord("0")
    with pytest.raises(FormatError):
        TreeTar(ROW.pack(*blank), b"abc", -1)
    with pytest.raises(FormatError):
        entry_headers(ROW.pack(*blank), b"abc", 0)
    with pytest.raises(IndexError):
        entry_headers(b"", b"", 0)


def test_a_closed_tar_gives_nothing_and_leaks_nothing(tree) -> None:
    _, root = tree
    before = len(os.listdir("/proc/self/fd"))
    writer = writer_of(root)
    writer.readinto(bytearray(5000))
    writer.close()
    writer.close()
    assert len(os.listdir("/proc/self/fd")) == before
    with pytest.raises(StateError):
        writer.readinto(bytearray(10))
    with pytest.raises(StateError):
        writer.__init__(b"", b"", root)

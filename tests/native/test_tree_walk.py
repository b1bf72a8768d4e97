"""The walk over a folder: what is there, in one order, by descriptor."""

import os
import resource
import signal
import socket
import stat
import subprocess
import threading

import pytest
from support.packing import make_tree

from ocifast._native.tree_walk import walk
from ocifast.errors import TreeError
from ocifast.formats.tar import EntryTable
from ocifast.tree.entry import EntryKind

KINDS = {
    stat.S_IFREG: EntryKind.FILE,
    stat.S_IFDIR: EntryKind.DIRECTORY,
    stat.S_IFLNK: EntryKind.SYMLINK,
    stat.S_IFIFO: EntryKind.FIFO,
    stat.S_IFCHR: EntryKind.CHAR_DEVICE,
    stat.S_IFBLK: EntryKind.BLOCK_DEVICE,
}


def listed(top, keep=None, **options):
    root = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    try:
        rows, heap, left_out = walk(root, keep, **options)
    finally:
        os.close(root)
    return list(EntryTable(rows, heap)), left_out


def names(top, keep=None):
    return [each.name for each in listed(top, keep)[0]]


def test_every_entry_is_there_as_lstat_has_it(tmp_path) -> None:
    top = make_tree(tmp_path / "tree")
    if os.geteuid() == 0:
        os.mknod(top / "null", 0o600 | stat.S_IFCHR, os.makedev(1, 300))
        os.lchown(top / "etc/link", 70_000, 3_000_000)
    found, left_out = listed(top)
    paths = {os.path.join(at, n) for at, ds, fs in os.walk(top) for n in ds + fs}
    assert {str(top / each.name.rstrip("/")) for each in found} == paths
    assert left_out == []
    for each in found:
        status = os.lstat(top / each.name.rstrip("/"))
        assert each.mode == stat.S_IMODE(status.st_mode)
        assert (each.uid, each.gid, each.mtime_ns) == (
            status.st_uid,
            status.st_gid,
            status.st_mtime_ns,
        )
        if each.kind is EntryKind.HARDLINK:
            assert os.path.samefile(top / each.name, top / os.fsdecode(each.link_target))
            continue
        assert each.kind is KINDS[stat.S_IFMT(status.st_mode)]
        if each.kind is EntryKind.FILE:
            assert each.size == each.stored_size == status.st_size
        if each.kind is EntryKind.SYMLINK:
            assert os.fsdecode(each.link_target) == os.readlink(top / each.name)
        if each.kind is EntryKind.CHAR_DEVICE:
            assert (each.dev_major, each.dev_minor) == (1, 300)


def test_names_come_in_the_order_of_their_bytes_a_folder_before_its_content(tmp_path) -> None:
    for path in ("b/z", "b/a", "b.x", "B", "a/deep/x", "a!", "\u00fc"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    expected = ["B", "a/", "a/deep/", "a/deep/x", "a!", "b/", "b/a", "b/z", "b.x", "\u00fc"]
    assert names(tmp_path) == expected


def test_the_first_name_of_an_inode_is_the_file_whatever_it_is(tmp_path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m/file").write_text("x")
    (tmp_path / "m/link").symlink_to("nowhere")
    os.mkfifo(tmp_path / "m/fifo")
    for name in ("file", "link", "fifo"):
        os.link(tmp_path / "m" / name, tmp_path / f"z{name}", follow_symlinks=False)
        os.link(tmp_path / "m" / name, tmp_path / f"a{name}", follow_symlinks=False)
    found = {each.name: each for each in listed(tmp_path)[0]}
    for name in ("file", "link", "fifo"):
        assert found[f"a{name}"].kind is not EntryKind.HARDLINK
        for other in (f"m/{name}", f"z{name}"):
            assert found[other].kind is EntryKind.HARDLINK
            assert found[other].link_target == f"a{name}".encode()
            assert found[other].size == 0


def test_many_inodes_with_two_names_are_told_apart(tmp_path) -> None:
    for number in range(700):
        (tmp_path / f"a{number}").touch()
        os.link(tmp_path / f"a{number}", tmp_path / f"b{number}")
    links = {each.name: each.link_target for each in listed(tmp_path)[0] if each.link_target}
    assert links == {f"b{number}": f"a{number}".encode() for number in range(700)}


def test_what_is_refused_is_not_gone_into_and_its_inode_not_counted(tmp_path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/file").touch()
    os.link(tmp_path / "a/file", tmp_path / "b")
    asked = []

    def keep(path, is_directory):
        asked.append((path, is_directory))
        return path != b"a"

    assert [(each.name, each.kind) for each in listed(tmp_path, keep)[0]] == [("b", EntryKind.FILE)]
    assert asked == [(b"a", True), (b"b", False)]


def test_what_the_question_raises_comes_out(tmp_path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(ZeroDivisionError):
        names(tmp_path, lambda path, is_directory: 1 / 0)


def test_sockets_are_left_out_and_told(tmp_path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "sock"))
    (tmp_path / "zfile").touch()
    found, left_out = listed(tmp_path)
    assert [each.name for each in found] == ["zfile"]
    assert left_out == [b"sock"]


@pytest.mark.parametrize("name", [".wh.x", ".wh.", ".wh..wh..opq"])
@pytest.mark.parametrize("make", ["touch", "mkdir"])
def test_w09_a_name_that_would_be_a_whiteout_is_refused(tmp_path, name, make) -> None:
    (tmp_path / "etc").mkdir()
    getattr(tmp_path / "etc" / name, make)()
    with pytest.raises(TreeError, match="layers below") as caught:
        names(tmp_path)
    assert caught.value.path == f"etc/{name}"


def test_xattrs_come_sorted_and_those_of_the_machine_do_not_come(tmp_path) -> None:
    path = tmp_path / "file"
    path.touch()
    wanted = {"user.b": b"2", "user.a": b"\0binary", "user.empty": b""}
    if os.geteuid() == 0:
        wanted |= {
            "trusted.x": b"t",
            "security.capability": bytes.fromhex("0100000200200000") + bytes(12),
        }
        os.setxattr(path, "trusted.overlay.opaque", b"y")
    for name, value in wanted.items():
        os.setxattr(path, name, value)
    os.setxattr(path, "user.overlay.redirect", b"away")
    (found,), _ = listed(tmp_path)
    assert found.xattrs == tuple(sorted((n.encode(), v) for n, v in wanted.items()))
    (bare,), _ = listed(tmp_path, xattrs=False)
    assert bare.xattrs == ()


@pytest.mark.skipif(os.geteuid() != 0, reason="capabilities are set by root only")
def test_a_capability_of_a_user_namespace_becomes_a_plain_one(tmp_path) -> None:
    (tmp_path / "file").touch()
    third = bytes.fromhex("0100000300200000") + bytes(12) + (1000).to_bytes(4, "little")
    os.setxattr(tmp_path / "file", "security.capability", third)
    (found,), _ = listed(tmp_path)
    assert found.xattrs == (
        (b"security.capability", bytes.fromhex("0100000200200000") + bytes(12)),
    )


def test_every_name_of_an_inode_has_its_xattrs(tmp_path) -> None:
    """Who unpacks gives each name its owner, and that takes a capability off the file."""
    (tmp_path / "a").touch()
    os.setxattr(tmp_path / "a", "user.key", b"value")
    os.link(tmp_path / "a", tmp_path / "b")
    found, _ = listed(tmp_path)
    assert [each.kind for each in found] == [EntryKind.FILE, EntryKind.HARDLINK]
    assert [each.xattrs for each in found] == [((b"user.key", b"value"),)] * 2


def test_a_time_that_nanoseconds_cannot_hold_is_the_last_they_can(tmp_path) -> None:
    (tmp_path / "late").touch()
    os.utime(tmp_path / "late", (10_413_792_000, 10_413_792_000))  # the year 2300
    if os.stat(tmp_path / "late").st_mtime < 10_000_000_000:
        pytest.skip("the file system has no such time")
    (found,), _ = listed(tmp_path)
    assert found.mtime_ns == 9_223_372_035 * 10**9


def test_a_folder_may_be_listed_again(tmp_path) -> None:
    (tmp_path / "a").touch()
    root = os.open(tmp_path, os.O_RDONLY)
    try:
        assert bytes(walk(root)[0]) == bytes(walk(root)[0]) != b""
    finally:
        os.close(root)


def test_deep_trees_need_few_descriptors_and_too_deep_ones_are_refused(tmp_path) -> None:
    def deep(levels):
        made = os.open(tmp_path, os.O_RDONLY)
        for _ in range(levels):
            os.mkdir("d", dir_fd=made)
            os.close(os.open("z", os.O_CREAT | os.O_WRONLY, dir_fd=made))
            below = os.open("d", os.O_RDONLY, dir_fd=made)
            os.close(made)
            made = below
        return made

    last = deep(600)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        found = names(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(found) == 1200
    assert found[-1] == "z"
    for _ in range(500):
        os.mkdir("d", dir_fd=last)
        below = os.open("d", os.O_RDONLY, dir_fd=last)
        os.close(last)
        last = below
    os.close(last)
    try:
        with pytest.raises(TreeError, match="1024 folders deep"):
            names(tmp_path)
    finally:  # Python's own removal is recursive
        subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_read_is_named(tmp_path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b").chmod(0)
    with pytest.raises(PermissionError) as caught:
        names(tmp_path)
    assert caught.value.filename == "a/b/"


def test_a_file_that_vanishes_meanwhile_is_named(tmp_path) -> None:
    for name in "ab":
        (tmp_path / name).touch()

    def keep(path, is_directory):
        (tmp_path / "b").unlink(missing_ok=True)
        return True

    with pytest.raises(FileNotFoundError) as caught:
        names(tmp_path, keep)
    assert caught.value.filename == "b"


def test_a_signal_interrupts_it(tmp_path) -> None:
    for number in range(5000):
        (tmp_path / f"{number}").touch()

    def stop(number, frame):
        raise TimeoutError

    before = signal.signal(signal.SIGUSR1, stop)
    asked = []

    def keep(path, is_directory):
        if not asked:
            asked.append(path)
            threading.Thread(target=signal.pthread_kill, args=(main, signal.SIGUSR1)).start()
        return True

    main = threading.main_thread().ident
    try:
        with pytest.raises(TimeoutError):
            names(tmp_path, keep)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_no_descriptor_is_left_open_when_it_fails(tmp_path) -> None:
    (tmp_path / "a/b/c").mkdir(parents=True)
    (tmp_path / "a/b/c/.wh.x").touch()
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(TreeError):
        names(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before

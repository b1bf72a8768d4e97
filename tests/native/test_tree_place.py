"""A tree from its table and contents in homes; what is not as it has to be is named and refused."""

import os
import stat
import struct

import pytest
from support.placing import FOLDER, NO_HOME, make, placement, read
from support.tar_build import archive, entry

from ocifast._native.tar import TarParser
from ocifast._native.tar_files import FileCutter, FileWriter
from ocifast._native.tree_meta import Metadata
from ocifast._native.tree_place import Placement, remove_tree, set_metadata
from ocifast.errors import FormatError, StateError, TreeError
from ocifast.limits import DEFAULT_LIMITS

TAR = archive(
    entry(b"d/", kind=b"5", mode=0o751),
    entry(b"d/f", b"content" * 100),
    entry(b"e"),
    entry(b"h", kind=b"1", link=b"d/f"),
    entry(b"l", kind=b"2", link=b"d"),
    entry(b"d/s", kind=b"2", link=b"f"),
)


@pytest.fixture
def folders(tmp_path):
    """Descriptors of a folder for contents and one for the tree."""
    opened = []
    for name in ("contents", "tree"):
        (tmp_path / name).mkdir()
        opened.append(os.open(tmp_path / name, FOLDER))
    yield opened
    for descriptor in opened:
        os.close(descriptor)


@pytest.mark.parametrize("step", [1, 100, 512, 513, 1 << 20])
def test_files_lie_in_homes_by_their_own_names_and_whole_whatever_the_cut(
    folders, tmp_path, step
) -> None:
    *_, homes = read(TAR, folders[0], step)
    assert sorted(os.listdir(tmp_path / "contents")) == ["2", "h0"]
    assert (tmp_path / "contents/h0/f").read_bytes() == b"content" * 100
    assert (tmp_path / "contents/2").read_bytes() == b""
    assert struct.unpack("3I", homes) == (NO_HOME, 0, NO_HOME)


def test_a_tree_is_made_and_its_contents_are_moved_into_it(folders, tmp_path) -> None:
    make(TAR, folders)
    root = tmp_path / "tree"
    assert sorted(os.listdir(root)) == ["d", "e", "h", "l"]
    assert stat.S_IMODE(os.lstat(root / "d").st_mode) == 0o751
    assert os.path.samefile(root / "h", root / "d/f")
    assert os.listdir(tmp_path / "contents") == []


def test_nothing_is_placed_where_something_is(folders, tmp_path) -> None:
    (tmp_path / "tree/e").symlink_to(tmp_path / "outside")
    with pytest.raises(FileExistsError) as caught:
        make(TAR, folders)
    assert caught.value.filename == "e"
    assert not (tmp_path / "outside").exists()


def test_a_folder_that_became_a_link_is_not_entered(folders, tmp_path) -> None:
    made, count = placement(TAR, folders)
    made.folders(Metadata())
    (tmp_path / "tree/d").rename(tmp_path / "moved")
    (tmp_path / "tree/d").symlink_to(tmp_path / "moved")
    with pytest.raises(OSError, match=r"Not a directory|symbolic"):
        made.rest(Metadata(), 0, count)
    assert os.listdir(tmp_path / "moved") == ["f"]


def test_p11_another_folder_in_its_place_gets_no_metadata(folders, tmp_path) -> None:
    made, count = placement(TAR, folders)
    made.folders(Metadata())
    made.rest(Metadata(), 0, count)
    (tmp_path / "tree/d").rename(tmp_path / "moved")
    (tmp_path / "tree/d").mkdir(0o700)
    with pytest.raises(TreeError, match="d/: another folder has taken its place"):
        made.metadata(Metadata())
    assert stat.S_IMODE(os.lstat(tmp_path / "tree/d").st_mode) == 0o700


@pytest.mark.parametrize("target", [b"nowhere", b"d", b"../contents/0", b"/"])
def test_a_link_to_what_cannot_be_linked_is_refused(folders, target) -> None:
    tar = archive(entry(b"d/", kind=b"5"), entry(b"x", kind=b"1", link=target))
    with pytest.raises((TreeError, FormatError)):
        make(tar, folders)


@pytest.mark.parametrize(("rule", "kind"), [("create", stat.S_IFCHR), ("record", stat.S_IFREG)])
def test_devices_are_made_or_recorded(folders, tmp_path, rule, kind) -> None:
    tar = archive(entry(b"null", kind=b"3", major=1, minor=3, mode=0o666))
    made = make(tar, folders, devices=rule)
    found = os.lstat(tmp_path / "tree/null")
    assert (stat.S_IFMT(found.st_mode), stat.S_IMODE(found.st_mode)) == (kind, 0o666)
    if rule == "record":
        record = os.getxattr(tmp_path / "tree/null", "user.containers.override_stat")
        assert (made.recorded, record) == (1, b"0:0:0666:char-1-3")


def test_devices_are_denied_by_name(folders) -> None:
    with pytest.raises(TreeError, match="null: it is a device"):
        make(archive(entry(b"null", kind=b"3", major=1, minor=3)), folders, devices="deny")


def test_buffers_that_are_not_of_one_table_are_refused(folders) -> None:
    with pytest.raises(ValueError, match="not those of the table"):
        Placement(*read(TAR, folders[0])[1:3], b"", [], folders[1])
    with pytest.raises(FormatError):
        Placement(bytes(119), b"", b"", [], folders[1])
    with pytest.raises(IndexError):
        set_metadata(folders[1], b"", b"", 0, Metadata())


def test_a_cutter_goes_beside_its_parser_and_no_other_way() -> None:
    parser = TarParser(DEFAULT_LIMITS)
    cutter = FileCutter(parser)
    with pytest.raises(StateError):
        cutter.cut(512)
    parser.feed(TAR[:512])
    parser.feed(TAR[512:1024])
    with pytest.raises(StateError):
        cutter.cut(512)


def test_a_writer_that_failed_writes_nothing_more(folders, tmp_path) -> None:
    parser = TarParser(DEFAULT_LIMITS)
    cutter, writer = FileCutter(parser), FileWriter(folders[0], Metadata())
    (tmp_path / "contents/2").mkdir()
    parser.feed(TAR)
    parts = cutter.cut(len(TAR))
    with pytest.raises(OSError, match="exists") as caught:
        writer.write(parts, TAR)
    assert caught.value.filename == "#2"
    with pytest.raises(StateError):
        writer.write(parts, TAR)


@pytest.mark.parametrize("ranges", [[(0, 0, 0)], [(0, 1 << 32, 1)], [(1 << 31, 0, (1 << 31) + 1)]])
def test_a_range_of_no_ids_is_refused(ranges) -> None:
    with pytest.raises(ValueError, match="no range of ids"):
        Metadata(uids=ranges)


# ---- removal ----


def test_p22_a_tree_far_deeper_than_there_are_descriptors_is_removed(tmp_path) -> None:
    parent = os.open(tmp_path, FOLDER)
    at = os.dup(parent)
    for _ in range(3000):
        os.mkdir("d", dir_fd=at)
        below = os.open("d", FOLDER, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    remove_tree(parent, b"d")
    assert os.listdir(tmp_path) == []
    os.close(parent)


def test_links_are_removed_and_what_they_lead_to_stays(tmp_path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").write_bytes(b"")
    tree = tmp_path / "tree"
    (tree / "a/b").mkdir(parents=True, mode=0o500)
    for number in range(3000):
        (tree / f"f{number}").write_bytes(b"")
    (tree / "a/link").symlink_to(tmp_path / "kept")
    (tree / "a/b").chmod(0)
    parent = os.open(tmp_path, FOLDER)
    remove_tree(parent, b"tree")
    assert os.listdir(tmp_path) == ["kept"]
    assert os.listdir(tmp_path / "kept") == ["file"]
    with pytest.raises(FileNotFoundError):
        remove_tree(parent, b"tree")
    os.close(parent)

"""Homes of files become folders of the tree when all their files stay, and only then."""

import os
import struct

import pytest
from native.test_tree_place import FOLDER, NO_HOME, placement, read
from support.tar_build import archive, entry

from ocifast._native.tree_meta import Metadata
from ocifast._native.tree_place import MARK_STAYS, Placement


@pytest.fixture
def folders(tmp_path):
    """Descriptors of two folders for contents, and one for the tree."""
    opened = []
    for name in ("below", "above", "tree"):
        (tmp_path / name).mkdir()
        opened.append(os.open(tmp_path / name, FOLDER))
    yield opened
    for descriptor in opened:
        os.close(descriptor)


def inodes(folder):
    """Inodes of what is in a folder."""
    return {name: os.lstat(folder / name).st_ino for name in os.listdir(folder)}


def make(tars, folders):
    made, count = placement(tars, folders)
    metadata = Metadata()
    made.folders(metadata)
    made.rest(metadata, 0, count)
    made.links(metadata)
    made.metadata(metadata)


def files(folder):
    """Every file and what is in it."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_home_all_of_whose_files_stay_becomes_the_folder(folders, tmp_path) -> None:
    below = archive(
        entry(b"a/", kind=b"5"), entry(b"a/1", b"1"), entry(b"a/b/2", b"2"), entry(b"a/3", b"3")
    )
    made, _ = placement([below, archive(entry(b"c/4", b"4"))], folders)
    homes = inodes(tmp_path / "below") | {"above": inodes(tmp_path / "above")["h0"]}
    made.folders(Metadata())
    tree = tmp_path / "tree"
    assert files(tree) == {"a/1": b"1", "a/3": b"3", "a/b/2": b"2", "c/4": b"4"}
    assert [os.lstat(tree / name).st_ino for name in ("a", "a/b", "c")] == [
        homes["h0"], homes["h1"], homes["above"]
    ]  # fmt: skip
    assert os.listdir(tmp_path / "below") == os.listdir(tmp_path / "above") == []


@pytest.mark.parametrize(
    "above",
    [
        [entry(b"a/1", b"new")],
        [entry(b"a/.wh.1")],
        [entry(b"a/1", kind=b"2", link=b"2")],
        [entry(b"a", b"new")],
        [entry(b"a", kind=b"2", link=b"b"), entry(b"b/1", b"new")],
        [entry(b"a/.wh..wh..opq"), entry(b"a/1", b"new")],
    ],
)
def test_what_is_hidden_or_replaced_above_is_never_moved_along(folders, tmp_path, above) -> None:
    below = archive(entry(b"a/1", b"old"), entry(b"a/2", b"2"))
    make([below, archive(*above)], folders)
    assert b"old" not in files(tmp_path / "tree").values()


def test_of_two_homes_for_a_folder_it_is_the_fuller_one_and_others_are_emptied(
    folders, tmp_path
) -> None:
    few, many = (
        [entry(b"a/%s%d" % (by, n), by) for n in range(c)] for by, c in ((b"x", 2), (b"y", 5))
    )
    made, count = placement([archive(*few), archive(*many)], folders)
    home = inodes(tmp_path / "above")["h0"]
    made.folders(Metadata())
    assert inodes(tmp_path / "tree") == {"a": home}
    assert len(files(tmp_path / "tree")) == 5
    made.rest(Metadata(), 0, count)
    assert len(files(tmp_path / "tree")) == 7
    assert files(tmp_path / "below") == {}


def test_files_of_several_folders_in_one_by_links_are_moved_one_by_one(folders, tmp_path) -> None:
    below = archive(entry(b"real/1", b"1"), entry(b"way", kind=b"2", link=b"real"))
    make([below, archive(entry(b"way/2", b"2"), entry(b"real/3", b"3"))], folders)
    assert files(tmp_path / "tree/real") == {"1": b"1", "2": b"2", "3": b"3"}


def test_a_link_whose_first_name_is_gone_is_the_file_by_its_own_name(folders, tmp_path) -> None:
    below = archive(entry(b"a/first", b"1"), entry(b"a/second", kind=b"1", link=b"a/first"))
    make([below, archive(entry(b"a/.wh.first"))], folders)
    assert files(tmp_path / "tree") == {"a/second": b"1"}


def test_entries_of_one_path_and_names_that_are_none_lie_by_number(folders, tmp_path) -> None:
    tar = archive(
        entry(b"a/1", b"old"), entry(b"a/2", b"2"), entry(b"a/1", b"new"), entry(b"a/./3")
    )
    *_, homes = read(tar, folders[0])
    assert struct.unpack("4I", homes) == (0, 0, NO_HOME, 1)
    assert (tmp_path / "below/2").read_bytes() == b"new"
    for name in os.listdir(tmp_path / "below"):
        os.rename(tmp_path / "below" / name, tmp_path / name)
    make([tar, archive()], folders)
    assert files(tmp_path / "tree") == {"a/1": b"new", "a/2": b"2", "a/3": b""}


def test_where_no_more_homes_can_be_made_files_lie_by_number(folders, tmp_path) -> None:
    (tmp_path / "below/h0").write_bytes(b"")
    *_, homes = read(archive(entry(b"a/1", b"1"), entry(b"b/2", b"2")), folders[0])
    assert struct.unpack("2I", homes) == (NO_HOME, 1)
    assert files(tmp_path / "below") == {"h0": b"", "0": b"1", "h1/2": b"2"}


def test_a_link_in_place_of_a_home_is_not_followed(folders, tmp_path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "below/h0").symlink_to(tmp_path / "outside")
    with pytest.raises(NotADirectoryError):
        read(archive(entry(b"a/1", b"1"), entry(b"a/2", b"2")), folders[0])
    assert os.listdir(tmp_path / "outside") == []


def test_a_folder_that_is_there_already_is_kept_and_filled(folders, tmp_path) -> None:
    tar = archive(entry(b"a/1", b"1"))
    layer = read(tar, folders[0])
    (tmp_path / "tree/a").mkdir()
    before = inodes(tmp_path / "tree")
    _, rows, heap, _ = read(archive(entry(b"a/", kind=b"5"), entry(b"a/1", b"1")), folders[1])
    source = struct.pack("4I", 0, 0, 0, 0)
    made = Placement(rows, heap, source, [layer], folders[2], marks=bytes([MARK_STAYS, 0]))
    made.folders(Metadata())
    made.rest(Metadata(), 0, 2)
    assert inodes(tmp_path / "tree") == before
    assert files(tmp_path / "tree") == {"a/1": b"1"}


@pytest.mark.parametrize("homes", [[1], [0, 0, 0], [NO_HOME, 0xFFFFFFFE], [2, NO_HOME]], ids=str)
def test_homes_that_no_writer_of_this_table_made_are_refused(folders, homes) -> None:
    folder, rows, heap, _ = read(archive(entry(b"a/1"), entry(b"a/2")), folders[0])
    layer = (folder, rows, heap, struct.pack(f"{len(homes)}I", *homes))
    with pytest.raises(ValueError, match="homes are not those of the table"):
        Placement(b"", b"", b"", [layer], folders[2])

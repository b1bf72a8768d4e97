"""Homes of files become folders of the tree when all their files stay, and only then."""

import itertools
import os
import stat
import struct

import pytest
from support.placing import FOLDER, NO_HOME, make, placement, read
from support.tar_build import archive, entry

from ocifast._native.tar import TarParser
from ocifast._native.tar_files import FileCutter
from ocifast._native.tree_meta import Metadata
from ocifast._native.tree_place import MARK_STAYS, Placement
from ocifast.limits import DEFAULT_LIMITS

KNOWN = 1 << 14
"""Homes that are remembered (file_homes.c)."""
PART_BYTES, HOME_AT, PATH_SIZE_AT = 160, 36, 120
"""Of a part, and where in it (tar_files.h)."""


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


def place_of(folder):
    """Where a short path is looked for among the homes that are known (name_hash.h)."""
    product = (int.from_bytes(folder, "little") ^ len(folder) << 56) * 0xD6E8FEB86659FD93
    return ((product ^ product >> 64) + len(folder)) % KNOWN


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


def test_the_root_has_no_home_and_a_folder_one_however_it_is_spelled(folders, tmp_path) -> None:
    names = [b"x", b"./y", b"/z", b"a/1", b"./a/2", b".//a/3"]
    *_, homes = read(archive(*map(entry, names)), folders[0])
    assert struct.unpack("6I", homes) == (NO_HOME, NO_HOME, NO_HOME, 0, 0, 0)
    assert sorted(os.listdir(tmp_path / "below")) == ["0", "1", "2", "h0"]


def test_a_home_that_was_made_with_another_umask_gets_the_mode_it_has_to_have(
    folders, tmp_path
) -> None:
    tar = archive(entry(b"a/", kind=b"5", mode=0o700), entry(b"a/1", b"1"))
    before = os.umask(0o100)
    try:
        made, _ = placement([tar, archive()], folders)
    finally:
        os.umask(before)
    made.folders(Metadata())
    made.metadata(Metadata())
    assert stat.S_IMODE(os.lstat(tmp_path / "tree/a").st_mode) == 0o700


@pytest.mark.parametrize("parts", [[], [entry(b"a/1", b"1")]])
def test_of_the_folder_it_is_in_a_folder_inherits_nothing(folders, tmp_path, parts) -> None:
    (tmp_path / "tree").chmod(0o2770)
    acl = struct.pack("<I" + "HHI" * 3, 2, 1, 7, NO_HOME, 4, 7, NO_HOME, 32, 7, NO_HOME)
    try:
        os.setxattr(tmp_path / "tree", "system.posix_acl_default", acl)
    except OSError as error:
        pytest.skip(f"the file system has no ACLs: {error}")
    make([archive(entry(b"a/", kind=b"5", mode=0o700), *parts), archive()], folders)
    assert stat.S_IMODE(os.lstat(tmp_path / "tree/a").st_mode) == 0o700
    assert [name for name in os.listxattr(tmp_path / "tree/a") if "acl" in name] == []


def folders_of_one_place(count):
    """Folders, so many, of which 8 can be known at a time: they have one hash, but for the rest."""
    alike = (b"%d/" % number for number in range(10**6))
    return list(itertools.islice((name for name in alike if place_of(name) == 0), count))


def test_where_all_places_are_taken_homes_are_begun_anew(folders, tmp_path) -> None:
    alike = folders_of_one_place(24)
    names = [b"%s%d" % (alike[n % 24], n) for n in range(2400)]
    *_, homes = read(archive(*map(entry, names)), folders[0])
    made = {home for (home,) in struct.iter_unpack("I", homes)}
    assert len(made) > 24
    assert len(list((tmp_path / "below").rglob("*"))) == 2400 + len(made - {NO_HOME})


def test_homes_that_are_begun_anew_are_one_for_four_files_at_most_beyond_those_known() -> None:
    alike, count = folders_of_one_place(24), 40_000
    parser = TarParser(DEFAULT_LIMITS)
    cutter = FileCutter(parser)
    homes, asked = set(), 0
    for first in range(0, count, 4000):
        names = [b"%s%d" % (alike[n % 24], n) for n in range(first, first + 4000)]
        piece = b"".join(map(entry, names))
        parser.feed(piece)
        parts = cutter.cut(len(piece))
        at = 0
        while at < len(parts):
            homes.add(struct.unpack_from("I", parts, at + HOME_AT)[0])
            path_size = struct.unpack_from("I", parts, at + PATH_SIZE_AT)[0]
            at, asked = at + PART_BYTES + path_size, asked + 1
    assert asked == count
    assert KNOWN < len(homes - {NO_HOME}) <= KNOWN + count // 4 + 1

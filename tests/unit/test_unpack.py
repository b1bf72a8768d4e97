"""`unpack`: what a tree has to be, for every kind of entry, and over what is there already."""

import os
import stat
import subprocess

import pytest
from support.images import layout_files, make_sample, write_folder
from support.tar_build import archive
from support.tar_build import entry as tar_entry

from ocifast import unpack
from ocifast.errors import DiffIdMismatch, DigestMismatch, OcifastError, TreeError
from ocifast.ops.diff import diff
from ocifast.ops.image import open_image
from ocifast.ops.unpack_options import UnpackOptions
from ocifast.spec.digest import Digest


def entry(name: str, payload: bytes = b"", **fields):
    """One entry by text; `type` and `link` as a header has them."""
    kind, link = fields.pop("type", "0").encode(), fields.pop("link", "").encode()
    return tar_entry(name.encode(), payload, kind, link=link, **fields)


def tar_of(entries):
    return archive(*entries)


def unpacked(tmp_path, *layers, **options):
    options.setdefault("workers", 0)
    return unpack(list(layers), tmp_path / "tree", **options)


def test_a_tree_has_the_bytes_modes_owners_and_times_of_its_layer(tmp_path) -> None:
    layer = tar_of(
        [
            entry("a/", type="5", mode=0o1777, uid=3, gid=4, mtime=1_000_000_000),
            entry("a/file", b"content", mode=0o4755, uid=1, gid=2, mtime=1_000_000_001),
            entry("a/link", type="2", link="../nowhere", mtime=1_000_000_002),
            entry("a/again", type="1", link="a/file"),
            entry("a/pipe", type="6", mode=0o640),
        ]
    )
    report = unpacked(tmp_path, layer)
    root = tmp_path / "tree"
    folder, file, link = (os.lstat(root / name) for name in ("a", "a/file", "a/link"))
    assert (folder.st_mode, folder.st_uid, folder.st_gid) == (stat.S_IFDIR | 0o1777, 3, 4)
    assert folder.st_mtime_ns == 1_000_000_000 * 10**9
    assert (root / "a/file").read_bytes() == b"content"
    assert (file.st_mode, file.st_uid, file.st_nlink) == (stat.S_IFREG | 0o4755, 1, 2)
    assert file.st_mtime_ns == 1_000_000_001 * 10**9
    assert os.path.samestat(file, os.lstat(root / "a/again"))
    assert os.readlink(root / "a/link") == "../nowhere"
    assert link.st_mtime_ns == 1_000_000_002 * 10**9
    assert stat.S_IFMT(os.lstat(root / "a/pipe").st_mode) == stat.S_IFIFO
    assert (report.entries, report.size) == (5, 7)
    assert os.listdir(tmp_path) == ["tree"]


def test_upper_layers_hide_replace_and_add(tmp_path) -> None:
    below = tar_of(
        [entry("d/", type="5"), entry("d/x", b"1"), entry("d/y", b"2"), entry("f", b"3")]
    )
    above = tar_of([entry("d/.wh.x"), entry("d/y", b"new"), entry("f/", type="5"), entry("f/g")])
    unpacked(tmp_path, below, above)
    root = tmp_path / "tree"
    assert sorted(os.listdir(root / "d")) == ["y"]
    assert (root / "d/y").read_bytes() == b"new"
    assert os.listdir(root / "f") == ["g"]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("size", [0, 1, 511, 1 << 18, (1 << 20) + 1, 5_000_000])
def test_files_of_any_size_arrive_whole(tmp_path, size, workers) -> None:
    content = os.urandom(size)
    unpacked(tmp_path, tar_of([entry("f", content), entry("g", b"behind")]), workers=workers)
    assert (tmp_path / "tree/f").read_bytes() == content
    assert (tmp_path / "tree/g").read_bytes() == b"behind"


def test_an_image_is_unpacked_and_equals_itself(tmp_path) -> None:
    write_folder(tmp_path / "image", layout_files(make_sample(3, names=("app:1",))))
    ref = f"oci:{tmp_path / 'image'}"
    report = unpack(ref, tmp_path / "tree")
    assert len(report.layers) == len(open_image(ref).layers)
    assert not list(diff(ref, tmp_path / "tree"))


def test_many_files_go_through_threads_and_workers(tmp_path) -> None:
    files = [
        entry(f"d{n % 70}/f{n}", os.urandom(n % 9000), mode=0o600 + n % 64) for n in range(3000)
    ]
    layer = tar_of(files)
    (tmp_path / "layer.tar").write_bytes(layer)
    unpack(tmp_path / "layer.tar", tmp_path / "tree", workers=2)
    assert not list(diff(layer, tmp_path / "tree"))


def test_a_layer_that_is_not_the_promised_one_leaves_nothing(tmp_path) -> None:
    write_folder(tmp_path / "image", layout_files(make_sample(3, names=("app:1",))))
    blob = open_image(f"oci:{tmp_path / 'image'}").layers[0]
    digest = Digest(str(blob.descriptor.digest))
    path = tmp_path / "image/blobs/sha256" / str(digest).partition(":")[2]
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises((DigestMismatch, OcifastError)):
        unpack(f"oci:{tmp_path / 'image'}", tmp_path / "tree")
    assert os.listdir(tmp_path) == ["image"]


def test_a_wrong_diff_id_leaves_nothing(tmp_path) -> None:
    image = make_sample(2, names=("app:1",))
    write_folder(tmp_path / "image", layout_files(image))
    opened = open_image(f"oci:{tmp_path / 'image'}")
    object.__setattr__(opened.layers[0], "diff_id", Digest("sha256:" + "0" * 64))
    with pytest.raises(DiffIdMismatch):
        unpack(opened, tmp_path / "tree")
    assert os.listdir(tmp_path) == ["image"]


def test_what_is_there_is_refused_replaced_or_kept(tmp_path) -> None:
    root = tmp_path / "tree"
    root.mkdir()
    (root / "old").write_bytes(b"old")
    with pytest.raises(OSError, match="not empty"):
        unpacked(tmp_path, tar_of([entry("new", b"new")]))
    unpacked(tmp_path, tar_of([entry("new", b"new")]), keep=True)
    assert sorted(os.listdir(root)) == ["new", "old"]
    unpacked(tmp_path, tar_of([entry("other")]), replace=True)
    assert os.listdir(root) == ["other"]
    assert os.listdir(tmp_path) == ["tree"]


def test_what_is_kept_is_a_layer_below(tmp_path) -> None:
    below = tar_of(
        [
            entry("d/", type="5", mode=0o750),
            entry("d/stays", b"1"),
            entry("d/goes", b"2"),
            entry("d/second", type="1", link="d/goes"),
            entry("l", type="2", link="d"),
            entry("t/", type="5"),
            entry("t/u/", type="5"),
            entry("t/u/v", b"3"),
        ]
    )
    above = tar_of(
        [
            entry("d/.wh.goes"),
            entry("l/through", b"4"),
            entry("third", type="1", link="d/second"),
            entry("t", b"a file now"),
            entry("d/", type="5", mode=0o700),
        ]
    )
    unpacked(tmp_path, below)
    inode = os.lstat(tmp_path / "tree/d/stays").st_ino
    unpacked(tmp_path, above, keep=True)
    assert not list(diff_of_stack(tmp_path, below, above))
    assert os.lstat(tmp_path / "tree/d/stays").st_ino == inode


def diff_of_stack(tmp_path, *layers):
    """What is between the tree and one that the same layers made at once."""
    unpack(list(layers), tmp_path / "whole", workers=0)
    return diff(tmp_path / "whole", tmp_path / "tree", ignore=("mtime",))


def test_rootless_records_owners_as_umoci_reads_them(tmp_path) -> None:
    layer = tar_of([entry("f", uid=1000, gid=200), entry("d/", type="5", uid=5), entry("r")])
    unpacked(tmp_path, layer, rootless=True)
    root = tmp_path / "tree"
    assert os.lstat(root / "f").st_uid == os.geteuid()
    assert os.getxattr(root / "f", "user.rootlesscontainers") == b"\x08\xe8\x07\x10\xc8\x01"
    assert os.getxattr(root / "d", "user.rootlesscontainers") == b"\x08\x05"
    assert os.listxattr(root / "r") == []


def test_ids_are_mapped_and_those_in_no_range_are_named(tmp_path) -> None:
    layer = tar_of([entry("f", uid=5, gid=7)])
    unpacked(tmp_path, layer, uid_map=[(0, 1000, 10)], gid_map=[(7, 3, 1)])
    found = os.lstat(tmp_path / "tree/f")
    assert (found.st_uid, found.st_gid) == (1005, 3)
    with pytest.raises(TreeError, match="f: id 5 is in none"):
        unpack([layer], tmp_path / "other", uid_map=[(0, 1000, 5)], workers=0)
    assert os.listdir(tmp_path) == ["tree"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"replace": True, "keep": True}, "not both"),
        ({"rootless": True, "uid_map": ((0, 0, 1),)}, "none to map"),
        ({"overlay": True, "keep": True}, "nothing can be kept"),
        ({"devices": "some"}, "devices are one of"),
        ({"gid_map": ((0, 0, 0),)}, "no range of gids"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, reason) -> None:
    with pytest.raises(ValueError, match=reason):
        UnpackOptions(**options)


def mounted(tmp_path, count):
    """Mount the folders of layers as an engine would, and give where."""
    lower = ":".join(str(tmp_path / "tree" / str(number)) for number in reversed(range(count)))
    (tmp_path / "seen").mkdir()
    command = ["mount", "-t", "overlay", "-o", f"ro,lowerdir={lower}", "overlay", tmp_path / "seen"]
    subprocess.run(command, check=True, timeout=60)
    return tmp_path / "seen"


def test_a_mount_of_overlay_folders_shows_what_the_layers_come_to(tmp_path) -> None:
    layers = [
        tar_of(
            [
                entry("d/", type="5", mode=0o751, uid=7),
                entry("d/x", b"1"),
                entry("d/y", b"2"),
                entry("o/", type="5"),
                entry("o/hidden", b"3"),
                entry("w", b"4"),
                entry("again/", type="5"),
                entry("again/old"),
            ]
        ),
        tar_of(
            [
                entry("d/.wh.x"),
                entry("o/.wh..wh..opq"),
                entry("o/new", b"5"),
                entry(".wh.w"),
                entry("again/", type="5"),
                entry("again/new"),
                entry(".wh.again"),
                entry("d/link", type="1", link="o/new"),
            ]
        ),
    ]
    unpack(layers, tmp_path / "tree", overlay=True, workers=0)
    unpack(layers, tmp_path / "whole", workers=0)
    seen = mounted(tmp_path, 2)
    try:
        assert not list(diff(tmp_path / "whole", seen, ignore=("mtime", "links")))
    finally:
        subprocess.run(["umount", seen], check=True, timeout=60)


def test_an_overlay_folder_cannot_link_into_another(tmp_path) -> None:
    layers = [tar_of([entry("a", b"1")]), tar_of([entry("b", type="1", link="a")])]
    with pytest.raises(TreeError, match="b: it is a hard link into a layer below"):
        unpacked(tmp_path, *layers, overlay=True)
    assert os.listdir(tmp_path) == []

"""Paths: what an entry may be called, what it may stand beside, and whiteouts."""

import os

import pytest
from support.tar_build import END, MAGIC_GNU, archive, entry, long_name, pax
from support.tar_read import both, judge, read

from ocifast._native.tar import TarParser
from ocifast.errors import LimitExceeded
from ocifast.limits import Limits

OK = ("ok", "ok")


def refused(code: str) -> tuple[str, str]:
    return code, code


def tolerated(code: str) -> tuple[str, str]:
    return code, "ok"


@pytest.mark.parametrize("path", [b"/etc/x", b"//etc/x", b"/./x"])
def test_p01_absolute_paths_are_kept_and_reported_in_both_profiles(path: bytes) -> None:
    data = archive(entry(path))
    assert both(data) == OK
    for strict in (False, True):
        found = read(data, strict=strict)
        assert found.entries[0].path == path
        assert found.findings == [("absolute", 0)]


@pytest.mark.parametrize("path", [b"../x", b"..", b"./../x", b"/../x", b".//../x"])
def test_p02_leading_dotdot_is_refused(path: bytes) -> None:
    assert both(archive(entry(path))) == refused("dotdot")


@pytest.mark.parametrize("path", [b"a/../b", b"a/b/..", b"a/../../b"])
def test_p02_interior_dotdot_is_refused_in_strict(path: bytes) -> None:
    assert both(archive(entry(path, kind=b"5"))) == tolerated("dotdot")


@pytest.mark.parametrize("path", [b"..a", b"a..", b"...", b"a/..b/c"])
def test_p02_dots_in_names_are_ordinary(path: bytes) -> None:
    assert both(archive(entry(path))) == OK


@pytest.mark.parametrize("path", [b".", b"/", b"./", b"/.", b".//."])
@pytest.mark.parametrize("flag", list(b"0123456"))
def test_p04_the_root_can_only_be_a_directory(path: bytes, flag: int) -> None:
    kind = bytes([flag])
    data = archive(entry(path, kind=kind, link=b"t" if kind in b"12" else b""))
    if kind == b"5":
        assert both(data) == OK
    else:
        assert judge(data) == "root"
        assert judge(data, strict=True) in {"root", "trailing-slash"}


def test_p04_h21_an_empty_name_is_refused() -> None:
    assert both(archive(entry(b""))) == refused("empty-name")
    assert both(archive(entry(b"", kind=b"5"))) == refused("empty-name")
    assert both(archive(entry(b"\0hidden"))) == refused("empty-name")


def test_p06_paths_and_components_are_capped() -> None:
    component = b"c" * 255
    deep = b"/".join([component] * 16)
    assert len(deep) == 4095
    for path, verdict in {
        component: "ok",
        component + b"c": "limit component_bytes",
        deep: "ok",
        deep + b"/x": "limit path_bytes",
    }.items():
        assert both(archive(pax((b"path", path)), entry())) == refused(verdict)


def test_p06_link_targets_are_capped() -> None:
    for size, verdict in ((4096, "ok"), (4097, "limit path_bytes")):
        target = pax((b"linkpath", b"t" * size))
        assert both(archive(target, entry(b"l", kind=b"2", link=b"t"))) == refused(verdict)


def test_p22_depth_is_capped() -> None:
    for depth, verdict in ((1024, "ok"), (1025, "limit depth")):
        path = pax((b"path", b"/".join([b"d"] * depth)))
        assert both(archive(path, entry())) == refused(verdict)
    for depth, verdict in ((3, "ok"), (4, "limit depth")):
        data = archive(entry(b"/".join([b"d"] * depth)))
        assert judge(data, limits=Limits(depth=3)) == verdict


def test_p22_implied_parents_cannot_fill_memory() -> None:
    """An entry names 1,024 parents of its own; the set of them has the cap of the table."""
    parser = TarParser(Limits(table_bytes=1 << 20), keep=False)
    paths = (b"/".join([b"%x" % i] + [b"d"] * 1000) for i in range(200))
    data = b"".join(pax((b"path", path)) + entry() for path in paths)
    with pytest.raises(LimitExceeded, match="table_bytes"):
        parser.feed(data)
    assert parser.entries < 100


@pytest.mark.parametrize(
    "parts",
    [
        [entry(b"a"), entry(b"a/b")],
        [entry(b"a/b"), entry(b"a")],
        [entry(b"./a"), entry(b"a//b/c")],
        [entry(b"a", kind=b"6"), entry(b"a/b")],
        [entry(b"a/b"), entry(b"a", kind=b"2", link=b"t")],
        [entry(b"a/b/c"), entry(b"a", kind=b"1", link=b"t")],
    ],
)
def test_p13_a_file_as_a_parent_is_refused_in_strict(parts: list[bytes]) -> None:
    assert both(archive(*parts)) == tolerated("file-parent")


@pytest.mark.parametrize(
    "parts",
    [
        [entry(b"a/", kind=b"5"), entry(b"a/b")],
        [entry(b"a/b"), entry(b"a/", kind=b"5")],
        [entry(b"run", kind=b"2", link=b"/var/run"), entry(b"run/x")],
        [entry(b"ab"), entry(b"a/b"), entry(b"a.b")],
    ],
)
def test_p13_directories_and_links_may_be_parents(parts: list[bytes]) -> None:
    assert both(archive(*parts)) == OK


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (b"a", b"a"),
        (b"a", b"./a"),
        (b"a/b", b"a//b"),
        (b"/a", b"a"),
        (b"d/", b"d"),
        (b"./", b"."),
        (b"./", b"/"),
    ],
)
def test_p16_duplicates_are_refused_in_strict(first: bytes, second: bytes) -> None:
    data = archive(entry(first, kind=b"5"), entry(second, kind=b"5"))
    assert both(data) == tolerated("duplicate")
    assert ("duplicate", 512) in read(data).findings


def test_p16_no_two_different_paths_are_taken_for_one() -> None:
    paths = [b"%d/%d/%s" % (i % 97, i % 89, os.urandom(6).hex().encode()) for i in range(20_000)]
    data = archive(*map(entry, dict.fromkeys(paths)))
    assert both(data) == OK


@pytest.mark.parametrize("name", [b"\xff\xfe", b" ", b"a\\b", b"caf\xc3\xa9", b"new\nline", b"-rf"])
def test_h21_names_are_bytes_to_the_edge(name: bytes) -> None:
    carriers = [
        entry(name),
        pax((b"path", name)) + entry(),
        long_name(name) + entry(magic=MAGIC_GNU),
        pax((b"hdrcharset", b"BINARY"), (b"path", name)) + entry(),
    ]
    for data in map(archive, carriers):
        assert both(data) == OK
        found = read(data).entries[0]
        assert found.path == name
        assert os.fsencode(found.name) == name


@pytest.mark.parametrize("folder", [b"", b"a/", b"./"])
def test_w01_w02_whiteouts_of_nothing_or_dots_are_refused(folder: bytes) -> None:
    for name in (b".wh.", b".wh..", b".wh..."):
        assert both(archive(entry(folder + name))) == refused("whiteout")
    assert both(archive(entry(folder + b".wh....")))[0] == "ok"


@pytest.mark.parametrize(
    ("data", "verdict"),
    [
        (entry(b"a/.wh.x"), OK),
        (entry(b"a/.wh.x", kind=b"5"), tolerated("whiteout-form")),
        (entry(b"a/.wh.x", b"content"), tolerated("whiteout-form")),
        (entry(b"a/.wh.x", kind=b"2", link=b"t"), tolerated("whiteout-form")),
        (entry(b"a/.wh.x", kind=b"1", link=b"t"), tolerated("whiteout-form")),
        (entry(b"a/.wh.x/b"), tolerated("whiteout-form")),
        (entry(b"a/.wh..wh.x"), tolerated("whiteout-form")),
        (entry(b"a/.wh..wh..opq"), OK),
        (entry(b".wh..wh..opq"), OK),
        (entry(b".wh..wh..opq", b"content"), tolerated("whiteout-form")),
        (entry(b"a/.wh..wh..opq/b"), tolerated("whiteout-form")),
        (entry(b".whx"), OK),
        (entry(b"a.wh.x"), OK),
        (entry(b".WH.x"), OK),
    ],
)
def test_w06_whiteouts_are_empty_regular_files(data: bytes, verdict: tuple[str, str]) -> None:
    assert both(data + END) == verdict


@pytest.mark.parametrize(
    ("path", "whiteout", "opaque", "aufs"),
    [
        (b"a/.wh.x", True, False, False),
        (b"./.wh.x", True, False, False),
        (b"a/.wh..wh..opq", True, True, False),
        (b"./.wh..wh..opq", True, True, False),
        (b"a/.wh.x/b", False, False, False),
        (b".wh..wh.aufs", False, False, True),
        (b"./.wh..wh.plnk/12.34", False, False, True),
        (b".wh..wh.orph/.wh.x", False, False, True),
        (b".wh..wh..opq/x", False, False, True),
        (b"a/.wh..wh.aufs", True, False, False),
    ],
)
def test_w07_the_parser_and_the_predicates_mark_the_same_entries(
    path: bytes, whiteout: bool, opaque: bool, aufs: bool
) -> None:
    found = read(archive(entry(path)))
    marks = found.entries[0]
    assert (marks.is_whiteout, marks.is_opaque, marks.is_aufs) == (whiteout, opaque, aufs)
    flags = int(found.table.array["flags"][0])
    assert (flags & 1 > 0, flags & 2 > 0, flags & 8 > 0) == (whiteout, opaque, aufs)


def test_w07_housekeeping_of_aufs_is_refused_in_strict_and_reported_in_compat() -> None:
    parts = [
        entry(b".wh..wh.aufs"),
        entry(b".wh..wh.plnk/", kind=b"5"),
        entry(b".wh..wh.plnk/1.2", b"x"),
    ]
    for part in parts:
        assert both(archive(part)) == tolerated("aufs")
    assert read(archive(*parts)).codes == ["aufs"] * 3

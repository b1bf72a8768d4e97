"""Random and mutated archives: only our errors, alike at any borders, no reader disagrees."""

import io
import tarfile
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.tar_build import (
    END,
    FIELDS,
    MAGIC_GNU,
    MAGIC_USTAR,
    MAGIC_V7,
    archive,
    base256,
    entry,
    long_name,
    pax,
    refit,
)
from support.tar_read import LIMITS, by_tarfile, by_tool, feed, judge, ours, read

from ocifast._native.tar import TarParser
from ocifast.errors import FormatError, OcifastError
from ocifast.formats.tar import EntryTable

Oracle = Callable[[str], str]

NAMES = st.sampled_from(
    [b"a", b"a/b", b"d/", b"./x", b"/abs", b"n\nl", b"\xff\xfe", b"x" * 100, b"q/" * 40 + b"f"]
) | st.sampled_from(
    [b"a -> b", b".wh.a", b" ", b"-", b"..", b"a/../b", b"", b"\xc3\xa9", b".wh..wh..opq"]
)
NUMBERS = st.sampled_from(
    [b"", b"   7\0", b"7\0junk", b"\0\0007\0", b"-1", b"+5", b"0x5", b"9", b"\x80\0\0\0\0\0\0\5"]
) | st.integers(-5, 1 << 40).map(lambda value: base256(value, 8))
KEYS = st.sampled_from(
    [b"path", b"linkpath", b"size", b"uid", b"mtime", b"atime", b"comment", b"hdrcharset"]
) | st.sampled_from(
    [b"SCHILY.xattr.user.a", b"SCHILY.dev", b"LIBARCHIVE.xattr.user.b", b"uname"]
    + [b"GNU.sparse.%s" % key for key in (b"name", b"major", b"map")]
)
VALUES = NAMES | st.sampled_from([b"5", b"1.5", b"BINARY", b"512", b"a=b\n5 x=y\n", b" 5", b"-1"])
MAGICS = st.sampled_from([MAGIC_USTAR, MAGIC_USTAR, MAGIC_GNU, MAGIC_GNU, MAGIC_V7, b"ustar\x0001"])


@st.composite
def parts(draw: st.DrawFn) -> bytes:
    """One entry with what may stand before it; most draws are legal."""
    magic, flag = draw(MAGICS), draw(st.sampled_from(list(b"0000\x00001122553467SVX")))
    kind, fields = bytes([flag]), {}
    if kind in b"12":
        fields["link"] = draw(NAMES)
    if draw(st.integers(0, 9)) == 0:
        fields[draw(st.sampled_from(["uid", "gid", "mode", "major", "mtime"]))] = draw(NUMBERS)
    if draw(st.integers(0, 9)) == 0:
        fields["prefix"] = draw(NAMES)
    before = b""
    if draw(st.integers(0, 2)) == 0 and magic == MAGIC_GNU:
        before = long_name(draw(NAMES), draw(st.sampled_from([b"L", b"L", b"K"])))
    elif draw(st.integers(0, 2)) == 0:
        records = draw(st.lists(st.tuples(KEYS, VALUES), min_size=1, max_size=3))
        before = pax(*records, kind=draw(st.sampled_from([b"x", b"x", b"x", b"g"])))
    payload = draw(st.sampled_from([b"", b"hello", b"z" * 600])) if kind in b"0\x007" else b""
    return before + entry(draw(NAMES), payload, kind, magic=magic, **fields)


@st.composite
def archives(draw: st.DrawFn) -> bytes:
    data = bytearray(b"".join(draw(st.lists(parts(), min_size=1, max_size=3))))
    for _ in range(draw(st.sampled_from([0, 0, 1, 3]))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    fitted = refit(bytes(data)) if draw(st.booleans()) else bytes(data)
    return fitted + draw(st.sampled_from([END, END, END + bytes(9216), bytes(512), b""]))


@st.composite
def trees(draw: st.DrawFn) -> bytes:
    """What a sane writer makes of random names and sizes."""
    out = io.BytesIO()
    names = draw(st.lists(st.text("ab/é.", min_size=1, max_size=150), unique=True, max_size=8))
    with tarfile.open(fileobj=out, mode="w", format=draw(st.sampled_from([0, 1, 2]))) as tar:
        for name in names:
            info = tarfile.TarInfo("r/" + name.strip("/"))
            info.size = draw(st.integers(0, 1500))
            info.mtime = draw(st.integers(0, 1 << 34))
            info.uid = draw(st.sampled_from([0, 1000, 3_000_000]))
            try:
                tar.addfile(info, io.BytesIO(bytes(info.size)))
            except ValueError:  # ustar cannot hold it
                continue
    return out.getvalue()


@given(st.binary(max_size=3000) | archives())
def test_any_bytes_give_a_table_or_an_error_of_ours(data: bytes) -> None:
    for strict in (False, True):
        judge(data, strict=strict)


@given(trees() | archives(), st.integers(1, 700), st.booleans())
def test_borders_change_neither_table_nor_error(data: bytes, step: int, strict: bool) -> None:
    whole, pieces = judge(data, strict=strict), judge(data, strict=strict, step=step)
    assert whole == pieces
    if whole == "ok":
        assert read(data, strict=strict) == read(data, strict=strict, step=step)


@given(trees() | archives())
def test_strict_accepts_only_what_compat_reads_alike(data: bytes) -> None:
    if judge(data, strict=True) == "ok":
        found = read(data)
        assert found.table == read(data, strict=True).table
        assert set(found.codes) <= {"absolute"}


@given(trees())
def test_sane_trees_are_read_as_tarfile_reads_them(data: bytes) -> None:
    assert judge(data) == "ok"
    assert ours(data) == by_tarfile(data)


@given(archives())
@example(archive(entry(b"f", kind=b"2", link=b"t", magic=MAGIC_GNU)))
def test_what_strict_accepts_no_reader_lists_differently(oracle: Oracle, data: bytes) -> None:
    if judge(data, strict=True) != "ok":
        return
    mine = ours(data, strict=True)
    for listed in (
        by_tarfile(data),
        by_tool("tar", oracle("tar"), data),
        by_tool("bsdtar", oracle("bsdtar"), data),
    ):
        assert listed is None or listed == mine


@given(archives(), st.data())
def test_a_mutated_state_is_refused_or_harmless(data: bytes, draw: st.DataObject) -> None:
    cut = draw.draw(st.integers(0, len(data)))
    parser = TarParser(LIMITS)
    try:
        parser.feed(data[:cut])
    except OcifastError:
        return
    state = bytearray(parser.state())
    for _ in range(draw.draw(st.integers(1, 6))):
        state[draw.draw(st.integers(0, len(state) - 1))] = draw.draw(st.integers(0, 255))
    try:
        resumed = TarParser.from_state(bytes(state), LIMITS)
    except FormatError:
        return
    try:
        feed(resumed, data[cut:])
        resumed.findings()
        EntryTable(*resumed.take_table())
    except OcifastError:
        return


@pytest.mark.parametrize("field", FIELDS)
def test_every_byte_of_every_field_can_be_anything(field: str) -> None:
    data = archive(pax((b"path", b"p")), entry(b"f", b"x"), entry(b"l", kind=b"2", link=b"t"))
    at, width = FIELDS[field]
    for block in (0, 2, 4):
        for offset in range(block * 512 + at, block * 512 + at + min(width, 12)):
            for value in (0, 1, 0x20, 0x2F, 0x30, 0x39, 0x7F, 0x80, 0xFF):
                mutant = bytearray(data)
                mutant[offset] = value
                for strict in (False, True):
                    judge(refit(bytes(mutant)), strict=strict)

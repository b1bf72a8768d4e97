"""Cutting a tar for a seekable layer, and its TOC: against the same written in Python."""

import hashlib
import itertools
import random
import time
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import tar_build
from support.encoding import noise
from support.tables import HARDLINK, SYMLINK, entry, tar_of
from support.toc_reference import (
    LANDMARK,
    chunked_lines,
    cut_chunked,
    cut_estargz,
    encode,
    estargz_lines,
    split_of,
    toc_of,
    units_of,
)

from ocifast._native.sha256 import Sha256
from ocifast._native.tar import HeapBytes, TarParser
from ocifast._native.toc_cut import CHUNKED, ESTARGZ, Cutter, Toc, hash_payloads
from ocifast.errors import FormatError, StateError, UnsupportedError
from ocifast.formats.estargz import RESERVED
from ocifast.formats.tar import EntryTable
from ocifast.limits import Limits
from ocifast.ops.virtual_tree import VirtualTree
from ocifast.tree.entry import EntryKind

MIB = 1 << 20


def tar_with(items):
    tree, out, piece = VirtualTree(items), bytearray(), memoryview(bytearray(1 << 16))
    while count := tree.readinto(piece):
        out += piece[:count]
    return bytes(out)


def table_of(tar):
    parser = TarParser(Limits())
    parser.feed(tar)
    parser.finish()
    return EntryTable(*parser.take_table())


# ---- what is compared with it ----


class Cut:
    """A tar in pieces through the cutter."""

    def __init__(self, dialect, pieces):
        self.everything, self.split, self.plan, self.units = Sha256(), b"", b"", []
        self.cutter = Cutter(dialect, self.everything)
        self.blob, self.digests, self._unit = bytearray(), b"", bytearray()
        if dialect == ESTARGZ:
            parser = TarParser(Limits())
            parser.feed(LANDMARK)
            self._keep(self.cutter.feed(LANDMARK, 0, *parser.take_table()))
        parser, at = TarParser(Limits()), 0
        for piece in pieces:
            parser.feed(piece)
            self._keep(self.cutter.feed(piece, at, *parser.take_table()))
            at += len(piece)
        parser.finish()
        self._keep(self.cutter.finish())
        assert not self._unit

    def _keep(self, parts):
        for part, plan in parts:
            self._unit += part
            if plan:
                self.digests += hash_payloads(self._unit, plan)
                self.plan += plan
                self.units.append(len(plan) // 8)
                self.blob += self._unit
                self._unit = bytearray()
        self.split += bytes(self.cutter.take_split())

    def toc(self, sizes):
        return b"".join(self.cutter.toc(array("I", sizes), self.digests)).decode()


def check(tar, cuts=()):
    entries = list(table_of(tar))
    borders = sorted({0, len(tar), *(cut % len(tar) for cut in cuts)})
    pieces = [tar[a:b] for a, b in itertools.pairwise(borders)]
    first = next(iter(table_of(LANDMARK + bytes(1024))))
    kept = [each for each in entries if each.path.removeprefix(b"./") not in RESERVED]
    dialects = (
        (CHUNKED, cut_chunked, entries, chunked_lines, ","),
        (ESTARGZ, cut_estargz, [first, *kept], estargz_lines, ",\n"),
    )
    for dialect, cut, expected, lines, comma in dialects:
        segments, found = cut(tar, entries), Cut(dialect, pieces)
        assert found.blob == b"".join(data for data, _ in segments)
        assert found.cutter.size == len(found.blob)
        assert found.everything.digest() == hashlib.sha256(found.blob).digest()
        plan = [number for data, payload in segments for number in (len(data), payload)]
        assert list(array("I", found.plan)) == plan
        assert found.units == units_of(segments)
        assert found.cutter.dropped == len(entries) + (dialect == ESTARGZ) - len(expected)
        sizes = [random.Random(at).randrange(1, 10**9) for at in range(len(segments))]
        toc = comma.join(map(encode, toc_of(expected, segments, sizes, lines)))
        assert found.toc(sizes) == toc
        if dialect == CHUNKED:
            assert found.split == split_of(tar, entries)


NAME = st.text(
    st.sampled_from('ab."\\\x01\x08\x0b\x1f\x7f\t\né€\u2028\U0001f600 '), min_size=1, max_size=9
)
TIME = st.sampled_from(
    [0, 1, 499_999_999, 500_000_000, 10**18, 1_709_164_800_000_000_000, 951_782_400_120_000_000]
) | st.integers(-(2**61), 2**62)
SIZE = st.sampled_from([0, 1, 511, 512, 513, 16_383, 16_384, 200_000]) | st.integers(0, 3000)
XATTRS = st.dictionaries(
    NAME.map(lambda name: f"user.{name.replace('=', '')}".encode()),
    st.binary(max_size=5),
    max_size=3,
)
OTHERS = (SYMLINK, HARDLINK, EntryKind.FIFO, EntryKind.CHAR_DEVICE, EntryKind.DIRECTORY)


@st.composite
def items(draw):
    names, found = draw(st.lists(NAME, max_size=8)), []
    for number, name in enumerate(names):
        fields = {
            "mode": draw(st.sampled_from([0, 0o644, 0o4755])),
            "uid": draw(st.sampled_from([0, 7, 2**31])),
            "mtime_ns": draw(TIME),
            "xattrs": tuple(draw(XATTRS).items()),
        }
        path = f"d{number}/{name}{'x' * draw(st.sampled_from([0, 150]))}".rstrip("./") + "-"
        taken = sorted(RESERVED)[number % 3].decode()
        path = draw(st.sampled_from([path] * 4 + ["./" * (number % 2) + taken][: number < 3]))
        if draw(st.booleans()):
            size = draw(SIZE)
            found.append((entry(path, size=size, **fields), noise(path, size)))
            continue
        kind = draw(st.sampled_from(OTHERS))
        if kind in (SYMLINK, HARDLINK):
            fields["link_target"] = f"to/{name}".rstrip("/").encode()
        if kind is EntryKind.CHAR_DEVICE:
            fields |= {"dev_major": 5, "dev_minor": draw(st.integers(0, 9))}
        path += "/" * (kind is EntryKind.DIRECTORY)
        found.append((entry(path, kind, **fields), None))
    return found


@given(items(), st.lists(st.integers(0, 2**40), max_size=12))
def test_any_small_tar_is_cut_and_told_as_the_reference_does(contents, cuts) -> None:
    check(tar_with(contents), cuts)


LARGE = tar_with(
    [
        (entry("empty"), b""),
        (entry("exact", size=MIB), noise("exact", MIB)),
        (entry("./stargz.index.json", size=2 * MIB), bytes(2 * MIB)),
        (entry("more", size=MIB + 1), noise("more", MIB + 1)),
        *((entry(f"d{number}/{'y' * 150}"), b"") for number in range(1500)),
        (entry("zeros", size=9 * MIB), bytes(9 * MIB)),
        (entry(".prefetch.landmark"), b""),
        (entry("last", size=700_000), noise("last", 700_000)),
    ]
)


@pytest.mark.parametrize("step", [len(LARGE), MIB, 65_536, 99_999])
def test_long_files_and_many_headers_are_cut_as_the_reference_does(step) -> None:
    check(LARGE, range(0, len(LARGE), step))
    check(LARGE[: len(LARGE.rstrip(b"\0"))] + bytes(3 * MIB), range(0, len(LARGE), step))


def test_a_tar_byte_by_byte_is_cut_as_the_reference_does() -> None:
    tar = tar_with([(entry("a", size=700), b"a" * 700), (entry("stargz.index.json"), b"x" * 5)])
    check(tar, range(len(tar)))
    check(tar_of([]), range(1024))


def test_a_name_that_is_repeated_among_xattrs_counts_last_and_stands_first() -> None:
    records = [(f"SCHILY.xattr.user.{key}".encode(), value) for key, value in
               (("a", b"1"), ("b", b"2"), ("a", b"3"))]  # fmt: skip
    tar = tar_build.archive(tar_build.pax(*records), tar_build.entry(b"f", b"data"))
    check(tar)
    cut = Cut(CHUNKED, [tar])
    assert '"xattrs":{"user.a":"Mw==","user.b":"Mg=="}' in cut.toc([1] * (len(cut.plan) // 8))


@pytest.mark.parametrize("raw", [b"\xff", b"a\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80",
                                 b"\xe0\x9f\xbf", b"\xc3", b"\xf8\x88\x80\x80\x80"])  # fmt: skip
@pytest.mark.parametrize("dialect", [CHUNKED, ESTARGZ])
def test_what_is_not_utf8_is_in_tar_split_but_not_in_a_toc(raw, dialect) -> None:
    for each in (entry(raw), entry("l", SYMLINK, link_target=raw)):
        tar = tar_of([each])
        cut = Cut(dialect, [tar])
        shown = raw.decode(errors="backslashreplace")
        with pytest.raises(UnsupportedError) as caught:
            cut.toc([1] * (len(cut.plan) // 8))
        assert str(caught.value) == f"{shown!r} is not UTF-8, and cannot be in a TOC"
        if dialect == CHUNKED:
            assert cut.split == split_of(tar, table_of(tar))


@given(st.binary(max_size=6))
def test_utf8_is_what_python_takes_for_it(raw) -> None:
    path = b"p" + raw.replace(b"\0", b"").replace(b"/", b"")
    try:
        path.decode()
    except UnicodeDecodeError:
        is_text = False
    else:
        is_text = True
    split = Cut(CHUNKED, [tar_of([entry(path)])]).split
    assert (b'"name":' in split) == is_text


def test_a_toc_comes_in_pieces() -> None:
    cut = Cut(CHUNKED, [tar_of([entry(f"d/{number}", size=1) for number in range(9000)])])
    pieces = list(cut.cutter.toc(array("I", [1] * (len(cut.plan) // 8)), cut.digests))
    assert len(pieces) > 3
    assert max(map(len, pieces)) < 300_000


# ---- what is refused ----


def parsed(tar):
    parser = TarParser(Limits())
    parser.feed(tar)
    return parser.take_table()


def test_rows_of_another_piece_are_refused_and_nothing_comes_after() -> None:
    tar = tar_of([entry("a", size=5), entry("b", size=5)])
    for piece, base in ((tar, 600), (tar[:600], 0), (tar, 10**6), (b"", 0)):
        cutter = Cutter(CHUNKED)
        with pytest.raises(FormatError):
            cutter.feed(piece, base, *parsed(tar))
        with pytest.raises(StateError):
            cutter.feed(tar, 0, *parsed(tar))
        with pytest.raises(StateError):
            cutter.finish()
    cutter = Cutter(ESTARGZ)
    rows, _ = parsed(tar)
    with pytest.raises(FormatError):
        cutter.feed(tar, 0, rows, HeapBytes())


def test_a_file_that_does_not_end_cannot_be_finished() -> None:
    tar = tar_of([entry("a", size=5000)])
    cutter = Cutter(CHUNKED)
    cutter.feed(tar[:1000], 0, *parsed(tar[:1000]))
    with pytest.raises(FormatError):
        cutter.finish()


def test_a_sparse_file_is_refused_by_name() -> None:
    records = [(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"),
               (b"GNU.sparse.name", b"holes"), (b"GNU.sparse.realsize", b"9")]  # fmt: skip
    tar = tar_build.archive(
        tar_build.pax(*records), tar_build.entry(b"x", b"1\n8\n1\n".ljust(512, b"\0") + b"y")
    )
    with pytest.raises(UnsupportedError, match="'holes' is sparse: a seekable layer holds plain"):
        Cutter(CHUNKED).feed(tar, 0, *parsed(tar))


def test_a_toc_is_made_once_all_was_cut_and_of_as_many_segments() -> None:
    with pytest.raises(StateError):
        Cutter(CHUNKED).toc(array("I"), b"")
    with pytest.raises(ValueError, match="dialect"):
        Cutter(7)
    with pytest.raises(StateError):
        next(Toc.__new__(Toc))
    cut = Cut(CHUNKED, [LARGE])
    count = len(cut.plan) // 8
    for sizes, digests in ((count - 1, cut.digests), (count, cut.digests[:-1]), (0, b"")):
        with pytest.raises(FormatError):
            cut.cutter.toc(array("I", [1] * sizes), digests)
    with pytest.raises(StateError):
        cut.cutter.feed(b"x", 0, *parsed(b""))
    with pytest.raises(StateError):
        cut.cutter.__init__(CHUNKED)


def test_a_plan_of_another_unit_is_refused() -> None:
    for sizes in ([3, 4], [4, 0], [3, 3, 1], [2**32 - 1, 0, 4, 0]):
        with pytest.raises(FormatError):
            hash_payloads(b"abc", array("I", sizes).tobytes())
    assert hash_payloads(b"", b"") == b""
    many = array("I", [3, 1] * 70 + [1, 0]).tobytes()
    assert hash_payloads(b"abc" * 70 + b"z", many) == hashlib.sha256(b"a").digest() * 70


@pytest.mark.figures
def test_a_tar_of_small_files_is_cut_at_hundreds_of_megabytes_a_second() -> None:
    tar = tar_of([entry(f"d/{number}", size=3000) for number in range(10_000)])
    table, begin = parsed(tar), time.process_time()
    Cutter(CHUNKED).feed(tar, 0, *table)
    assert len(tar) / (time.process_time() - begin) > 100e6
